"""Images of any size to tokens and back, and into the size of a generator."""

import torch

from regvq.app.fitting import fit
from regvq.app.reconstruction import decode, reconstruct
from regvq.metrics import PSNR
from tests.support.tiny import tiny_tokenizer


def test_an_image_keeps_its_size() -> None:
    tokenizer = tiny_tokenizer()
    image = torch.rand(3, 18, 21) * 2 - 1
    done = reconstruct(tokenizer, image)
    assert done.tokens.codes.shape == (5, 6)
    assert done.image.shape == image.shape
    assert torch.equal(decode(tokenizer, done.tokens), done.image)
    psnr = PSNR()
    psnr.update(done.image[None], image[None])
    assert done.psnr == float(psnr.compute())


def test_an_image_that_fits_is_what_the_tokenizer_makes_of_it() -> None:
    tokenizer = tiny_tokenizer()
    image = torch.rand(3, 16, 16) * 2 - 1
    assert torch.equal(reconstruct(tokenizer, image).image, tokenizer.reconstruct(image[None])[0])


def test_fitting_takes_the_middle_in_the_right_shape() -> None:
    image = torch.zeros(3, 40, 100)
    image[:, :, 40:60] = 1  # a bright column of the middle fifth
    fitted = fit(image, (16, 16))
    assert fitted.shape == (3, 16, 16)
    assert (fitted[0, 8, 7:9] > 0.99).all()
    assert fitted[0, 8, 0].abs() < 0.1, "what lies far left was cut off, not squeezed in"
    assert fitted[0, 8, 3] < 0.5 < fitted[0, 8, 4], "the column is half as wide as the square"


def test_what_has_the_size_already_stays() -> None:
    image = torch.rand(3, 16, 24) * 2 - 1
    torch.testing.assert_close(fit(image, (16, 24)), image)
