"""Another Python that has the libraries, but not this package."""

import subprocess
import sys
from pathlib import Path

_FORBID = """
import sys

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "regvq":
            raise ImportError("this process must do without regvq")

sys.meta_path.insert(0, Forbid())
"""


def run_without_regvq(script: str, *arguments: Path | str) -> str:
    """Runs ``script`` in an isolated interpreter where importing regvq fails; returns its output."""
    command = [sys.executable, "-I", "-c", _FORBID + script, *map(str, arguments)]
    environment = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PATH": "", "HOME": "/nonexistent"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout
