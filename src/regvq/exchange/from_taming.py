"""A VQGAN checkpoint of taming-transformers (or latent-diffusion) as a tokenizer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from regvq.errors import RegvqError
from regvq.exchange.vq_model_options import vqgan_backbone
from regvq.exchange.weights import fill, read_weights, rename
from regvq.quantizers import GumbelQuantizer, Quantizer, VectorQuantizer
from regvq.tokenizers import ImageTokenizer

_NORM_GROUPS = 32
"""Fixed in that code."""

_NEAREST = ("VQModel", "VQModelInterface", "VQNoDiscModel")
_GUMBEL = ("GumbelVQ",)
_UNUSED = ("loss.", "model_ema.")
"""Critic, perceptual nets and averages: nothing of the tokenizer."""


def load_taming(checkpoint: str | Path, config: str | Path) -> ImageTokenizer:
    """Reads a VQGAN or Gumbel VQGAN; in eval mode, on the CPU.

    Esser et al., "Taming Transformers for High-Resolution Image Synthesis", CVPR 2021. The images are that
    code's, clamped to [-1, 1]. Encoding with a Gumbel model takes the likeliest code, where that code
    draws one.

    Args:
        checkpoint: ``.ckpt``, read with ``weights_only=True``, or ``.safetensors``.
        config: the model's YAML, with ``model.target`` and ``model.params``.

    Raises:
        RegvqError: the configuration is of another model, or the weights do not fit it.
    """
    model = _read_config(Path(config))
    weights = {
        name: value
        for name, value in read_weights(Path(checkpoint)).items()
        if not name.startswith(_UNUSED)
    }
    try:
        net, params = model["params"]["ddconfig"], model["params"]
        resolutions = [net["resolution"] // 2**level for level in range(len(net["ch_mult"]))]
        everywhere = net.get("attn_type", "vanilla") != "none"
        levels = [level for level, side in enumerate(resolutions) if side in net["attn_resolutions"]]
        tokenizer = ImageTokenizer(
            vqgan_backbone(
                [net["ch"] * factor for factor in net["ch_mult"]],
                net["num_res_blocks"],
                net["z_channels"],
                _NORM_GROUPS,
                everywhere,
                tuple(levels) if everywhere else (),
            ),
            _quantizer(model["target"].rpartition(".")[2], params["n_embed"], params["embed_dim"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RegvqError(
            f"{config} lacks or misstates {error}: give the model's own configuration"
        ) from None
    return fill(tokenizer, weights, rename(list(weights), _rules(len(resolutions))), checkpoint)


def _read_config(path: Path) -> Mapping[str, Any]:
    """The key ``model``.

    Raises:
        RegvqError: the file is missing or no such configuration, or asks for what no tokenizer has.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        model: Mapping[str, Any] = content["model"]
        target, params = str(model["target"]), model["params"]
        net = params["ddconfig"]
        fixed = [
            ("in_channels", net["in_channels"], 3),
            ("out_ch", net["out_ch"], 3),
            ("double_z", net.get("double_z", False), False),
            ("resamp_with_conv", net.get("resamp_with_conv", True), True),
            ("remap", params.get("remap"), None),
        ]
    except FileNotFoundError:
        raise RegvqError(f"there is no configuration {path}") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        raise RegvqError(
            f"{path} is not the configuration of a VQGAN: it must hold model.target and model.params with "
            "ddconfig, n_embed and embed_dim"
        ) from None
    if target.rpartition(".")[2] not in _NEAREST + _GUMBEL:
        raise RegvqError(f"{path} describes {target}, which cannot be imported: a VQModel or GumbelVQ can")
    for name, value, only in fixed:
        if value != only:
            raise RegvqError(f"{path} has {name} {value!r}: a tokenizer's is {only!r} and no other")
    return model


def _quantizer(kind: str, codebook_size: int, dim: int) -> Quantizer:
    return (GumbelQuantizer if kind in _GUMBEL else VectorQuantizer)(codebook_size, dim)


def _rules(levels: int) -> list[tuple[str, str]]:
    """From that code's names to ours; its decoder counts resolutions from the finest."""
    up = [
        (rf"^decoder\.up\.{level}\.", f"decoder.up_blocks.{levels - 1 - level}.") for level in range(levels)
    ]
    return [
        *up,
        (r"^encoder\.down\.", "encoder.down_blocks."),
        (r"\.block\.(\d+)\.", r".resnets.\1."),
        (r"\.attn\.(\d+)\.", r".attentions.\1."),
        (r"\.downsample\.", ".downsamplers.0."),
        (r"\.upsample\.", ".upsamplers.0."),
        (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
        (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
        (r"\.mid\.attn_1\.", ".mid_block.attentions.0."),
        (r"\.nin_shortcut\.", ".conv_shortcut."),
        (r"\.norm_out\.", ".conv_norm_out."),
        (r"(\.attentions\.\d+\.)norm\.", r"\1group_norm."),
        (r"(\.attentions\.\d+\.)([qkv])\.", r"\1to_\2."),
        (r"(\.attentions\.\d+\.)proj_out\.", r"\1to_out.0."),
        (r"^(encoder|decoder)\.", r"backbone.\1."),
        (r"^quantize\.(embedding|embed)\.", "quantizer.embeddings."),
        (r"^quantize\.proj\.", "quantizer.head.linear."),
    ]
