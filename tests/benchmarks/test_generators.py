"""Every run of the benchmark is a configuration of ours with a bar."""

import pytest

from benchmarks.generators import BARS, RUNS, TOKENIZER, table
from benchmarks.stochastic_mask import GENERATOR
from benchmarks.stochastic_mask import TOKENIZERS as COMPARED
from regvq import configs


@pytest.mark.parametrize("name", RUNS)
def test_a_run_has_its_configurations_and_a_bar(name: str) -> None:
    kind, condition = name.split("/")
    assert condition in BARS
    for config in (f"generator/{kind}-tiny", f"condition/{condition}", *TOKENIZER, *GENERATOR):
        assert configs.find(config).is_file()


def test_what_is_compared_is_shipped() -> None:
    for config, _ in COMPARED.values():
        assert configs.find(f"tokenizer/{config}").is_file()


def test_the_table_says_what_was_missed() -> None:
    row = {"run": "x", "figure": "mean IoU", "value": 0.7, "ceiling": 0.9, "bar": 0.8, "seconds": 60.0}
    assert table([{**row, "passed": False}]).endswith("MISS")
    assert table([{**row, "passed": True}]).endswith("pass")
    assert table([{**row, "seconds": 2500.0, "passed": False}]).endswith("MISS, over 40 minutes")
