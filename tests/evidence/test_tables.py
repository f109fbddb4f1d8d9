"""Words and places from the embedding tables' gradients, against the truth."""

from __future__ import annotations

import pytest
import torch

from textleak.core.batch import IGNORED
from textleak.core.randomness import stream
from textleak.evidence.decoder import decoder_part, input_rows
from textleak.evidence.places import orthogonality, place_words
from textleak.evidence.regression import likely_pairs
from textleak.evidence.words import active_rows, correlated_rows, tied_words, untied_words

from .conftest import Case


def test_untied_words_are_the_rows_that_were_looked_up(classified: Case) -> None:
    used = untied_words(classified.update.gradients[classified.model.family.embeddings.words.name])
    assert set(used.ids.tolist()) == {word for word, _ in classified.pairs}


def test_tied_words_stand_out_of_the_decoders_part(masked: Case) -> None:
    used = tied_words(masked.update.gradients[masked.model.family.embeddings.words.name])
    assert set(used.ids.tolist()) == {word for word, _ in masked.pairs}
    assert len(used.decoder) == int((masked.private.batch.labels != IGNORED).sum())


def test_rounding_is_no_word_where_most_of_a_span_of_one_dimension_cancels() -> None:
    draw = torch.Generator().manual_seed(0)
    scales = torch.randint(128, 256, (400, 1), generator=draw) / 256
    table = scales.repeat(1, 16)  # the decoder's part, along (1, …, 1): all of it cancels exactly
    sampled = stream(0, "evidence", "rows of a span").permutation(400)[:16]
    rounded = torch.ones(400, dtype=torch.bool).index_fill(0, sampled, False)
    rounded[150:] = False
    table[rounded, 1] *= 1 + 2**-23  # what rounding leaves of some of its rows
    table[[3, 50, 399]] += torch.randn(3, 16, generator=draw)
    assert tied_words(table).ids.tolist() == [3, 50, 399]


def test_active_rows_stand_above_noise() -> None:
    draw = torch.Generator().manual_seed(0)
    table = 1e-4 * torch.randn(400, 32, generator=draw)
    table[[3, 50, 399]] += torch.randn(3, 32, generator=draw)
    assert active_rows(table).tolist() == [3, 50, 399]


def test_the_decoders_inputs_are_solved_for(masked: Case) -> None:
    model, gradients = masked.model, masked.update.gradients
    table = gradients[model.family.embeddings.words.name]
    used = tied_words(table)
    words = model.word_table.detach()
    head = model.family.head
    bias, shared = head.output.bias, head.output.bias_of(gradients)
    assert bias is not None
    assert shared is not None
    assert head.transform is not None
    part = decoder_part(table, shared, used.decoder, used.ids, words, bias)
    batch = masked.private.batch
    with torch.no_grad():
        states = model.encode(batch)[batch.labels != IGNORED]
        true = head.transform(states).double()
    nearest = torch.cdist(part.states, true).min(1).values / true.norm(dim=1).mean()
    assert float(nearest.max()) < 1e-4
    assert part.error < 1e-4
    rows, unsure = input_rows(part, table, shared, used.ids, words, bias)
    known = [i for i in range(len(rows)) if i not in unsure]
    inside = rows[known] - rows[known] @ used.decoder.T @ used.decoder
    torch.testing.assert_close(inside, used.deltas[known], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("positions", [True, False], ids=["positions", "no-positions"])
def test_settled_places_are_true_and_the_rest_stays_open(classified: Case, positions: bool) -> None:
    parts, gradients = classified.model.family.embeddings, classified.update.gradients
    assert parts.positions is not None
    used = untied_words(gradients[parts.words.name])
    table = gradients[parts.positions.name]
    count = len(active_rows(table))
    rows = table[:count] if positions else None
    placed = place_words(classified.layer, used.ids, used.deltas, rows, count)
    settled = {(int(used.ids[word]), place) for word, place in placed.settled}
    assert settled <= classified.pairs
    assert len(settled) > len(classified.pairs) / 2
    places = range(count) if placed.open_places is None else placed.open_places
    openly = {(int(used.ids[word]), place) for word in placed.open_words for place in places}
    assert classified.pairs <= settled | openly


def test_no_row_of_very_many_is_taken_for_a_words_own(classified: Case) -> None:
    parts, gradients = classified.model.family.embeddings, classified.update.gradients
    assert parts.positions is not None
    used = untied_words(gradients[parts.words.name])
    table = gradients[parts.positions.name]
    count = len(active_rows(table))
    draw = torch.Generator().manual_seed(0)
    wrong = torch.randn(8000, used.deltas.shape[1], generator=draw).double()
    alternatives = dict.fromkeys(range(3), wrong)
    rows, found = table[:count], used.deltas
    placed = place_words(classified.layer, used.ids, found, rows, count, alternatives)
    settled = {(int(used.ids[word]), place) for word, place in placed.settled}
    assert settled <= classified.pairs


def test_a_threshold_needs_two_clusters() -> None:
    draw = torch.Generator().manual_seed(0)
    chance = torch.rand(30, 12, generator=draw).double() * 0.1 + 0.01
    assert orthogonality(chance).gap == 0
    chance[:20, 4] = 1e-8 * (1 + torch.rand(20, generator=draw).double())
    assert 2e-8 < orthogonality(chance).gap < 1e-2


def test_the_more_is_tried_the_nearer_to_orthogonal_it_must_be() -> None:
    draw = torch.Generator().manual_seed(0)
    cosines = torch.rand(200, 30, generator=draw).double()
    cosines[:, 4] = 1e-8 * (1 + torch.rand(200, generator=draw).double())
    bound = orthogonality(cosines)
    by_chance = torch.rand(1000, 500, generator=draw).double()
    assert int((by_chance < bound.limit(by_chance.numel())).sum()) == 0
    assert bound.limit(10) == bound.gap < bound.limit(10, widened=2.0)
    assert bound.limit(10**8) < bound.gap
    # What is expected of all trials is what the limit lets through, whatever their number.
    through = bound.chance * bound.limit(by_chance.numel()) * by_chance.numel()
    assert through <= bound.expected * (1 + 1e-9)


def test_regression_places_one_sentence_under_noise() -> None:
    draw = torch.Generator().manual_seed(0)
    places = torch.randn(8, 64, generator=draw)
    words = torch.stack([places[0] + places[5], *places[[1, 2, 3, 4, 6, 7]]])
    strength, _ = likely_pairs(words + 0.01 * torch.randn(words.shape, generator=draw), places)
    expected = [[0, 0], [0, 5], [1, 1], [2, 2], [3, 3], [4, 4], [5, 6], [6, 7]]
    assert (strength > 0.5).nonzero().tolist() == expected


def test_a_label_s_large_row_takes_no_place_in_the_regression() -> None:
    draw = torch.Generator().manual_seed(0)
    places = torch.randn(8, 64, generator=draw)
    label = 20 * torch.randn(64, generator=draw) + 0.8 * places[3]
    words = torch.cat([places + 0.02 * torch.randn(places.shape, generator=draw), label[None]])
    strength, alone = likely_pairs(words, places)
    assert strength.argmax(0).tolist() == list(range(8))
    assert alone.nonzero().tolist() == [[t, t] for t in range(8)]


def test_where_most_rows_are_zero_the_words_are_the_others(masked: Case) -> None:
    table = masked.update.gradients[masked.model.family.embeddings.words.name].clone()
    true = sorted({word for word, _ in masked.pairs})
    kept = torch.zeros(len(table), dtype=torch.bool)
    kept[true] = True
    table[~kept] = 0  # rounding takes the small rows away
    used = tied_words(table)
    assert used.ids.tolist() == true
    assert not used.exact
    torch.testing.assert_close(used.deltas, table[true].double())


def test_rows_that_share_a_gradient_correlate_under_noise() -> None:
    draw = torch.Generator().manual_seed(0)
    shared = torch.randn(5, 384, generator=draw)
    words, places = torch.zeros(2000, 384), torch.zeros(64, 384)
    words[[7, 70, 700, 900, 1900]], places[:5] = shared, shared
    noisy = [table + 0.8 * torch.randn(table.shape, generator=draw) for table in (words, places)]
    found, used = correlated_rows(*noisy)
    assert found.tolist() == [7, 70, 700, 900, 1900]
    assert used.tolist() == [0, 1, 2, 3, 4]
    assert [len(part) for part in correlated_rows(*(0 * table for table in noisy))] == [0, 0]
