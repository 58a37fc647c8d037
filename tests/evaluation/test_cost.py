"""The cost model against what torch counts of the real steps, and against the real models' parameters."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import yaml
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from torchvision import models

from regvq import configs
from regvq.conditions import ClassLabel
from regvq.evaluation.cost import (
    Cost,
    Machine,
    Work,
    backbone,
    discriminator,
    generator_step,
    offline_features,
    quantizer,
    ring_seconds,
    tokenizer_step,
    vgg,
)
from regvq.generators import AutoregressiveGenerator, DiscreteDiffusionGenerator, TokenSource
from regvq.losses import AdversarialLoss, Objective, PerceptualLoss
from regvq.nets import OfflineFeatures, PatchDiscriminator, VQGANBackbone
from regvq.nets.features.base import SequentialFeatures
from regvq.quantizers import RegularizedVectorQuantizer
from regvq.tokenizers import ImageTokenizer

KINDS: dict[str, Any] = {
    "autoregressive": AutoregressiveGenerator,
    "diffusion": DiscreteDiffusionGenerator,
}


def arguments_of(config: str, part: str) -> dict[str, Any]:
    text = configs.find(config).read_text(encoding="utf-8")
    arguments: dict[str, Any] = yaml.safe_load(text)["model"][part]["init_args"]
    return arguments


class Counter(TorchDispatchMode):
    """torch's own formulas, without the look at modules that its ``FlopCounterMode`` takes.

    That does not bear ``autograd.grad``, which the adversary's adaptive weight needs.
    """

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result


def counted(run: Callable[[], Any], whole: bool = False) -> int:
    """FLOPs of ``run``; with ``whole`` by the same formulas, see ``Counter``."""
    with Counter() if whole else FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run()
    return counter.flops if isinstance(counter, Counter) else counter.get_total_flops()


def kept(run: Callable[[], torch.Tensor], model: nn.Module) -> int:
    """Numbers that a forward pass keeps, each once, without the parameters."""
    seen: dict[int, int] = {}
    own = {value.untyped_storage().data_ptr() for value in [*model.parameters(), *model.buffers()]}
    held = []

    def keep(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes() // 4
            held.append(value)  # or another one would come to lie there
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        run()
    return sum(seen.values())


def parameters(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


@pytest.mark.parametrize(("name", "size"), [("tiny", 32), ("small-128", 128), ("paper-256", 256)])
def test_a_backbone_costs_what_torch_counts(name: str, size: int) -> None:
    arguments = arguments_of(f"backbone/{name}", "backbone")
    encoder, decoder = backbone(size, **arguments)
    with torch.device("meta"):  # nothing is computed
        net = VQGANBackbone(**arguments)
        images = torch.empty(1, 3, size, size)
        side = size // net.downsampling
        latents = torch.empty(1, net.latent_channels, side, side, requires_grad=True)
    assert encoder.parameters + decoder.parameters == parameters(net)
    assert counted(lambda: net.encode(images)) == encoder.forward
    assert counted(lambda: net.encode(images).sum().backward()) == encoder.step
    assert counted(lambda: net.decode(latents)) == decoder.forward
    assert counted(lambda: net.decode(latents).sum().backward()) == decoder.step


def vgg_19() -> SequentialFeatures:
    """Its architecture, on the CPU, with zeros for weights."""
    with torch.device("meta"):
        trunk = models.vgg19().features
    trunk = trunk.to_empty(device="cpu")
    for value in trunk.parameters():
        nn.init.zeros_(value)
    return SequentialFeatures("VGG-19", trunk, (3, 8, 15, 24, 33), [0.5] * 3, [0.5] * 3, 16)


def test_a_whole_step_of_stage_one_costs_what_torch_counts() -> None:
    arguments = arguments_of("backbone/tiny", "backbone")
    tokenizer = ImageTokenizer(VQGANBackbone(**arguments), RegularizedVectorQuantizer(1024, 64)).train()
    features, critic = vgg_19(), PatchDiscriminator(32, 2)
    objective = Objective(perceptual=PerceptualLoss(features), adversarial=AdversarialLoss(critic))
    images = torch.rand(2, 3, 32, 32) * 2 - 1

    def step() -> None:
        loss = objective(images, tokenizer(images), 0, tokenizer.backbone.last_layer)
        loss.total.backward()

    encoder, decoder = backbone(32, **arguments)
    work = encoder + quantizer(1024, 64, 64, 64) + decoder
    cost = tokenizer_step(work, 32, "VGG-19", {"channels": 32, "layers": 2})
    assert cost.parameters == parameters(tokenizer) + parameters(critic)
    assert cost.frozen == sum(value.numel() for value in features.trunk.buffers())
    assert counted(step, whole=True) == pytest.approx(2 * cost.flops, rel=0.02)
    plain = tokenizer_step(work, 32)
    rest = (work.kept_once, work.buffers, work.summed)
    assert plain == Cost(parameters(tokenizer), 0, work.step, work.kept, *rest)

    def loss() -> torch.Tensor:
        output = tokenizer(images)
        return output.reconstruction.sum() + output.quantizer.loss

    assert kept(loss, tokenizer) == pytest.approx(2 * work.kept + work.kept_once, rel=0.15)


@pytest.mark.parametrize("codes", [256, 4096])
def test_a_codebook_s_memory_and_messages_are_those_of_the_real_one(
    codes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, work = RegularizedVectorQuantizer(codes, 32).train(), quantizer(codes, 32, 64, 48)
    messages = []

    def sent(value: torch.Tensor) -> torch.Tensor:
        messages.append(value.numel())
        return value.detach().clone()

    net.usage_watch = None  # it holds counts of its own, on the host's side of the step
    for module in ("base", "codebooks", "heads"):
        monkeypatch.setattr(f"regvq.quantizers.{module}.sum_over_ranks", sent)
    latents = torch.randn(2, 32, 64, requires_grad=True)

    def loss() -> torch.Tensor:
        output = net(latents)
        return output.quantized.sum() + output.loss

    loss()  # the first batch starts the codebook
    messages.clear()
    # What the model leaves to the 1x1 convolutions: their inputs.
    between = work.kept - (48 + 32) * 64
    assert kept(loss, net) == pytest.approx(2 * between + work.kept_once, rel=0.01)
    # Beside them lie the variance of the head, one number, which is summed as two, and the sampled and
    # changed tokens, which are summed in every step.
    owned = sum(value.numel() * value.element_size() for value in net.buffers())
    assert work.buffers == owned / 4 - 1 - 2
    assert work.summed == sum(messages) - 2 - 2


def test_a_discriminator_and_a_vgg_cost_what_torch_counts() -> None:
    with torch.device("meta"):
        critic = PatchDiscriminator()
        trunk = models.vgg16().features[:30]
        images = torch.empty(1, 3, 256, 256, requires_grad=True)
    for net, work in ((critic, discriminator(256)), (trunk, vgg("VGG-16", 256))):
        assert counted(lambda net=net: net(images).sum().backward()) == work.step
        assert work.parameters <= parameters(net)  # norms
    seen = discriminator(256, first=True)
    assert counted(lambda: critic(images.detach()).sum().backward()) == seen.step
    assert seen.parameters == parameters(critic)


def test_offline_features_cost_what_torch_counts() -> None:
    net, work = OfflineFeatures(), offline_features(32)
    images = torch.zeros(1, 3, 32, 32, requires_grad=True)
    assert counted(lambda: sum(layer.sum() for layer in net(images)).backward()) == work.step
    assert work.parameters == sum(value.numel() for value in net.buffers())


@pytest.mark.parametrize("kind", KINDS)
def test_a_generator_costs_what_torch_counts(kind: str) -> None:
    arguments = arguments_of(f"generator/{kind}-tiny", "generator")
    sizes = {name: arguments[name] for name in ("dim", "layers", "heads", "hidden")}
    source, condition = TokenSource(64, (8, 8), ""), ClassLabel(["a", "b", "c"])
    generator = KINDS[kind](condition, source, **sizes).train()
    codes = torch.randint(64, (2, 8, 8))
    cost = generator_step(kind, 64, 64, condition.size, condition.length, **sizes)
    assert cost.parameters == parameters(generator)
    assert counted(lambda: generator.loss(codes).total.backward()) == pytest.approx(
        2 * cost.flops, rel=0.02
    )
    assert kept(lambda: generator.loss(codes).total, generator) == pytest.approx(2 * cost.kept, rel=0.25)


def test_memory_and_hours_by_hand() -> None:
    work = Work(10, forward=3, to_weights=3, to_inputs=2, kept=7, kept_once=5, buffers=11, summed=6)
    cost = tokenizer_step(work, 32)
    assert cost.flops == 8
    assert cost.memory(batch_size=4) == 4 * (5 * 10 + 2 * 11 + 5 + 4 * 7)
    assert cost.memory(batch_size=4, averaged=False) == 4 * (4 * 10 + 11 + 5 + 4 * 7)
    assert cost.exchanged == 4 * (10 + 6)
    assert Machine(gpus=8, peak=1e15, utilisation=0.25).hours(7.2e18) == pytest.approx(1.0)


def test_a_ring_of_one_sends_nothing_and_a_large_one_sends_all_twice() -> None:
    assert ring_seconds(800, 1, 100.0) == 0
    assert ring_seconds(800, 4, 100.0) == pytest.approx(12.0)
    assert ring_seconds(800, 10**6, 100.0) == pytest.approx(16.0, rel=1e-5)
