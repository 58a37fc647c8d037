"""Several processes that share one task: which device each of them takes."""

import pytest
import torch

from regvq import ranks


@pytest.fixture
def made_current(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The GPUs that became the current one, on a machine that has any number of them."""
    found: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", found.append)
    return found


@pytest.mark.parametrize(
    ("asked", "launched", "taken", "current"),
    [
        ("cuda", True, "cuda:1", ["cuda:1"]),
        ("cuda:2", False, "cuda:2", ["cuda:2"]),
        ("cuda", False, "cuda", []),
        ("cpu", True, "cpu", []),
    ],
)
def test_a_process_takes_its_own_gpu_and_makes_it_the_current_one(
    asked: str,
    launched: bool,
    taken: str,
    current: list[str],
    made_current: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if launched:
        for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
            monkeypatch.setenv(name, value)
    else:
        monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert ranks.own_device(asked) == taken
    assert made_current == current
