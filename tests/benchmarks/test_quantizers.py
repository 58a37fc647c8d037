"""The speed benchmark runs every contestant and gives a figure for each."""

from benchmarks.quantizers import CONTESTANTS, measure


def test_every_contestant_is_measured() -> None:
    rows = measure(codebook_size=8, tokens=16, dim=4, rounds=3)
    assert [row["quantizer"] for row in rows] == list(CONTESTANTS)
    for row in rows:
        assert row["codebook_size"] == 8
        assert row["milliseconds"] > 0
        assert row["spread"] >= 0
