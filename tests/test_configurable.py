"""Objects that can be written down and built again, and descriptions that are refused."""

import json
from typing import Any

import pytest
import torch

from regvq.configurable import Configurable, build, describe, public_path
from regvq.errors import RegvqError
from regvq.nets import IdentityBackbone, VQGANBackbone
from regvq.priors import UniformPrior, ZipfPrior
from regvq.quantizers import (
    CosineHead,
    EMAVectorQuantizer,
    RegularizedVectorQuantizer,
    SoftmaxStraightThrough,
    VectorQuantizer,
)
from regvq.schedules import Constant, Cosine, Linear
from regvq.tokenizers import ImageTokenizer


class _Parent(Configurable):
    def __init__(self, width: int, name: str = "parent") -> None:
        self.width = width


class _Child(_Parent):
    def __init__(self, height: int = 2) -> None:
        super().__init__(width=height * 10, name="child")


def test_remembers_positional_keyword_and_default_arguments() -> None:
    assert _Parent(3).init_args == {"width": 3, "name": "parent"}
    assert _Parent(name="other", width=4).init_args == {"width": 4, "name": "other"}


def test_remembers_the_outermost_constructor_only() -> None:
    assert _Child().init_args == {"height": 2}
    assert _Child(5).width == 50


def test_what_is_handed_out_is_a_copy() -> None:
    parent = _Parent(3)
    parent.init_args["width"] = 99
    assert parent.init_args["width"] == 3


def test_resolved_arguments_stand_for_the_default() -> None:
    quantizer = RegularizedVectorQuantizer(16, 4)
    arguments = describe(quantizer)["init_args"]
    assert arguments["head"]["class_path"] == "regvq.quantizers.EuclideanHead"
    assert arguments["codebook"] is not None


@pytest.mark.parametrize(
    "value",
    [
        Linear(0.0, 1.0, steps=5),
        ZipfPrior(),
        VectorQuantizer(16, 4),
        EMAVectorQuantizer(16, 4),
        RegularizedVectorQuantizer(
            16,
            4,
            mask_ratio=Cosine(0.8, 0.4, 100),
            prior=ZipfPrior(),
            head=CosineHead(scale=30.0),
            straight_through=SoftmaxStraightThrough(),
        ),
        RegularizedVectorQuantizer.paper(16, 4, temperature=Constant(2.0)),
        VQGANBackbone((8, 16), 1, 8, 4, False),
        ImageTokenizer(IdentityBackbone(2), RegularizedVectorQuantizer(16, 4, prior=UniformPrior())),
    ],
    ids=lambda value: type(value).__name__,
)
def test_survives_json(value: Configurable) -> None:
    description = describe(value)
    again = build(json.loads(json.dumps(description)))
    assert type(again) is type(value)
    assert describe(again) == description
    if isinstance(value, torch.nn.Module):
        again.load_state_dict(value.state_dict())


def test_plain_data_is_left_alone() -> None:
    value = {"a": [1, 2.5, None, True, "text"], "b": {"c": []}}
    assert describe(value) == value
    assert build(value) == value
    assert describe((1, 2)) == [1, 2]


def test_what_is_neither_data_nor_configurable_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot describe a Tensor"):
        describe({"weights": torch.zeros(1)})


def test_the_public_path_is_the_shortest_that_imports() -> None:
    assert public_path(VectorQuantizer) == "regvq.quantizers.VectorQuantizer"
    assert public_path(Linear) == "regvq.schedules.Linear"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("os.system", "outside regvq"),
        ("subprocess.Popen", "outside regvq"),
        ("torch.nn.Linear", "outside regvq"),
        ("regvqx.quantizers.VectorQuantizer", "outside regvq"),
        ("VectorQuantizer", "outside regvq"),
        ("", "outside regvq"),
        ("regvq.quantizers.NoSuchQuantizer", "no class"),
        ("regvq.nowhere.VectorQuantizer", "no class"),
        ("regvq.files.os.system", "no class"),
        ("regvq.files.os", "not a class that a saved folder may name"),
        ("regvq.files.Path", "not a class that a saved folder may name"),
        ("regvq.files.write_bytes", "not a class that a saved folder may name"),
        ("regvq.cli.main", "not a class that a saved folder may name"),
        ("regvq.types.QuantizerOutput", "not a class that a saved folder may name"),
    ],
)
def test_refuses_what_is_no_configurable_of_this_package(path: str, reason: str) -> None:
    with pytest.raises(RegvqError, match=reason):
        build({"class_path": path, "init_args": {}})


def test_a_foreign_class_inside_another_is_refused_too() -> None:
    description: dict[str, Any] = describe(RegularizedVectorQuantizer(16, 4))
    description["init_args"]["prior"] = {"class_path": "builtins.print", "init_args": {}}
    with pytest.raises(RegvqError, match=r"builtins\.print"):
        build(description)


def test_unknown_missing_and_impossible_arguments_are_named() -> None:
    with pytest.raises(RegvqError, match=r"Constant cannot be built: .*middle"):
        build({"class_path": "regvq.schedules.Constant", "init_args": {"value": 0.0, "middle": 1.0}})
    with pytest.raises(RegvqError, match=r"Linear cannot be built: .*start"):
        build({"class_path": "regvq.schedules.Linear"})
    with pytest.raises(RegvqError, match=r"Quantizer cannot be built: .*abstract"):
        build({"class_path": "regvq.quantizers.Quantizer", "init_args": {"codebook_size": 4, "dim": 2}})
