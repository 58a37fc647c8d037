"""Training tokenizers with Lightning."""

from regvq.training.averaging import AveragedTokenizer
from regvq.training.interruption import NonFiniteError, TrainingInterrupted
from regvq.training.learning_rate import ConstantRate, CosineRate, LearningRateSchedule
from regvq.training.module import TokenizerTraining
from regvq.training.run import fit
from regvq.training.run_folder import RunFolder

__all__ = [
    "AveragedTokenizer",
    "ConstantRate",
    "CosineRate",
    "LearningRateSchedule",
    "NonFiniteError",
    "RunFolder",
    "TokenizerTraining",
    "TrainingInterrupted",
    "fit",
]
