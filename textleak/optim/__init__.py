"""Optimisers that take many candidates at once and never couple them."""

from textleak.optim.lbfgs import BatchedLBFGS, LBFGSOptions

__all__ = ["BatchedLBFGS", "LBFGSOptions"]
