"""A loss of one's own, named as `module:function`: found, and held to what every part here asks of a loss."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from textleak.core.errors import ConfigError

OwnLoss = Callable[[Tensor, Tensor], Tensor]


def own_loss(name: str) -> OwnLoss:
    """The function `name`, as `module:function`; the module is installed, or a file of the working folder.

    It takes logits (..., C) and targets (..., C) and gives the loss of each item, (...): targets are
    one-hot or probabilities where labels are classes or words, zeros and ones of a multi-label task, the
    numbers of a regression. Mean or sum over items is taken outside.

    Raises:
        ConfigError: there is none.
    """
    module, _, attribute = name.partition(":")
    found = getattr(_module(module, name), attribute, None)
    if not callable(found):
        raise ConfigError(f"--loss {name!r}: {module!r} has no function {attribute!r}")
    return found  # type: ignore[no-any-return]


def _module(module: str, name: str) -> ModuleType:
    path = Path(*module.split(".")).with_suffix(".py")
    try:
        if module not in sys.modules and path.is_file():
            spec = spec_from_file_location(module, path)
            assert spec is not None
            assert spec.loader is not None
            made = module_from_spec(spec)
            spec.loader.exec_module(made)
            return made
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.split(".")[0]:
            raise ConfigError(f"--loss {name!r}: {error}") from error
        raise ConfigError(f"--loss {name!r}: no module {module!r}, installed or here") from error
    except (ImportError, SyntaxError, NameError) as error:
        raise ConfigError(f"--loss {name!r}: cannot load it: {error}") from error


def check_own(name: str, loss: OwnLoss, targets: Tensor) -> None:
    """Refuse a loss that is not one number an item, or that matching cannot follow.

    Args:
        name: as it was named.
        loss: the function.
        targets: (n, C) valid ones, n > 1.

    Raises:
        ConfigError: its shape is wrong, items mix, or it is not twice differentiable.
    """
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(targets.shape, generator=generator, dtype=torch.float64).requires_grad_()
    try:
        each = loss(logits, targets.double())
        if each.shape != targets.shape[:1] or not bool(torch.isfinite(each).all()):
            raise ConfigError(
                f"--loss {name!r}: expected a finite number for each of {len(targets)} items, got "
                f"{tuple(each.shape)}"
            )
        alone = loss(logits[:1], targets[:1].double())
        (slopes,) = torch.autograd.grad(each.sum(), logits, create_graph=True)
        torch.autograd.grad(slopes.square().sum(), logits)
    except (RuntimeError, TypeError, IndexError, ValueError) as error:
        said = str(error).split("\n")[0]
        raise ConfigError(
            f"--loss {name!r}: expected a twice differentiable function of logits (n, C) and "
            f"targets (n, C), got: {said}"
        ) from error
    if not torch.allclose(alone, each[:1]):
        raise ConfigError(f"--loss {name!r}: the loss of an item must not depend on the others")


def alike(loss: OwnLoss, logits: Tensor, slopes: Tensor) -> Tensor:
    """The class (n,) whose loss has the slope at logits (n, C) that points as `slopes` (n, C) do."""
    width = logits.shape[-1]
    at = (
        logits.detach().double()[:, None].expand(-1, width, -1).clone().requires_grad_()
    )  # (n, C, C)
    targets = torch.eye(width).double().expand_as(at)
    (alone,) = torch.autograd.grad(loss(at, targets).sum(), at)
    return torch.nn.functional.cosine_similarity(slopes.double()[:, None], alone, dim=2).argmax(1)
