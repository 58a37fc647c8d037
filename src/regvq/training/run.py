"""One training run: its folder, its callbacks, and how it ends."""

import errno
import functools
import importlib.util
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from regvq import ranks
from regvq.errors import RegvqError
from regvq.training.base import ModelTraining
from regvq.training.callbacks import (
    CollapseGuard,
    DivergenceGuard,
    Guard,
    LastCheckpoint,
    NonFiniteGuard,
    PictureLogger,
    Progress,
    SameStart,
    SaveModel,
    StepSeeds,
)
from regvq.training.checkpoint_io import AtomicCheckpointIO
from regvq.training.interruption import StopRequested, TrainingInterrupted
from regvq.training.resuming import start_of
from regvq.training.run_folder import RunFolder
from regvq.training.sharding import NAME as SHARDED
from regvq.training.sharding import whole

DEFAULTS: dict[str, Any] = {
    "num_sanity_val_steps": 0,
    "enable_model_summary": False,
    "log_every_n_steps": 10,
}
"""The trainer's defaults where they differ from Lightning's."""

_SHARDING = ("fsdp", "modelparallel", "deepspeed")
"""Parts of the names of strategies that split models up in other ways than ``ShardedStrategy``."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Lightning's remarks away that tell the user nothing: the progress says what happens."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    report_thread = threading.excepthook
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.showwarning = _say
        threading.excepthook = functools.partial(_say_of_thread, report_thread)
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings(
            "ignore",
            message=".*(LightningCLI's args|eval mode|num_workers|logging interval|LeafSpec|Dynamo dete|"
            "_prims_common).*",
        )
        try:
            yield
        finally:
            threading.excepthook = report_thread
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _say(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning as a sentence, without the line of source that raised it."""
    print(f"regvq: {message}", file=sys.stderr)


def _say_of_thread(
    otherwise: Callable[[threading.ExceptHookArgs], Any], failure: threading.ExceptHookArgs
) -> None:
    """A file that a logger's thread cannot write as a sentence, without the trace of the thread."""
    if isinstance(failure.exc_value, OSError) and failure.exc_value.errno in _NO_ROOM:
        _say(f"a log cannot be written any more ({failure.exc_value.strerror})")
    else:
        otherwise(failure)


def run_options(
    stage: type[ModelTraining],
    folder: RunFolder,
    seed: int = 0,
    title: str = "training",
    start: Path | None = None,
) -> dict[str, Any]:
    """What every run hands to Lightning's ``Trainer``: callbacks, loggers and the way of saving.

    Args:
        stage: what is trained.
        folder: of the run.
        seed: of every random number drawn in training steps.
        title: in front of the progress.
        start: the checkpoint that the run goes on from; ``None`` for a new one.
    """
    best = ModelCheckpoint(
        dirpath=folder.checkpoints,
        filename=folder.best.stem,
        monitor=stage.monitor,
        mode=stage.mode,
        enable_version_counter=False,
        save_on_train_epoch_end=False,
    )
    callbacks: list[Callback] = [
        SameStart(start),
        NonFiniteGuard(),
        DivergenceGuard(),
        CollapseGuard(),
        StepSeeds(seed),
        Progress(title),
        PictureLogger(),
        SaveModel(folder),
        best,
        LastCheckpoint(folder.last, folder.previous, start),
    ]
    loggers: list[Logger] = [CSVLogger(folder.path, name="logs")]
    if importlib.util.find_spec("tensorboard") is not None:
        loggers.append(TensorBoardLogger(str(folder.path), name="logs", version="tensorboard"))
    return {
        "default_root_dir": folder.path,
        "callbacks": callbacks,
        "logger": loggers,
        "plugins": [AtomicCheckpointIO()],
    }


def joined(ours: Iterable[Callback], given: Iterable[Callback]) -> list[Callback]:
    """A user's callbacks and then ours, but for the guards that the user's take the place of."""
    given = list(given)
    replaced = {type(callback) for callback in given if isinstance(callback, Guard)}
    return [*given, *(callback for callback in ours if type(callback) not in replaced)]


def require_whole_models(strategy: Any) -> None:
    """Refuses a trainer's strategy that splits the model up, but for ``ShardedStrategy``.

    Args:
        strategy: the trainer's argument: a name, an object, or a configuration with ``class_path``.

    Raises:
        RegvqError: it does.
    """
    name = (
        strategy if isinstance(strategy, str) else getattr(strategy, "class_path", type(strategy).__name__)
    )
    if any(part in name.lower() for part in _SHARDING):
        raise RegvqError(
            f"trainer.strategy {name} splits the model up in a way that averages, checkpoints and the "
            f"saved model are not made for: give {SHARDED}, which is torch's fully_shard, or ddp, with "
            "the whole model on each device"
        )


def fit(
    training: ModelTraining,
    data: LightningDataModule,
    output: str | Path,
    *,
    resume: bool = False,
    seed: int = 0,
    title: str = "training",
    callbacks: Iterable[Callback] = (),
    **trainer_options: Any,
) -> Any:
    """Trains, and leaves everything in the folder ``output``.

    Args:
        training: the model and how it is trained.
        data: batches of images.
        output: the run's folder: new or empty, or with ``resume`` one that holds a run.
        resume: continue from ``checkpoints/last.ckpt``, or from ``previous.ckpt`` where that is damaged.
        seed: of every random number drawn in training steps.
        title: in front of the progress.
        callbacks: more of them; a guard takes the place of its like among ours.
        trainer_options: of Lightning's ``Trainer``, e.g. ``max_steps`` and ``val_check_interval``.

    Returns:
        The trained model in eval mode, with averaged weights if there are some; the same as in
        ``output/tokenizer`` or ``output/generator``.

    Raises:
        RegvqError: the folder is taken, the checkpoint is unusable, a guard has found the training in
            ruins (``NonFiniteError``, ``DivergedError``, ``CollapsedError``), or something cannot be
            written.
        TrainingInterrupted: Ctrl-C. Everything is saved.
    """
    require_whole_models(trainer_options.get("strategy", "auto"))
    folder = RunFolder(Path(output), training.stage)
    folder.require(resume)
    with quiet():
        start = start_of(folder) if resume else None
        options = {**DEFAULTS, **run_options(type(training), folder, seed, title, start), **trainer_options}
        options["callbacks"] = joined(options["callbacks"], callbacks)
        return run(Trainer(**options), training, data, folder, start)


def run(
    trainer: Trainer,
    training: ModelTraining,
    data: LightningDataModule | None,
    folder: RunFolder,
    start: Path | None = None,
) -> Any:
    """``fit`` with a trainer that was built with ``run_options``, in a folder that was looked at."""
    if ranks.launched() not in (1, trainer.world_size):
        # Each would train by itself and write over what the others write.
        raise RegvqError(
            f"torchrun has started {ranks.launched()} processes, the trainer is set up for "
            f"{trainer.world_size}: give --trainer.devices and --trainer.num_nodes what torchrun was "
            "given, and --trainer.strategy=ddp"
        )
    with ExitStack() as listening:
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, LastCheckpoint):
                listening.enter_context(callback.on_ctrl_c())
        try:
            trainer.fit(training, data, ckpt_path=start, weights_only=True)
        except StopRequested:
            raise TrainingInterrupted(_advice(trainer, folder)) from None
        except SystemExit as stop:
            # Lightning answers a KeyboardInterrupt that is raised in mid-step with an exit.
            if not isinstance(stop.__context__, KeyboardInterrupt):
                raise
            raise TrainingInterrupted(_advice(trainer, folder)) from None
        except OSError as error:
            # Checkpoints explain themselves; the loggers do not.
            if error.errno not in _NO_ROOM:
                raise
            raise RegvqError(
                f"{error.filename or folder.path} has no room left ({error.strerror}): free some and go on "
                "with --resume, or give another --output; what was saved before is whole"
            ) from None
    return whole(training.best_model).eval()


def _advice(trainer: Trainer, folder: RunFolder) -> str:
    text = f"training was interrupted at step {trainer.global_step}"
    if not folder.resumable:
        return f"{text}, before the first checkpoint"
    return f"{text}; continue with: regvq fit-{folder.stage} --output {folder.path} --resume"
