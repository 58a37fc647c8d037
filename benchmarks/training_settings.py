"""What ``training.py`` trains on a kind of device: shipped configurations, and how long."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Setting:
    """What is trained on a kind of device.

    Attributes:
        tokenizers: configurations and arguments of stage 1, by name, without the objective.
        objective: arguments that give it one with an adversary from the first step on.
        generators: configurations and arguments of stage 2, by name, without tokenizer and tokens.
        batch: sequences a step of stage 2.
        warm: steps of a turn before its clock runs.
        timed: steps under the clock.
        rounds: turns.
        vgg: whether stage 1 needs VGG-19: random weights are as fast as trained ones.
    """

    tokenizers: dict[str, tuple[str, ...]]
    objective: tuple[str, ...]
    generators: dict[str, tuple[str, ...]]
    batch: int
    warm: int
    timed: int
    rounds: int
    vgg: bool = False


_START = "--model.objective.init_args.adversarial.init_args.start=0"
_OFFLINE = ("--config", "objective/offline", _START)
_CLASSES = ("--config", "condition/class-label", "--config")
_WORKERS = "--data.workers=12"
"""Most of the cores that a rented GPU comes with: no step is to wait for its batch."""
SETTINGS = {
    "cpu": Setting(
        tokenizers={
            "tokenizer, tiny": (
                *("--config", "backbone/tiny", "--config", "tokenizer/regvq", "--config", "data/photos"),
                *("--config", "trainer/cpu"),
            ),
            "tokenizer, small-128": (
                *("--config", "backbone/small-128", "--config", "tokenizer/regvq"),
                *("--config", "data/scenes", "--config", "trainer/cpu", "--data.batch_size=8"),
                "--data.dataset.init_args.size=64",
            ),
        },
        objective=_OFFLINE,
        generators={
            name: ("--config", f"generator/{name}", *_CLASSES, "trainer/generator-cpu")
            for name in ("autoregressive-tiny", "diffusion-tiny")
        },
        batch=8,
        warm=2,
        timed=4,
        rounds=7,
    ),
    "cuda": Setting(
        tokenizers={
            "tokenizer, paper-256": (
                *("--config", "backbone/paper-256", "--config", "tokenizer/regvq"),
                *("--config", "data/scenes", "--config", "trainer/gpu", "--data.batch_size=16", _WORKERS),
                "--data.dataset.init_args.size=256",
            ),
        },
        objective=("--config", "objective/paper", _START),
        generators={
            name: ("--config", f"generator/{name}", *_CLASSES, "trainer/generator-gpu", _WORKERS)
            for name in ("autoregressive-256", "diffusion-256")
        },
        batch=32,
        warm=10,
        timed=20,
        rounds=5,
        vgg=True,
    ),
}


def quickened(setting: Setting) -> Setting:
    """The least that runs every part: a few narrow layers, small images, one model a stage, short turns."""
    first, stage_one = next(iter(setting.tokenizers.items()))
    name, arguments = next(iter(setting.generators.items()))
    narrow = ("dim=64", "layers=1", "heads=2", "hidden=128")
    return replace(
        setting,
        tokenizers={
            first: (
                *stage_one,
                *("--config", "backbone/tiny", "--model.backbone.init_args.channels=[8, 8]"),
                *("--config", "data/scenes", "--data.dataset.init_args.size=32"),
                "--data.batch_size=4",
            )
        },
        objective=_OFFLINE,
        generators={name: (*arguments, *(f"--model.generator.init_args.{size}" for size in narrow))},
        batch=2,
        warm=1,
        timed=1,
        rounds=2,
        vgg=False,
    )
