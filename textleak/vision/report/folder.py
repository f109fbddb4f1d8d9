"""A run on images saved in a folder: what it assumes, pictures, the figure, events, result and update."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL.Image import Image

from textleak.core.errors import ConfigError
from textleak.core.events import Event
from textleak.core.update import SharedUpdate
from textleak.core.writing import Lines, check_folder, write_text, write_with
from textleak.results.folder import CONFIG, EVENTS, RESULT, UPDATE
from textleak.results.header import RunHeader
from textleak.results.record import json_text
from textleak.vision.audit import ImageAudit
from textleak.vision.pixels import to_picture
from textleak.vision.report.figure import Frames, draw_figure
from textleak.vision.report.record import ImageRunRecord

FIGURE = "figure.png"


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

    def start(self, update: SharedUpdate, header: RunHeader, config: Mapping[str, Any]) -> None:
        """Keep the update that is attacked, and what the run assumes."""
        data = {"run": header.model_dump(mode="json"), "config": dict(config)}
        write_text(self.folder / CONFIG, json_text(data))
        update.save(self.folder / UPDATE)
        self._events = Lines(self.folder / EVENTS)

    def event(self, event: Event) -> None:
        """Append one event."""
        assert self._events is not None, "start() comes first"
        self._events.append(event.model_dump_json())
        self._frames.event(event)

    def finish(self, scored: ImageAudit, record: ImageRunRecord) -> None:
        """Write the result, the pictures and the figure.

        Raises:
            ConfigError: something of the run could not be written.
        """
        failure = self._events.failure if self._events else ""
        self.close()
        write_text(self.folder / RESULT, record.to_json())
        final = scored.recovered.pixels.cpu().float()
        truth = None if scored.truth is None else scored.truth.pixels.cpu().float()
        for name, images in (("recovered", final), ("original", truth)):
            for index, image in enumerate(() if images is None else images):
                self._picture(f"{name}-{index}.png", to_picture(image))
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
