"""What a client draws is out of reach of who guesses seeds; where a seed is given, that is said."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from textleak.attacks import ATTACKS
from textleak.client import Client, ClientOptions
from textleak.core.randomness import derived, stream
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate
from textleak.defences import Defences
from textleak.models import ModelOptions, TextModel, load_model

TEXTS, CLASSES = ["the cat sat on the mat .", "a dog ran !"], [0, 2]
WATCHED = "bert.encoder.layer.0.intermediate.dense.weight"
GUESSED = 10_000
CLIP = 1e-3


def update_of(model: TextModel, spec: str, seed: int | None) -> SharedUpdate:
    client = Client(
        model,
        ClientOptions(seed=seed),
        ThreatModel(shared=(WATCHED,)),
        Defences.parse([spec] if spec else []),
    )
    return client.share(client.prepare(TEXTS, CLASSES))


def after_an_update(seed: int, count: int) -> Tensor:
    """The noise of a defence of updates, to whoever guesses a client's seed and knows its protocol."""
    return stream(derived(seed, "client", "exchange", 0), "defence", 0).normal(count)


def in_training(seed: int, count: int) -> Tensor:
    """The same for noise in the training."""
    return stream(derived(seed, "client", "exchange", 0), "training", "noise").normal(count)


def torch_alone(seed: int, count: int) -> Tensor:
    """A guess at a client that takes its seed to torch as it is."""
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


NOISY = [
    ("gaussian:std=1", "", 1.0, after_an_update),
    (f"dpsgd:clip={CLIP},noise=1", f"dpsgd:clip={CLIP},noise=0", CLIP / len(TEXTS), in_training),
]


@pytest.mark.parametrize(("spec", "quiet", "scale", "guess"), NOISY)
def test_ten_thousand_guessed_seeds_remove_nothing(
    spec: str, quiet: str, scale: float, guess: Callable[[int, int], Tensor], classifier: TextModel
) -> None:
    clean = update_of(classifier, quiet, None).gradients[WATCHED]

    def noise(seed: int | None) -> Tensor:
        shared = update_of(classifier, spec, seed).gradients[WATCHED]
        return ((shared - clean) / scale).flatten()

    known, secret = noise(GUESSED - 1), noise(None)
    torch.testing.assert_close(known, guess(GUESSED - 1, len(known)), atol=1e-3, rtol=0)
    # A wrong guess doubles the noise's energy: by chance it is lessened once in 10²⁰ at 512 entries.
    for how in (guess, torch_alone):
        left = min(float((secret - how(seed, len(secret))).norm()) for seed in range(GUESSED))
        assert left > float(secret.norm())


def test_without_a_seed_no_two_clients_draw_alike(mlm: TextModel) -> None:
    long = [" ".join(["the cat sat on a mat and"] * 3)]
    masked = {
        tuple(Client(mlm, ClientOptions(mask_rate=0.5)).prepare(long).batch.input_ids[0].tolist())
        for _ in range(20)
    }
    assert len(masked) > 10


def test_every_exchange_of_a_client_has_noise_of_its_own(classifier: TextModel) -> None:
    client = Client(classifier, ClientOptions(seed=1), defences=Defences.parse(["gaussian"]))
    private = client.prepare(TEXTS, CLASSES)
    first, second = client.share(private).gradients, client.share(private).gradients
    assert all(not torch.equal(first[name], second[name]) for name in first)


def test_noise_from_a_seed_that_is_given_promises_nothing(classifier: TextModel) -> None:
    spec = "dpsgd:clip=1,noise=1"
    secret, known = (update_of(classifier, spec, seed).metadata for seed in (None, 0))
    assert not secret.client_seeded
    assert secret.privacy is not None
    assert secret.privacy.epsilon is not None
    assert known.client_seeded
    assert known.privacy is not None
    assert known.privacy.epsilon is None
    assert known.privacy.describe().startswith("no ε: its noise is from a known seed")
    quiet = update_of(classifier, "dpsgd:noise=0", 0).metadata.privacy
    assert quiet is not None
    assert quiet.describe().startswith("no ε: no noise")


def states() -> list[object]:
    return [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]


@pytest.mark.parametrize("seed", [None, 4])
def test_nobody_elses_generators_are_touched(
    seed: int | None, mlm_folder: str, classifier: TextModel
) -> None:
    before = states()
    model = load_model(ModelOptions(name=mlm_folder, weights="random"), "mlm")
    defences = Defences.parse(["dropout", "dpsgd:noise=0.1", "gaussian:std=0.1", "laplacian"])
    client = Client(model, ClientOptions(seed=seed), defences=defences)
    update = client.share(client.prepare(TEXTS))
    Client(classifier, ClientOptions(seed=seed)).prepare(TEXTS)
    kind = ATTACKS.load("dlg")
    kind(kind.options_class(iterations=2, restarts=1, discrete=False))(model, update, seed=4)
    assert states() == before
