"""Whether a validation follows the batch that was just trained."""

from typing import Any

from lightning.pytorch import Trainer


def validation_is_due(trainer: Trainer) -> bool:
    """Whether Lightning validates as soon as ``on_train_batch_end`` is over.

    A run that is resumed from a checkpoint of that moment does not: for Lightning the batch is done, and at
    the last step the whole training. So whatever marks the step as done is written after the validation.
    """
    # Lightning has no public name for it. It depends on steps, epochs, the loader's end and early stopping.
    loop: Any = trainer.fit_loop
    due: bool = loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
    return due
