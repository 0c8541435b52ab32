"""Stops a stage in the midst of its training."""

import os
import signal

import pytest

from maskgit.training.drawing import DrawingTrainer
from pipeline.plumbing.errors import Stopped


def stop_and_go_on(main, monkeypatch):
    """Runs a stage with a `DrawingTrainer`, stopped in its fourth step, then once more."""
    step = DrawingTrainer.step

    def interrupted(trainer):
        if trainer.done == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(DrawingTrainer, "step", interrupted)
        with pytest.raises(Stopped):
            main()
    main()
