"""A tokenizer as the folder of a stock diffusers ``VQModel``."""

from pathlib import Path

from diffusers.models.autoencoders.vq_model import VQModel
from torch import Tensor

from regvq.errors import RegvqError
from regvq.exchange.stock import require_free, write_stock
from regvq.exchange.vq_model_options import vq_model_options
from regvq.quantizers import ComposedQuantizer, CosineHead, EuclideanHead, Quantizer
from regvq.tokenizers import ImageTokenizer


def save_vq_model(tokenizer: ImageTokenizer, path: str | Path) -> None:
    """Writes a folder that ``diffusers.VQModel.from_pretrained`` reads without this package.

    ``VQModel`` takes the code nearest in L2. That is what a Euclidean head takes; and among codes of unit
    length the nearest one to a latent of any length is the one of the largest cosine, so a cosine head's
    codes are written with unit length and nothing else has to be done. The model's images are those of
    ``ImageTokenizer.decode`` before they are clamped to [-1, 1]. ``lookup_from_codebook`` is set, so that
    ``decode(codes, force_not_quantize=True, shape=(B, h, w, D))`` takes codes.

    Raises:
        RegvqError: ``VQModel`` has not what the tokenizer needs, or the folder is not empty.
    """
    require_free(Path(path))
    codebook = _nearest_neighbour_codes(tokenizer.quantizer)
    model = VQModel(
        **vq_model_options(tokenizer.backbone),
        num_vq_embeddings=tokenizer.codebook_size,
        vq_embed_dim=tokenizer.quantizer.dim,
        lookup_from_codebook=True,
        scaling_factor=1.0,
    )
    state = tokenizer.backbone.state_dict()
    for name in ("quant_conv", "post_quant_conv"):
        convolution = getattr(tokenizer, name).state_dict()
        state |= {f"{name}.{key}": value for key, value in convolution.items()}
    state["quantize.embedding.weight"] = codebook
    model.load_state_dict(state)
    write_stock(Path(path), model.save_pretrained)


def _nearest_neighbour_codes(quantizer: Quantizer) -> Tensor:
    """The vectors [N, D] whose nearest neighbour in L2 is the quantizer's choice.

    Raises:
        RegvqError: there are none.
    """
    if not isinstance(quantizer, ComposedQuantizer):
        raise RegvqError(
            f"a {type(quantizer).__name__} cannot be exported: diffusers' VQModel knows nothing but the "
            "nearest code; use a quantizer with a Euclidean or cosine head"
        )
    if type(quantizer.head) not in (EuclideanHead, CosineHead):
        raise RegvqError(
            f"the {type(quantizer.head).__name__} of a {type(quantizer).__name__} cannot be exported: "
            "diffusers' VQModel knows nothing but the nearest code; use a Euclidean or cosine head"
        )
    codes = quantizer.codebook.detach()
    if isinstance(quantizer.head, CosineHead) and (codes.norm(dim=1) < 0.5).any():
        raise RegvqError(
            "a code of length zero has no cosine, so the codebook cannot be exported: train the tokenizer"
        )
    return codes
