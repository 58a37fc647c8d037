"""The patch discriminator."""

import pytest
import torch
from torch import nn

from regvq.errors import RegvqError
from regvq.nets import PatchDiscriminator


@pytest.mark.parametrize(
    ("layers", "side", "scores"), [(3, 256, 30), (3, 32, 2), (2, 32, 6), (2, 12, 1), (3, 24, 1), (1, 16, 6)]
)
def test_scores_per_patch(layers, side, scores):
    critic = PatchDiscriminator(channels=4, layers=layers, norm_groups=2)
    assert critic(torch.zeros(1, 3, side, side)).shape == (1, 1, scores, scores)


@pytest.mark.parametrize(("layers", "patch"), [(3, 70), (2, 34)])
def test_a_score_judges_a_patch(layers, patch):
    critic = PatchDiscriminator(channels=4, layers=layers, norm_groups=None)
    images = torch.randn(1, 3, 128, 128, requires_grad=True)
    scores = critic(images)
    middle = scores.shape[2] // 2
    scores[0, 0, middle, middle].backward()
    touched = images.grad.abs().sum((0, 1)) > 0
    assert touched.any(0).sum() == patch
    assert touched.any(1).sum() == patch


@pytest.mark.parametrize("groups", [4, None])
def test_an_images_score_does_not_depend_on_its_batch(groups):
    torch.manual_seed(0)
    critic = PatchDiscriminator(channels=8, layers=2, norm_groups=groups)
    images = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(critic(images)[:1], critic(images[:1]))
    assert (groups is None) == (not any(isinstance(m, nn.GroupNorm) for m in critic.modules()))


def test_too_small_images_are_named():
    with pytest.raises(RegvqError, match=r"at least 24 pixels a side, not 16x32: give it fewer layers"):
        PatchDiscriminator(8, 3)(torch.zeros(1, 3, 16, 32))


@pytest.mark.parametrize(
    "options", [{"channels": 0}, {"layers": 0}, {"channels": 12, "norm_groups": 8}, {"norm_groups": 0}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(RegvqError, match="must"):
        PatchDiscriminator(**options)
