"""The training learns, repeats itself bit for bit, and goes on where it stopped."""

import numpy as np
import pytest
import torch

from maskgit.data.cats.cat import draw_cats
from maskgit.data.holes import draw_holes
from maskgit.feed_forward.filling import fill_holes, only_known_pixels
from maskgit.feed_forward.unet import UNet
from maskgit.perception import PerceptualLoss
from maskgit.scoring.pixel_errors import psnr
from maskgit.training.drawing import DrawingTrainer, evaluate_drawing
from tests.trainings import DRAWING, Waits, assert_equal_weights, finish, through_a_file


@pytest.fixture(scope="module")
def data():
    """Images and holes for training, the number of views, and images and holes to validate on."""
    cats, holes = draw_cats(40, seed=0), draw_holes(24, ["box"], (0.1, 0.2), 64, seed=0)
    return cats[:32], holes[:16], 2, (cats[32:], holes[16:])


def make_trainer(data, perceptual=None, **changes):
    torch.manual_seed(0)
    model = UNet(channels=(32, 32), coarse_blocks=1)
    how = DRAWING.changed(**changes)
    network = model, only_known_pixels, model.hidden_convolutions()
    return DrawingTrainer(*network, *data, how, perceptual, seed=3)


def test_the_network_learns_and_repeats_itself(data):
    trainer = make_trainer(data)
    records = finish(trainer)
    evaluated = {step: metrics for step, metrics in records if "val_loss" in metrics}
    assert list(evaluated) == [8, 16]
    assert evaluated[16]["val_loss"] < evaluated[8]["val_loss"]
    again = make_trainer(data)
    assert finish(again) == records
    assert_equal_weights(again.best.model, trainer.best.model)


def test_the_validation_does_not_depend_on_the_batch_size(data):
    trainer = make_trainer(data)
    images, holes = data[-1]
    holes = holes.copy()
    holes[0, :32] = True  # its area differs from the others'
    task = trainer.model.eval(), only_known_pixels, images, holes, trainer.loss
    whole = evaluate_drawing(*task, len(images))
    assert evaluate_drawing(*task, 3) == pytest.approx(whole, rel=1e-5)


def test_the_validation_psnr_is_that_of_the_filled_pixels(data):
    trainer = make_trainer(data)
    measured = finish(trainer)[-1][1]["val_psnr"]
    images, holes = data[-1]
    filled = fill_holes(trainer.average, images, holes)
    assert measured == pytest.approx(psnr(filled, images, holes).mean(), abs=0.05)  # rounding


def test_the_perceptual_loss_changes_the_training_by_its_weight(data):
    plain, weighted = make_trainer(data), make_trainer(data, PerceptualLoss(), perceptual_weight=1)
    assert "perceptual_loss" not in plain.step()
    first = weighted.step()
    assert first["perceptual_loss"] > 0
    with pytest.raises(AssertionError):
        assert_equal_weights(plain.model, weighted.model)


def test_a_discriminator_joins_and_the_best_is_of_what_comes_after(data, tmp_path):
    adversarial = {"adversarial_weight": 0.5, "discriminator_start": 0.5}
    trainer = make_trainer(data, PerceptualLoss(), **adversarial)
    records = finish(trainer)
    assert [step for step, metrics in records if "discriminator_loss" in metrics] == [*range(9, 17)]
    assert trainer.best.loss == records[-1][1]["val_loss"]  # not of step 8, however low
    stopped = make_trainer(data, PerceptualLoss(), **adversarial)
    for _ in range(11):
        stopped.step()
    state = through_a_file(stopped.state_dict(), tmp_path / "state.pt")
    resumed = make_trainer(data, PerceptualLoss(), **adversarial)
    resumed.load_state_dict(state)
    assert finish(resumed) == records[11:]
    assert_equal_weights(resumed.model, trainer.model)


def test_a_discriminator_that_never_joins_hinders_nothing(data):
    never = make_trainer(data, PerceptualLoss(), adversarial_weight=0.5, discriminator_start=1.0)
    plain = make_trainer(data)
    assert finish(never)[-1][1]["val_loss"] == finish(plain)[-1][1]["val_loss"] == never.best.loss
    assert_equal_weights(never.best.model, plain.best.model)


def test_pixels_away_from_the_hole_have_no_loss(data):
    trainer = make_trainer(data)
    truth, hole, _ = trainer.draw_batch()
    near = torch.nn.functional.max_pool2d(hole[:, None].float(), 3, stride=1, padding=1) > 0
    elsewhere = torch.where(near, truth, 1 - truth)
    assert trainer.loss(elsewhere, truth, hole)[0] == 0
    inside = torch.where(hole[:, None], 1 - truth, truth)
    assert trainer.loss(inside, truth, hole)[0] > 0


@pytest.mark.parametrize("stop_at", [1, 8, 13])
def test_the_training_goes_on_where_it_stopped(data, tmp_path, stop_at):
    undisturbed = make_trainer(data)
    records = finish(undisturbed)
    stopped = make_trainer(data)
    for _ in range(stop_at):
        stopped.step()
    state = through_a_file(stopped.state_dict(), tmp_path / "state.pt")
    resumed = make_trainer(data)
    resumed.load_state_dict(state)
    assert finish(resumed) == records[stop_at:]
    assert_equal_weights(resumed.model, undisturbed.model)
    assert_equal_weights(resumed.best.model, undisturbed.best.model)


def test_a_batch_has_the_images_views_and_holes_that_it_is_given(data):
    images, holes, _, _ = data
    truth, hole, _ = make_trainer(data).draw_batch()
    pixels = ((truth + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    seen = np.concatenate([images, images[:, :, ::-1]])  # two views: itself, its mirror image
    assert all((seen == one).all(axis=(1, 2, 3)).any() for one in pixels)
    assert all((holes == one).all(axis=(1, 2)).any() for one in hole.numpy())


def test_no_step_waits_for_the_device(data):
    trainer = make_trainer(data, PerceptualLoss(), perceptual_weight=0.1)
    trainer.step()  # the first may
    with Waits() as waits:
        trainer.step()
    assert waits.found == []
