"""Quantizers of vector-quantize-pytorch: what the adapter computes is what the library computes."""

import sys
from collections.abc import Callable

import pytest
import torch

from regvq.errors import RegvqError
from regvq.quantizers import Quantizer
from regvq.quantizers.peers import PeerFSQ, PeerLFQ, PeerSimVQ, PeerVQ

DIM = 6
MAKE: dict[str, Callable[[], Quantizer]] = {
    "VQ": lambda: PeerVQ(32, DIM),
    "VQ, rotated": lambda: PeerVQ(32, DIM, rotation_trick=True),
    "SimVQ": lambda: PeerSimVQ(32, DIM),
    "FSQ": lambda: PeerFSQ(DIM, (5, 4, 3)),
    "FSQ without projection": lambda: PeerFSQ(DIM, (3, 4, 5, 3, 3, 4)),
    "LFQ": lambda: PeerLFQ(32, DIM),
    "LFQ without projection": lambda: PeerLFQ(64, DIM),
    "LFQ without losses": lambda: PeerLFQ(64, DIM, entropy_weight=0.0, commitment=0.0),
}


def trained(make: Callable[[], Quantizer]) -> Quantizer:
    torch.manual_seed(0)
    quantizer = make().train()
    for _ in range(3):
        quantizer(torch.randn(4, DIM, 5, 5))
    return quantizer


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())
def test_encoding_is_the_library_s(make: Callable[[], Quantizer]) -> None:
    quantizer = trained(make).eval()
    z = torch.randn(4, DIM, 5, 5)
    theirs = quantizer.peer(z.flatten(2).transpose(1, 2))
    assert torch.equal(theirs[1].long().view(4, 5, 5), quantizer.encode(z))
    expected = theirs[0].transpose(1, 2).view_as(z)
    torch.testing.assert_close(quantizer(z).quantized, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())
def test_a_training_step_is_the_library_s(make: Callable[[], Quantizer]) -> None:
    quantizer, twin = trained(make), trained(make)
    z = torch.randn(4, DIM, 25, requires_grad=True)
    other = z.detach().clone().requires_grad_()
    torch.manual_seed(1)
    output = quantizer(z)
    (output.quantized.square().sum() + output.loss).backward()
    torch.manual_seed(1)
    torch.randint(2**62, ())  # the number of the pass
    twin.before_step(other.detach().transpose(1, 2))  # sets the threshold of dead codes
    quantized, _, *loss = twin.peer(other.transpose(1, 2))
    (quantized.square().sum() + sum(part.sum() for part in loss)).backward()
    # The adapter's value is the code itself; the library's carries the rounding of its gradient path.
    torch.testing.assert_close(z.grad, other.grad, rtol=1e-4, atol=1e-4)
    for name, value in quantizer.peer.state_dict().items():
        assert torch.equal(value, twin.peer.state_dict()[name]), name


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())
def test_adding_to_losses_in_place_leaves_the_module_alone(
    make: Callable[[], Quantizer], training: bool
) -> None:
    quantizer = trained(make).train(training)
    output = quantizer(torch.randn(4, DIM, 5, 5))
    state = {name: value.clone() for name, value in quantizer.named_buffers()}
    with torch.no_grad():
        for value in (*output.losses.values(), output.loss):
            value += 1
    for name, value in quantizer.named_buffers():
        assert torch.equal(value, state[name]), name
    assert training or output.losses == {}  # the module is not asked in eval mode


@pytest.mark.parametrize("name", ["VQ", "VQ, rotated"])
def test_the_first_batch_is_decoded_from_its_own_means(name: str) -> None:
    torch.manual_seed(0)
    z = torch.randn(4, DIM, 5, 5)
    error = (MAKE[name]().train()(z).quantized - z).square().mean()
    assert error < 0.5 * z.var()


def test_they_have_the_sizes_that_they_really_have() -> None:
    assert PeerFSQ(DIM).codebook_size == 1000
    assert PeerFSQ(DIM).codebook.shape == (1000, DIM)
    with pytest.raises(RegvqError, match="levels of at least 3, not"):
        PeerFSQ(DIM, (8, 2))
    with pytest.raises(RegvqError, match="power of two of codes, at least 2, not 1000"):
        PeerLFQ(1000, DIM)


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())
def test_without_the_package_it_is_a_sentence(
    make: Callable[[], Quantizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vector_quantize_pytorch", None)
    with pytest.raises(RegvqError, match=r"pip install 'regvq\[peers\]'"):
        make()
