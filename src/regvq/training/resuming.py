"""Where a resumed run starts: the last checkpoint, or the one before it where that is damaged."""

import warnings
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from regvq.errors import RegvqError
from regvq.files import remove_leftovers
from regvq.model_folder import CONFIG, WEIGHTS
from regvq.training.checkpoint_io import check_whole
from regvq.training.run_folder import RunFolder


def start_of(folder: RunFolder) -> Path:
    """The newest checkpoint of a run that is whole; every byte of it is looked at.

    Also deletes what writings left behind that a kill cut short. Of several processes the first does
    that, and says where they start; they compare their starts later.

    Raises:
        RegvqError: none is whole.
    """
    first = getattr(rank_zero_only, "rank", 0) == 0
    if first:
        models = (folder.model, folder.best_model)
        parts = [model / name for model in models for name in (CONFIG, WEIGHTS)]
        for path in (folder.last, folder.best, folder.config, *parts):
            remove_leftovers(path)
    try:
        check_whole(folder.last)
    except RegvqError as error:
        if not folder.previous.is_file():
            raise
        try:
            check_whole(folder.previous)
        except RegvqError as other:
            raise RegvqError(f"{error}; and so is the one before it: {other}") from None
        if first:
            reason = str(error).partition(": ")[0]
            warnings.warn(f"{reason}: going on from {folder.previous}", stacklevel=2)
        return folder.previous
    return folder.last
