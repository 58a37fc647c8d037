"""What happens around the training steps: each callback one concern, each removable."""

from regvq.training.callbacks.collapse import CollapseGuard
from regvq.training.callbacks.divergence import DivergenceGuard
from regvq.training.callbacks.guard import Guard
from regvq.training.callbacks.keep_config import KeepConfig
from regvq.training.callbacks.last_checkpoint import LastCheckpoint
from regvq.training.callbacks.non_finite import NonFiniteGuard
from regvq.training.callbacks.picture_logger import PictureLogger
from regvq.training.callbacks.progress import Progress
from regvq.training.callbacks.same_start import SameStart
from regvq.training.callbacks.save_model import SaveModel
from regvq.training.callbacks.step_seeds import StepSeeds

__all__ = [
    "CollapseGuard",
    "DivergenceGuard",
    "Guard",
    "KeepConfig",
    "LastCheckpoint",
    "NonFiniteGuard",
    "PictureLogger",
    "Progress",
    "SameStart",
    "SaveModel",
    "StepSeeds",
]
