"""Sentences from an update whose noise is known, number by number: a weight delta's rounding, say.

Exact relations are gone: instead of what vanishes, what is likeliest is sought. Pairs of word and place
come from sparse regression between the embedding tables, sentences from how they fit all layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.attacks.subspace.climbing import Board, Climber, ClimbOptions, Row
from textleak.core.randomness import stream
from textleak.core.training_plan import LocalSteps
from textleak.core.update import SharedUpdate
from textleak.defences import Defences
from textleak.evidence.entry_noise import entry_noise
from textleak.evidence.incidence import IncidenceOptions, incidence
from textleak.evidence.layer_spans import LayerSpans
from textleak.evidence.words import UsedWords
from textleak.models.text_model import TextModel

_APART = 1.5  # times what a row of noise alone measures, which scatters by a few hundredths
SIGNS = (
    1 - 2 / math.pi
) ** 0.5  # what a normal number's sign has beside its multiple of the number


class NoisyOptions(BaseModel):
    """How pairs are told from what the regression leaves, and how sentences are sought.

    Attributes:
        possible: the share of a row above which a pair is tried. Of four sentences, with noise from
            1e-5 to 0.2 of the rows, true pairs lie above 0.06 and nearly all others below.
        sure: the share above which a pair occurs for sure.
        decayed: the share of the largest movement of a row below which it is decay alone: Adam moves
            all rows alike, and decay by a hundredth at most.
        incidence: of the regression.
        climb: of the search.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    possible: float = Field(default=0.03, gt=0, lt=1)
    sure: float = Field(default=0.3, gt=0, lt=1)
    decayed: float = Field(default=0.25, ge=0, lt=1)
    incidence: IncidenceOptions = Field(default_factory=IncidenceOptions)
    climb: ClimbOptions = Field(default_factory=ClimbOptions)


def noise_of(model: TextModel, update: SharedUpdate) -> dict[str, Tensor] | None:
    """The deviation of the noise in each number, if it is known and sentences can be read under it.

    For that both embedding tables are shared, and sentences have one mark before and one behind.
    """
    marks, embeddings = model.marks, model.family.embeddings
    framed = len(marks.begin) == len(marks.end) == 1 and not marks.inner
    if not framed or embeddings.positions is None or model.family.head.tied:
        return None
    tables = (embeddings.words.name, embeddings.positions.name)
    if any(name not in update.gradients for name in tables):
        return None
    if signed(update):
        return {
            name: torch.full_like(g, SIGNS * float(g.abs().max()), dtype=torch.float64)
            for name, g in update.gradients.items()
        }
    return entry_noise(update, model.parameters)


def signed(update: SharedUpdate) -> bool:
    """Whether the update is said to be the gradient's signs, nearly: a first step of Adam."""
    locals_ = (getattr(d, "options", None) for d in Defences.parse(update.metadata.defences).all)
    return any(isinstance(one, LocalSteps) and one.signed for one in locals_)


def read_noisy(
    model: TextModel,
    update: SharedUpdate,
    noise: Mapping[str, Tensor],
    report: Callable[[Climber], None],
    options: NoisyOptions | None = None,
) -> tuple[dict[Row, float], list[str]]:
    """The sentences of a batch with their misfits, best first, and what each step gave in words.

    Args:
        model: the public model.
        update: what was shared.
        noise: the deviation of the noise in each number.
        report: called with every new sentence.
        options: how hard to try.
    """
    options = options or NoisyOptions()
    name = model.family.embeddings.words.name
    least = options.decayed if signed(update) else 0.0
    used, usual = moved_words(update.gradients[name], noise[name], least)
    if usual > 1 and not signed(update):
        # Several clients' weights are rounded again as they are averaged.
        noise = {one: usual * size for one, size in noise.items()}
        usual = 1.0
    board, note = board_of(model, update, used, noise, usual, options)
    if not board.sure or not board.ends:
        return {}, [note]
    spans = LayerSpans(model, update, noise)
    draws = stream(0, "subspace", "starts")
    table = model.word_table.detach().cpu()
    climber = Climber(board, spans, table, draws, options.climb)
    found = climber.run(lambda: report(climber), update.metadata.batch_size)
    return found, [note, f"{len(found)} sentences climbed to, over {len(spans.spans)} layers"]


def board_of(
    model: TextModel,
    update: SharedUpdate,
    used: UsedWords,
    noise: Mapping[str, Tensor],
    usual: float,
    options: NoisyOptions,
) -> tuple[Board, str]:
    """What may stand where, by the two embedding tables' gradients.

    Args:
        model: the public model.
        update: what was shared.
        used: its words.
        noise: the deviation of the noise in each number.
        usual: how far rows moved that nothing looked up, in units of the noise.
        options: how pairs are told.
    """
    embeddings = model.family.embeddings
    assert embeddings.positions is not None
    rows = embeddings.positions.of(update.gradients)
    sizes_at_places = embeddings.positions.of(noise)
    assert rows is not None
    assert sizes_at_places is not None
    sizes, _ = _movements(rows, sizes_at_places)
    places = _apart(sizes, usual, options.decayed if signed(update) else 0.0)
    share = incidence(
        used.deltas,
        rows[places],
        noise[embeddings.words.name][used.ids],
        sizes_at_places[places],
        options.incidence,
    )
    first, last = model.marks.begin[0], model.marks.end[0]
    words: dict[int, list[int]] = {}
    sure: set[tuple[int, int]] = set()
    ends: list[int] = []
    for column, place in enumerate(places.tolist()):
        order = share[:, column].argsort(descending=True)
        likely = [int(i) for i in order if share[i, column] > options.possible]
        here = [int(used.ids[i]) for i in likely]
        if last in here and place:
            ends.append(place)
        words[place] = [word for word in here if word not in (first, last)]
        clear = {int(used.ids[i]) for i in likely if share[i, column] > options.sure}
        sure |= {(place, word) for word in clear - {first, last} if place}
    note = f"{len(used.ids)} words at {len(places)} places; {len(sure)} pairs clear"
    return Board(words, ends, first, last, frozenset(sure)), note


def moved_words(table: Tensor, noise: Tensor, least: float) -> tuple[UsedWords, float]:
    """The words of an untied table (V, H) whose rows moved, and the size of the others' movements.

    Args:
        table: rows before less rows after.
        noise: the deviation of the noise in each number.
        least: of the largest movement, in units of the noise, that a word's has at least.
    """
    sizes, usual = _movements(table, noise)
    ids = _apart(sizes, usual, least)
    return UsedWords(ids, table[ids].double(), torch.zeros(0, table.shape[1]).double()), usual


def _movements(table: Tensor, noise: Tensor) -> tuple[Tensor, float]:
    """How far each row moved, in units of the noise, and how far most did."""
    sizes = (table.double() / noise).square().mean(1).sqrt()
    return sizes, float(sizes.median())


def _apart(sizes: Tensor, usual: float, least: float) -> Tensor:
    """The rows (n,) that moved further than most, and than a part of the one that moved most."""
    found: Tensor = (sizes > max(_APART * usual, least * float(sizes.max()))).nonzero().flatten()
    return found
