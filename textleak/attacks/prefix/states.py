"""States of prefixes with one more word, many words in one pass.

A causal block's state at a position depends on the prefix alone, so all continuations of a prefix share
its keys and values. They go through the model side by side: each word sees the prefix and itself, all
stand at the same position (a mask says so), and the keys and values of the prefix are read once.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from textleak.core.budget import checkpoint
from textleak.models.decoder_parts import Probe

Memory = tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True)
class Prefixes:
    """Prefixes of one length with what the blocks remember of them.

    Attributes:
        words: (N, t) word ids.
        memory: for each block, keys and values, each (N, heads, t, d).
    """

    words: Tensor
    memory: Memory = ()

    @property
    def length(self) -> int:
        """Words of each prefix."""
        return self.words.shape[1]

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True)
class Extensions:
    """Some prefixes, each with every one of W words behind it.

    Attributes:
        rows: which of the prefixes.
        inputs: what each probe reads at the new position, each (n, W, width).
        memory: keys and values of the new words by block, each (n, heads, W, d).
    """

    rows: range
    inputs: list[Tensor]
    memory: Memory


class PrefixStates:
    """Runs the first blocks of a causal model on prefixes.

    Args:
        module: the public model.
        cells: the most attention scores a head holds at a time; it bounds the memory.

    Attributes:
        memory_name: what the module calls the argument that takes keys and values.
    """

    def __init__(self, module: nn.Module, cells: int = 2_000_000) -> None:
        self._module, self._cells = module, cells
        self._device = next(module.parameters()).device
        self._dtype = next(module.parameters()).dtype
        taken = inspect.signature(type(module).forward).parameters
        self.memory_name = "cache" if "cache" in taken else "past_key_values"

    @torch.no_grad()
    def alone(self, probe: Probe, words: Tensor, position: int, at_once: int = 8192) -> Tensor:
        """What `probe` reads for each of `words` (V,) at `position` without a prefix; (V, width)."""
        pieces = []
        for piece in torch.split(words.to(self._device), at_once):
            checkpoint()
            with self._watched([probe]) as seen:
                at = torch.full_like(piece, position)[:, None]
                self._run(piece[:, None], position_ids=at, use_cache=False)
            pieces.append(seen[probe.entry][:, 0])
        return torch.cat(pieces)

    @torch.no_grad()
    def along(self, probes: Sequence[Probe], paths: Tensor) -> list[Tensor]:
        """What each of `probes` reads along paths (N, t) of words, place after place; (N t, width)."""
        with self._watched(probes) as seen:
            self._run(paths.to(self._device), use_cache=False)
        return [seen[probe.entry].flatten(0, -2) for probe in probes]

    @torch.no_grad()
    def extended(
        self, prefixes: Prefixes, words: Tensor, probes: Sequence[Probe]
    ) -> Iterator[Extensions]:
        """Each of `words` (W,) behind each of the prefixes, some prefixes at a time.

        Args:
            prefixes: of one length, with the memory of earlier extensions by the same probes.
            words: the words to try.
            probes: what is wanted, in the order of the forward pass.
        """
        count, before = len(words), prefixes.length
        sees = torch.full((count, before + count), torch.finfo(self._dtype).min)
        sees[:, :before] = 0
        sees[:, before:].fill_diagonal_(0)
        sees = sees.to(self._device, self._dtype)
        step = max(1, self._cells // (count * (before + count)))
        for begin in range(0, len(prefixes), step):
            checkpoint()
            rows = range(len(prefixes))[begin : begin + step]
            part = slice(rows.start, rows.stop)
            cache = DynamicCache()
            for index, (keys, values) in enumerate(prefixes.memory):
                cache.update(keys[part], values[part], index)
            ids = words.to(self._device).expand(len(rows), -1)
            with self._watched(probes) as seen:
                self._run(
                    ids,
                    attention_mask=sees.expand(len(rows), 1, -1, -1),
                    position_ids=torch.full_like(ids, before),
                    use_cache=True,
                    **{self.memory_name: cache},
                )
            layers: list[Any] = cache.layers
            fresh = tuple(
                (layer.keys[:, :, before:], layer.values[:, :, before:])
                for layer in layers
                if layer.get_seq_length() == before + count
            )
            yield Extensions(rows, [seen[probe.entry] for probe in probes], fresh)

    @torch.no_grad()
    def continued(
        self, prefixes: Sequence[Prefixes], words: Tensor, probes: Sequence[Probe]
    ) -> Extensions:
        """Each of `prefixes` (one each, of any lengths) with the word beside it.

        Args:
            prefixes: single ones, with the memory of all blocks before the last of `probes`.
            words: the word behind each, (n,).
            probes: what is wanted, in the order of the forward pass.

        Returns:
            One extension a row: inputs (n, 1, width), memory (n, heads, 1, d).
        """
        checkpoint()
        lengths = torch.tensor([prefix.length for prefix in prefixes])
        longest, cache = int(lengths.max()), DynamicCache()
        for index in range(max(len(prefix.memory) for prefix in prefixes)):
            sides = [
                [prefix.memory[index][side][0] for prefix in prefixes if prefix.memory]
                for side in (0, 1)
            ]
            keys, values = (_side_by_side(prefixes, each, longest) for each in sides)
            cache.update(keys, values, index)
        sees = torch.full((len(prefixes), longest + 1), torch.finfo(self._dtype).min)
        sees[:, :longest][torch.arange(longest) < lengths[:, None]] = 0
        sees[:, longest] = 0
        with self._watched(probes) as seen:
            self._run(
                words[:, None].to(self._device),
                attention_mask=sees[:, None, None].to(self._device, self._dtype),
                position_ids=lengths[:, None].to(self._device),
                use_cache=True,
                **{self.memory_name: cache},
            )
        layers: list[Any] = cache.layers
        fresh = tuple(
            (layer.keys[:, :, longest:], layer.values[:, :, longest:])
            for layer in layers
            if layer.get_seq_length() == longest + 1
        )
        return Extensions(range(len(prefixes)), [seen[p.entry] for p in probes], fresh)

    @contextmanager
    def _watched(self, probes: Sequence[Probe]) -> Iterator[dict[str, Tensor]]:
        """Collect what `probes` read; nothing behind the last of them is computed."""
        seen: dict[str, Tensor] = {}
        last = probes[-1].entry

        def hook(entry: str, given: Tensor) -> None:
            seen[entry] = given
            if entry == last:
                raise _Enough

        handles = [
            self._module.get_submodule(probe.entry).register_forward_pre_hook(
                lambda _, given, entry=probe.entry: hook(entry, given[0])
            )
            for probe in probes
        ]
        try:
            yield seen
        finally:
            for handle in handles:
                handle.remove()

    def _run(self, ids: Tensor, **inputs: object) -> None:
        with suppress(_Enough):
            self._module(input_ids=ids, **inputs)


def _side_by_side(prefixes: Sequence[Prefixes], held: Sequence[Tensor], longest: int) -> Tensor:
    """Keys or values (heads, t, d) of those prefixes that have some, each filled up to `longest`."""
    heads, _, size = held[0].shape
    table = held[0].new_zeros(len(prefixes), heads, longest, size)
    waiting = iter(held)
    for row, prefix in enumerate(prefixes):
        if prefix.memory:
            table[row, :, : prefix.length] = next(waiting)
    return table


class _Enough(Exception):
    """What was wanted has been seen."""


def kept(prefixes: Prefixes, found: Extensions, words: Tensor, chosen: Tensor) -> Prefixes:
    """The prefixes that the chosen extensions make.

    Args:
        prefixes: those that were extended.
        found: some of them, extended by every word.
        words: the words, (W,).
        chosen: pairs (row of `found`, word's index), (k, 2).
    """
    rows, columns = chosen[:, 0], chosen[:, 1]
    parents = rows + found.rows.start
    memory: list[tuple[Tensor, Tensor]] = []
    for index, fresh in enumerate(found.memory):
        joined = []
        for side, new in enumerate(fresh):
            column = new[rows, :, columns][:, :, None]  # (k, heads, 1, d)
            old = prefixes.memory[index][side][parents] if prefixes.memory else column[:, :, :0]
            joined.append(torch.cat([old, column], dim=2))
        memory.append((joined[0], joined[1]))
    ids = torch.cat([prefixes.words[parents], words[columns][:, None]], dim=1)
    return Prefixes(ids, tuple(memory))


def joined(parts: Sequence[Prefixes]) -> Prefixes:
    """Prefixes of one length in one."""
    memory = tuple(
        (torch.cat([p.memory[i][0] for p in parts]), torch.cat([p.memory[i][1] for p in parts]))
        for i in range(len(parts[0].memory))
    )
    return Prefixes(torch.cat([part.words for part in parts]), memory)
