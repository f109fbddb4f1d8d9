"""Training tasks: what is trained, by which loss, and what of a batch bears it; one file each.

A task is asked, never compared with: `model.task.loss(…)`, `model.task.bears`. A new one is a subclass of
`TextTask` and a line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from textleak.core.errors import unknown
from textleak.core.registry import Registry

if TYPE_CHECKING:
    from textleak.tasks.base import Task, TextTask

_TEXT = {
    "mlm": "textleak.tasks.mlm:MaskedLM",
    "classification": "textleak.tasks.classification:Classification",
    "multi-label": "textleak.tasks.multi_label:MultiLabel",
    "regression": "textleak.tasks.regression:Regression",
    "token-classification": "textleak.tasks.token_classification:TokenClassification",
    "causal": "textleak.tasks.causal:Causal",
}
TEXT_TASKS = tuple(_TEXT)
TASKS: Registry[type[Task]] = Registry("task", {**_TEXT, "image": "textleak.tasks.base:ImageTask"})


def _known(name: str) -> str:
    if name not in TASKS:
        raise ValueError(unknown("task", name, TASKS))
    return name


def _known_text(name: str) -> str:
    if name not in _TEXT:
        raise ValueError(unknown("task", name, _TEXT))
    return name


TaskName = Annotated[str, AfterValidator(_known)]
TextTaskName = Annotated[str, AfterValidator(_known_text)]


def text_task(name: str) -> TextTask:
    """The task of language models that is called `name`, with its plain loss.

    Raises:
        ConfigError: there is none of that name.
    """
    made: TextTask = TASKS.load(name)()  # type: ignore[assignment]
    return made
