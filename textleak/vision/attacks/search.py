"""How DLG's points move: by L-BFGS all images at once or one in turn, or by Gauss-Newton."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from textleak.gradients.curvature import gauss_newton
from textleak.optim import BatchedLBFGS, LBFGSOptions
from textleak.optim.coordinates import RoundCoordinates
from textleak.optim.natural_newton import NaturalGaussNewton
from textleak.vision.attacks.objective import ImageObjective

DAMPING = 1e-4  # of the mean curvature, at a relative gradient error of 1


class Search(Protocol):
    """How points move.

    Attributes:
        points: (R, D) where the restarts stand.
        values: (R,) their objectives.
        stalled: no restart comes nearer any more.
    """

    @property
    def points(self) -> Tensor:
        """(R, D)."""

    @property
    def values(self) -> Tensor:
        """(R,)."""

    @property
    def stalled(self) -> bool:
        """Whether no restart comes nearer any more."""

    def advance(self, evaluations: int) -> None:
        """Go on, for about so many evaluations where those are the search's measure."""


class JointSearch:
    """L-BFGS over whole batches, one history a restart.

    Attributes:
        points: (R, D) where the restarts stand.
        values: (R,) their objectives.
    """

    def __init__(self, objective: ImageObjective, points: Tensor, options: LBFGSOptions) -> None:
        self._objective = objective
        self._options = options
        self._lbfgs = BatchedLBFGS(points, objective, options)
        self._coordinates: RoundCoordinates | None = None

    @property
    def points(self) -> Tensor:
        """(R, D)."""
        points = self._lbfgs.points
        return points if self._coordinates is None else self._coordinates.points(points)

    @property
    def values(self) -> Tensor:
        """(R,)."""
        return self._lbfgs.values

    @property
    def stalled(self) -> bool:
        """No restart finds a decrease any more."""
        return bool(self._lbfgs.stalled.all())

    def advance(self, evaluations: int) -> None:
        """Go on for so many evaluations of every restart."""
        for _ in range(evaluations):
            self._lbfgs.step()

    def precondition(self) -> None:
        """Go on with the best restart, in coordinates that take the curvature out.

        The curvature of the distance near a match is Gauss-Newton's. The damping falls with the
        error, as in Levenberg-Marquardt's method.
        """
        objective = self._objective
        best = int(self.values.nan_to_num(torch.inf).argmin())
        origin = self.points[best : best + 1]
        metric = gauss_newton(objective.folded(), origin[0])
        damping = DAMPING * (float(self.values[best]) / objective.scale) ** 0.5
        metric.diagonal().add_(damping * metric.diagonal().mean())
        self._coordinates = RoundCoordinates(origin, metric)
        self._lbfgs = BatchedLBFGS(
            torch.zeros_like(origin), self._coordinates.closure(objective), self._options
        )


class NewtonSearch:
    """Gauss-Newton on the gradients themselves, a matrix of derivatives an advance, for each restart.

    Args:
        objective: where the residual is worked out.
        coarse: the same in the model's own arithmetic, which is good enough for the derivatives.
        points: (R, D) the restarts.

    Attributes:
        points: (R, D) where they stand.
        values: (R,) their objectives, which may rise on the way.
    """

    def __init__(self, objective: ImageObjective, coarse: ImageObjective, points: Tensor) -> None:
        self._objective = objective
        folded, derivatives = objective.folded(), coarse.folded()
        shared = folded.fold({n: g.to(points) for n, g in objective.shared.items()})

        def jacobian(point: Tensor) -> Tensor:
            objective.count(len(point))
            return derivatives.sensitivities(point.to(coarse.dtype)).T.to(point)

        def residual(point: Tensor) -> Tensor:
            objective.count(1)
            return folded.at(point) - shared

        self._solvers = [NaturalGaussNewton(point, residual, jacobian) for point in points]
        self.values = self._evaluated()

    @property
    def points(self) -> Tensor:
        """(R, D)."""
        return torch.stack([solver.point for solver in self._solvers])

    @property
    def stalled(self) -> bool:
        """No restart comes nearer any more."""
        return all(solver.stalled for solver in self._solvers)

    def advance(self, _: int) -> None:
        """One step of every restart."""
        for solver in self._solvers:
            if not solver.stalled:
                solver.step()
        self.values = self._evaluated()

    def _evaluated(self) -> Tensor:
        return self._objective.distances(self.points).detach()


class TurnSearch:
    """One image of the batch an advance, in turn (DLG, section 4.1).

    Attributes:
        points: (R, D) where the restarts stand.
        values: (R,) their objectives.
        stalled: never: the next image may still move.
    """

    stalled = False

    def __init__(self, objective: ImageObjective, points: Tensor, options: LBFGSOptions) -> None:
        self._objective = objective
        self._options = options
        self._turn = 0
        self.points = points
        self.values = torch.full((len(points),), torch.inf)

    def advance(self, evaluations: int) -> None:
        """Move one image for so many evaluations; the next call moves the next one."""
        part = self._objective.image_part(self._turn % self._objective.batch).to(self.points.device)
        self._turn += 1

        def closure(moving: Tensor) -> tuple[Tensor, Tensor]:
            values, slopes = self._objective(self.points.index_copy(1, part, moving))
            return values, slopes[:, part]

        # The other images have moved since this one's last turn, so its history starts afresh.
        optimiser = BatchedLBFGS(self.points[:, part], closure, self._options)
        for _ in range(evaluations):
            optimiser.step()
        self.points = self.points.index_copy(1, part, optimiser.points)
        self.values = optimiser.values
