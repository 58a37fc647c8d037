"""``regvq revive``: a collapsed tokenizer goes on training under the Reg-VQ objective."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError
from torch import Tensor

from regvq.configurable import describe
from regvq.errors import RegvqError
from regvq.files import write_bytes
from regvq.metrics import PSNR, CodebookUsage
from regvq.quantizers import ComposedQuantizer, CosineHead, EuclideanHead, RegularizedVectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training.cli import TrainingCLI
from regvq.training.cli_arguments import explain, resolve
from regvq.training.run import quiet, run
from regvq.training.tokenizer_training import TokenizerTraining

REPORT = "revival.json"
"""The file of a run that holds what was measured before and after."""

DEFAULTS = (
    "--model.quantizer.init_args.sampling_temperature=1",
    "--model.quantizer.init_args.codebook=regvq.quantizers.EMACodebook",
    "--model.quantizer.init_args.codebook.init_args.decay=0.9",
)
"""In front of all arguments: a decoder that never met sampled tokens is not given far ones at once, and the
codes follow latents that move as a whole, which slower means lose (docs/ecosystem.md)."""


def revived(
    tokenizer: ImageTokenizer, quantizer: Callable[[int, int], RegularizedVectorQuantizer]
) -> ImageTokenizer:
    """The same networks around a new quantizer of the same size, whose codes start on latents of the data.

    Nothing of the old codebook is kept: of a collapsed one next to nothing is worth it, and latents of
    the first batch lie where the decoder knows its way.

    Args:
        tokenizer: gives its networks away.
        quantizer: makes the new one of the number of codes and their channels.

    Raises:
        RegvqError: the old codes do not live among the latents, so the decoder does not know those; or the
            new ones live elsewhere.
    """
    old = tokenizer.quantizer
    kind = type(old.head if isinstance(old, ComposedQuantizer) else old)
    if kind not in (EuclideanHead, CosineHead):
        raise RegvqError(
            f"a tokenizer with {kind.__name__} cannot be revived: only where the nearest code is taken "
            "does the decoder know the latents that new codes start on; train it anew"
        )
    made = quantizer(old.codebook_size, old.dim)
    if type(made.head) is not kind:
        raise RegvqError(
            f"a tokenizer with {kind.__name__} cannot be revived with {type(made.head).__name__}, whose "
            "codes have other lengths than its decoder knows: give "
            f"--model.quantizer.init_args.head=regvq.quantizers.{kind.__name__}"
        )
    new = ImageTokenizer(tokenizer.backbone, made)
    for name in ("quant_conv", "post_quant_conv"):
        getattr(new, name).load_state_dict(getattr(tokenizer, name).state_dict())
    return new


def revival_training(
    tokenizer: str,
    quantizer: Callable[[int, int], RegularizedVectorQuantizer] = RegularizedVectorQuantizer,
    learning_rate: float = 1e-4,
    **options: Any,
) -> TokenizerTraining:
    """The key ``model`` of a configuration.

    Args:
        tokenizer: folder of the tokenizer, or owner/name on the Hub.
        quantizer: all but its sizes, which are the old one's.
        learning_rate: of the tokenizer.
        **options: of ``TokenizerTraining``, whose signature the command line reads.
    """
    model = revived(ImageTokenizer.from_pretrained(tokenizer), quantizer)
    return TokenizerTraining(model, learning_rate=learning_rate, **options)


class ReviveCLI(TrainingCLI):
    """The command line whose key ``model`` is ``revival_training``."""

    def __init__(self, args: Sequence[str]) -> None:
        super().__init__(TokenizerTraining, revival_training, args)

    def effective_config(self) -> str:
        """A configuration of ``regvq fit-tokenizer``, which can go on with the run: its folder is alike."""
        config = yaml.safe_load(super().effective_config())
        trained = self.model.model
        parts = {"backbone": describe(trained.backbone), "quantizer": describe(trained.quantizer)}
        config["model"] = parts | {
            name: value for name, value in config["model"].items() if name not in ("tokenizer", "quantizer")
        }
        text: str = yaml.safe_dump(config, sort_keys=False)
        return text


@torch.no_grad()
def measure(tokenizer: ImageTokenizer, batches: Iterable[dict[str, Any]]) -> dict[str, float]:
    """``usage`` in [0, 1], ``perplexity`` in [1, N] and ``psnr`` in dB, over all images."""
    device = next(tokenizer.parameters()).device
    used, psnr = CodebookUsage(tokenizer.codebook_size), PSNR()
    for batch in batches:
        images: Tensor = batch["image"].to(device)
        codes = tokenizer.encode(images)
        used.update(codes.cpu())
        psnr.update(tokenizer.decode(codes).cpu(), images.cpu())
    figures = used.compute()
    return {
        "usage": float(figures["usage"]),
        "perplexity": float(figures["perplexity"]),
        "psnr": float(psnr.compute()),
    }


def revive(args: Sequence[str]) -> dict[str, dict[str, float]]:
    """Runs the training that ``args`` describe, and measures on the validation images around it.

    Args:
        args: as on the command line, with ``--model.tokenizer`` and ``--output``.

    Returns:
        Figures of ``measure`` under ``before`` and ``after``; the run's folder holds them, too.

    Raises:
        RegvqError: a wrong key or value, a taken folder, a tokenizer that cannot be revived, or what
            ``regvq.training.fit`` raises.
        TrainingInterrupted: Ctrl-C. Everything is saved.
    """
    if "--resume" in args:
        raise RegvqError("a revival goes on as a training: regvq fit-tokenizer --output DIR --resume")
    with quiet():
        full = resolve([*DEFAULTS, *args])
        try:
            cli = ReviveCLI(full)
        except ArgumentError as error:
            raise RegvqError(explain(str(error), full, "data")) from None
        device = cli.trainer.strategy.root_device
        before = ImageTokenizer.from_pretrained(cli.config.model.tokenizer).to(device)
        figures = {"before": measure(before, cli.datamodule.val_dataloader())}
        after = run(cli.trainer, cli.model, cli.datamodule, cli.folder).to(device)
        figures["after"] = measure(after, cli.datamodule.val_dataloader())
    write_bytes(cli.folder.path / REPORT, json.dumps(figures, indent=2).encode() + b"\n")
    return figures
