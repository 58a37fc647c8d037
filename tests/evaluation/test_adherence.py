"""What samples show of what was asked for: by hand, and for a generator that draws exactly that."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from regvq.conditions import Caption, ClassLabel, Condition, LabelMap, NoCondition
from regvq.data.scenes import SceneReading, Scenes
from regvq.errors import RegvqError
from regvq.evaluation.adherence import adherence, attribute_accuracy, held_out_scenes, mean_iou, score
from regvq.generators import Generator, TokenSource
from regvq.nets import IdentityBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.types import LossOutput, SamplingOptions

SIZE, COUNT = 32, 6
CONDITIONS: dict[str, Callable[[], Condition]] = {
    "mean IoU": LabelMap,
    "attribute accuracy": lambda: Caption(length=48),
    "class accuracy": ClassLabel,
}


def test_mean_iou_by_hand() -> None:
    read, wanted = torch.tensor([[[0, 0], [1, 1]]]), torch.tensor([[[0, 1], [1, 1]]])
    # Label 0: 1 of 2; label 1: 2 of 3; label 2 occurs nowhere.
    assert mean_iou(read, wanted, 3) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert mean_iou(wanted, wanted, 3) == 1.0


def test_attribute_accuracy_by_hand() -> None:
    reading = SceneReading(torch.zeros(1, 1), 0, {"time": "day", "lake": "none"})
    assert attribute_accuracy([reading], [{"time": "day", "lake": "some"}]) == 0.5


@pytest.mark.parametrize("figure", CONDITIONS)
def test_scenes_themselves_score_high_and_other_scenes_low(figure: str) -> None:
    scenes = held_out_scenes(COUNT, 64)
    images = torch.stack([scene["image"] for scene in scenes])
    own, others = score(figure, images, scenes), score(figure, images.roll(1, 0), scenes)
    assert own > 0.95
    assert others < own - 0.1


class Told(Generator):
    """Draws the codes that it was told to, batch after batch."""

    def __init__(self, condition: Condition, source: TokenSource, codes: Tensor) -> None:
        super().__init__(condition, source, condition_dropout=0.1, replaced=0.0)
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.codes = codes

    def sequence_loss(self, codes: Tensor, condition: Tensor) -> LossOutput:
        raise AssertionError("adherence trains nothing")

    def passes(self, options: SamplingOptions) -> int:
        return 1

    def sample_sequence(
        self, condition: Tensor, known: Tensor, options: SamplingOptions, report: Any
    ) -> Tensor:
        report()
        return self.codes[options.first : options.first + len(condition)].flatten(1)


@pytest.fixture(scope="module")
def tokenizer() -> ImageTokenizer:
    """Keeps nearly all of the colours: 4 x 4 px a token, as many codes as there are patches."""
    torch.manual_seed(0)
    built = ImageTokenizer(IdentityBackbone(4), VectorQuantizer(2048, 48, init="data")).train()
    built(torch.stack([scene["image"] for scene in held_out_scenes(40, SIZE)]))
    return built.eval()


@pytest.mark.parametrize("figure", CONDITIONS)
def test_what_is_drawn_as_asked_reaches_the_ceiling_and_what_is_not_does_not(
    figure: str, tokenizer: ImageTokenizer
) -> None:
    scenes = held_out_scenes(COUNT, SIZE)
    codes = tokenizer.encode(torch.stack([scene["image"] for scene in scenes]))
    condition = CONDITIONS[figure]()
    condition.prepare(Scenes("train", SIZE, 20), (8, 8))
    source = TokenSource(2048, (8, 8), tokenizer.fingerprint())
    right = adherence(Told(condition, source, codes), tokenizer, scenes, batch_size=4, keep=2)
    assert right.figure == figure
    assert right.value == right.ceiling > 0.5
    assert right.images == COUNT
    assert torch.equal(right.samples, tokenizer.decode(codes[:2]))
    wrong = adherence(Told(condition, source, codes.roll(1, 0)), tokenizer, scenes)
    assert wrong.value < wrong.ceiling == right.ceiling


def test_no_condition_cannot_be_read_back(tokenizer: ImageTokenizer) -> None:
    generator = Told(NoCondition(), TokenSource(2048, (8, 8), ""), torch.zeros(1, 8, 8))
    with pytest.raises(RegvqError, match="cannot read a NoCondition back"):
        adherence(generator, tokenizer, held_out_scenes(1, SIZE))
