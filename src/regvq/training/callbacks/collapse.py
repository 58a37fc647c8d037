"""Stops a training whose codebook has collapsed to one code."""

from lightning.pytorch import LightningModule, Trainer

from regvq.errors import RegvqError
from regvq.training.callbacks.guard import Guard
from regvq.training.callbacks.last_checkpoint import way_back
from regvq.training.interruption import CollapsedError

PERPLEXITY = "val/perplexity"


class CollapseGuard(Guard):
    """Looks at how evenly the validation images use the codes.

    The default asks for little: a perplexity of 1.5 means that one code has about 85 % of all tokens. A
    codebook that uses 1 % of a thousand codes is a poor one, and its training goes on. From the first
    validation below on no checkpoint is written over the last good one; the ``patience``-th in a row ends
    the training.

    Args:
        perplexity: the least that is no collapse, from 1; 1 looks for nothing.
        patience: validations in a row.

    Raises:
        RegvqError: an argument is out of its range.
    """

    def __init__(self, perplexity: float = 1.5, patience: int = 3) -> None:
        if not (perplexity >= 1 and patience >= 1):
            raise RegvqError(f"perplexity and patience must be at least 1, not {perplexity} and {patience}")
        self.perplexity = perplexity
        self.patience = patience
        self._validations = 0
        """In a row, in which the codebook was collapsed."""

    def doubts(self, trainer: Trainer) -> bool:
        """See ``Guard``."""
        return self._validations > 0

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        found = trainer.callback_metrics.get(PERPLEXITY)
        if found is None or trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._validations = self._validations + 1 if float(found) < self.perplexity else 0
        if self._validations >= self.patience:
            raise CollapsedError(
                f"the codebook has collapsed: {self.patience} validations in a row found a perplexity "
                f"below {self.perplexity:g}, now {float(found):.3g} (1 is a single code for everything); "
                f"{way_back(trainer)}; train with tokenizer/regvq, or bring a collapsed tokenizer back "
                "with regvq revive"
            )
