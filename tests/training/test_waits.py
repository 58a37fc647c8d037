"""What the look for waiting finds, so that finding nothing means something."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.support.waits import Waits

VALUES = torch.tensor([1.0, 0.0, 2.0])
COUNTS = torch.tensor([1, 0, 2])
MASK = torch.tensor([True, False, True])

WAITING: dict[str, Callable[[], Any]] = {
    "a value": lambda: float(VALUES.sum()),
    "a decision": lambda: bool(VALUES.any()),
    "equal": lambda: VALUES.equal(VALUES),
    "nonzero": lambda: VALUES.nonzero(),
    "where without values": lambda: torch.where(MASK),
    "masked_select": lambda: VALUES.masked_select(MASK),
    "unique": lambda: VALUES.unique(),
    "unique rows": lambda: VALUES[None].unique(dim=0),
    "reading under a mask": lambda: VALUES[MASK],
    "writing under a mask": lambda: VALUES.clone().index_put_((MASK,), VALUES[:2]),
    "bincount": lambda: COUNTS.bincount(),
    "repeat_interleave": lambda: VALUES.repeat_interleave(COUNTS),
    "cpu": lambda: VALUES.cpu(),
    "to the cpu": lambda: VALUES.to("cpu"),
    "numpy": lambda: VALUES.numpy(),
    "tolist": lambda: VALUES.tolist(),
    "new_tensor": lambda: VALUES.new_tensor(3.0),
    "tensor": lambda: torch.tensor([1.0]),
}

QUIET: dict[str, Callable[[], Any]] = {
    "reading by number": lambda: VALUES[COUNTS],
    "writing by number": lambda: VALUES.clone().index_put_((COUNTS,), VALUES),
    "choosing": lambda: torch.where(MASK, VALUES, 0.0),
    "repeats of one length": lambda: VALUES.repeat_interleave(2),
    "repeats that add up to what is said": lambda: VALUES.repeat_interleave(COUNTS, output_size=3),
    "another type": lambda: VALUES.to(torch.float64),
    "beside the work": lambda: VALUES.to("cpu", non_blocking=True),
    "filled on the device": lambda: VALUES.new_full((), 3.0),
}


@pytest.mark.parametrize("name", WAITING)
def test_what_waits_is_found(name: str) -> None:
    with Waits() as waits:
        WAITING[name]()
    assert waits.found


@pytest.mark.parametrize("name", QUIET)
def test_what_does_not_wait_is_let_go(name: str) -> None:
    with Waits() as waits:
        QUIET[name]()
    assert waits.found == []


def test_the_gradient_of_a_mask_is_seen_in_the_backward_pass() -> None:
    values = VALUES.clone().requires_grad_()
    loss = values[MASK].sum()
    with Waits() as waits:
        loss.backward()
    assert waits.found
