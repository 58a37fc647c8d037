"""Tokens and errors as pictures."""

import torch

from regvq.app.error_maps import FULL, error_map
from regvq.app.token_pictures import code_colours, colour_names, colour_picture, patch_picture
from regvq.evaluation.codebook_pictures import code_patches
from tests.support.tiny import CODES, SIDE, tiny_tokenizer


def test_a_code_has_its_colour_in_every_picture() -> None:
    everything = code_colours(torch.arange(4096))
    some = torch.tensor([[7, 4095], [0, 7]])
    assert torch.equal(code_colours(some), everything[some])
    assert everything.min() >= -1
    assert everything.max() <= 1


def test_colours_of_codes_differ() -> None:
    assert len(set(colour_names(1024))) == 1024


def test_the_colour_picture_has_a_square_a_token() -> None:
    codes = torch.tensor([[3, 1], [1, 2], [0, 3]])
    picture = colour_picture(codes, 4)
    assert picture.shape == (3, 12, 8)
    squares = picture.unfold(1, 4, 4).unfold(2, 4, 4)  # [3, rows, columns, 4, 4]
    assert torch.equal(squares, squares[..., :1, :1].expand_as(squares))
    assert torch.equal(squares[..., 0, 0].permute(1, 2, 0), code_colours(codes))


def test_the_patch_picture_lays_out_what_each_code_paints() -> None:
    tokenizer = tiny_tokenizer()
    codes = torch.randint(CODES, (3, 5))
    picture = patch_picture(tokenizer, codes)
    assert picture.shape == (3, 3 * SIDE, 5 * SIDE)
    row, column = 2, 3
    cut = picture[:, row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
    torch.testing.assert_close(cut, code_patches(tokenizer, codes[row, column][None])[0])


def test_the_error_map_is_black_where_nothing_is_lost_and_brighter_the_more_is() -> None:
    original = torch.zeros(3, 1, 4)
    steps = torch.tensor([0.0, FULL / 4, FULL, 3 * FULL]) / 127.5  # of [-1, 1]: FULL levels of 255
    brightness = error_map(original, original + steps).mean(0)[0]
    assert brightness[0] < -0.98
    assert brightness[0] < brightness[1] < brightness[2]
    assert brightness[2] == brightness[3], "the scale ends there"
