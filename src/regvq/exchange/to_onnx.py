"""A tokenizer as ONNX graphs of its encoder and decoder, held to it by onnxruntime before they are kept."""

import copy
import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import regvq
from regvq.errors import RegvqError
from regvq.exchange.stock import require_free
from regvq.files import write_together
from regvq.tokenizers import ImageTokenizer

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
NEAR_TIE = 1e-5
"""Of the spread of a place's logits: codes that are no farther apart are as good as one another."""
IMAGE_TOLERANCE = 1e-4


class _Encode(nn.Module):
    """Images to codes by way of all logits: choosing tile by tile is no graph."""

    def __init__(self, tokenizer: ImageTokenizer) -> None:
        super().__init__()
        self.backbone = tokenizer.backbone
        self.quant_conv = tokenizer.quant_conv
        self.quantizer = tokenizer.quantizer

    def forward(self, images: Tensor) -> Tensor:
        latents = self.quant_conv(self.backbone.encode(images))
        # Not token_logits, which counts with len(): that would fix the size of the batch.
        batch, channels, *grid = latents.shape
        rows = latents.flatten(2).transpose(1, 2).reshape(-1, channels)
        codes: Tensor = self.quantizer.logits(rows).argmax(1).view(batch, *grid)
        return codes


class _Decode(nn.Module):
    """Codes to clamped images; the codebook is a constant, however the quantizer makes it."""

    codebook: Tensor

    def __init__(self, tokenizer: ImageTokenizer) -> None:
        super().__init__()
        self.backbone = tokenizer.backbone
        self.post_quant_conv = tokenizer.post_quant_conv
        self.register_buffer("codebook", tokenizer.quantizer.codebook.detach())

    def forward(self, codes: Tensor) -> Tensor:
        vectors = nn.functional.embedding(codes, self.codebook).movedim(-1, 1)
        return self.backbone.decode(self.post_quant_conv(vectors)).clamp(-1, 1)


def save_onnx(tokenizer: ImageTokenizer, path: str | Path) -> None:
    """Writes a folder that onnxruntime reads without this package and without torch.

    ``encoder.onnx``: ``images`` [B, 3, H, W] float32 in [-1, 1] to ``codes`` [B, H/f, W/f] int64; f must
    divide both sides. ``decoder.onnx``: ``codes`` [B, h, w] int64 to ``images`` [B, 3, h*f, w*f] float32 in
    [-1, 1]. B, H and W are free. ``config.json`` holds ``codes``, the number N of codes, ``downsampling``,
    f, ``image_range``, and ``tokenizer``, its fingerprint.

    Any head will do, because a graph holds the logits of all codes: memory grows with tokens times codes.
    Before anything is written onnxruntime runs both graphs on random images and codes of other sizes than
    those that were traced. Codes must be equal where they are not near-ties, images to 1e-4.

    Raises:
        RegvqError: the extra ``onnx`` is not installed, the tokenizer cannot be traced, the graphs compute
            something else, or the folder is not empty.
    """
    require_free(Path(path))
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise RegvqError(f"ONNX needs the package {missing[0]}: pip install 'regvq[onnx]'")
    parts = f"{type(tokenizer.quantizer).__name__} with {type(tokenizer.backbone).__name__}"
    model = copy.deepcopy(tokenizer).cpu().float().eval()
    images, codes = _chance(model, batch=2, rows=4, columns=6)
    encoder = _graph(_Encode(model), images, "images", ("batch", None, "height", "width"), "codes", parts)
    decoder = _graph(_Decode(model), codes, "codes", ("batch", "rows", "columns"), "images", parts)
    _require_equal(model, encoder, decoder, parts)
    config = {
        "regvq_version": regvq.__version__,
        "codes": model.codebook_size,
        "downsampling": model.downsampling,
        "image_range": [-1, 1],
        "tokenizer": tokenizer.fingerprint(),
    }

    text = json.dumps(config, indent=2) + "\n"
    contents = {"encoder.onnx": encoder, "decoder.onnx": decoder, "config.json": text.encode()}
    write_together({Path(path) / name: content for name, content in contents.items()})


def _graph(
    part: nn.Module, example: Tensor, given: str, axes: tuple[str | None, ...], result: str, parts: str
) -> bytes:
    """The ONNX file of a network of one input, all of whose ``axes`` with a name are free.

    Raises:
        RegvqError: torch cannot trace it.
    """
    free = {axis: name for axis, name in enumerate(axes) if name is not None}
    with warnings.catch_warnings():
        # About attributes of quantizers that take no part in the graph.
        warnings.simplefilter("ignore", UserWarning)
        try:
            program = torch.onnx.export(
                part.eval(),
                (example,),
                dynamo=True,
                dynamic_shapes=(free,),
                input_names=[given],
                output_names=[result],
                verbose=False,
            )
        except Exception as error:  # what a stranger's code makes of tracing can be anything
            reason = str(error.__cause__ or error).strip().partition("\n")[0]
            raise RegvqError(
                f"{parts} cannot be exported to ONNX, its {given} cannot be traced to {result}: {reason}"
            ) from error
    assert program is not None  # with dynamo=True it never is
    # Notes on every node quote the source that it came from, with the paths of this machine.
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
    serialized: bytes = program.model_proto.SerializeToString()
    return serialized


def _require_equal(model: ImageTokenizer, encoder: bytes, decoder: bytes, parts: str) -> None:
    """Runs both graphs beside the model.

    Raises:
        RegvqError: they differ by more than rounding.
    """
    for batch, rows, columns in ((1, 4, 6), (3, 5, 3), (2, 8, 8)):
        images, drawn = _chance(model, batch, rows, columns)
        codes, decoded = _run(encoder, images=images), _run(decoder, codes=drawn)
        expected = model.encode(images)
        if codes.shape != expected.shape or not _as_good(model, images, expected, codes):
            raise RegvqError(f"{parts} cannot be exported to ONNX: onnxruntime finds other codes")
        difference = (decoded - model.decode(drawn)).abs().max()
        if not difference <= IMAGE_TOLERANCE:
            raise RegvqError(
                f"{parts} cannot be exported to ONNX: onnxruntime's images differ by {difference:.1g}"
            )


@torch.no_grad()
def _as_good(model: ImageTokenizer, images: Tensor, expected: Tensor, found: Tensor) -> bool:
    """Whether the codes found have the logits of those expected, but for a near-tie."""
    logits = model.quantizer.token_logits(model.latents(images))
    ours, theirs = (logits.gather(1, codes[:, None])[:, 0] for codes in (expected, found))
    spread = logits.amax(1) - logits.amin(1)
    return bool(((ours - theirs).abs() <= NEAR_TIE * spread).all())


def _chance(model: ImageTokenizer, batch: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Random images of any contrast, and random codes, that fit each other in size."""
    generator = torch.Generator().manual_seed(rows * columns)
    sides = (rows * model.downsampling, columns * model.downsampling)
    noise = torch.rand((batch, 3, *sides), generator=generator) * 2 - 1
    images = noise * torch.rand((batch, 3, 1, 1), generator=generator)
    codes = torch.randint(model.codebook_size, (batch, rows, columns), generator=generator)
    return images, codes


def _run(graph: bytes, **given: Tensor) -> Tensor:
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {name: value.numpy() for name, value in given.items()})
    return torch.from_numpy(result)
