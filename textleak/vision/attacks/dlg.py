"""Deep Leakage from Gradients on images (Zhu, Liu, Han, NeurIPS 2019, algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.core.bounds import MOST_COUNT, Count
from textleak.core.errors import UpdateError
from textleak.core.update import SharedUpdate
from textleak.gradients import Distance
from textleak.optim import LBFGSOptions
from textleak.vision.attacks.base import ImageAttack, ImageSession
from textleak.vision.attacks.labels import known_labels
from textleak.vision.attacks.objective import ImageObjective, point_size
from textleak.vision.attacks.search import JointSearch, NewtonSearch, Search, TurnSearch
from textleak.vision.attacks.span import LIVELY, Apart, SpanSearch, feature_span
from textleak.vision.models.image_model import ImageModel
from textleak.vision.reconstruction import ImageCandidate

LARGEST = 4096  # variables of a Gauss-Newton matrix: its square in memory, its cube in time
CALM = 0.01  # noise on the grey start of Gauss-Newton, which goes straighter from a calm one
SMALL = 200_000  # parameters; float64 costs these models a fifth more time


class DLGOptions(BaseModel):
    """How DLG searches.

    Attributes:
        distance: "l2", the paper's, or "relative-l2", in which every tensor counts alike: for deep
            networks, whose first layers have the smallest gradients and know most of the image.
            "auto" takes that for Gauss-Newton, and l2 for L-BFGS.
        iterations: outer iterations at most, each of `inner` evaluations.
        inner: L-BFGS evaluations an outer iteration.
        learning_rate: the first step tried along a direction.
        history: curvature pairs kept.
        restarts: starting points, taken together.
        at_once: restarts that one pass takes at most; fewer need less memory. None takes all.
        start: "gray", mid-brightness with a little noise; "normal", the paper's N(0, 1); or "span",
            the pictures whose features span the last layer's gradient, themselves searched from
            gray. "auto" is span for batches moved together whose gradient shows that span, and gray
            for the rest.
        optimizer: "lbfgs", the paper's, or "newton", Gauss-Newton on the gradients themselves, which
            follows the long curved valleys of deep networks; an outer iteration is then one matrix of
            derivatives. "auto" is newton for models of over 200,000 parameters and batches of up to
            4096 variables.
        schedule: all images at once, or one image an outer iteration (the paper's, section 4.1).
        tolerance: relative gradient error at which the search ends.
        precision: the arithmetic of the search: "auto" is float64 for small models, in which float32
            ends near 45 dB, and the model's own type for the rest.
        precondition: outer iterations after which the search goes on in Gauss-Newton coordinates,
            taken anew every quarter of that; 0 never does. Not done beyond 4096 variables, nor
            where images move one at a time.
        patience: outer iterations in which the objective must fall by a hundredth.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    distance: Literal["auto", "l2", "relative-l2"] = "auto"
    iterations: Count = 1200
    inner: Count = 20
    learning_rate: float = Field(default=1.0, gt=0)
    history: Count = 100
    restarts: Count = 1
    at_once: Count | None = None
    start: Literal["auto", "span", "gray", "normal"] = "auto"
    optimizer: Literal["auto", "lbfgs", "newton"] = "auto"
    schedule: Literal["together", "one-at-a-time"] = "together"
    tolerance: float = Field(default=2e-5, ge=0)
    precision: Literal["auto", "float64", "model"] = "auto"
    precondition: int = Field(default=40, ge=0, le=MOST_COUNT)
    patience: Count = 20

    def due(self, iteration: int, objective: ImageObjective) -> bool:
        """Whether the coordinates are to be taken anew after this outer iteration."""
        first, each = self.precondition, max(self.precondition // 4, 1)
        begun = 0 < first <= iteration and (iteration - first) % each == 0
        return begun and objective.size <= LARGEST

    def by_newton(self, model: ImageModel, size: int) -> bool:
        """Whether Gauss-Newton moves the points of so many variables."""
        fits = size <= LARGEST and self.schedule == "together"
        return self.optimizer == "newton" or (
            self.optimizer == "auto" and fits and not is_small(model)
        )


OptionsT = TypeVar("OptionsT", bound=DLGOptions)


class LBFGSMatching(ImageAttack[OptionsT], Generic[OptionsT]):
    """Matches the gradient by L-BFGS in L2; a subclass says what it takes the labels for."""

    def labels(self, model: ImageModel, update: SharedUpdate) -> Sequence[int] | None:
        """The classes to hold fixed; None optimises soft labels jointly with the images."""
        return known_labels(update)

    def run(self, model: ImageModel, update: SharedUpdate, session: ImageSession) -> ImageCandidate:
        """Match until the gradient error is at rounding, the search stands still, or time is up."""
        options = self.options
        fixed = self.labels(model, update)
        newton = options.by_newton(model, point_size(model, update, fixed))
        chosen = options.distance
        distance = (
            Distance("relative-l2" if newton else "l2") if chosen == "auto" else Distance(chosen)
        )

        lbfgs = LBFGSOptions(learning_rate=options.learning_rate, history=options.history)
        apart = self._apart(model, update, session, lbfgs)
        if apart is not None and fixed is not None and known_labels(update) is None:
            fixed = apart.classes()

        def objective_in(arithmetic: ImageModel) -> ImageObjective:
            return ImageObjective(arithmetic, update, distance, session, fixed, options.at_once)

        double = (newton and can_double(model)) or in_double(model, options.precision)
        objective = objective_in(model.in_double() if double else model)
        if apart is None:
            points = starting_points(objective, options, CALM if newton else LIVELY)
        else:
            points = apart.points(fixed).to(objective.dtype)
        search: Search
        if newton:
            search = NewtonSearch(objective, objective_in(model), points)
        elif options.schedule == "together":
            search = JointSearch(objective, points, lbfgs)
        else:
            search = TurnSearch(objective, points, lbfgs)
        enough = options.tolerance**2 * objective.scale
        lowest: list[float] = []
        begun = 0 if apart is None else apart.iterations
        for iteration in range(begun + 1, max(options.iterations, begun + 1) + 1):
            search.advance(options.inner)
            candidate = objective.candidate(search.points, search.values).to(model.dtype)
            session.progress(
                candidate, stage="match", iteration=iteration, total=options.iterations
            )
            lowest.append(candidate.objective)
            if candidate.objective <= enough or search.stalled:
                break
            if len(lowest) > options.patience and not (
                lowest[-1] < 0.99 * lowest[-1 - options.patience]
            ):
                break
            if isinstance(search, JointSearch) and options.due(iteration, objective):
                search.precondition()
        return candidate

    def _apart(
        self, model: ImageModel, update: SharedUpdate, session: ImageSession, lbfgs: LBFGSOptions
    ) -> Apart | None:
        """The batch told apart by the span of its features, where that is wanted and possible.

        Raises:
            UpdateError: it was asked for, and the update does not show the span.
        """
        options = self.options
        wanted = options.start == "span" or (
            options.start == "auto" and options.schedule == "together"
        )
        span = feature_span(model, update) if wanted else None
        if span is None and options.start == "span":
            raise UpdateError(
                "start=span needs a batch, the last linear layer's gradient without noise, and many more "
                "features there than an image has brightnesses; start=gray does without"
            )
        if span is None:
            return None
        arithmetic = model.in_double() if can_double(model) else model
        search = SpanSearch(arithmetic, update, span, session, lbfgs, options.at_once)
        return search.tell_apart(
            options.restarts, options.inner, iterations=max(1, options.iterations - 1)
        )


class DLG(LBFGSMatching[DLGOptions]):
    """The paper's attack: dummy images and soft dummy labels, updated together."""

    name: ClassVar[str] = "dlg"
    options_class: ClassVar[type[BaseModel]] = DLGOptions


def starting_points(objective: ImageObjective, options: DLGOptions, noise: float) -> Tensor:
    """(R, D) dummy batches to start from, drawn on the CPU so that a seed means the same anywhere."""
    points = torch.randn(options.restarts, objective.size)
    if options.start != "normal":
        points[:, : objective.pixels] = 0.5 + noise * points[:, : objective.pixels]
    return points.to(objective.device, objective.dtype)


def in_double(model: ImageModel, precision: str) -> bool:
    """Whether L-BFGS is to search in float64: asked for, or cheap and possible."""
    return precision == "float64" or (precision == "auto" and is_small(model) and can_double(model))


def can_double(model: ImageModel) -> bool:
    """Whether the model's device has float64."""
    return model.device.type != "mps"


def is_small(model: ImageModel) -> bool:
    """Whether a gradient costs less than the linear algebra around it."""
    return sum(parameter.numel() for parameter in model.parameters.values()) <= SMALL
