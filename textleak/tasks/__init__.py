"""Training tasks: what is trained, by which loss, and what of a batch bears it; one file each.

A task is asked, never compared with: `model.task.loss(…)`, `model.task.bears`. A new one is a subclass of
`TextTask` and a line in `core/task_names.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textleak.core import task_names
from textleak.core.loss import LossOptions
from textleak.core.registry import Registry
from textleak.core.task_names import TEXT_TASKS, TaskName, TextTaskName

if TYPE_CHECKING:
    from textleak.tasks.base import Task, TextTask

TASKS: Registry[type[Task]] = task_names.TASKS

__all__ = ["TASKS", "TEXT_TASKS", "TaskName", "TextTaskName", "text_task"]


def text_task(name: str, loss: LossOptions | None = None) -> TextTask:
    """The task of language models that is called `name`, with the plain loss where none is given.

    Raises:
        ConfigError: there is none of that name, or it does not have such a loss.
    """
    made: TextTask = TASKS.load(name)(loss)  # type: ignore[assignment, call-arg]
    return made
