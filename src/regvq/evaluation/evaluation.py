"""The result of an evaluation: every figure, what it was measured with, and its caveats."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import regvq
from regvq.evaluation.measurement import Measurement
from regvq.evaluation.references import Reference
from regvq.files import write_bytes


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and with what.

    Attributes:
        subject: what was judged: its kind, fingerprints, options.
        reference: the real images, and the net whose features were compared.
        images: number of images judged.
        measurements: the figures in the order of the table.
        notes: sentences that a reader of the figures must know.
    """

    subject: dict[str, Any]
    reference: Reference
    images: int
    measurements: Sequence[Measurement]
    notes: Sequence[str] = ()

    def value(self, name: str) -> float:
        """The figure of a name.

        Raises:
            KeyError: it was not measured.
        """
        return {one.name: one.value for one in self.measurements}[name]

    def table(self) -> str:
        """The figures as aligned text, with what they were measured with below."""
        width = max(len(one.name) for one in self.measurements)
        rows = [f"{one.name:<{width}}  {one.arrow or ' '}  {one.text()}" for one in self.measurements]
        return "\n".join([*rows, "", *self._facts(), *(f"Note: {note}" for note in self._caveats())])

    def markdown(self) -> str:
        """The same as Markdown."""
        rows = [
            f"| {one.name} {one.arrow} | {one.text()} |".replace(" |", " |", 1) for one in self.measurements
        ]
        facts = [f"- {fact}" for fact in (*self._facts(), *(f"Note: {note}" for note in self._caveats()))]
        return "\n".join(["| figure | value |", "|---|---:|", *rows, "", *facts, ""])

    def as_json(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        return {
            "regvq": regvq.__version__,
            "subject": self.subject,
            "images": self.images,
            "reference": {**asdict(self.reference), "size": list(self.reference.size)},
            "figures": [one.as_json() for one in self.measurements],
            "notes": self._caveats(),
        }

    def save(self, folder: Path) -> list[Path]:
        """Writes ``evaluation.json`` and ``evaluation.md``; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        contents = {
            folder / "evaluation.json": json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n",
            folder / "evaluation.md": self.markdown(),
        }
        for path, content in contents.items():
            write_bytes(path, content.encode())
        return list(contents)

    def _caveats(self) -> list[str]:
        """The notes, and how much of a figure so few images cause."""
        biases = [
            f"about {one.bias:.3g} of the {one.name} is bias that so few images cause"
            for one in self.measurements
            if one.bias is not None
        ]
        return [*self.notes, *biases]

    def _facts(self) -> list[str]:
        source = self.reference
        height, width = source.size
        return [
            f"{self.images} images against {source.count} {source.split} images of "
            f"{source.data['class_path'].rsplit('.', 1)[-1]}, {width} x {height} px ({source.resize})",
            f"features: {source.features}, weights {source.weights}",
            *([f"LPIPS: {self.subject['lpips']}"] if "lpips" in self.subject else []),
        ]
