"""The record of a picture: written and read back, and whatever a stranger may have written instead."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import regvq
from regvq.data import load_image, save_png
from regvq.provenance import Grid, Record, read_record
from regvq.provenance.record import KEYWORD, LONGEST_CONDITION, LONGEST_TEXT

RECORD = Record("a" * 16, "b" * 16, 5, ("a red house 家", "night"), 0, True, grid=Grid(3, 2, 16, 16))


def written(path: Path, text: str) -> Path:
    save_png(torch.zeros(3, 8, 8), path, {KEYWORD: text})
    return path


@pytest.mark.parametrize("record", [RECORD, Record("g", "t", -1, ("none",), 7, False, edited=True)])
def test_what_is_written_is_read(record: Record, tmp_path: Path) -> None:
    image = torch.rand(3, 8, 8) * 2 - 1
    save_png(image, tmp_path / "a.png", record.chunk())
    assert read_record(tmp_path / "a.png") == record
    assert record.software == f"regvq {regvq.__version__}"
    # The pixels know nothing of it.
    save_png(image, tmp_path / "b.png")
    assert torch.equal(load_image(tmp_path / "a.png"), load_image(tmp_path / "b.png"))
    assert read_record(tmp_path / "b.png") is None


def test_a_record_is_lost_where_the_file_is_written_anew(tmp_path: Path) -> None:
    save_png(torch.zeros(3, 8, 8), tmp_path / "a.png", RECORD.chunk())
    Image.open(tmp_path / "a.png").save(tmp_path / "a.jpg")
    assert read_record(tmp_path / "a.jpg") is None


CONTENT = json.loads(RECORD.chunk()[KEYWORD])
FOREIGN = {
    "no JSON": "{",
    "no object": "[1]",
    "nothing": "",
    "deep": "[" * 100_000,
    "a field too few": json.dumps({name: CONTENT[name] for name in CONTENT if name != "seed"}),
    "a field too many": json.dumps(CONTENT | {"x": 1}),
    "a seed in words": json.dumps(CONTENT | {"seed": "five"}),
    "a number as a truth": json.dumps(CONTENT | {"watermark": 1}),
    "conditions as a word": json.dumps(CONTENT | {"conditions": "night"}),
    "conditions of numbers": json.dumps(CONTENT | {"conditions": [1]}),
    "a grid of nothing": json.dumps(CONTENT | {"grid": CONTENT["grid"] | {"columns": 0}}),
    "a grid of no size": json.dumps(CONTENT | {"grid": CONTENT["grid"] | {"width": 0, "line": 0}}),
    "a negative grid": json.dumps(CONTENT | {"grid": CONTENT["grid"] | {"line": -1}}),
    "a huge grid": json.dumps(CONTENT | {"grid": CONTENT["grid"] | {"columns": 10**9}}),
    "a huge number": json.dumps(CONTENT | {"seed": 0}).replace('"seed": 0', '"seed": ' + "9" * 5000),
    "too long": json.dumps(CONTENT | {"generator": "g" * LONGEST_TEXT}),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_cannot_be_understood_is_no_record(kind: str, tmp_path: Path) -> None:
    assert read_record(written(tmp_path / "a.png", FOREIGN[kind])) is None


def test_a_damaged_file_has_no_record(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png", RECORD.chunk()[KEYWORD])
    assert read_record(path) == RECORD
    content = path.read_bytes()
    for cut in (0, 5, 40, 60):
        path.write_bytes(content[:cut])
        assert read_record(path) is None
    spoiled = content.replace(b'"seed"', b'"sEEd"')  # the checksum is wrong now
    path.write_bytes(spoiled)
    assert read_record(path) is None
    assert read_record(tmp_path / "missing.png") is None


def test_a_long_condition_is_cut(tmp_path: Path) -> None:
    record = Record("g", "t", 0, ("x" * 10_000,), 0, True)
    save_png(torch.zeros(3, 8, 8), tmp_path / "a.png", record.chunk())
    back = read_record(tmp_path / "a.png")
    assert back is not None
    assert back.conditions == ("x" * LONGEST_CONDITION,)


def test_the_summary_is_one_harmless_line() -> None:
    record = Record("g", "t", 3, ("\x1b[2Jred\nhouse", "\x1b[2Jred\nhouse", "night"), 12, True)
    software, conditions = f"regvq {regvq.__version__}", "?[2Jred?house, night"
    assert record.summary() == (
        f"sample by {software}, generator g, seed 3, image 12, condition {conditions}"
    )
    assert len(Record("g", "t", 3, ("x" * 9999,), 0, True).summary()) < 210
