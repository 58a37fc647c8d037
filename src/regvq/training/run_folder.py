"""Where a training run puts what."""

from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from regvq import ranks
from regvq.errors import RegvqError


@dataclass(frozen=True)
class RunFolder:
    """The places of one run.

    Attributes:
        path: the run's own folder.
        stage: what is trained, ``tokenizer`` or ``generator``.
    """

    path: Path
    stage: str = "tokenizer"

    @property
    def model(self) -> Path:
        """The model as it was last saved."""
        return self.path / self.stage

    @property
    def best_model(self) -> Path:
        """The model that validated best."""
        return self.path / f"{self.stage}-best"

    @property
    def checkpoints(self) -> Path:
        """Holds ``last.ckpt``, ``previous.ckpt`` and ``best.ckpt``."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The checkpoint that validated best."""
        return self.checkpoints / "best.ckpt"

    @property
    def last(self) -> Path:
        """The checkpoint that a resumed run starts from."""
        return self.checkpoints / "last.ckpt"

    @property
    def previous(self) -> Path:
        """The one that was written before it; a resumed run starts from it where the last is damaged."""
        return self.checkpoints / "previous.ckpt"

    @property
    def resumable(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return self.last.is_file() or self.previous.is_file()

    @property
    def config(self) -> Path:
        """The effective configuration."""
        return self.path / "config.yaml"

    def require(self, resume: bool) -> None:
        """Refuses a folder in which a run would lose something, or has nothing to continue.

        Only the first process of several looks: the others come when it has begun to write.

        Raises:
            RegvqError: a new run's folder is not empty, or a resumed one's has no checkpoint.
        """
        if resume and not self.resumable:
            elsewhere = ", or give an --output that all machines share" if ranks.launched() > 1 else ""
            raise RegvqError(f"there is no {self.last} to resume from: start without --resume{elsewhere}")
        if resume or getattr(rank_zero_only, "rank", 0) != 0 or not self.path.exists():
            return
        if ranks.restarted() and not self.resumable:
            return  # the processes that died had saved nothing yet
        # Logs, or logs and the configuration, are what a run leaves that ended before its first
        # checkpoint: nothing to lose in them.
        worthless: tuple[set[str], ...] = (set(), {"logs"}, {"logs", self.config.name})
        if not self.path.is_dir() or {entry.name for entry in self.path.iterdir()} not in worthless:
            advice = "add --resume to continue it, or " if self.resumable else ""
            raise RegvqError(f"{self.path} is not empty: {advice}give another output folder")
