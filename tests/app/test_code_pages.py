"""The codebook in pages."""

import pytest
import torch

from regvq.app.code_pages import ORDERS, PAGE, code_page
from regvq.errors import RegvqError


def test_the_orders() -> None:
    counts = torch.tensor([2, 0, 5, 2])
    assert code_page(counts, "most used first", 1).codes.tolist() == [2, 0, 3, 1]
    assert code_page(counts, "least used first", 1).codes.tolist() == [1, 0, 3, 2]
    page = code_page(counts, "by number", 1)
    assert page.codes.tolist() == [0, 1, 2, 3]
    assert page.counts.tolist() == [2, 0, 5, 2]
    with pytest.raises(RegvqError, match="choose one of most used first"):
        code_page(counts, "by beauty", 1)


@pytest.mark.parametrize("order", ORDERS)
def test_the_pages_hold_every_code_once(order: str) -> None:
    counts = torch.randint(5, (2 * PAGE + 3,))
    pages = [code_page(counts, order, number) for number in (1, 2, 3)]
    assert sorted(torch.cat([page.codes for page in pages]).tolist()) == list(range(len(counts)))
    assert {page.pages for page in pages} == {3}
    assert torch.equal(code_page(counts, order, 99).codes, pages[2].codes), "beyond the last is the last"
