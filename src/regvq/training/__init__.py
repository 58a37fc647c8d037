"""Training tokenizers and generators with Lightning."""

from regvq.training.averaging import AveragedModel
from regvq.training.base import ModelTraining
from regvq.training.generator_training import GeneratorTraining
from regvq.training.interruption import (
    CollapsedError,
    DivergedError,
    NonFiniteError,
    TrainingInterrupted,
)
from regvq.training.learning_rate import ConstantRate, CosineRate, LearningRateSchedule
from regvq.training.muon import MuonOptions
from regvq.training.run import fit
from regvq.training.run_card import facts_of_run
from regvq.training.run_folder import RunFolder
from regvq.training.sharding import ShardedStrategy
from regvq.training.tokenizer_training import TokenizerTraining

__all__ = [
    "AveragedModel",
    "CollapsedError",
    "ConstantRate",
    "CosineRate",
    "DivergedError",
    "GeneratorTraining",
    "LearningRateSchedule",
    "ModelTraining",
    "MuonOptions",
    "NonFiniteError",
    "RunFolder",
    "ShardedStrategy",
    "TokenizerTraining",
    "TrainingInterrupted",
    "facts_of_run",
    "fit",
]
