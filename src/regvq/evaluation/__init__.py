"""What a trained tokenizer is worth: figures, curves, the codebook doctor, reports."""

from regvq.evaluation.codebook_pictures import save_codebook_pictures
from regvq.evaluation.codebook_report import CodebookReport, inspect_codebook, report_codebook
from regvq.evaluation.sampled_tokens import SampledPoint, SampledTokens, sampled_tokens
from regvq.evaluation.tokenizer import TokenizerFigures, evaluate_tokenizer

__all__ = [
    "CodebookReport",
    "SampledPoint",
    "SampledTokens",
    "TokenizerFigures",
    "evaluate_tokenizer",
    "inspect_codebook",
    "report_codebook",
    "sampled_tokens",
    "save_codebook_pictures",
]
