"""Where the images of a grid lie: cut out again they are what was put in, also after a resize."""

import pytest
import torch

from regvq.errors import RegvqError
from regvq.provenance import Grid
from tests.support.pictures import photographs, psnr, resized


@pytest.mark.parametrize("line", [0, 2])
def test_cells_are_what_the_picture_was_made_of(line: int) -> None:
    images = torch.rand(6, 3, 10, 14) * 2 - 1
    grid = Grid(columns=3, rows=2, width=14, height=10, line=line)
    picture = grid.picture(images)
    assert tuple(picture.shape[1:]) == grid.size == (2 * (10 + line) + line, 3 * (14 + line) + line)
    assert torch.equal(grid.cells(picture), images)


def test_cells_are_found_after_a_resize() -> None:
    images = photographs(64, 6)
    grid = Grid(columns=3, rows=2, width=64, height=64)
    for factor in (0.9, 1.1):
        picture = resized(grid.picture(images), factor)
        assert grid.fits((picture.shape[1], picture.shape[2]))
        assert psnr(grid.cells(picture), images).min() > 25


@pytest.mark.parametrize("line", [0, 2])
@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (2, 1), (3, 2), (8, 5)])
def test_a_grid_is_known_by_the_size_of_its_cells(columns: int, rows: int, line: int) -> None:
    grid = Grid(columns, rows, width=64, height=48, line=line)
    assert Grid.of_cells(grid.size, (48, 64)) == grid
    smaller = Grid.of_cells((round(0.9 * grid.size[0]), round(0.9 * grid.size[1])), (43, 58))
    assert (smaller.columns, smaller.rows) == (columns, rows)


@pytest.mark.parametrize("cell", [(64, 64), (70, 33), (200, 300)])
def test_a_picture_that_is_no_such_grid_is_refused(cell: tuple[int, int]) -> None:
    with pytest.raises(RegvqError, match="is no grid of images of"):
        Grid.of_cells((100, 150), cell)


def test_a_picture_of_quite_another_size_is_not_the_grid() -> None:
    grid = Grid(columns=3, rows=2, width=64, height=64)
    assert not grid.fits((5000, 8000))
    assert not grid.fits((64, 64))
