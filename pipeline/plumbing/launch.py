"""Runs a stage in several processes, on one machine or many, by torchrun.

The environment variable MASKGIT_LAUNCH holds a command that starts Python modules by torchrun:
`torchrun --standalone --nproc-per-node 2` or the like. It is neither in dvc.yaml nor in
params.yaml, since the number of processes depends on the machine, and DVC should run no stage
again for it.
"""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from maskgit import ranks
from maskgit.device import DEVICE, best_device, keep_freed_memory
from pipeline.plumbing.errors import UserError, plain_errors
from pipeline.plumbing.files import fresh_folder, partial_path

VARIABLE = "MASKGIT_LAUNCH"
LAUNCHED = "MASKGIT_LAUNCHED"  # set for the processes that the launcher starts
GRAPHS = "MASKGIT_CUDA_GRAPHS"
PATIENCE = timedelta(hours=2)  # for which ranks wait while the first one finishes the stage


@contextmanager
def network_stage() -> Iterator[None]:
    """Runs a stage with networks, in one process or several; faults are printed in one line."""
    with plain_errors(), several_processes():
        keep_freed_memory()
        yield


@contextmanager
def several_processes() -> Iterator[None]:
    """Starts the stage again by MASKGIT_LAUNCH, or joins the group in a process that it started.

    Does nothing where the variable is not set. Raises UserError where its command is not found, is
    not torchrun, or starts more processes than there are GPUs.
    """
    if not dist.is_available():
        yield
    elif dist.is_torchelastic_launched():
        device = best_device()
        if device.type == "cuda":
            torch.cuda.set_device(own_gpu())
        elif device.type != "cpu":
            raise UserError(f"several processes need {DEVICE}=cpu, or GPUs of NVIDIA or AMD")
        with ranks.group(device, PATIENCE):
            yield
    else:
        if launcher := launch_command():
            if LAUNCHED in os.environ:  # it would start itself again without end
                raise UserError(f"{VARIABLE} has to start torchrun; {launcher[0]} did not")
            os.environ[LAUNCHED] = "1"
            module = sys.modules["__main__"].__spec__.name
            sys.stdout.flush()
            try:
                os.execvp(launcher[0], [*launcher, "-m", module, *sys.argv[1:]])
            except FileNotFoundError:
                raise UserError(f"{VARIABLE}: there is no command {launcher[0]}") from None
        yield


def launch_command() -> list[str]:
    """Returns the words of MASKGIT_LAUNCH, none where it is not set."""
    try:
        return shlex.split(os.environ.get(VARIABLE, ""))
    except ValueError as error:
        raise UserError(f"{VARIABLE} is no command: {str(error).lower()}") from None


def cuda_graphs() -> bool:
    """Returns whether a training step is to be one CUDA graph: on one GPU, if GRAPHS says so."""
    asked = os.environ.get(GRAPHS) == "1"
    return asked and best_device().type == "cuda" and ranks.world_size() == 1


def own_gpu() -> int:
    """Returns the number of this process's GPU. Raises UserError where there are too few GPUs."""
    number, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= count:
        raise UserError(
            f"torchrun starts more processes than this machine has GPUs ({count}); "
            f"set --nproc-per-node {count} in {VARIABLE}"
        )
    return number


@contextmanager
def shared_folder(path: Path) -> Iterator[Path]:
    """Yields a folder as `fresh_folder`, for all ranks; it is complete when all have written."""
    if ranks.rank():
        ranks.barrier()
        yield partial_path(path)
        ranks.barrier()
        return
    with fresh_folder(path) as folder:
        ranks.barrier()
        yield folder
        ranks.barrier()
