"""Likelihood ratios of noisy rows against Gaussian densities written out."""

from __future__ import annotations

import torch
from torch.distributions import MultivariateNormal

from textleak.client import Client, ClientOptions
from textleak.core.randomness import stream
from textleak.defences import Defences
from textleak.evidence.noisy_rows import NoisyRows, SlopePrior, evident_noise
from textleak.models import TextModel

STD = 0.1


def test_a_pair_is_as_likely_as_its_gaussian_says() -> None:
    generator = torch.Generator().manual_seed(0)
    words, places = torch.randn(5, 4, generator=generator), torch.randn(3, 4, generator=generator)
    basis, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator))
    prior = SlopePrior(torch.tensor([0.1, 0.2, 0.3, 0.4]), basis)
    found = NoisyRows.of(words, places, STD, prior, sizes=(3,), spare=3)
    slope = (3 * STD) ** 2 * basis @ prior.values.diag() @ basis.T
    noise = STD**2 * torch.eye(4)
    pair = torch.cat([torch.cat([slope + noise, slope], 1), torch.cat([slope, slope + noise], 1)])
    joint = MultivariateNormal(torch.zeros(8), pair)
    nothing = MultivariateNormal(torch.zeros(8), STD**2 * torch.eye(8))
    alone = MultivariateNormal(torch.zeros(4), slope + noise)
    empty = MultivariateNormal(torch.zeros(4), noise)
    for t, place in enumerate(places):
        wanted = alone.log_prob(place) - empty.log_prob(place)
        torch.testing.assert_close(found.places[t], wanted, rtol=1e-4, atol=1e-3)
    for t in range(len(found.pairs)):
        for w, word in enumerate(words):
            both = torch.cat([word, places[t]])
            wanted = joint.log_prob(both) - nothing.log_prob(both)
            torch.testing.assert_close(found.pairs[t, w], wanted, rtol=1e-4, atol=1e-3)


def test_slopes_of_random_words_make_a_prior_of_size_one(classifier: TextModel) -> None:
    words = torch.arange(5, len(classifier.tokenizer))
    prior = SlopePrior.of(classifier, words, stream(0, "test"), sequences=8, length=4)
    torch.testing.assert_close(prior.values.sum(), torch.tensor(1.0))
    width = len(prior.values)
    torch.testing.assert_close(prior.vectors.T @ prior.vectors, torch.eye(width), atol=1e-5, rtol=0)


def test_noise_is_read_off_rows_that_should_be_zero(classifier: TextModel) -> None:
    noisy = Client(classifier, ClientOptions(seed=0), None, Defences.parse([f"gaussian:std={STD}"]))
    plain = Client(classifier, ClientOptions(seed=0))
    texts, labels = ["a dog ran !"], [1]
    update = noisy.share(noisy.prepare(texts, labels))
    table = classifier.word_table
    spread = 4 / (2 * table.shape[1]) ** 0.5  # four deviations of one row's size
    assert abs(evident_noise(classifier, dict(update.gradients)) / STD - 1) < spread
    clean = plain.share(plain.prepare(texts, labels))
    assert evident_noise(classifier, dict(clean.gradients)) == 0
