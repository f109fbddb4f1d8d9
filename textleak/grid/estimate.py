"""How long a grid takes: from runs already measured, or from costs recorded beforehand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from textleak.audit.setup import build_attack
from textleak.core.config import RunConfig
from textleak.core.run_options import RunOptions
from textleak.grid.plan import AnyRun
from textleak.results.cell import Cell
from textleak.results.log import AnyGridRecord

# Seconds for one sentence on minilm, one core: means of CoLA sentences. Scaled to another model by
# the size of its encoder and to a batch by a power of its sentences, they are good to a factor of a few.
RECORDED = {"dlg": 10.0, "dlg-paper": 120.0, "subspace": 1.5, "auto": 2.0}
RECORDED_STEP = {"tag": 0.15, "cosine": 0.08, "lamp": 0.09}  # of one iteration of one start
# Batches of 1, 2 and 4 CoLA sentences took dlg 17, 122 and 1,259 s each, one core, other work beside.
RECORDED_GROWTH = {"dlg": 3.0, "dlg-paper": 3.0}
RECORDED_SIZE = 10.8e6
# What a defended update costs the attacks that solve it, in clean ones.
RECORDED_DEFENCE = {
    "subspace": {
        "prune": 10.0,
        "topk": 10.0,
        "gaussian": 5.0,
        "laplacian": 5.0,
        "dpsgd": 5.0,
        "fp16": 2.0,
        "bf16": 2.0,
        "int8": 5.0,
    }
}
RECORDED_DEFENCE["auto"] = RECORDED_DEFENCE["subspace"]

ANY = "any defence"
Sort = tuple[str, str, str, int, str]


@dataclass(frozen=True)
class Estimate:
    """Seconds of work, and what they rest on.

    Attributes:
        seconds: of all runs whose cost is known.
        measured: runs like one that was measured.
        recorded: runs whose cost was scaled from recorded ones.
        unknown: runs of an attack without any.
    """

    seconds: float
    measured: int
    recorded: int
    unknown: int

    def describe(self, workers: int) -> str:
        """One line for people."""
        if not self.measured + self.recorded + self.unknown:
            return "nothing left to run"
        if not self.measured + self.recorded:
            return "no estimate before the first runs are done"
        sources = []
        if self.measured:
            sources.append(f"{self.measured} from runs measured here")
        if self.recorded:
            sources.append(f"{self.recorded} from recorded costs, good to a factor of a few")
        if self.unknown:
            sources.append(f"{self.unknown} of unknown cost left out")
        where = f"{workers} workers" if workers > 1 else "1 worker"
        return f"about {duration(self.seconds / workers)} on {where} ({'; '.join(sources)})"


class Costs:
    """What runs cost, by attack, model, task, batch size and defence.

    Before a run of the same sort is done, what is recorded is corrected by what the nearest finished
    runs took beside their own recorded costs: those of the attack under the defence, else those of
    the attack, else all. So a machine that is slow or busy shows after the first run.

    Args:
        sizes: values in each model's encoder, by the model's title and the task.
    """

    def __init__(self, sizes: dict[tuple[str, str], int]) -> None:
        self._sizes = sizes
        self._seen: dict[Sort, list[float]] = defaultdict(list)
        self._took: dict[tuple[str, ...], list[tuple[float, float]]] = defaultdict(list)

    def add(self, record: AnyGridRecord) -> None:
        """Learn from a finished run."""
        if record.status != "done":
            return
        for sort in (_sort(record.cell), _sort(record.cell, ANY)):
            self._seen[sort].append(record.seconds)
        recorded = self._recorded(record.cell, record.config)
        if recorded is not None:
            for near in _neighbourhoods(record.cell):
                self._took[near].append((record.seconds, recorded))

    def of(self, run: AnyRun) -> tuple[float | None, bool]:
        """The seconds that a run should take, and whether that was measured."""
        seen = self._seen.get(_sort(run.cell))
        if seen:
            return fmean(seen), True
        recorded = self._recorded(run.cell, run.config)
        if recorded is None:  # what the same takes under another defence is all there is to go by
            alike = self._seen.get(_sort(run.cell, ANY))
            return (fmean(alike), True) if alike else (None, False)
        for near in _neighbourhoods(run.cell):
            if took := self._took.get(near):
                return recorded * sum(t for t, _ in took) / sum(r for _, r in took), False
        return recorded, False

    def _recorded(self, cell: Cell, config: RunOptions) -> float | None:
        """What a run should take by recorded costs alone, which there are of text."""
        if not isinstance(config, RunConfig):
            return None
        sentence, size = _recorded(config), self._sizes.get((cell.model, cell.task))
        if sentence is None or size is None:
            return None
        batch: float = len(config.sentences) ** RECORDED_GROWTH.get(config.attack, 1.0)
        return sentence * _defence_factor(config) * size / RECORDED_SIZE * batch

    def estimate(self, runs: Iterable[AnyRun]) -> Estimate:
        """What `runs` should take together."""
        costs = [self.of(run) for run in runs]
        known: Sequence[float] = [seconds for seconds, _ in costs if seconds is not None]
        measured = sum(measured for _, measured in costs)
        return Estimate(sum(known), measured, len(known) - measured, len(costs) - len(known))


def _sort(cell: Cell, defence: str | None = None) -> Sort:
    """Runs alike in this should take as long; `defence` in place of the cell's own."""
    return cell.attack, cell.model, cell.task, cell.batch_size, defence or cell.defence


def _neighbourhoods(cell: Cell) -> list[tuple[str, ...]]:
    """Of which finished runs to learn how far recorded costs are off, the nearest first."""
    return [(cell.attack, cell.defence), (cell.attack,), ()]


def _defence_factor(config: RunConfig) -> float:
    """How many clean updates a defended one costs: as many as its costliest defence."""
    known = RECORDED_DEFENCE.get(config.attack, {})
    return max((known.get(spec.split(":")[0], 1.0) for spec in config.defences), default=1.0)


def _recorded(config: RunConfig) -> float | None:
    """What a sentence costs on minilm; descents take as long as their options say."""
    step = RECORDED_STEP.get(config.attack)
    if step is None:
        return RECORDED.get(config.attack)
    options = build_attack(config).options
    return step * float(options.iterations * options.restarts)


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(4.2), duration(75), duration(5000)
    ('4 s', '1 min 15 s', '1 h 23 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
