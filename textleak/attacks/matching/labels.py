"""Soft labels: what each dummy batch is trained towards, optimised together with its input."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from textleak.attacks.matching.facts import Facts, position_norms
from textleak.attacks.matching.items import SoftLabels, open_labels, read_off
from textleak.attacks.matching.options import MatchingOptions, PlaceOptions
from textleak.core.batch import IGNORED
from textleak.core.errors import UpdateError
from textleak.core.update import SharedUpdate
from textleak.evidence.masked_words import masked_count, masked_words
from textleak.models.text_model import TextModel

_BARRED = -1e4  # a logit that means "not here"


Simplex = Callable[[Tensor], Tensor]


def softmax(variables: Tensor) -> Tensor:
    """Distributions (..., V) as the paper makes them.

    Over 30,522 words the slope of a probability near 1/V is as small as itself.
    """
    return variables.softmax(-1)


def squares(variables: Tensor) -> Tensor:
    """Distributions (..., V) as normalised squares: the slope at 1/V is its root, not itself."""
    squared = variables.square()
    return squared / squared.sum(-1, keepdim=True)


SIMPLEX: dict[str, Simplex] = {"softmax": softmax, "squares": squares}


def make_labels(
    model: TextModel, update: SharedUpdate, facts: Facts, options: MatchingOptions
) -> SoftLabels:
    """The labels that `options.labels` asks for.

    Raises:
        UpdateError: `known` was asked for, but the update does not grant the labels.
    """
    granted = update.metadata.labels
    if options.labels == "known" and granted is None:
        raise UpdateError("labels 'known' needs labels in the update: expected them to be granted")
    if model.task.bears != "places":
        return open_labels(model, update, facts, options)
    prior = _prior(model, update, facts, options)
    if options.labels == "known" and granted is not None:
        words = torch.tensor([word for row in granted for word in row])
        return SlotLabels(model, facts, words, _known_prior(update, facts, prior), options.places)
    bias = model.family.head.output.bias_of(update.gradients)
    if read_off(model, options) and bias is not None:
        words = masked_words(bias, _count(model, update, facts))
        return SlotLabels(model, facts, words, prior, options.places)
    return VocabularyLabels(model, facts, _count(model, update, facts), prior, options)


class SlotLabels:
    """Masked-LM with the words under the masks known: which position bears which is optimised.

    The variables are logits (L, M) of L likely places by M words. Sinkhorn normalisation keeps them
    near an assignment: every word at one place, every place with one word at the most.
    """

    def __init__(
        self,
        model: TextModel,
        facts: Facts,
        words: Tensor,
        prior: Tensor,
        options: PlaceOptions,
    ) -> None:
        self._options = options
        self._model, self._facts, self._words = model, facts, words
        self._likely = likely_places(prior, options.each * len(words))
        self._prior = prior[self._likely]
        self._shape = (len(self._likely), len(words))
        self.size = len(self._likely) * len(words)

    def start(self, restarts: int) -> Tensor:
        """The variables to begin with, (R, size)."""
        logits = self._prior[:, None] + self._options.jitter * torch.randn(restarts, *self._shape)
        return logits.flatten(1)

    def loss(self, states: Tensor, variables: Tensor) -> Tensor:
        """The loss of each dummy batch, (R,), from its hidden states (R*B, T, H)."""
        task, count = self._model.task, self._shape[1]
        weights = assignment(variables.view(-1, *self._shape)) / task.divisor(count)  # (R, L, M)
        logits = place_logits(self._model, self._facts, states, self._likely)  # (R, L, V)
        if task.own is not None:
            each = [task.losses(logits, word.expand(logits.shape[:2])) for word in self._words]
            return (weights * torch.stack(each, -1)).sum((1, 2))
        spread = task.options.smoothing
        hit = (1 - spread) * logits[..., self._words]
        if spread:
            hit = hit + spread * logits.mean(-1, keepdim=True)
        chosen = hit - logits.logsumexp(-1, keepdim=True)  # (R, L, M)
        return -(weights * chosen).sum((1, 2))

    def decide(self, variables: Tensor) -> Tensor:
        """Hard labels (B, T) from one batch's variables (size,)."""
        scores = assignment(variables.view(1, *self._shape))[0]
        return place_labels(self._facts, self._likely, scores, self._words)


class VocabularyLabels:
    """Masked-LM with nothing known: a soft place and a soft word distribution at every place.

    The variables are L logits of where loss is borne and (L, V) numbers that the simplex function
    makes distributions over the words (DLG, eq. 4, with the places made soft as well).
    """

    def __init__(
        self, model: TextModel, facts: Facts, count: int, prior: Tensor, options: MatchingOptions
    ) -> None:
        simplex, self._options = SIMPLEX[options.simplex], options.places
        self._model, self._facts, self._count, self._simplex = model, facts, count, simplex
        self._likely = likely_places(prior, self._options.each * count)
        self._prior = prior[self._likely]
        self._shape = (len(self._likely), len(model.word_table))
        self.size = len(self._likely) * (1 + self._shape[1])

    def start(self, restarts: int) -> Tensor:
        """The variables to begin with, (R, size)."""
        places = self._prior + self._options.jitter * torch.randn(restarts, len(self._likely))
        words = torch.randn(restarts, math.prod(self._shape))
        return torch.cat(
            [places, words if self._simplex is softmax else words * self._shape[1] ** -0.5], 1
        )

    def loss(self, states: Tensor, variables: Tensor) -> Tensor:
        """The loss of each dummy batch, (R,), from its hidden states (R*B, T, H)."""
        weights, words = self._split(variables)
        logits = place_logits(self._model, self._facts, states, self._likely)  # (R, L, V)
        task = self._model.task
        if task.own is not None:
            losses = task.soft_losses(logits, words)  # (R, L)
        else:  # without a second table of all words' scores
            losses = logits.logsumexp(-1) - (task.smoothed(words) * logits).sum(-1)
        return (weights * losses).sum(1) * (self._count / task.divisor(self._count))

    def decide(self, variables: Tensor) -> Tensor:
        """Hard labels (B, T) from one batch's variables (size,)."""
        weights, words = (part[0] for part in self._split(variables[None]))
        mass = (weights[:, None] * words).cpu()  # (L, V)
        found = masked_words(-mass.sum(0), self._count)
        return place_labels(self._facts, self._likely, mass[:, found], found)

    def _split(self, variables: Tensor) -> tuple[Tensor, Tensor]:
        places, words = torch.split(variables, [self._shape[0], math.prod(self._shape)], dim=1)
        return places.softmax(1), self._simplex(words.reshape(-1, *self._shape))


def assignment(logits: Tensor, sweeps: int = 8) -> Tensor:
    """Sinkhorn: (R, N, M) weights, each of the M columns summing to 1, each row to 1 at the most.

    A slack column takes what a place does not bear.
    """
    restarts, places, count = logits.shape
    slack = max(places - count, 1e-6)
    wide = torch.cat([logits, logits.new_zeros(restarts, places, 1)], 2)
    totals = torch.cat([logits.new_zeros(count), logits.new_tensor([math.log(slack)])])
    for _ in range(sweeps):
        wide = wide - wide.logsumexp(1, keepdim=True) + totals
        wide = wide - wide.logsumexp(2, keepdim=True)
    return wide[..., :-1].exp()


def likely_places(prior: Tensor, most: int) -> Tensor:
    """The free places that may bear loss, (L,) indices: all, or where `prior` (N,) leans.

    The decoder over the whole vocabulary is a large part of an evaluation's cost.
    """
    if float(prior.max() - prior.min()) == 0:
        return torch.arange(len(prior))
    return prior.topk(min(len(prior), most)).indices.sort().values


def place_logits(model: TextModel, facts: Facts, states: Tensor, likely: Tensor) -> Tensor:
    """The head's logits at the likely free places, (R, L, V), from hidden states (R*B, T, H)."""
    restarts = len(states) // facts.sequences
    chosen = states.view(restarts, -1, *states.shape[1:])[:, facts.free][:, likely]  # (R, L, H)
    logits = model.family.word_logits(chosen.flatten(0, 1))
    return logits.view(restarts, len(likely), -1)


def place_labels(facts: Facts, likely: Tensor, scores: Tensor, words: Tensor) -> Tensor:
    """Labels (B, T): each word (M,) at the place that an optimal assignment of (L, M) gives it."""
    places, columns = linear_sum_assignment(-scores.detach().double().nan_to_num().cpu().numpy())
    flat = torch.full((facts.places,), IGNORED)
    flat[likely[torch.from_numpy(places)]] = words[torch.from_numpy(columns)]
    labels = torch.full_like(facts.frame, IGNORED)
    labels[facts.free] = flat
    return labels


def _count(model: TextModel, update: SharedUpdate, facts: Facts) -> int:
    """M: read off the head's gradient where it is shared, else by BERT's rate of 15%."""
    layer = model.family.head.dense
    dense = None if layer is None else layer.of(update.gradients)
    if dense is not None and 0 < masked_count(dense) <= facts.places:
        return masked_count(dense)
    per_sentence = (0.15 * facts.free.sum(1)).round().clamp_min(1)
    return int(per_sentence.sum())


def _prior(
    model: TextModel, update: SharedUpdate, facts: Facts, options: MatchingOptions
) -> Tensor:
    """(N,) logits of where loss is borne, to begin with."""
    norms = position_norms(model, update, facts) if options.mask_prior else None
    if norms is None:
        return torch.zeros(facts.places)
    return options.places.lean * norms.clamp_min(1e-6).log().expand_as(facts.frame)[facts.free]


def _known_prior(update: SharedUpdate, facts: Facts, prior: Tensor) -> Tensor:
    granted = update.metadata.masked_positions
    if granted is None:
        return prior
    bearing = torch.zeros_like(facts.free)
    for row, places in enumerate(granted):
        bearing[row, list(places)] = True
    return torch.where(bearing[facts.free], 0.0, _BARRED)
