"""The engine and the oracle give the same distances and the same slopes."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForMaskedLM

from textleak.gradients import (
    Distance,
    EngineMatcher,
    Forward,
    OracleMatcher,
    Recorder,
    parameter_gradients,
)

VOCABULARY, WIDTH, LENGTH, BATCH = 97, 32, 7, 2
WORDS = "bert.embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def bert() -> BertForMaskedLM:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=64,
    )
    return BertForMaskedLM(config).double().eval()


POSITIONS = torch.tensor([[0, 1, 2], [0, 3, 5]])
LABELS = torch.tensor([[5, 9, 13], [17, 5, 23]])


def masked_loss(model: BertForMaskedLM, embeddings: torch.Tensor, candidates: int) -> torch.Tensor:
    hidden = model.bert(inputs_embeds=embeddings).last_hidden_state
    places = POSITIONS.repeat(candidates, 1).unsqueeze(2).expand(-1, -1, WIDTH)
    logits = model.cls(hidden.gather(1, places)).flatten(0, 1)
    losses = cross_entropy(logits, LABELS.repeat(candidates, 1).flatten(), reduction="none")
    return losses.view(candidates, -1).mean(1)


@pytest.mark.parametrize("kind", ["l2", "cosine", "cosine-all", "relative-l2", "tag"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("candidates", [1, 3])
def test_masked_language_model_with_a_tied_decoder(
    bert: BertForMaskedLM, kind: str, soft: bool, candidates: int
) -> None:
    torch.manual_seed(1)
    words = torch.randint(5, VOCABULARY, (BATCH, LENGTH))
    table = bert.get_input_embeddings().weight
    shared = parameter_gradients(bert, lambda: masked_loss(bert, table[words], 1).sum())
    rows = torch.randperm(VOCABULARY)[:20]
    dummy = torch.randn(candidates * BATCH, LENGTH, 20 if soft else WIDTH).double()
    dummy.requires_grad_()

    def forward(recorder: Recorder) -> torch.Tensor:
        embeddings = recorder.lookup(WORDS, dummy.softmax(2), rows) if soft else dummy
        return masked_loss(bert, embeddings, candidates)

    distance = Distance(kind, row_cosine=("*position*",) if kind == "cosine" else ())
    found = evaluate(EngineMatcher(bert, shared, distance), forward, dummy, candidates)
    expected = evaluate(OracleMatcher(bert, shared, distance), forward, dummy, candidates)
    for got, want in zip(found, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)


def evaluate(
    matcher: EngineMatcher | OracleMatcher, forward: Forward, dummy: torch.Tensor, candidates: int
) -> tuple[torch.Tensor, torch.Tensor]:
    distances = matcher(forward, candidates=candidates, batch=BATCH)
    (slope,) = torch.autograd.grad(distances.sum(), dummy)
    return distances.detach(), slope
