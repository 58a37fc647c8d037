"""Usage and perplexity of known code streams, on one rank and on two."""

from pathlib import Path

import pytest
import torch

from regvq.errors import RegvqError
from regvq.metrics import CodebookUsage
from tests.support.ranks import run_on_ranks


def test_a_known_stream() -> None:
    metric = CodebookUsage(8)
    metric.update(torch.tensor([[0, 0], [3, 3]]))
    metric.update(torch.tensor([5, 5, 6, 6]))
    result = metric.compute()
    assert result["counts"].tolist() == [2, 0, 0, 2, 0, 2, 2, 0]
    assert float(result["usage"]) == 0.5
    assert float(result["perplexity"]) == pytest.approx(4.0, abs=1e-12)


def test_uneven_counts_against_the_entropy_by_hand() -> None:
    metric = CodebookUsage(4)
    metric.update(torch.tensor([0] * 4 + [1] * 2 + [2] * 2))
    # Probabilities 1/2, 1/4, 1/4: entropy 1.5 bits.
    assert float(metric.compute()["perplexity"]) == pytest.approx(2**1.5, abs=1e-12)


def test_reset_forgets() -> None:
    metric = CodebookUsage(4)
    metric.update(torch.tensor([0, 1]))
    metric.reset()
    metric.update(torch.tensor([3]))
    assert metric.compute()["counts"].tolist() == [0, 0, 0, 1]


def test_counts_stay_exact_where_float32_would_not() -> None:
    metric = CodebookUsage(2)
    metric.counts += 2**25
    metric.update(torch.tensor([1]))
    assert metric.compute()["counts"].tolist() == [2**25, 2**25 + 1]


def test_foreign_codes_and_bad_sizes_are_refused() -> None:
    with pytest.raises(RegvqError, match="code 4 lies outside"):
        CodebookUsage(4).update(torch.tensor([4]))
    with pytest.raises(RegvqError, match="at least 1"):
        CodebookUsage(0)


def _half(rank: int) -> dict[str, torch.Tensor]:
    metric = CodebookUsage(4)
    metric.update(torch.tensor([[0, 0, 1], [2, 2, 2]][rank]))
    return metric.compute()


def test_two_ranks_count_together(tmp_path: Path) -> None:
    whole = CodebookUsage(4)
    whole.update(torch.tensor([0, 0, 1, 2, 2, 2]))
    expected = whole.compute()
    for result in run_on_ranks(_half, tmp_path):
        assert result["counts"].tolist() == [2, 1, 3, 0]
        assert torch.equal(result["usage"], expected["usage"])
        assert torch.equal(result["perplexity"], expected["perplexity"])
