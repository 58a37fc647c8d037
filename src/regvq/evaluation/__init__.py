"""What trained tokenizers and generators are worth: figures, curves, the codebook doctor, reports."""

from regvq.evaluation.codebook_pictures import save_codebook_pictures
from regvq.evaluation.codebook_report import CodebookReport, inspect_codebook, report_codebook
from regvq.evaluation.evaluation import Evaluation
from regvq.evaluation.feature_choice import choose_features
from regvq.evaluation.measurement import Measurement
from regvq.evaluation.reconstructions import evaluate_reconstructions
from regvq.evaluation.sampled_tokens import SampledPoint, SampledTokens, sampled_tokens
from regvq.evaluation.samples import evaluate_samples
from regvq.evaluation.tokenizer import TokenizerFigures, evaluate_tokenizer

__all__ = [
    "CodebookReport",
    "Evaluation",
    "Measurement",
    "SampledPoint",
    "SampledTokens",
    "TokenizerFigures",
    "choose_features",
    "evaluate_reconstructions",
    "evaluate_samples",
    "evaluate_tokenizer",
    "inspect_codebook",
    "report_codebook",
    "sampled_tokens",
    "save_codebook_pictures",
]
