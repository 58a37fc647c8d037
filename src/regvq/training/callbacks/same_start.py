"""All processes go on from the same place with the same model and data, or none does."""

import hashlib
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from regvq import ranks
from regvq.configurable import describe
from regvq.data import ImageDataModule
from regvq.errors import RegvqError
from regvq.training.base import ModelTraining


class SameStart(Callback):
    """Compares what the processes of a run are about to start from.

    A folder that one machine does not share with another may hold an older checkpoint there, or none. The
    weights would be made equal, but neither the optimizer's state nor the batches that are due. It may also
    hold another tokenizer, whose tokens mean something else, or other images, whose order would differ.

    Args:
        checkpoint: that the training goes on from; ``None`` for a new one.
    """

    def __init__(self, checkpoint: Path | None) -> None:
        self.checkpoint = checkpoint

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Raises ``RegvqError`` on every rank where two of them differ."""
        if ranks.world_size() == 1:
            return
        starts = ranks.gather(_content(self.checkpoint))
        for rank, start in enumerate(starts):
            if start != starts[0]:
                raise RegvqError(
                    f"rank 0 starts from {starts[0]}, rank {rank} from {start}: give an --output that all "
                    "machines share, or start a new run in another folder"
                )
        assert isinstance(pl_module, ModelTraining)
        facts: dict[str, Any] = {"model": describe(pl_module.model)}
        data: Any = getattr(trainer, "datamodule", None)
        if isinstance(data, ImageDataModule):
            facts |= data.state_dict()
        ranks.require_same(facts)


def _content(checkpoint: Path | None) -> str:
    if checkpoint is None or not checkpoint.is_file():
        return "nothing"
    with checkpoint.open("rb") as file:
        return f"{checkpoint} with the content {hashlib.file_digest(file, 'sha256').hexdigest()[:8]}"
