"""Takes the figures of a comparison into docs/results/, without the folders of the machine it ran on.

    .venv/bin/python benchmarks/publish.py runs/NAME

The folder is that of a shipped comparison, ``comparison/NAME``. Files and folders that its command names
are called by the last part of their path; the folder of its own output stays.
"""

import argparse
import json
import shlex
from pathlib import Path

from regvq import configs
from regvq.errors import RegvqError
from regvq.files import write_bytes

FIGURES = Path(__file__).parents[1] / "docs" / "results"


def published(text: str) -> str:
    """A ``comparison.json`` as it is published.

    Raises:
        RegvqError: it does not say which command wrote it.
    """
    command = json.loads(text).get("command")
    if not command:
        raise RegvqError("comparison.json does not say which command wrote it: run `regvq compare` again")
    words = shlex.split(command)
    kept = words[words.index("--output") + 1] if "--output" in words else ""
    values = {word.rpartition("=")[2] for word in words} - {kept}
    # The longest first: one path may be the beginning of another.
    for value in sorted((value for value in values if "/" in value), key=len, reverse=True):
        if Path(value).exists():
            text = text.replace(value, Path(value).name)
    return json.dumps(json.loads(text), indent=1) + "\n"


def main() -> None:
    """Reads the folder from the command line, and writes the file of its name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("run", type=Path, help="the folder of the comparison, e.g. runs/ablation")
    run = parser.parse_args().run
    configs.find(f"comparison/{run.name}")
    text = (run / "comparison.json").read_text(encoding="utf-8")
    write_bytes(FIGURES / f"{run.name}.json", published(text).encode())


if __name__ == "__main__":
    main()
