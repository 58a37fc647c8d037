"""CONTRIBUTING.md: its recipes, followed to the letter in a copy of the sources, give what they promise."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

BLOCKS = {
    path: f"{body.strip()}\n"
    for found in re.findall(r"^ *```(?:python|yaml)\n(.*?)^ *```", PAGE, flags=re.DOTALL | re.MULTILINE)
    for path, body in re.findall(r"\A# (\S+)\n(.*)", textwrap.dedent(found), flags=re.DOTALL)
}
"""The page's blocks by the path in their first line."""
EXPORTS = {path: line for path, line in BLOCKS.items() if path.endswith("__init__.py")}
FILES = {path: body for path, body in BLOCKS.items() if path not in EXPORTS}
LAWS = {
    "UnitVectorQuantizer": "tests/contracts/test_quantizers.py",
    "GeometricPrior": "tests/contracts/test_priors.py",
    "LabelSet": "tests/contracts/test_conditions.py",
    "tokenizer/unit-vq": "tests/configs/test_configs.py",
    "condition/label-set": "tests/configs/test_configs.py",
    "data/arrays": "tests/configs/test_configs.py",
}
"""What a recipe adds, and the test file that must find it."""


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources in which every recipe was followed."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for path, body in FILES.items():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_text(body, encoding="utf-8")
    for path, line in EXPORTS.items():
        (name,) = re.findall(r"import (\w+)\n\Z", line)
        text = (copy / path).read_text(encoding="utf-8")
        assert text.count("\n__all__ = [") == 1, path
        exported = text.replace("\n__all__ = [", f'{line}\n__all__ = ["{name}", ')
        (copy / path).write_text(exported, encoding="utf-8")
    return copy


def run_in(copy: Path, *arguments: str, where: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs Python where ``regvq`` is the copy."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(copy / "src"), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=where, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_every_recipe_is_there() -> None:
    assert len(EXPORTS) == 4
    assert {path.split("/")[2] for path in EXPORTS} == {"quantizers", "priors", "conditions", "data"}
    recipes = re.findall(r"^## (Add an? .*)$", PAGE, flags=re.MULTILINE)
    assert recipes == [
        f"Add a {what}" for what in ("quantizer", "prior", "condition", "data set", "generator")
    ]


def test_the_contracts_find_what_was_added_and_it_keeps_them(followed: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    chosen = " or ".join([*LAWS, "test_arrays"])
    run_in(
        followed,
        *("-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)),
        *("-p", "no:cacheprovider", f"--junitxml={report}", "-k", chosen),
        *sorted(set(LAWS.values())),
        str(followed / "tests/data/test_arrays.py"),
    )
    ran = [case.get("name", "") for case in ElementTree.parse(report).iter("testcase")]
    passed = {name: sum(name in one for one in ran) for name in LAWS}
    assert all(passed.values()), passed
    # A contract is more than one law.
    assert min(passed[name] for name in ("UnitVectorQuantizer", "GeometricPrior", "LabelSet")) >= 4
    assert sum("array" in one for one in ran) >= 2


def test_the_added_prior_and_data_train_a_tokenizer(followed: Path, tmp_path: Path) -> None:
    (tmp_path / "arrays").mkdir()
    for split in ("train", "val"):
        pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
        np.save(tmp_path / "arrays" / f"{split}.npy", pixels)
    (tmp_path / "geometric.yaml").write_text(FILES["geometric.yaml"], encoding="utf-8")
    configs = ["backbone/tiny", "objective/l1", "tokenizer/regvq", "geometric.yaml", "data/arrays"]
    run_in(
        followed,
        *("-m", "regvq", "fit-tokenizer"),
        *(part for config in [*configs, "trainer/cpu"] for part in ("--config", config)),
        *("--trainer.max_steps=1", "--trainer.val_check_interval=1", "--data.batch_size=4"),
        *("--output", "run"),
        where=tmp_path,
    )
    config = (tmp_path / "run" / "tokenizer" / "config.json").read_text(encoding="utf-8")
    assert yaml.safe_load(config)["model"]["init_args"]["quantizer"]["init_args"]["prior"] == {
        "class_path": "regvq.priors.GeometricPrior",
        "init_args": {"half_life": 0.1},
    }


def test_the_code_of_the_recipes_is_in_the_project_s_style(followed: Path) -> None:
    files = [str(followed / path) for path in FILES if path.endswith(".py")]
    for command in (("check",), ("format", "--check")):
        run_in(followed, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml"), *files)
