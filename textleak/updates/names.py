"""Names in a file, mapped to a model's: wrappers taken off, aliases and buffers understood.

Training wraps a model, and each wrapper puts its name before every parameter's: DDP and DataParallel
`module.`, torch.compile `_orig_mod.`, Opacus `_module.`, peft `base_model.model.`, a class around the
model `model.` or whatever its author chose. They stack. A state dict names a tied tensor twice, and
holds buffers, which nobody trains.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from textleak.core.errors import UpdateError
from textleak.models.adapters import own_names

INNER = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.")  # around any part
WRAPPERS = (*INNER, "module.", "_module.", "base_model.model.", "model.")
# How transformers' and torch's buffers end, in versions that saved them.
BUFFERS = (
    *("position_ids", "token_type_ids", "num_batches_tracked", "running_mean", "running_var"),
    *("inv_freq", "attn.masked_bias"),
)


@dataclass(frozen=True)
class Known:
    """The names that a model gives its tensors.

    Attributes:
        parameters: every parameter, a tied one by its first name.
        canonical: every name of a parameter to its first one.
        buffers: the names of buffers.
        base: the attribute of the encoder inside a model with a head; empty where there is none.
    """

    parameters: Mapping[str, Tensor]
    canonical: Mapping[str, str]
    buffers: frozenset[str]
    base: str

    @classmethod
    def of(cls, module: nn.Module) -> Known:
        """The names of `module`."""
        parameters = dict(module.named_parameters())
        first = {id(parameter): name for name, parameter in parameters.items()}
        every = module.named_parameters(remove_duplicate=False)
        return cls(
            parameters,
            {name: first[id(parameter)] for name, parameter in every},
            frozenset(name for name, _ in module.named_buffers()),
            str(getattr(module, "base_model_prefix", "")),
        )

    def find(self, name: str, outer: Sequence[str]) -> tuple[str, str] | None:
        """The model's own name for `name` and the wrappers taken off; None where it has none."""
        inside = "".join(inner for inner in INNER if f".{inner}" in name)
        for within in dict.fromkeys(("", inside)):
            bare = name if not within else _without_inner(name)
            for off, rest in _peeled(bare, outer):
                for own in (rest, f"{self.base}.{rest}") if self.base else (rest,):
                    if own in self.canonical or own in self.buffers:
                        return own, off + within
        return None


def _without_inner(name: str) -> str:
    for inner in INNER:
        name = name.replace(f".{inner}", ".")
    return name


def _peeled(name: str, outer: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What was taken off and what is left: nothing first, then one wrapper after another."""
    off, rest = "", name
    yield off, rest
    while True:
        wrapper = next((w for w in (*WRAPPERS, *outer) if rest.startswith(w)), None)
        if wrapper is None or len(rest) == len(wrapper):
            return
        off, rest = off + wrapper, rest[len(wrapper) :]
        yield off, rest


def shared_wrappers(names: Sequence[str]) -> tuple[str, ...]:
    """The leading parts that all of several names have in common: a wrapper that nobody knows.

    >>> shared_wrappers(["net.bert.a.weight", "net.bert.b.bias"])
    ('net.', 'bert.')
    """
    if len(names) < 2:
        return ()
    parts = [name.split(".")[:-1] for name in names]
    common = []
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            break
        common.append(column[0] + ".")
    return tuple(common)


@dataclass(frozen=True)
class Mapped:
    """Tensors under the model's names.

    Attributes:
        tensors: by the model's names; what the model does not have keeps its own.
        note: what was done, in a line; empty where the names were the model's own.
    """

    tensors: dict[str, Tensor]
    note: str = ""


def mapped(tensors: Mapping[str, Tensor], module: nn.Module, source: str) -> Mapped:
    """Tensors by the model's names for its parameters.

    Raises:
        UpdateError: two different tensors of the file are one in the model.
    """
    known = Known.of(module)
    outer = shared_wrappers(list(tensors))
    of_adapter = own_names(tensors, known.parameters)
    found: dict[str, Tensor] = {}
    by: dict[str, str] = {}
    off: dict[str, None] = {}
    aliases = buffers = untrained = moved = 0
    for name, tensor in tensors.items():
        match = known.find(name, outer) or known.find(of_adapter[name], ())
        if match is None:
            if name.endswith(BUFFERS):
                buffers += 1
            elif tensor.is_floating_point() and tensor.numel() and not bool(tensor.any()):
                untrained += 1
            else:
                found[name] = tensor
            continue
        own, wrappers = match
        if own not in known.canonical:
            buffers += 1
            continue
        own = known.canonical[own]
        if own in found:
            if not _same(found[own], tensor):
                raise UpdateError(
                    f"{source!r} holds {by[own]!r} and {name!r} with other numbers, which are one "
                    "tensor of the model: was it trained untied?"
                )
            aliases += 1
            continue
        found[own], by[own] = tensor, name
        moved += own != name
        if wrappers:
            off[wrappers] = None
    if not found:
        return Mapped(dict(tensors))  # which is refused by its first name
    said = _said(tuple(off), moved, aliases, buffers, untrained)
    note = f"names: {len(found)} of {len(tensors)} tensors mapped; {said}" if said else ""
    return Mapped(found, note)


def _said(off: Sequence[str], moved: int, aliases: int, buffers: int, untrained: int) -> str:
    parts = []
    if off:
        parts.append(f"{', '.join(off)} taken off")
    elif moved:
        parts.append(f"{moved} named otherwise")
    for count, what in (
        (aliases, "alias of a tied tensor"),
        (buffers, "buffer left out"),
        (untrained, "that the model lacks is zero, left out"),
    ):
        if count:
            parts.append(f"{count} {what}")
    return ", ".join(parts)


def _same(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and bool(torch.equal(first, second.to(first.dtype)))


def in_order(arrays: Sequence[Tensor | None], module: nn.Module, source: str) -> Mapped:
    """Arrays without names under the names of the order in which they fit the model's shapes.

    Raises:
        UpdateError: they fit no order.
    """
    parameters = dict(module.named_parameters())
    orders = {
        "the state dict": list(module.state_dict().items()),
        "the parameters": list(parameters.items()),
        "the parameters that are trained": [
            (n, p) for n, p in parameters.items() if p.requires_grad
        ],
    }
    reason = ""
    for what, entries in orders.items():
        if len(entries) != len(arrays):
            continue
        wrong = next(
            (
                f"array {index + 1} has shape {tuple(array.shape)}, {name!r} has {tuple(own.shape)}"
                for index, (array, (name, own)) in enumerate(zip(arrays, entries, strict=True))
                if array is not None and array.shape != own.shape
            ),
            None,
        )
        if wrong is None:
            named = {
                name: array
                for array, (name, _) in zip(arrays, entries, strict=True)
                if array is not None
            }
            found = mapped(named, module, source)
            note = f"{len(arrays)} arrays without names taken in the order of {what}"
            return Mapped(found.tensors, note)
        reason = reason or f"{wrong} in the order of {what}"
    counts = (
        f"{len(orders['the state dict'])} entries of the state dict, {len(parameters)} parameters"
    )
    raise UpdateError(
        f"{source!r} holds {len(arrays)} arrays without names that do not fit the model: "
        + (reason or f"it has {counts}")
    )
