"""The codebook doctor on codebooks whose ailments are known."""

import math

import pytest
import torch

from regvq.errors import RegvqError
from regvq.evaluation import CodebookReport, inspect_codebook, report_codebook
from regvq.evaluation.codebook_report import nearest_neighbours, principal_axes
from regvq.nets import IdentityBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer


def _report(counts: list[int]) -> CodebookReport:
    return report_codebook(torch.randn(len(counts), 8), torch.tensor(counts))


def test_duplicates_and_near_duplicates() -> None:
    codes = 10 * torch.eye(6, 8)
    codes[1] = codes[0]
    codes[3] = codes[2] + 0.1
    report = report_codebook(codes, torch.tensor([9, 0, 9, 9, 9, 9]))
    assert (report.duplicates, report.near_duplicates) == (2, 2)
    assert report.nearest[:4].tolist() == [1, 0, 3, 2]
    # Code 1 is idle: only 2 and 3 compete for the same latents.
    assert report.used_near_duplicates == 2
    assert report.dead == 1


def test_nearest_neighbours_in_chunks() -> None:
    codes = torch.randn(50, 4)
    table = torch.cdist(codes.double(), codes.double())
    table.fill_diagonal_(math.inf)
    distances, indices = nearest_neighbours(codes, chunk=7)
    assert indices.tolist() == table.argmin(1).tolist()
    assert torch.allclose(distances.double(), table.amin(1), atol=1e-5)


def test_a_single_code_has_no_neighbour() -> None:
    report = report_codebook(torch.ones(1, 4), torch.tensor([32]))
    assert report.distances.tolist() == [math.inf]
    assert report.positions.tolist() == [[0.0, 0.0]]
    assert report.duplicates == report.near_duplicates == 0


def test_principal_axes_of_a_known_shape() -> None:
    turn = torch.linalg.qr(torch.randn(6, 6)).Q
    plane = torch.zeros(200, 6)
    plane[:, 0], plane[:, 1] = 5 * torch.randn(200), torch.randn(200)
    positions, explained = principal_axes(plane @ turn)
    assert explained == pytest.approx(1.0, abs=1e-4)
    centred = plane - plane.mean(0)
    assert torch.allclose(torch.pdist(positions), torch.pdist(centred), atol=1e-3)
    assert positions[:, 0].var() > positions[:, 1].var()


def test_the_map_is_the_same_whatever_the_random_state() -> None:
    codes = torch.randn(64, 16)
    first, _ = principal_axes(codes)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    second, _ = principal_axes(codes)
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("counts", "condition", "words"),
    [
        ([40] * 32, "healthy", "Nothing needs to be done"),
        ([2000] + [1] * 31, "uneven", "Raise the prior"),
        ([60] * 16 + [0] * 16, "idle", "16 of 32 codes were never used"),
        ([600, 600] + [0] * 30, "collapsed", "2 of 32 codes carry everything"),
        ([1] * 32, "unjudged", "at least 512 tokens"),
    ],
)
def test_verdicts(counts: list[int], condition: str, words: str) -> None:
    report = _report(counts)
    assert report.condition == condition
    assert words in report.verdict
    assert report.text().endswith(report.verdict)


def test_the_text_is_aligned_and_right() -> None:
    lines = _report([60] * 16 + [0] * 16).text().splitlines()
    figures = lines[: lines.index("")]
    assert "dead codes          16  50.0 %" in figures
    assert "perplexity        16.0  50.0 % of all" in figures
    assert "bits a token      4.00  of 5.00" in figures


def test_inspecting_counts_the_codes_of_the_images() -> None:
    tokenizer = ImageTokenizer(IdentityBackbone(4), VectorQuantizer(16, 8)).eval()
    images = torch.rand(5, 3, 16, 16) * 2 - 1
    report = inspect_codebook(tokenizer, images.split(2))
    expected = torch.bincount(tokenizer.encode(images).flatten(), minlength=16)
    assert report.counts.tolist() == expected.tolist()


def test_nothing_counted_is_an_error() -> None:
    with pytest.raises(RegvqError, match="no token"):
        report_codebook(torch.randn(4, 2), torch.zeros(4, dtype=torch.int64))
