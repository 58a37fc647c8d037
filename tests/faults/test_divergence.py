"""Trainings that go wrong: noticed, named, and ended with the last good checkpoint in its place."""

import math
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from regvq import load_tokenizer
from regvq.errors import RegvqError
from regvq.losses import AdversarialLoss, Objective
from regvq.nets import IdentityBackbone, PatchDiscriminator
from regvq.quantizers import RegularizedVectorQuantizer, VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training import CollapsedError, DivergedError, NonFiniteError, TokenizerTraining, fit
from regvq.training.callbacks import CollapseGuard, DivergenceGuard
from regvq.training.checkpoint_io import AtomicCheckpointIO
from regvq.training.cli import stacked
from regvq.training.cli_arguments import resolve
from regvq.training.run import joined, quiet
from regvq.training.tokenizer_cli import TokenizerCLI
from tests.faults.conftest import Faults
from tests.training.conftest import OPTIONS, tiny_data, tiny_training


class At(Callback):
    """Changes the batch or the training before a step."""

    def __init__(self, step: int, change: Callable[[Any, TokenizerTraining], None]) -> None:
        self.step, self.change = step, change

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TokenizerTraining)
        if trainer.global_step == self.step:
            self.change(batch, pl_module)


def spoil(batch: Any, training: TokenizerTraining) -> None:
    batch["image"][0, 0, 0, 0] = math.nan


def push_away(batch: Any, training: TokenizerTraining) -> None:
    """All latents far from all codes, and in one direction."""
    with torch.no_grad():
        training.model.quant_conv.weight *= 1e-4
        training.model.quant_conv.bias += 100


def gan() -> TokenizerTraining:
    """An adversary from step 6 on that weighs a thousand times too much, at a rate that is far too high."""
    torch.manual_seed(0)
    tokenizer = ImageTokenizer(IdentityBackbone(4), RegularizedVectorQuantizer(16, 8))
    adversary = AdversarialLoss(PatchDiscriminator(8, 1), start=6, weight=1000.0, adaptive=False)
    return TokenizerTraining(
        tokenizer, Objective(adversarial=adversary), learning_rate=0.3, discriminator_learning_rate=0.1
    )


def collapsing() -> TokenizerTraining:
    torch.manual_seed(0)
    return TokenizerTraining(
        ImageTokenizer(IdentityBackbone(4), VectorQuantizer(16, 8)), learning_rate=1e-4
    )


@dataclass(frozen=True)
class Case:
    """What goes wrong, and what is to be left.

    Attributes:
        make: the training.
        error: that ends it.
        text: what it says, a pattern.
        good: step of the checkpoint that is to be good.
        kept: that checkpoint and the model of that step; the last ones, or those that validated best.
        change: of the seventh batch or of the training at that time.
    """

    make: Callable[[], TokenizerTraining]
    error: type[RegvqError]
    text: str
    good: int
    kept: tuple[str, str] = ("last.ckpt", "tokenizer")
    change: Callable[[Any, TokenizerTraining], None] | None = None


CASES = {
    "NaN in the data": Case(
        tiny_training, NonFiniteError, "the data's 'image' is nan at training batch 7", 6, change=spoil
    ),
    # It ruins the reconstruction over some steps, before any loss is out of bounds.
    "a GAN that explodes": Case(
        gan,
        DivergedError,
        r"the loss term '(reconstruction|quantizer/commitment)' has exploded: \d",
        9,
        ("best.ckpt", "tokenizer-best"),
    ),
    "a codebook that collapses": Case(
        collapsing,
        CollapsedError,
        "the codebook has collapsed: 3 validations in a row found a perplexity below 1.5, now 1 ",
        6,
        change=push_away,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_named_and_the_last_good_checkpoint_stands(name: str, tmp_path: Path, faults: Faults) -> None:
    case, run, lost = CASES[name], tmp_path / "run", []
    options = {**OPTIONS, "max_steps": 200, "val_check_interval": 3}
    callbacks = [At(7, case.change)] if case.change is not None else []
    with pytest.raises(case.error) as caught:
        fit(case.make(), tiny_data(), run, callbacks=callbacks, **options)
    said = str(caught.value)
    path = run / "checkpoints" / case.kept[0]
    if not re.match(case.text, said) or f"{path}" not in said or "\n" in said:
        lost.append(f"it says: {said}")
    checkpoint = AtomicCheckpointIO().load_checkpoint(path)
    if checkpoint["global_step"] > case.good:
        lost.append(f"the checkpoint is of step {checkpoint['global_step']}")
    saved = load_tokenizer(run / case.kept[1])
    images = torch.stack([sample["image"] for sample in tiny_data().val_dataset])
    found = saved.reconstruct(images)
    if not found.isfinite().all() or (found - images).abs().mean() > 1:
        lost.append("the tokenizer that is kept is ruined")
    if len(saved.encode(images).unique()) < 4:
        lost.append("the tokenizer that is kept has collapsed")
    faults.record("divergence", name, 1, lost, said.partition("; ")[0])


def test_a_spike_ends_nothing(tmp_path: Path) -> None:
    """A few batches out of bounds: no checkpoint meanwhile, and then the training goes on."""

    def larger(batch: Any, training: TokenizerTraining) -> None:
        batch["image"] *= 1000

    at = [At(step, larger) for step in (3, 4)]
    options = {**OPTIONS, "max_steps": 12, "val_check_interval": 4}
    seen = []

    class Look(Callback):
        def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
            path = tmp_path / "run" / "checkpoints" / "last.ckpt"
            seen.append(path.is_file())

    training = tiny_training(learning_rate=1e-9)
    fit(training, tiny_data(), tmp_path / "run", callbacks=[*at, Look()], **options)
    assert seen == [False] * 8 + [True] * 4
    last = AtomicCheckpointIO().load_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert last["global_step"] == 12


def test_a_collapsed_training_may_be_wanted(tmp_path: Path) -> None:
    options = {**OPTIONS, "max_steps": 12, "val_check_interval": 3}
    callbacks = [At(1, push_away), CollapseGuard(perplexity=1)]
    tokenizer = fit(collapsing(), tiny_data(), tmp_path / "run", callbacks=callbacks, **options)
    assert len(tokenizer.encode(torch.rand(2, 3, 16, 16)).unique()) == 1
    last = AtomicCheckpointIO().load_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert last["global_step"] == 12


def test_a_given_guard_takes_the_place_of_its_like() -> None:
    ours, mine = [DivergenceGuard(), CollapseGuard()], CollapseGuard(perplexity=3)
    assert joined(ours, [mine]) == [mine, ours[0]]


def test_the_page_s_guards_take_the_place_of_ours(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")
    (given,) = re.findall(r"^    trainer:\n(?:    .*\n)+", page, re.M)
    (tmp_path / "guards.yaml").write_text(textwrap.dedent(given))
    files = ["backbone/tiny", "tokenizer/vq", "data/scenes", "trainer/cpu", str(tmp_path / "guards.yaml")]
    with quiet():
        cli = TokenizerCLI(resolve(stacked(files, tmp_path / "run", [])))
    collapse, divergence = (
        [one for one in cli.trainer.callbacks if isinstance(one, kind)]
        for kind in (CollapseGuard, DivergenceGuard)
    )
    assert [one.perplexity for one in collapse] == [1.0]
    assert [(one.factor, one.patience) for one in divergence] == [(100, 50)]


@pytest.mark.parametrize("arguments", [{"factor": 1.0}, {"patience": 0}, {"memory": 0}])
def test_bounds_that_cannot_be(arguments: dict[str, Any]) -> None:
    with pytest.raises(RegvqError, match="must be above 1"):
        DivergenceGuard(**arguments)
    with pytest.raises(RegvqError, match="at least 1"):
        CollapseGuard(perplexity=0.5)
