"""Our backbones in the words of diffusers' ``VQModel``, and back."""

from collections.abc import Container, Sequence
from typing import Any

from regvq.errors import RegvqError
from regvq.nets import AttentiveVQGANBackbone, Backbone, VQGANBackbone


def vq_model_options(backbone: Backbone) -> dict[str, Any]:
    """``VQModel``'s options for a backbone.

    Raises:
        RegvqError: it has none for it.
    """
    options = backbone.init_args
    if type(backbone) not in (VQGANBackbone, AttentiveVQGANBackbone):
        raise RegvqError(
            f"a {type(backbone).__name__} cannot be exported: diffusers' VQModel has no such net"
        )
    if options.get("shortcut"):
        raise RegvqError(
            "a backbone with shortcut: true cannot be exported: diffusers' VQModel has no shortcut; train "
            "with shortcut: false"
        )
    return {
        **_blocks(len(options["channels"]), options.get("attention_levels", ())),
        "block_out_channels": tuple(options["channels"]),
        "layers_per_block": options["layers"],
        "latent_channels": options["latent_channels"],
        "norm_num_groups": options["norm_groups"],
        "mid_block_add_attention": options["attention"],
    }


def backbone_of(options: dict[str, Any]) -> Backbone:
    """The backbone that ``VQModel``'s options describe.

    Raises:
        RegvqError: they ask for other blocks, or for sizes that cannot be.
    """
    down = options["down_block_types"]
    levels = [level for level, kind in enumerate(down) if kind == "AttnDownEncoderBlock2D"]
    blocks = _blocks(len(options["block_out_channels"]), levels)
    for name, ours in blocks.items():
        if tuple(options[name]) != ours:
            raise RegvqError(
                f"a VQModel with {name} {list(options[name])} cannot be imported: these widths and the "
                f"other side ask for {list(ours)}"
            )
    return vqgan_backbone(
        options["block_out_channels"],
        options["layers_per_block"],
        options["latent_channels"],
        options["norm_num_groups"],
        options["mid_block_add_attention"],
        levels,
    )


def vqgan_backbone(
    channels: Sequence[int],
    layers: int,
    latent_channels: int,
    norm_groups: int,
    attention: bool,
    attention_levels: Sequence[int],
) -> Backbone:
    """The simplest backbone with these options, see ``AttentiveVQGANBackbone``."""
    if attention_levels:
        return AttentiveVQGANBackbone(
            channels, layers, latent_channels, norm_groups, attention, attention_levels
        )
    return VQGANBackbone(channels, layers, latent_channels, norm_groups, attention)


def _blocks(count: int, attention_levels: Container[int]) -> dict[str, tuple[str, ...]]:
    kinds = ["Attn" if level in attention_levels else "" for level in range(count)]
    return {
        "down_block_types": tuple(f"{kind}DownEncoderBlock2D" for kind in kinds),
        "up_block_types": tuple(f"{kind}UpDecoderBlock2D" for kind in reversed(kinds)),
    }
