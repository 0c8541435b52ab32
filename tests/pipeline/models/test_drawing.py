"""The best network of a training that draws into holes is named by its own evaluation."""

from pipeline.models.drawing import evaluation_of


def test_the_mean_over_three_processes_is_found_though_its_last_bit_differs():
    loss = 1.4726754897935241
    mean = (loss + loss + loss) / 3
    history = [{"step": 1, "val_loss": 1.5}, {"step": 2}, {"step": 3, "val_loss": mean}]
    assert mean != loss and evaluation_of(loss, history)["step"] == 3
