"""Exact recovery of whole batches of text from what layer spans and embedding gradients prove."""

from textleak.attacks.subspace.attack import Subspace, SubspaceOptions

__all__ = ["Subspace", "SubspaceOptions"]
