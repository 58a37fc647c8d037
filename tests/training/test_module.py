"""What a training minimises, clips and reports."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from regvq import load_tokenizer
from regvq.data import ImageDataModule
from regvq.errors import RegvqError
from regvq.quantizers import IdentityStraightThrough, RegularizedVectorQuantizer, VectorQuantizer
from regvq.schedules import Linear
from regvq.training import TokenizerTraining, fit

Make = Callable[..., TokenizerTraining]


class Gradients(Callback):
    """Keeps all gradients of every optimizer step."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        found = [value.grad.flatten() for value in pl_module.parameters() if value.grad is not None]
        self.seen.append(torch.cat(found))


def test_validation_figures_are_those_of_the_saved_tokenizer(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any], recorder: Any
) -> None:
    record = recorder()
    fit(make_training(ema_decay=0.5), data, output, callbacks=[record], **options)
    images = torch.stack([data.val_dataset[index]["image"] for index in range(8)])
    tokenizer = load_tokenizer(str(output / "tokenizer"))
    codes = tokenizer.encode(images)
    difference = tokenizer.decode(codes) - images
    share = codes.flatten().bincount(minlength=16) / codes.numel()
    expected = {
        "val/psnr": 10 * math.log10(4 / float(difference.square().mean())),
        "val/l1": float(difference.abs().mean()),
        "val/usage": float((share > 0).float().mean()),
        "val/perplexity": float(torch.special.entr(share).sum().exp()),
    }
    assert record.val[-1] == pytest.approx(expected, rel=1e-4)


def test_the_loss_is_the_sum_of_the_logged_terms(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any], recorder: Any
) -> None:
    net = RegularizedVectorQuantizer(16, 8, prior_weight=0.1, straight_through=IdentityStraightThrough())
    record, training = recorder(), make_training(net, adversarial=True)
    fit(training, data, output, callbacks=[record], **options)
    values = record.train[-1]
    quantizer = {"quantizer/commitment", "quantizer/prior"}
    assert set(training.terms) == {"reconstruction", "adversarial", "discriminator"} | quantizer
    assert values["train/loss"] == pytest.approx(sum(values[f"train/{name}"] for name in training.terms))
    assert {"train/usage", "train/perplexity", "train/prior_kl"} <= set(values)


class Stop(Callback):
    """Lets a training end after its third step, as a limit of time does."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        trainer.should_stop = trainer.global_step == 3


@pytest.mark.parametrize(("every", "steps"), [(2, [2, 3]), (1, [1, 2, 3]), (10, [3]), (0, [])])
def test_written_are_the_figures_of_the_very_step(
    every: int, steps: list[int], make_training: Make, data: ImageDataModule, output: Path, recorder: Any
) -> None:
    record = recorder()
    options = {"accelerator": "cpu", "max_steps": 8, "limit_val_batches": 0, "log_every_n_steps": every}
    fit(make_training(), data, output, callbacks=[record, Stop()], **options)
    rows = [
        {name: float(value) for name, value in row.items() if name.startswith("train/")}
        for path in output.glob("logs/version_*/metrics.csv")
        for row in csv.DictReader(path.read_text().splitlines())
    ]
    assert rows == [pytest.approx(record.train[step - 1]) for step in steps]


def test_each_side_is_clipped_by_its_own_norm(make_training: Make) -> None:
    training = make_training()
    small, large = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2))
    small.grad, large.grad = torch.tensor([0.3, 0.4]), torch.tensor([30.0, 40.0])
    optimizer = torch.optim.SGD([{"params": [small]}, {"params": [large]}], lr=1)
    training.configure_gradient_clipping(optimizer, 1.0)
    assert small.grad.tolist() == pytest.approx([0.3, 0.4])
    assert large.grad.tolist() == pytest.approx([0.6, 0.8])
    training.configure_gradient_clipping(optimizer, 0.35, "value")
    assert large.grad.tolist() == pytest.approx([0.35, 0.35])


def test_the_discriminator_has_its_own_learning_rate(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any]
) -> None:
    training = make_training(adversarial=True, learning_rate=0.01, discriminator_learning_rate=0.002)
    fit(training, data, output, **options)
    rates = [group["lr"] for group in training.optimizers().param_groups]
    assert rates == [0.01, 0.002]


def test_accumulated_batches_make_the_step_of_the_joined_batch(
    make_training: Make, make_data: Any, tmp_path: Path, options: dict[str, Any]
) -> None:
    options |= {"max_steps": 1, "limit_val_batches": 0}
    joined = make_training(VectorQuantizer(16, 8, init="normal"))
    halves = make_training(VectorQuantizer(16, 8, init="normal"))
    halves.load_state_dict(joined.state_dict())
    one, other = Gradients(), Gradients()
    fit(joined, make_data(8), tmp_path / "joined", callbacks=[one], **options)
    fit(halves, make_data(4), tmp_path / "halves", callbacks=[other], accumulate_grad_batches=2, **options)
    assert len(one.seen) == len(other.seen) == 1
    assert torch.allclose(one.seen[0], other.seen[0], atol=1e-6)
    assert (joined.batches.value, halves.batches.value) == (1, 2)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_trains_and_saves_single_precision(
    make_training: Make,
    data: ImageDataModule,
    output: Path,
    options: dict[str, Any],
    recorder: Any,
    precision: str,
) -> None:
    record = recorder()
    fit(make_training(), data, output, precision=precision, callbacks=[record], **options)
    assert all(math.isfinite(value) for row in record.train for value in row.values())
    tokenizer = load_tokenizer(str(output / "tokenizer"))
    assert {value.dtype for value in tokenizer.parameters()} == {torch.float32}


def test_an_impossible_learning_rate_is_refused(make_training: Make) -> None:
    with pytest.raises(RegvqError, match="learning_rate"):
        make_training(learning_rate=0.0)


@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_quantizer_s_schedules_count_optimizer_steps(
    accumulated: int, make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any]
) -> None:
    seen = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            quantizer = pl_module.model.quantizer
            seen.append((trainer.global_step, quantizer.mask_ratio(quantizer.steps.value)))

    training = make_training(RegularizedVectorQuantizer(16, 8, mask_ratio=Linear(0.0, 1.0, steps=8)))
    again = {**options, "accumulate_grad_batches": accumulated}
    fit(training, data, output, callbacks=[Watch()], **again)
    resumed = make_training(RegularizedVectorQuantizer(16, 8, mask_ratio=Linear(0.0, 1.0, steps=8)))
    fit(resumed, data, output, callbacks=[Watch()], resume=True, **{**again, "max_steps": 6})
    assert {step for step, _ in seen} == set(range(6))
    assert len(seen) > 6 * (accumulated > 1)
    assert [ratio for _, ratio in seen] == [step / 8 for step, _ in seen]
    assert resumed.model.quantizer.steps.batches == len(seen)
