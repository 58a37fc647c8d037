"""The codebook in pages of codes, by how often they occur or by their number."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from regvq.errors import RegvqError

PAGE = 128

Order = Literal["most used first", "least used first", "by number"]
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(frozen=True)
class CodePage:
    """A part of the codebook.

    Attributes:
        codes: ``[M]`` int64.
        counts: ``[M]`` int64, how often each occurred.
        number: of the page, from 1.
        pages: of all codes.
    """

    codes: Tensor
    counts: Tensor
    number: int
    pages: int


def code_page(counts: Tensor, order: str, number: int) -> CodePage:
    """The codes of a page.

    Args:
        counts: ``[N]`` int64, of all codes.
        order: one of ``ORDERS``; codes that occur equally often are in the order of their numbers.
        number: of the page, from 1; one beyond the last is the last.

    Raises:
        RegvqError: there is no such order.
    """
    if order not in ORDERS:
        raise RegvqError(f"codes are not ordered {order!r}: choose one of {', '.join(ORDERS)}")
    if order == "by number":
        codes = torch.arange(len(counts))
    else:
        codes = counts.argsort(descending=order == "most used first", stable=True)
    pages = -(-len(counts) // PAGE)
    number = max(1, min(int(number), pages))
    codes = codes[(number - 1) * PAGE : number * PAGE]
    return CodePage(codes, counts[codes], number, pages)
