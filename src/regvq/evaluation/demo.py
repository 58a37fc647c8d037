"""The demo: four tokenizers of photographs, two generators of scenes, one report."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from regvq.errors import RegvqError
from regvq.evaluation.html import html_page
from regvq.evaluation.names import display_name
from regvq.evaluation.photos_demo import CONFIGS, Budget, PhotosResult, run_photos
from regvq.evaluation.plots import reconstruction_grid
from regvq.evaluation.report import tokenizer_sections
from regvq.evaluation.results import text_table, to_json
from regvq.evaluation.scenes_demo import ScenesBudget, ScenesResult, run_scenes
from regvq.evaluation.scenes_report import scenes_sections
from regvq.figures import png
from regvq.files import write_bytes
from regvq.nets import FeatureNet, OfflineFeatures

_MARKER = ".regvq-demo"


def run_demo(
    output: Path,
    *,
    budget: Budget = Budget(),  # noqa: B008 - frozen
    scenes: ScenesBudget = ScenesBudget(),  # noqa: B008 - frozen
    features: FeatureNet | None = None,
    configs: Sequence[str] = CONFIGS,
) -> tuple[PhotosResult, ScenesResult]:
    """Compares four tokenizers on photographs, then trains both generators on scenes, and reports.

    Into ``output``: ``report.html``, ``results.json``, ``reconstructions.png``,
    ``tokenizers/<quantizer>/``, ``scenes/{tokenizer,autoregressive,diffusion}/`` and, with logs and
    checkpoints, ``training/``. Only what an earlier demo wrote is replaced, and all but ``training`` only
    once everything new is complete.

    Args:
        output: a folder.
        budget: the same for all four tokenizers.
        scenes: what the second half may take.
        features: of the Fréchet distance; ``OfflineFeatures`` if none are given.
        configs: configurations that the four tokenizers share, by path or short name.

    Raises:
        RegvqError: ``output`` holds folders of ours that the demo did not write, or cannot be written, or a
            training failed.
        TrainingInterrupted: Ctrl-C.
    """
    console = Console(highlight=False)
    training = _prepare(output)
    start = time.perf_counter()
    photos = run_photos(training, budget, features or OfflineFeatures(), configs, console)
    middle = time.perf_counter()
    drawn = run_scenes(training / "scenes", scenes, budget.seed, console)
    minutes = {"photographs": (middle - start) / 60, "scenes": (time.perf_counter() - middle) / 60}
    _save(output, photos, drawn, minutes)
    console.print(f"\nreport: {output / 'report.html'}\n")
    for one in drawn.generators:
        console.print(one.line())
    console.print()
    console.print(text_table(photos.results), markup=False, soft_wrap=True)
    return photos, drawn


def _save(output: Path, photos: PhotosResult, drawn: ScenesResult, minutes: dict[str, float]) -> None:
    for name, tokenizer in photos.tokenizers.items():
        tokenizer.save_pretrained(output / "tokenizers" / name)
    for name, model in drawn.models.items():
        model.save_pretrained(output / "scenes" / name)
    rows = [(display_name(result.quantizer), result.reconstructions) for result in photos.results]
    page = html_page(
        "Four quantizers, two generators",
        "VQ, EMA-VQ, Gumbel and regularized vector quantization, trained on crops of ten photographs from "
        "the same seed, with the same network and the same number of steps, and measured on parts of the "
        "photographs that none of them was trained on. Then new images: an autoregressive and a diffusion "
        "generator on the tokens of a Reg-VQ tokenizer of small scenes.",
        {**photos.facts, **{name: f"{value:.1f} min" for name, value in minutes.items()}},
        [*tokenizer_sections(photos.results, photos.shown), *scenes_sections(drawn)],
    )
    write_bytes(output / "reconstructions.png", png(reconstruction_grid(photos.shown, rows)))
    write_bytes(output / "report.html", page.encode())
    generators = [one.row() for one in drawn.generators]
    facts = {**photos.facts, "minutes": {name: round(value, 2) for name, value in minutes.items()}}
    write_bytes(output / "results.json", to_json(photos.results, generators, facts))


def _prepare(output: Path) -> Path:
    """Makes ``output/training`` empty, if what is there is the demo's own or nothing, and gives it."""
    folder = output / "training"
    marker = folder / _MARKER
    for taken in (folder, output / "tokenizers", output / "scenes"):
        if taken.exists() and not marker.is_file():
            raise RegvqError(f"{taken} exists and is not the demo's: give another --output")
    if folder.exists():
        shutil.rmtree(folder)
    write_bytes(marker, b"The demo replaces this folder when it runs again.\n")
    return folder
