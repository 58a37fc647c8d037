"""Trainings that two processes split up, as torchrun starts them: what one process learns with all."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from safetensors.torch import load_file

from regvq.data.module import ValidationOrder, even_batches
from regvq.data.scenes import ScenesData
from regvq.errors import RegvqError
from regvq.model_folder import load_model
from regvq.training import TokenizerTraining, fit
from regvq.training.run_folder import RunFolder
from regvq.training.sharding import ShardedStrategy, shard, whole
from tests.support.split_trainings import DRAWN, SAVED, STEPS, TRAININGS, UNDER_DDP, train
from tests.training.test_ranks import logged, run

STAGE = {name: "generator" if name in ("adamw", "muon", "diffusion") else "tokenizer" for name in TRAININGS}
LOGGED = {
    "adversary": {"val/psnr": 1, "train/adaptive_weight": STEPS - 1},
    "contrastive": {"val/psnr": 1, "train/raw/contrastive": STEPS},
    # What is validated on is dealt out one by one, so its times and noise fall on other images.
    "diffusion": {},
}
"""What is compared beside the loss, where it is not the stage's own, and how often it is logged."""
VALIDATED = {"tokenizer": {"val/psnr": 1}, "generator": {"val/bits_per_token": 1}}
LOSS = {**dict.fromkeys(TRAININGS, 1e-5), "adversary": 1e-4, "muon": 5e-4}
"""How far losses may be apart, relatively: sums are in another order, an adversary's terms nearly cancel,
and Muon iterates in bfloat16."""
WEIGHT = {**dict.fromkeys(TRAININGS, 2e-4), "muon": 1e-2}
"""How far weights may be apart."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All trainings, split up between two processes, some as ``ddp-…``, and as ``reference-…`` on one."""
    folder = tmp_path_factory.mktemp("sharding")
    command = ["--standalone", "--nproc-per-node=2", "-m", "tests.support.split_trainings", str(folder)]
    run(command, ranks=2, output=folder)
    for name in TRAININGS:
        train(name, folder / f"reference-{name}", batch_size=8)
    return folder


def weights(run: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(run / STAGE[name] / "model.safetensors")


def facts(runs: Path, rank: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((runs / f"facts-{rank}.json").read_text())
    return found


@pytest.mark.parametrize("run", [*TRAININGS, *UNDER_DDP])
def test_the_loss_curve_is_that_of_the_joined_batch(run: str, runs: Path) -> None:
    name, _ = UNDER_DDP.get(run, (run, False))
    columns = {"train/loss": STEPS, **LOGGED.get(name, VALIDATED[STAGE[name]])}
    for column, steps in columns.items():
        one, two = logged(runs / f"reference-{name}", column), logged(runs / run, column)
        assert len(one) == steps
        assert two == pytest.approx(one, rel=LOSS[name]), column


@pytest.mark.parametrize("run", UNDER_DDP)
def test_what_is_compiled_is(run: str, runs: Path) -> None:
    _, compiled = UNDER_DDP[run]
    for rank in range(2):
        assert (facts(runs, rank)[run]["graphs"] > 0) == compiled


@pytest.mark.parametrize("name", TRAININGS)
def test_the_saved_model_is_that_of_the_joined_batch(name: str, runs: Path) -> None:
    folder = runs / name / STAGE[name]
    assert (folder / "config.json").read_text() == (
        runs / f"reference-{name}" / STAGE[name] / "config.json"
    ).read_text()
    one, two = weights(runs / f"reference-{name}", name), weights(runs / name, name)
    assert one.keys() == two.keys()
    if name not in ("contrastive", "diffusion"):  # a folder with a class of these tests is not loaded
        own = load_model(folder).state_dict().keys()
        # What only a training needs is in no folder.
        assert {
            key for key in own if "prior_bias." not in key and "changed_share." not in key
        } == one.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=0, atol=WEIGHT[name], msg=key)


@pytest.mark.parametrize("name", TRAININGS)
def test_both_processes_return_the_saved_model(name: str, runs: Path) -> None:
    """Also what is not split up, such as a codebook's statistics, is the same on both."""
    saved = weights(runs / name, name)
    for rank in range(2):
        returned = load_file(runs / f"{name}-{rank}" / "model.safetensors")
        assert [key for key in saved if not torch.equal(returned[key], saved[key])] == []


@pytest.mark.parametrize("strategy", ["sharded", "ddp"])
@pytest.mark.parametrize("name", DRAWN)
def test_what_is_drawn_in_training_is_the_same_on_both(name: str, strategy: str, runs: Path) -> None:
    run = f"{strategy}-{name}"
    first, second = (load_file(runs / f"{run}-{rank}" / "model.safetensors") for rank in range(2))
    assert [key for key in first if not torch.equal(first[key], second[key])] == []
    assert facts(runs, 0)[run] == facts(runs, 1)[run]


@pytest.mark.parametrize("strategy", ["sharded", "ddp"])
def test_codes_stay_where_they_were_replaced(strategy: str, runs: Path) -> None:
    """A replaced code is a copy of another one; the learning rate hardly parts them."""
    codebook = torch.tensor(facts(runs, 0)[f"{strategy}-peer-diveq"])
    apart = torch.cdist(codebook, codebook, compute_mode="donot_use_mm_for_euclid_dist")
    assert (apart.fill_diagonal_(1) < 1e-5).any()


@pytest.mark.parametrize("name", TRAININGS)
def test_each_process_holds_its_part(name: str, runs: Path) -> None:
    held = [facts(runs, rank)[name] for rank in range(2)]
    assert sum(one["own"] for one in held) == held[0]["all"]
    assert held[1]["own"] > 0.4 * held[0]["all"]
    trained = [one for one in held[0]["split"] if one.startswith("model.")]
    if STAGE[name] == "tokenizer":
        ends = ("down_blocks.0", "down_blocks.1", "mid_block"), ("up_blocks.0", "up_blocks.1", "mid_block")
        expected = [f"model.backbone.encoder.{end}" for end in ends[0]]
        expected += [f"model.backbone.decoder.{end}" for end in ends[1]]
    else:
        blocks = "model.network.layers" if name == "diffusion" else "model.network.model.layers"
        expected = [f"{blocks}.{layer}" for layer in range(2)]
    assert sorted(trained) == sorted(expected)
    assert held[0]["split"] == ["", *trained, *(f"averaged.{one}" for one in trained)]


@pytest.mark.parametrize("name", ["adversary", "muon"])
def test_a_resumed_training_ends_in_the_same_weights(name: str, runs: Path) -> None:
    undisturbed, resumed = weights(runs / name, name), weights(runs / f"{name}-again-sharded", name)
    assert [key for key in undisturbed if not torch.equal(resumed[key], undisturbed[key])] == []
    before, again = (logged(runs / run, "train/loss") for run in (name, f"{name}-again-sharded"))
    assert again == before


def test_a_training_goes_on_without_being_split(runs: Path) -> None:
    one, two = weights(runs / "muon", "muon"), weights(runs / "muon-again-ddp", "muon")
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=0, atol=WEIGHT["muon"], msg=key)


@pytest.mark.parametrize("name", TRAININGS)
def test_checkpoints_are_whole(name: str, runs: Path) -> None:
    """They have the same content as those of one process, to the roundings."""
    one, two = (
        torch.load(RunFolder(runs / run, STAGE[name]).previous, weights_only=True)
        for run in (f"reference-{name}", name)
    )
    assert one["global_step"] == two["global_step"] == SAVED
    torch.testing.assert_close(two["state_dict"], one["state_dict"], rtol=0, atol=WEIGHT[name])
    mine, theirs = (_parts(checkpoint["optimizer_states"][0]) for checkpoint in (two, one))
    for state, its in zip(mine, theirs, strict=True):
        assert state["param_groups"] == its["param_groups"]
        torch.testing.assert_close(state["state"], its["state"], rtol=0, atol=WEIGHT[name])


def _parts(state: dict[str, Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = state.get("parts", [state])
    return parts


def test_a_broken_gradient_stops_both_processes(runs: Path) -> None:
    said = [facts(runs, rank)["broken"] for rank in range(2)]
    assert said[0] == said[1]
    assert said[0].startswith("the gradient of model.network.lm_head.weight is nan at training batch 0")
    assert not (runs / "broken" / "generator").exists()


def test_what_cannot_be_split_is_refused(make_training: Any, options: dict[str, Any], output: Path) -> None:
    training = make_training()
    with pytest.raises(RegvqError, match=r"model\.backbone\.gain is a single number that learns"):
        shard(training, None, torch.device("cpu"))  # the mesh is not asked for
    training.compiled = object()
    with pytest.raises(RegvqError, match=r"model\.compile does not go with trainer\.strategy sharded"):
        shard(training, None, torch.device("cpu"))
    with pytest.raises(RegvqError, match=r"trainer\.strategy fsdp splits the model up .*: give sharded"):
        fit(training, None, output, strategy="fsdp", **options)


def test_a_gradient_scaler_is_refused() -> None:
    strategy = ShardedStrategy()
    strategy.precision_plugin = MixedPrecision("16-mixed", "cpu")
    with pytest.raises(RegvqError, match=r"16-mixed does not go with trainer\.strategy sharded: give bf16"):
        strategy.setup_environment()


def test_a_model_that_is_not_split_is_whole(make_training: Any) -> None:
    training: TokenizerTraining = make_training()
    assert whole(training.model) is training.model


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_all_ranks_have_as_many_validation_batches(batch_size: int, ranks: int) -> None:
    for images in range(ranks, 20):
        size = even_batches(images, batch_size, ranks)
        dataset = ScenesData(16, 8, images).val()
        shares = [len(ValidationOrder(dataset, rank, ranks)) for rank in range(ranks)]
        assert len({-(-share // size) for share in shares}) == 1
        assert size == batch_size or images % ranks
