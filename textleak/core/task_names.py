"""Which training tasks there are, by name: what files and options may say; none is loaded before it is asked for."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from textleak.core.errors import unknown
from textleak.core.registry import Registry

_TEXT = {
    "mlm": "textleak.tasks.mlm:MaskedLM",
    "classification": "textleak.tasks.classification:Classification",
    "multi-label": "textleak.tasks.multi_label:MultiLabel",
    "regression": "textleak.tasks.regression:Regression",
    "token-classification": "textleak.tasks.token_classification:TokenClassification",
    "causal": "textleak.tasks.causal:Causal",
}
TEXT_TASKS = tuple(_TEXT)
TASKS: Registry[Any] = Registry("task", {**_TEXT, "image": "textleak.tasks.base:ImageTask"})


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
