"""A run on images saved in a folder: pictures, the figure, events, result and update."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

from textleak.errors import ConfigError
from textleak.report.files import check_writable, write_text
from textleak.update import SharedUpdate
from textleak.vision.audit import ImageAudit
from textleak.vision.events import ImageEvent
from textleak.vision.pixels import to_picture
from textleak.vision.report.figure import Frames, draw_figure

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
        if folder.is_dir() and any(folder.iterdir()):
            raise ConfigError(f"{str(folder)!r} is not empty: --save needs a new or empty folder")
        check_writable(folder / RESULT)
        self._frames = Frames()
        self._events: IO[str] | None = None

    def start(self, update: SharedUpdate) -> None:
        """Keep the update that is attacked."""
        self.folder.mkdir(parents=True, exist_ok=True)
        update.save(self.folder / UPDATE)
        self._events = (self.folder / EVENTS).open("w", encoding="utf-8")

    def event(self, event: ImageEvent) -> None:
        """Append one event."""
        assert self._events is not None, "start() comes first"
        self._events.write(event.model_dump_json() + "\n")
        self._events.flush()
        self._frames.event(event)

    def finish(self, scored: ImageAudit, record: dict[str, Any]) -> None:
        """Write the pictures, the figure and the result."""
        self.close()
        final, truth = scored.recovered.pixels.cpu().float(), scored.truth.pixels.cpu().float()
        for index, (found, true) in enumerate(zip(final, truth, strict=True)):
            to_picture(found).save(self.folder / f"recovered-{index}.png")
            to_picture(true).save(self.folder / f"original-{index}.png")
        draw_figure(self._frames.chosen(), final, truth).save(self.folder / FIGURE)
        write_text(self.folder / RESULT, json.dumps(record, indent=2, allow_nan=False) + "\n")

    def close(self) -> None:
        """Close the list of events."""
        if self._events is not None:
            self._events.close()
            self._events = None
