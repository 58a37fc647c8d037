"""Many trainings with one budget, measured alike: a grid of rows, swept values and seeds."""

from regvq.evaluation.comparison.cell import Cell, run_cell
from regvq.evaluation.comparison.plan import Comparison, read_comparison
from regvq.evaluation.comparison.report import save_report

__all__ = ["Cell", "Comparison", "read_comparison", "run_cell", "save_report"]
