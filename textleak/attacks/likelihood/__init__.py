"""Maximum likelihood under noise: evidence by matched filters, then exact likelihoods of whole batches."""

from textleak.attacks.likelihood.attack import Likelihood
from textleak.attacks.likelihood.options import LikelihoodOptions

__all__ = ["Likelihood", "LikelihoodOptions"]
