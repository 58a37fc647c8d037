"""The wheel alone, in an environment that has nothing else, answers and carries its configs."""

import importlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIGHT = ("rich", "pygments", "markdown_it", "mdurl")  # what the command line draws its text with
CONFIGS = ROOT / "src" / "regvq" / "configs"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what a release holds, so that no old build folder can add to it."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "src"):
        _copy(ROOT / name, source / name)
    output = tmp_path_factory.mktemp("wheel")
    _pip("wheel", str(source), "--no-deps", "--no-build-isolation", "--wheel-dir", str(output))
    (built,) = output.glob("regvq-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an empty virtual environment into which the wheel was installed.

    Torch and the other heavy dependencies are left out: ``--help`` and the configs must not need them.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    _pip("--python", str(python), "install", str(wheel), "--no-deps", "--no-index")
    (site_packages,) = folder.glob("lib/python*/site-packages")
    for name in LIGHT:
        package = Path(importlib.import_module(name).__file__ or "").parent
        (site_packages / name).symlink_to(package, target_is_directory=True)
    return python


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        target.write_bytes(source.read_bytes())
        return
    target.mkdir()
    for child in source.iterdir():
        if child.name != "__pycache__" and child.suffix != ".egg-info":
            _copy(child, target / child.name)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def _run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


def test_the_command_answers_where_nothing_else_is_installed(environment: Path, tmp_path: Path) -> None:
    result = _run(str(environment.parent / "regvq"), "--help", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "demo" in result.stdout
    assert "fit-tokenizer" in result.stdout


def test_a_command_explains_itself_where_nothing_else_is_installed(
    environment: Path, tmp_path: Path
) -> None:
    result = _run(str(environment.parent / "regvq"), "codebook", "--help", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "perplexity" in result.stdout


def test_the_environment_has_no_torch(environment: Path, tmp_path: Path) -> None:
    result = _run(str(environment), "-c", "import torch", cwd=tmp_path)
    assert "ModuleNotFoundError" in result.stderr


def test_every_config_travels(environment: Path, tmp_path: Path) -> None:
    code = (
        "from importlib.resources import files, as_file\n"
        "with as_file(files('regvq') / 'configs') as folder:\n"
        "    for path in sorted(folder.rglob('*.yaml')): print(path.relative_to(folder).as_posix())\n"
    )
    result = _run(str(environment), "-c", code, cwd=tmp_path)
    expected = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))
    assert expected
    assert sorted(result.stdout.split()) == expected, result.stderr


def test_types_and_licence_travel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "regvq/py.typed" in names
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in names)
    assert not any(name.startswith("tests/") for name in names)
