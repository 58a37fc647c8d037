"""Networks that run compiled inside training steps, and as they are everywhere else."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch._functorch.config
from diffusers.models.autoencoders.vae import Decoder, Encoder
from torch import nn

from regvq.generators import DiffusionBound
from regvq.losses import PerceptualLoss, ProbabilisticContrastiveLoss
from regvq.nets import PatchDiscriminator, TransformerBlock
from regvq.nets.compiling import lacking
from regvq.nets.features.base import SequentialFeatures

_PARTS = (
    Encoder,
    Decoder,
    PatchDiscriminator,
    TransformerBlock,
    SequentialFeatures,
    PerceptualLoss,
    ProbabilisticContrastiveLoss,
    DiffusionBound,
)
"""What is compiled: where nearly all of the time goes. Alike blocks of a transformer are compiled once.

Left alone are the quantizers, which work tile by tile, and ``OfflineFeatures``, whose padding's gradient
torch 2.14 compiles wrongly where channels are last."""


class CompiledParts:
    """``torch.compile`` on the networks and losses inside some modules, for as long as ``active`` lasts.

    Nothing is wrapped: names in state dicts and checkpoints stay what they are, validation and sampling,
    whose batches have other sizes, run uncompiled, and so does the model that a training returns.

    Where the device's code cannot be made, for want of Triton or of a C++ compiler, that is said once and
    everything runs uncompiled.

    Args:
        owners: modules whose parts are compiled.
        eager: parameters whose own modules are left out, such as a last layer at which gradients are taken
            by themselves: a compiled decoder would give them only with those of all its weights.
    """

    def __init__(self, *owners: nn.Module, eager: tuple[nn.Parameter, ...] = ()) -> None:
        self._owners = owners
        self._eager = {id(parameter) for parameter in eager}
        self._forwards: dict[nn.Module, Callable[..., Any]] | None = None
        """By part; ``None`` before the device is known, empty where it cannot be compiled for."""
        # The adversary's adaptive weight goes back through the networks twice and again for the total.
        torch._functorch.config.donated_buffer = False

    @contextmanager
    def active(self) -> Iterator[None]:
        """The parts are compiled while this lasts."""
        if self._forwards is None:
            device = next(self._owners[0].parameters()).device.type
            missing = lacking(device)
            if missing is not None:
                warnings.warn(
                    f"{missing}: training steps run uncompiled, as without model.compile", stacklevel=2
                )
            self._forwards = {} if missing else self._compiled(device)
        for module, forward in self._forwards.items():
            setattr(module, "forward", forward)  # noqa: B010 - to a type checker a method is no variable
        try:
            yield
        finally:
            for module in self._forwards:
                del module.forward

    def _compiled(self, device: str) -> dict[nn.Module, Callable[..., Any]]:
        # A convolution of a CPU gains less from channels that are last than the norm behind it loses.
        options: Any = {"layout_optimization": False} if device == "cpu" else None
        # A dictionary, because a network may be found in two places.
        modules = {module: None for owner in self._owners for module in owner.modules()}
        forwards: dict[nn.Module, Callable[..., Any]] = {
            # Batches of one size: a dynamic one would be slower.
            module: torch.compile(module.forward, dynamic=False, options=options)
            for module in modules
            if isinstance(module, _PARTS)
        }
        return forwards | {
            module: torch.compiler.disable(module.forward)
            for module in modules
            if any(id(parameter) in self._eager for parameter in module.parameters(recurse=False))
        }
