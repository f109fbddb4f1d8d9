"""Where chance comes from: a stream of its own for each purpose, from a seed or from the operating system.

    stream(7, "client", "masks").permutation(20)     # the same every time
    stream(None, "client", "masks").permutation(20)  # nobody can say

Who knows a seed can draw everything again: what hides behind it (noise, masked places, dropout) hides from
nobody who guesses it, and small numbers are guessed first. So a client's own chance is the operating
system's unless a seed is given for it. Generators that are not made for secrets would not do even then:
torch's on the CPU keeps 32 bits of a seed, and noise on entries that are zero shows its draws, from which
its state can be worked out. An unseeded stream is therefore read from the operating system throughout.

Streams of two purposes are independent, for they start from digests of the seed with the purpose. Model
weights alone are drawn as `torch.manual_seed(weights_seed)` draws them, so that others can draw them too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BLOCK = 1 << 20  # numbers drawn at a time: bounds what is held beside the result
_STATE = slice(3, 3 + 624)  # where torch keeps the words of its Mersenne Twister, as 64-bit numbers


@overload
def derived(seed: int, *purpose: str | int) -> int: ...
@overload
def derived(seed: int | None, *purpose: str | int) -> int | None: ...
def derived(seed: int | None, *purpose: str | int) -> int | None:
    """A seed of 128 bits for one purpose, from which neither `seed` nor another purpose's can be told.

    Args:
        seed: any whole number; None, the operating system, stays None.
        purpose: what is drawn, from the whole to the part.

    >>> derived(0, "attack") == derived(0, "client"), derived(None, "client") is None
    (False, True)
    """
    if seed is None:
        return None
    text = json.dumps([seed, *purpose])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


class Stream:
    """Independent draws, the same on every device: they are made on the CPU.

    Args:
        bits: gives so many 64-bit numbers, each bit of which is a fair coin.
    """

    def __init__(self, bits: Callable[[int], NDArray[np.uint64]]) -> None:
        self._bits = bits

    def uniform(self, *shape: int) -> Tensor:
        """Float32 draws from [0, 1)."""
        return self._filled(shape, lambda count: (self._bits(count) >> np.uint64(40)) * 2.0**-24)

    def normal(self, *shape: int) -> Tensor:
        """Float32 draws of mean 0 and variance 1 (Box and Muller, 1958)."""
        return self._filled(shape, self._normal)

    def laplace(self, *shape: int) -> Tensor:
        """Float32 Laplace draws of mean 0 and variance 1: differences of two exponentials, over √2."""
        return self._filled(shape, self._laplace)

    def below(self, limit: int, count: int) -> Tensor:
        """Whole numbers from 0 to `limit` - 1, (count,); uneven by less than `limit` in 2⁵³."""
        drawn = np.floor(self._uniform(count) * limit).astype(np.int64)
        return torch.from_numpy(np.minimum(drawn, limit - 1))

    def permutation(self, count: int) -> Tensor:
        """The numbers from 0 to `count` - 1 in any order, (count,)."""
        return torch.from_numpy(np.argsort(self._bits(count), kind="stable"))

    def _filled(self, shape: tuple[int, ...], draw: Callable[[int], NDArray[Any]]) -> Tensor:
        whole = torch.empty(shape)
        flat = whole.view(-1)
        for start in range(0, len(flat), _BLOCK):
            part = flat[start : start + _BLOCK]
            part.copy_(torch.from_numpy(draw(len(part))))
        return whole

    def _uniform(self, count: int) -> NDArray[np.float64]:
        numbers: NDArray[np.float64] = (self._bits(count) >> np.uint64(11)) * 2.0**-53
        return numbers

    def _normal(self, count: int) -> NDArray[np.float64]:
        half = -(-count // 2)
        radius = np.sqrt(-2 * np.log1p(-self._uniform(half)))
        angle = 2 * np.pi * self._uniform(half)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]

    def _laplace(self, count: int) -> NDArray[np.float64]:
        first, second = (-np.log1p(-self._uniform(count)) for _ in range(2))
        numbers: NDArray[np.float64] = (first - second) / np.sqrt(2)
        return numbers


def stream(seed: int | None, *purpose: str | int) -> Stream:
    """The draws of one purpose from `seed`; from the operating system where it is None."""
    own = derived(seed, *purpose)
    return Stream(_from_system if own is None else np.random.Philox(key=own).random_raw)


@contextmanager
def own_generators(
    device: torch.device | str, seed: int | None, *purpose: str | int
) -> Iterator[None]:
    """The generators of torch itself, which dropout and attacks draw from, started for one purpose.

    Those of the CPU and of `device` are as they were on every way out; no other is touched.
    """
    generators = _default_generators(torch.device(device))
    before = [generator.get_state() for generator in generators]
    try:
        for place, generator in enumerate(generators):
            _start(generator, derived(seed, *purpose, place))
        yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)


@contextmanager
def weights_drawn(seed: int) -> Iterator[None]:
    """The CPU's generator as `torch.manual_seed(seed)` leaves it, and as it was on every way out."""
    before = torch.default_generator.get_state()
    try:
        torch.default_generator.manual_seed(seed)
        yield
    finally:
        torch.default_generator.set_state(before)


def _from_system(count: int) -> NDArray[np.uint64]:
    return np.frombuffer(os.urandom(8 * count), dtype=np.uint64)


def _default_generators(device: torch.device) -> list[torch.Generator]:
    found = [torch.default_generator]
    if device.type != "cpu":
        torch.empty(0, device=device)  # there are none before the device is first used
        module = torch.get_device_module(device)
        own = getattr(module, "default_generators", ())
        at = device.index if device.index is not None else module.current_device() if own else 0
        found += own[at : at + 1]
    return found


def _start(generator: torch.Generator, seed: int | None) -> None:
    """Seed a generator; without a seed fill all of its state, of which a seed would fill 32 bits."""
    generator.manual_seed(int(_from_system(1)[0] if seed is None else seed) & (2**63 - 1))
    if seed is None and generator.device.type == "cpu":
        state = generator.get_state()
        words = state.view(torch.int64)[_STATE]
        words.copy_(torch.from_numpy((_from_system(len(words)) >> np.uint64(32)).astype(np.int64)))
        generator.set_state(state)
