"""The discriminator learns to tell drawn maps from true ones, and looks at the hole alone."""

import pytest
import torch

from maskgit.data.cats.cat import draw_cats
from maskgit.perception import PerceptualLoss
from maskgit.pixels import to_float
from maskgit.training.discriminator import Adversary, Seen
from maskgit.training.losses import DrawingLoss

HOLE = torch.zeros(4, 64, 64, dtype=torch.bool)
HOLE[:, 16:40, 16:40] = True


@pytest.fixture(scope="module")
def perceptual():
    return PerceptualLoss()


@pytest.fixture(scope="module")
def truth():
    return to_float(draw_cats(4, seed=0), torch.device("cpu"))


def blurred(truth):
    return torch.nn.functional.avg_pool2d(truth, 5, stride=1, padding=2)


def seen_by(perceptual, adversary, output, truth) -> Seen:
    return DrawingLoss(perceptual, 0.0, 1.0)(output, truth, HOLE, adversary=adversary)[2]


def test_there_is_a_map_of_each_resolution(perceptual, truth):
    seen = seen_by(perceptual, Adversary(perceptual, 1e-3), truth, truth)
    assert [each.shape[1] for each in seen.drawn] == perceptual.widths
    assert [each.shape[2] for each in seen.drawn] == [32, 16, 8]


def test_it_learns_to_tell_drawn_from_true(perceptual, truth):
    torch.manual_seed(0)
    adversary = Adversary(perceptual, 3e-3)
    seen = seen_by(perceptual, adversary, blurred(truth), truth)
    losses = [adversary.learn([seen]).item() for _ in range(60)]
    assert losses[-1] < 0.5 < 0.8 < losses[0]
    assert adversary.fooled(seen) > 0.5  # drawn ones have low logits
    true = seen._replace(drawn=seen.true)
    assert adversary.fooled(true) < -0.5


def test_the_network_is_drawn_towards_the_truth_and_the_discriminator_stays(perceptual, truth):
    torch.manual_seed(0)
    adversary = Adversary(perceptual, 3e-3)
    for _ in range(40):
        adversary.learn([seen_by(perceptual, adversary, blurred(truth), truth)])
    before = {k: v.clone() for k, v in adversary.discriminator.state_dict().items()}
    output = blurred(truth).requires_grad_(True)
    loss = DrawingLoss(perceptual, 0.0, 1.0)
    first = loss(output, truth, HOLE, adversary=adversary)
    first[0].backward()
    near = torch.nn.functional.max_pool2d(HOLE[:, None].float(), 3, stride=1, padding=1) > 0
    assert not output.grad.masked_select(~near).any()  # nothing else counts
    moved = (output - 0.1 * output.grad.sign()).detach()
    assert (
        loss(moved, truth, HOLE, adversary=adversary)[1]["adversarial_loss"]
        < first[1]["adversarial_loss"]
    )
    after = adversary.discriminator.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_parts_of_a_batch_count_by_their_images(perceptual, truth):
    torch.manual_seed(0)
    adversary = Adversary(perceptual, 1e-3)
    whole = seen_by(perceptual, adversary, blurred(truth), truth)

    def part(rows):
        maps = [[each[rows] for each in kind] for kind in (whole.drawn, whole.true)]
        return Seen(*maps, whole.hole_and_rim[rows], whole.area)

    parts = [part(slice(0, 1)), part(slice(1, 4))]
    expected = adversary.loss(whole)
    shares = [len(each.hole_and_rim) / 4 for each in parts]
    found = sum(share * adversary.loss(each) for share, each in zip(shares, parts, strict=True))
    torch.testing.assert_close(found, expected)
