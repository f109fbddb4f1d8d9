"""Recording in a plain training loop: the gradients of a step, or the weights that it moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from textleak.core.errors import UpdateError
from textleak.core.update import SharedUpdate, UpdateMetadata


@contextmanager
def record(model: nn.Module, path: str | Path) -> Iterator[None]:
    """Write what a client shares of the training inside: weights before less weights after.

    Nothing is written where the training fails. Weights that did not move are taken to be frozen.

    Args:
        model: the model that is trained inside, wrapped or not.
        path: the `.safetensors` file to write.

    Raises:
        UpdateError: nothing moved, or the file cannot be written.
    """
    before = {name: p.detach().to("cpu", copy=True) for name, p in model.named_parameters()}
    yield
    delta, coarsest = {}, torch.float64
    for name, parameter in model.named_parameters():
        after, old = parameter.detach().cpu(), before[name]
        if not torch.equal(old, after):
            delta[name] = (old.double() - after.double()).float()
            coarsest = min(coarsest, after.dtype, key=lambda dtype: dtype.itemsize)
    if not delta:
        raise UpdateError("no weight moved: nothing to record")
    kept = str(coarsest).removeprefix("torch.")
    SharedUpdate(delta, UpdateMetadata.model_validate({"weights_kept": kept})).save(path)


def save_gradients(model: nn.Module, path: str | Path) -> None:
    """Write the gradients that stand in `model` now: after `backward`, before they are cleared.

    Raises:
        UpdateError: there are none, or the file cannot be written.
    """
    gradients = {n: p.grad.cpu() for n, p in model.named_parameters() if p.grad is not None}
    if not gradients:
        raise UpdateError("no parameter has a gradient: nothing to record")
    SharedUpdate(gradients, UpdateMetadata()).save(path)
