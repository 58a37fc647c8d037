"""Models that are split up between processes (FSDP): what is split, and how it becomes whole again.

``torch.distributed.fsdp.fully_shard`` turns each parameter into a ``DTensor`` of which a process holds a
part, and gathers it where a forward pass needs it. Buffers stay whole: codebooks that learn by running
means, their statistics and the posterior are made of sums over all processes, so they are equal on each.
"""

import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakKeyDictionary

import torch
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy, StrategyRegistry
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only

from regvq.errors import RegvqError
from regvq.nets import BackboneStage, TransformerBlock
from regvq.quantizers.collectives import from_first_rank
from regvq.quantizers.peers import PeerQuantizer
from regvq.training.muon import MuonAdamW

if TYPE_CHECKING:
    from regvq.training.base import ModelTraining

Model = TypeVar("Model", bound=nn.Module)

NAME = "sharded"
"""What a trainer calls the strategy."""

_LIKENESSES: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()
"""Of models that are split up: the same without weights."""

_PASSES = ("training_step", "validation_step", "pictures")
"""Methods of a training in which its networks run."""


class ShardedStrategy(ModelParallelStrategy):
    """Every process holds a part of each parameter, its gradient, its average and its optimizer's state.

    The blocks of a transformer and the stages of a backbone are gathered one by one as they run. All else
    that learns, such as embeddings, the first and the last layer, a codebook that learns by gradient, a
    discriminator, is gathered at the beginning of a pass and kept until its end.

    Checkpoints are those of a run without it: one file, written by the first process, from which a run
    with or without it goes on.

    Args:
        timeout: how long processes wait for each other.
    """

    def __init__(self, timeout: timedelta = timedelta(minutes=30)) -> None:
        super().__init__(save_distributed_checkpoint=False, timeout=timeout)
        self._shards: dict[str, nn.Parameter] = {}
        self._begun = False

    # A model is read from a checkpoint before it is split up, and a checkpoint is a single file: both as
    # Lightning does it for models that are not.
    setup = Strategy.setup
    save_checkpoint = Strategy.save_checkpoint
    load_checkpoint = Strategy.load_checkpoint
    load_model_state_dict = Strategy.load_model_state_dict
    restore_checkpoint_after_setup = Strategy.restore_checkpoint_after_setup
    lightning_restore_optimizer = Strategy.lightning_restore_optimizer

    def setup_environment(self) -> None:
        """All processes are one group that shares the model.

        Raises:
            RegvqError: the precision needs a gradient scaler, which was not tried on parts of gradients.
        """
        if self.precision_plugin.precision == "16-mixed":
            raise RegvqError(
                f"trainer.precision 16-mixed does not go with trainer.strategy {NAME}: give bf16-mixed"
            )
        self._data_parallel_size = self.num_nodes * self.num_processes
        self._tensor_parallel_size = 1
        super().setup_environment()

    def model_to_device(self) -> None:
        """Splits the model up, part by part, and so never has the whole of it on the device."""
        training = self._training()
        shard(training, self.device_mesh["data_parallel"], self.root_device)
        self._shards = dict(training.named_parameters())
        super().model_to_device()

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Lightning's; the parts take over what a network writes into its weights.

        At the first batch that may be any: a codebook which learns by gradient starts on the latents. Later
        it is that of quantizers which say so: they replace unused codes.
        """
        output = super().training_step(*args, **kwargs)
        training = self._training()
        writers: list[nn.Module] = [training]
        if self._begun:
            writers = [
                module
                for module in training.model.modules()
                if isinstance(module, PeerQuantizer) and module.writes_parameters
            ]
        self._begun = True
        written = {id(value) for module in writers for value in module.parameters()}
        if written:
            self._take_over(written)
        return output

    @torch.no_grad()
    def _take_over(self, written: set[int]) -> None:
        """Copy gathered parameters with these ids into the parts."""
        for name, value in self._training().named_parameters():
            if id(value) in written and not isinstance(value, DTensor):  # it is gathered
                self._shards[name].copy_(_split_like(value.detach(), self._shards[name]))

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The whole model on the first process."""
        return self._gathered(Strategy.lightning_module_state_dict(self))

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The whole state on the first process."""
        return self._gathered(Strategy.optimizer_state(self, optimizer))

    def load_optimizer_state_dict(self, checkpoint: Any) -> None:
        """Each process takes its part."""
        pairs = zip(self.optimizers, checkpoint["optimizer_states"], strict=True)
        states = [_split_state(optimizer, state) for optimizer, state in pairs]
        Strategy.load_optimizer_state_dict(self, {"optimizer_states": states})

    def _training(self) -> "ModelTraining":
        return cast("ModelTraining", self.lightning_module)

    def _gathered(self, state: dict[str, Any]) -> dict[str, Any]:
        return cast(dict[str, Any], gathered(state, keep=self.is_global_zero))


StrategyRegistry.register(NAME, ShardedStrategy, description="models that one device cannot hold")


@torch.no_grad()
def shard(training: "ModelTraining", mesh: DeviceMesh, device: torch.device) -> None:
    """Splits the parameters of a training up; the first process's values become everybody's.

    Args:
        training: on any device.
        mesh: of the processes, one-dimensional.
        device: of this process.

    Raises:
        RegvqError: a parameter cannot be split, or the networks are compiled.
    """
    if training.compiled is not None:
        raise RegvqError(
            f"model.compile does not go with trainer.strategy {NAME}, which gathers weights between the "
            "parts of a network: leave one of them away"
        )
    for name, parameter in training.named_parameters():
        if parameter.ndim == 0:
            raise RegvqError(
                f"{name} is a single number that learns, which trainer.strategy {NAME} cannot split up: "
                "keep it fixed, where its module has an argument for that, or give ddp"
            )
        parameter.data = parameter.data.contiguous()  # others are not split, whatever the layout of images
    for value in (*training.parameters(), *training.buffers()):
        value.copy_(from_first_rank(value.to(device)))
    _LIKENESSES[training.best_model] = _without_weights(training.best_model)
    for module in training.modules():
        if isinstance(module, BackboneStage | TransformerBlock):
            fully_shard(module, mesh=mesh)
    fully_shard(training, mesh=mesh)
    for name in _PASSES:
        register_fsdp_forward_method(training, name)


def is_split(model: nn.Module) -> bool:
    """Whether this process holds parts of parameters only."""
    return any(isinstance(value, DTensor) for value in model.state_dict().values())


def whole(model: Model) -> Model:
    """The model itself, or its like with whole weights on the CPU where it is split up.

    All processes ask together.
    """
    if not is_split(model):
        return model
    likeness = cast(Model, copy.deepcopy(_LIKENESSES[model]))
    state = {name: value.cpu().clone() for name, value in gathered(model.state_dict()).items()}
    likeness.load_state_dict(state, assign=True)
    return likeness


def _without_weights(model: nn.Module) -> nn.Module:
    """A copy whose parameters take no memory."""
    weights = {
        id(value): nn.Parameter(torch.empty_like(value, device="meta"), value.requires_grad)
        for value in model.parameters()
    }
    return copy.deepcopy(model, weights)  # what it finds there it takes for copied already


def gathered(state: Any, keep: bool = True) -> Any:
    """Nested containers with whole tensors on the CPU in the place of split ones.

    All processes ask together; one that does not keep the answer has it back as it was.
    """

    def one(part: DTensor) -> Tensor:
        value = part.full_tensor()
        return value.cpu() if keep else part

    return tree_map_only(DTensor, one, state)


def joined(value: Tensor) -> Tensor:
    """The whole of a tensor, where it lies; all processes ask together."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def own_part(value: Tensor) -> Tensor:
    """What this process holds of a tensor; all of it where it is not split up."""
    return value.to_local() if isinstance(value, DTensor) else value


def _split_state(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """An optimizer's whole state as this process needs it."""
    if isinstance(optimizer, MuonAdamW):
        pairs = zip(optimizer.parts, state["parts"], strict=True)
        return {"parts": [_split_state(part, its) for part, its in pairs]}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    parts = {
        number: {name: _split_like(value, parameters[number]) for name, value in values.items()}
        for number, values in state["state"].items()
    }
    return {**state, "state": parts}


def _split_like(value: Any, parameter: Any) -> Any:
    """``value`` split like a parameter of its shape; anything of another shape as it is."""
    if not isinstance(value, Tensor) or value.shape != parameter.shape:
        return value
    mesh = parameter.device_mesh
    # Every process has the whole of it: nothing is sent.
    return distribute_tensor(value.to(mesh.device_type), mesh, parameter.placements, src_data_rank=None)
