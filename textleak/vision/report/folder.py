"""A run on images saved in a folder: pictures, the figure, events, result and update."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL.Image import Image

from textleak.errors import ConfigError
from textleak.update import SharedUpdate
from textleak.vision.audit import ImageAudit
from textleak.vision.events import ImageEvent
from textleak.vision.pixels import to_picture
from textleak.vision.report.figure import Frames, draw_figure
from textleak.writing import Lines, check_folder, write_text, write_with

EVENTS, RESULT, UPDATE, FIGURE = "events.jsonl", "result.json", "update.safetensors", "figure.png"


class ImageRunFolder:
    """Writes a run as it goes on; `figure.png` shows the recovery over time beside the original.

    Args:
        folder: a new or empty folder.

    Raises:
        ConfigError: the folder is not empty or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        check_folder(folder, RESULT)
        self._frames = Frames()
        self._events: Lines | None = None

    def start(self, update: SharedUpdate) -> None:
        """Keep the update that is attacked."""
        update.save(self.folder / UPDATE)
        self._events = Lines(self.folder / EVENTS)

    def event(self, event: ImageEvent) -> None:
        """Append one event."""
        assert self._events is not None, "start() comes first"
        self._events.append(event.model_dump_json())
        self._frames.event(event)

    def finish(self, scored: ImageAudit, record: dict[str, Any]) -> None:
        """Write the result, the pictures and the figure.

        Raises:
            ConfigError: something of the run could not be written.
        """
        failure = self._events.failure if self._events else ""
        self.close()
        write_text(self.folder / RESULT, json.dumps(record, indent=2, allow_nan=False) + "\n")
        final, truth = scored.recovered.pixels.cpu().float(), scored.truth.pixels.cpu().float()
        for index, (found, true) in enumerate(zip(final, truth, strict=True)):
            self._picture(f"recovered-{index}.png", to_picture(found))
            self._picture(f"original-{index}.png", to_picture(true))
        self._picture(FIGURE, draw_figure(self._frames.chosen(), final, truth))
        if failure:
            raise ConfigError(failure)

    def _picture(self, name: str, picture: Image) -> None:
        write_with(self.folder / name, lambda path: picture.save(path, format="png"))

    def close(self) -> None:
        """Close the list of events."""
        if self._events is not None:
            self._events.close()
            self._events = None
