"""What an audit's runs come to: one summary a cell of the grid, every mean with its interval."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from textleak.metrics import MetricView
from textleak.metrics.bootstrap import Interval, interval, mean_interval
from textleak.metrics.spec import Aggregate
from textleak.report.metrics import view_of
from textleak.results.log import AnyGridRecord, GridRecord
from textleak.results.record import STANDING

FEW, WIDE = 10, 0.3  # fewer updates, or a wider interval, carry no claim


class Place(NamedTuple):
    """What a cell of the report is of: texts and seeds are averaged within it."""

    model: str
    task: str
    attack: str
    defence: str
    share: str
    batch_size: int
    texts: str


class Determined(NamedTuple):
    """How many sentences are given away by their updates, hidden by them, or not looked at."""

    given_away: int
    hidden: int
    unknown: int

    @property
    def shown(self) -> str:
        """A word for tables: of how many sentences how many are determined."""
        known = self.given_away + self.hidden
        return f"{self.given_away} of {known}" if known else "—"


@dataclass(frozen=True)
class CellSummary:
    """All runs of one place.

    Attributes:
        place: the place.
        records: its finished runs, done and failed.
        rates: what every metric comes to over sentences, with its interval; empty where every run
            failed.
        verified: the rate of updates whose recovery is proven by its gradient.
        verdicts: how many sequences got each verdict.
        label_accuracy: the rate of right classes, of a classification task.
        determined: the sentences that their updates determine, found or not, those that they hide, and
            those of which neither is known.
        seconds: the mean time of an update.
    """

    place: Place
    records: list[GridRecord]
    rates: dict[str, Interval]
    verified: Interval | None
    verdicts: Mapping[str, int]
    label_accuracy: float | None
    determined: Determined
    seconds: float

    @property
    def done(self) -> list[GridRecord]:
        """The runs that came to something."""
        return [record for record in self.records if record.result is not None]

    @property
    def failed(self) -> int:
        """How many runs came to nothing."""
        return len(self.records) - len(self.done)

    @property
    def too_few(self) -> str | None:
        """Why the cell carries no claim, or None."""
        interval = self.rates.get("token_match")
        if interval is None:
            return None
        if interval.groups < FEW:
            return f"fewer than {FEW} updates"
        if interval.low is None or interval.high is None or interval.high - interval.low <= WIDE:
            return None
        return f"an interval wider than {100 * WIDE:.0f} points"


def summarise(records: Iterable[GridRecord]) -> list[CellSummary]:
    """One summary for every place, in the order of the records."""
    places: dict[Place, list[GridRecord]] = defaultdict(list)
    for record in records:
        places[place_of(record)].append(record)
    return [_cell(place, group) for place, group in places.items()]


def metrics_of(records: Iterable[GridRecord]) -> list[str]:
    """The metrics that these runs were scored by: those of every result, then outside packages'."""
    results = (record.result for record in records if record.result is not None)
    return [*STANDING, *dict.fromkeys(name for result in results for name in result.metrics)]


def verdicts_of(record: GridRecord) -> list[str]:
    """The verdict on every sequence of a run, or its update's where none has its own."""
    result = record.result
    if result is None:
        return []
    whole = result.verdict or ("proven" if result.verified else "unexplained")
    return [sequence.verdict or whole for sequence in result.sequences]


def views_of(records: Iterable[GridRecord]) -> dict[str, MetricView]:
    """How each of `metrics_of` is summed up and shown, by what the runs kept."""
    done = [record for record in records if record.result is not None]
    kept = {n: v for r in done if r.result for n, v in r.result.metric_views.items()}
    return {name: view_of(name, kept) for name in metrics_of(done)}


def place_of(record: AnyGridRecord) -> Place:
    """The place that a run belongs to."""
    cell = record.cell
    return Place(
        *(cell.model, cell.task, cell.attack, cell.defence, cell.share),
        *(cell.batch_size, cell.texts),
    )


def interval_of(
    records: Sequence[GridRecord], metric: str, aggregate: Aggregate = "mean"
) -> Interval | None:
    """What a metric comes to over the sentences of `records`; None where none is scored by it.

    An update is resampled as a whole, all seeds of it together.
    """
    groups: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for record in records:
        if record.result is not None:
            scores = (sequence.score(metric) for sequence in record.result.sequences)
            groups[_unit(record)] += [score for score in scores if score is not None]
    return interval(list(groups.values()), aggregate) if any(groups.values()) else None


def determined_of(records: Iterable[GridRecord]) -> Determined:
    """What the updates of `records` determine."""
    said = [s.determined for r in records if r.result is not None for s in r.result.sequences]
    return Determined(said.count(True), said.count(False), said.count(None))


def _unit(record: GridRecord) -> tuple[object, ...]:
    return (*place_of(record), record.cell.index)


def _cell(place: Place, records: list[GridRecord]) -> CellSummary:
    done = [record for record in records if record.result is not None]
    found = {
        metric: interval_of(done, metric, view.aggregate) for metric, view in views_of(done).items()
    }
    proven: dict[int, list[float]] = defaultdict(list)
    for record in done:
        assert record.result is not None
        proven[record.cell.index].append(float(record.result.verified))
    known = [
        float(s.label == s.reference_label)
        for record in done
        if record.result is not None
        for s in record.result.sequences
        if s.reference_label is not None
    ]
    return CellSummary(
        place=place,
        records=records,
        rates={metric: interval for metric, interval in found.items() if interval is not None},
        verified=mean_interval(list(proven.values())) if proven else None,
        verdicts=Counter(verdict for record in done for verdict in verdicts_of(record)),
        label_accuracy=sum(known) / len(known) if known else None,
        determined=determined_of(done),
        seconds=sum(record.seconds for record in records) / len(records),
    )
