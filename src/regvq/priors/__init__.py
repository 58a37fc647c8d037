"""Target distributions over the codes for prior distribution regularization."""

from regvq.priors.base import Prior
from regvq.priors.empirical import EmpiricalPrior
from regvq.priors.gaussian import GaussianPrior
from regvq.priors.uniform import UniformPrior
from regvq.priors.zipf import ZipfPrior

__all__ = ["EmpiricalPrior", "GaussianPrior", "Prior", "UniformPrior", "ZipfPrior"]
