"""Evidence of layer spans, heads and the classifier, against direct references."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from textleak.core.batch import IGNORED, TokenBatch
from textleak.evidence.duals import context_duals, input_solution, residual_gradients
from textleak.evidence.labels import class_counts, logit_gradients
from textleak.evidence.masks import label_counts, loss_bearing
from textleak.evidence.pairs import pairs_in_span
from textleak.evidence.spans import row_span, spectral_rank
from textleak.gradients import parameter_gradients
from textleak.models.text_model import TextModel

from .conftest import Case


@given(count=st.integers(0, 12), seed=st.integers(0, 1000))
def test_a_span_holds_its_inputs_and_nothing_else(count: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    inputs, slopes = torch.randn(2, count, 24, generator=draw)
    span = row_span([slopes.T @ inputs])
    assert span.rank == count
    assert float(span.residual(inputs).max() if count else 0) < 1e-4
    assert float(span.residual(torch.randn(5, 24, generator=draw)).min()) > 1e-2


@given(count=st.integers(2, 16), seed=st.integers(0, 99))
def test_a_noisy_span_leaves_less_of_its_inputs_than_of_others(count: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    inputs, slopes = (torch.randn(count, 64, generator=draw).double() for _ in range(2))
    noise = 0.02 * torch.randn(64, 64, generator=draw).double()
    span = row_span([slopes.T @ inputs + noise])
    assert span.noisy
    inside = span.residual(inputs)
    outside = span.residual(torch.randn(20, 64, generator=draw).double())
    assert float(inside.max()) < float(outside.min())


def test_full_rank_has_no_complement() -> None:
    assert spectral_rank(torch.linspace(2, 1, 9)) == 9


def contexts(case: Case) -> torch.Tensor:
    rows = case.private.batch.rows()
    return torch.cat([case.layer.contexts(torch.tensor([row]))[0] for row in rows])


def test_contexts_are_those_of_the_model(classified: Case) -> None:
    batch = classified.private.batch
    seen: list[torch.Tensor] = []
    handle = classified.model.family.layer(0).output.layer.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0])
    )
    with torch.no_grad():
        classified.model.encode(batch)
    handle.remove()
    expected = seen[0][batch.attention_mask.bool()].double()
    torch.testing.assert_close(contexts(classified), expected, rtol=1e-4, atol=1e-5)


def test_duals_tell_contexts_apart(classified: Case) -> None:
    gradients, layer = classified.update.gradients, classified.layer
    pairs = sorted(classified.pairs)
    words, places = (torch.tensor(column) for column in zip(*pairs, strict=True))
    single = [i for i in range(len(pairs)) if words.tolist().count(int(words[i])) == 1]
    first, words_table = (
        classified.model.family.layer(0),
        classified.model.family.embeddings.words.name,
    )
    stacked = torch.cat([gradients[part.name].double() for part in first.inputs])
    projected, determined = input_solution(layer.inputs(words, places), stacked)
    assert float(determined[single].min()) > 1 - 1e-9
    table = gradients[words_table].double()
    behind = gradients[first.output.name].double()
    rank = row_span([behind]).rank
    columns = torch.linalg.svd(behind)[0][:, :rank]
    residuals = residual_gradients(
        layer, words[single], places[single], table[words[single]], projected[single], columns
    )
    products = contexts(classified) @ context_duals(behind, residuals, rank).T
    rows = classified.private.batch.rows()
    order = [(word, t) for row in rows for t, word in enumerate(row)]
    expected = torch.tensor([[float(at == pairs[j]) for j in single] for at in order]).double()
    torch.testing.assert_close(products, expected, rtol=0, atol=1e-2)


def test_pairs_in_span_are_those_of_a_full_search(classified: Case) -> None:
    gradients, layer = classified.update.gradients, classified.layer
    inputs = classified.model.family.layer(0).inputs
    span = row_span([gradients[part.name] for part in inputs])
    words = torch.tensor(sorted({word for word, _ in classified.pairs} | set(range(2000, 2300))))
    found = pairs_in_span(layer, span, words, 24)
    grid = torch.arange(24).expand(len(words), 24)
    residual = span.residual(layer.inputs(words[:, None].expand_as(grid), grid))
    slow = {(int(words[w]), t) for w, t in (residual < 1e-3).nonzero().tolist()}
    assert classified.pairs <= set(found) <= slow


@given(
    repeats=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=5),
    known=st.booleans(),
)
def test_classes_and_repeats_come_back(repeats: list[tuple[int, int]], known: bool) -> None:
    draw = torch.Generator().manual_seed(len(repeats))
    pooled = torch.randn(len(repeats), 16, generator=draw)
    p = torch.randn(len(repeats), 3, generator=draw).softmax(1)
    counts = torch.zeros(len(repeats), 3)
    for s, (n, c) in enumerate(repeats):
        counts[s, c] = n
    size = int(counts.sum())
    g = (counts.sum(1, keepdim=True) * p - counts) / size
    gradients = logit_gradients(g.T @ pooled, g.sum(0), pooled)
    torch.testing.assert_close(gradients, g.double(), rtol=1e-3, atol=1e-4)
    found = class_counts(gradients, p, size if known else None)
    if known:
        assert found.counts.tolist() == counts.tolist()
    else:
        assert found.error < 0.05


@given(seed=st.integers(0, 99), scale=st.sampled_from([1e-3, 0.3, 40.0]))
def test_classes_are_read_at_any_scale(seed: int, scale: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    chances = torch.randn(4, 3, generator=draw).double().softmax(1)
    classes = torch.randint(3, (4,), generator=draw)
    gradients = scale * (chances - torch.nn.functional.one_hot(classes, 3)) / 4
    for known in (None, 4):
        assert class_counts(gradients, chances, known).counts.argmax(1).tolist() == classes.tolist()


def head_counts(
    model: TextModel, batch: TokenBatch, gradients: dict[str, Tensor], distinct: list[int]
) -> tuple[list[int], Tensor, Tensor]:
    """The tokens of the distinct rows that bore loss, the likely words, and how often each is a label."""
    rows = batch.take(distinct)
    mask = rows.attention_mask.bool()
    with torch.no_grad():
        states = model.encode(rows)[mask]
    head = model.family.head
    assert head.dense is not None
    dense, bias = head.dense.of(gradients), head.output.bias_of(gradients)
    assert dense is not None
    assert bias is not None
    bearing = loss_bearing(dense, states)
    likely = (bias < 0).nonzero().flatten()
    counts = label_counts(dense, head, states[bearing], likely)
    return bearing.tolist(), likely, counts


def test_masked_places_and_words_come_back(masked: Case) -> None:
    batch = masked.private.batch
    shared = dict(masked.update.gradients)
    bearing, likely, counts = head_counts(masked.model, batch, shared, [0, 1, 2])
    labels = batch.labels[batch.attention_mask.bool()]
    assert bearing == (labels != IGNORED).nonzero().flatten().tolist()
    assert counts.sum(1).tolist() == [1] * len(bearing)
    assert likely[counts.argmax(1)].tolist() == labels[bearing].tolist()


@pytest.mark.parametrize("noise", ["steps", "gaussian"])
def test_loss_bearing_places_stand_out_of_noise(masked: Case, noise: str) -> None:
    batch = masked.private.batch
    mask = batch.attention_mask.bool()
    with torch.no_grad():
        states = masked.model.encode(batch)[mask]
    layer = masked.model.family.head.dense
    assert layer is not None
    dense = masked.update.gradients[layer.name]
    if noise == "steps":
        step = dense.abs().max() / 127
        blurred = (dense / step).round() * step
    else:
        draw = torch.Generator().manual_seed(0)
        blurred = dense + 0.2 * dense.std() * torch.randn(dense.shape, generator=draw)
    assert (
        loss_bearing(blurred, states).tolist()
        == (batch.labels[mask] != IGNORED).nonzero()[:, 0].tolist()
    )


def test_equal_inputs_are_told_by_their_labels(masked: Case) -> None:
    model = masked.model
    batch = masked.private.batch.take([0, 1, 2, 1, 1])
    row, place = (batch.labels != IGNORED).nonzero()[-1].tolist()
    other = int(batch.input_ids[0, 3])
    assert row == 4
    batch.labels[row, place] = other  # another word under the same mask
    gradients = parameter_gradients(model.module, lambda: model.loss(batch))
    _, likely, counts = head_counts(model, batch, gradients, [0, 1, 2])
    truth = {
        tuple(sorted(batch.labels[rows, t].tolist()))
        for rows in ([0], [1, 3, 4], [2])
        for t in (batch.labels[rows[0]] != IGNORED).nonzero().flatten().tolist()
    }
    found = {
        tuple(sorted(word for word, n in zip(likely.tolist(), row, strict=True) for _ in range(n)))
        for row in counts.tolist()
    }
    assert found == truth
