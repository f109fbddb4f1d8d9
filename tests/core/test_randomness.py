"""Streams of chance: independent, repeatable from a seed, out of reach without one, and nobody else's."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from textleak.core import randomness
from textleak.core.randomness import Stream, derived, own_generators, stream, weights_drawn

seeds = st.integers(-(2**70), 2**70)
words = st.text(st.characters(codec="utf-8"), max_size=4)
purposes = st.lists(words | st.integers(0, 9), max_size=3)


@given(seeds, purposes, seeds, purposes)
def test_no_two_purposes_share_a_seed(
    first: int, one: list[str | int], second: int, other: list[str | int]
) -> None:
    alike = (first, one) == (second, other)
    assert (derived(first, *one) == derived(second, *other)) == alike
    assert derived(None, *one) is None


# What a client, its defences, an attack and the weights start from, all given the same number.
STREAMS: list[Callable[[int], int]] = [
    lambda seed: derived(seed, "client", "masks"),
    lambda seed: derived(seed, "client", "classes"),
    lambda seed: derived(derived(seed, "client", "exchange", 0), "training", "noise"),
    lambda seed: derived(derived(seed, "client", "exchange", 0), "training", "dropout", 0),
    lambda seed: derived(derived(seed, "client", "exchange", 0), "defence", 0),
    lambda seed: derived(derived(seed, "client", "exchange", 1), "defence", 0),
    lambda seed: derived(seed, "attack", 0),
    lambda seed: seed,
]


@pytest.mark.parametrize(("one", "other"), list(combinations(range(len(STREAMS)), 2)))
def test_streams_from_one_number_are_not_correlated(one: int, other: int) -> None:
    count = 40_000
    pair = [Stream(np.random.Philox(key=STREAMS[k](5)).random_raw) for k in (one, other)]
    first, second = (draws.normal(count).double() for draws in pair)
    lags = torch.stack([first @ second.roll(lag) for lag in range(-20, 21)]) / count**0.5
    assert float(lags.abs().max()) < 6  # each lag is a normal draw of variance 1


@given(st.integers(0, 2**63 - 1))
def test_an_attack_starts_from_neither_client_nor_weights(seed: int) -> None:
    def first(*purpose: str | int) -> torch.Tensor:
        with own_generators("cpu", seed, *purpose):
            return torch.rand(4)

    with weights_drawn(seed):
        weights = torch.rand(4)
    assert torch.equal(weights, torch.rand(4, generator=torch.Generator().manual_seed(seed)))
    starts = [weights, first("attack"), first("training", "dropout"), first("client")]
    for one, other in combinations(starts, 2):
        assert not torch.equal(one, other)
    assert torch.equal(first("attack"), first("attack"))


def states() -> list[object]:
    """Every global generator that a library may draw from."""
    return [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]


@pytest.mark.parametrize("seed", [None, 3])
def test_the_generators_are_put_back_on_every_way_out(
    seed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = torch.Generator().manual_seed(8)  # stands for an accelerator's own
    monkeypatch.setattr(
        randomness, "_default_generators", lambda device_: [torch.default_generator, device]
    )
    before, other = states(), device.get_state()
    with own_generators("cpu", seed, "attack"):
        torch.rand(5), torch.rand(5, generator=device)
    assert states() == before
    assert torch.equal(device.get_state(), other)

    def interrupted() -> None:
        torch.rand(5), torch.rand(5, generator=device)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), own_generators("cpu", seed, "attack"):
        interrupted()
    assert torch.equal(device.get_state(), other)
    with pytest.raises(KeyboardInterrupt), weights_drawn(1):
        interrupted()
    assert states() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_draws_are_seeded_and_put_back() -> None:
    before = torch.cuda.get_rng_state()
    drawn = []
    for seed in (1, 1, None):
        with own_generators("cuda", seed, "attack"):
            drawn.append(torch.rand(4, device="cuda"))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_without_a_seed_all_of_the_generators_state_is_filled() -> None:
    """Python's Mersenne Twister, given the same words, draws the same numbers."""
    with own_generators("cpu", None, "training", "dropout"):
        state = torch.get_rng_state().view(torch.int64)[randomness._STATE].tolist()
        drawn = torch.randint(2**24, (2000,)).tolist()
    assert len(set(state)) > 600
    twin = random.Random()
    twin.setstate((3, (*state, 624), None))
    assert drawn == [twin.getrandbits(32) % 2**24 for _ in range(2000)]


@pytest.mark.parametrize("seed", [None, 11])
def test_draws_are_distributed_as_they_say(seed: int | None) -> None:
    draws, count = stream(seed, "test"), 20_000
    least = 1e-9  # the chance of a false alarm
    for found, law in [
        (draws.uniform(count), stats.uniform()),
        (draws.normal(count), stats.norm()),
        (draws.laplace(count), stats.laplace(scale=0.5**0.5)),
    ]:
        assert found.dtype == torch.float32
        assert stats.kstest(found.double().numpy(), law.cdf).pvalue > least
    whole = draws.below(7, count)
    assert stats.chisquare(whole.bincount(minlength=7).numpy()).pvalue > least
    firsts = torch.stack([draws.permutation(5) for _ in range(2000)])
    assert torch.equal(firsts.sort(1).values, torch.arange(5).expand(2000, 5))
    for place in firsts.unbind(1):
        assert stats.chisquare(place.bincount(minlength=5).numpy()).pvalue > least


@given(st.integers(1, 3), st.integers(0, 5), st.integers(0, 3))
def test_shapes(rows: int, columns: int, seed: int) -> None:
    draws = stream(seed)
    for draw in (draws.uniform, draws.normal, draws.laplace):
        assert draw(rows, columns).shape == (rows, columns)
        assert draw().shape == ()
    assert bool((draws.uniform(500) < 1).all())


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(randomness, "_BLOCK", 64)
    found = stream(2).normal(10, 100).flatten()
    assert len(found.unique()) == 1000
    assert stats.kstest(found.double().numpy(), stats.norm().cdf).pvalue > 1e-9
