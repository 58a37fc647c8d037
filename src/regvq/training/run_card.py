"""What a training run says of itself, for the card of its model."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from regvq.errors import RegvqError
from regvq.model_card import CardFacts


def facts_of_run(
    folder: str | Path, licence: str, counts: Sequence[int] = (), notes: str = ""
) -> CardFacts:
    """Data and budget from the run's configuration, figures from its last validation.

    Args:
        folder: of a run that ``regvq fit-tokenizer`` or ``fit-generator`` made.
        licence: of the weights, see ``CardFacts``.
        counts: occurrences of each code, e.g. ``inspect_codebook(…).counts.tolist()``.
        notes: anything else a user must know.

    Raises:
        RegvqError: the folder holds no run's configuration, or no validation has been logged.
    """
    run = Path(folder)
    try:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        data, trainer = config["data"], config["trainer"]
        dataset = yaml.safe_dump(data["dataset"], sort_keys=False).strip()
        batch = data["batch_size"] * trainer["accumulate_grad_batches"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        raise RegvqError(
            f"{run} holds no configuration of a run: give the --output of a training"
        ) from None
    rows = [row for file in sorted(run.glob("logs/version_*/metrics.csv")) for row in _rows(file)]
    validated = [row for row in rows if any(_figures(row))]
    if not validated:
        raise RegvqError(f"{run} holds no validation yet: train until the first one")
    last = validated[-1]
    return CardFacts(
        licence=licence,
        data=f"```yaml\n{dataset}\n```",
        budget=f"{int(last['step']) + 1} steps of {batch} images, precision {trainer['precision']}.",
        figures={f"{name}, validation": float(value) for name, value in _figures(last)},
        counts=counts,
        notes=notes,
    )


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _figures(row: dict[str, Any]) -> list[tuple[str, str]]:
    """The validation's values in a row of the log."""
    values = sorted((key, value) for key, value in row.items() if key and key.startswith("val/") and value)
    return [(key.removeprefix("val/"), value) for key, value in values]
