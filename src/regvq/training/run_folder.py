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
        """Holds ``last.ckpt`` and ``best.ckpt``."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The checkpoint that a resumed run starts from."""
        return self.checkpoints / "last.ckpt"

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
        if resume and not self.last.is_file():
            elsewhere = ", or give an --output that all machines share" if ranks.launched() > 1 else ""
            raise RegvqError(f"there is no {self.last} to resume from: start without --resume{elsewhere}")
        if resume or getattr(rank_zero_only, "rank", 0) != 0 or not self.path.exists():
            return
        if ranks.restarted() and not self.last.is_file():
            return  # the processes that died had saved nothing yet
        # Logs alone are what a run leaves that failed before its first step: nothing to lose in them.
        if not self.path.is_dir() or any(entry.name != "logs" for entry in self.path.iterdir()):
            advice = "add --resume to continue it, or " if self.last.is_file() else ""
            raise RegvqError(f"{self.path} is not empty: {advice}give another output folder")
