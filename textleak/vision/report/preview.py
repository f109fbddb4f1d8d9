"""Pictures in a terminal: two pixels a character, as half blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text
from torch import Tensor

from textleak.vision.pixels import to_picture

SHADES = " .:-=+*#%@"  # dark to bright, for a terminal without colours
NARROWEST = 8


class HalfBlocks:
    """One image as text: the upper pixel is a character's colour, the lower one its ground.

    Args:
        image: (1 or 3, H, W), brightness 0 to 1.
        width: columns; the image is thinned to that if it is wider.
    """

    def __init__(self, image: Tensor, width: int | None = None) -> None:
        picture = to_picture(image).convert("RGB")
        self.width = min(width or picture.width, picture.width)
        height = max(2, round(picture.height * self.width / picture.width))
        if picture.size != (self.width, height):
            picture = picture.resize((self.width, height))
        self._picture = picture

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Colours where the terminal has them, shades where not."""
        plain = console.color_system is None or console.no_color
        for row in range(0, self._picture.height, 2):
            yield from self._shaded(row) if plain else self._coloured(row)
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> object:
        """As wide as the image."""
        from rich.measure import Measurement

        return Measurement(self.width, self.width)

    def _coloured(self, row: int) -> Iterator[Segment]:
        for column in range(self.width):
            upper = self._colour(column, row)
            if row + 1 < self._picture.height:
                style = f"{upper} on {self._colour(column, row + 1)}"
            else:
                style = upper
            yield Segment("▀", Style.parse(style))

    def _shaded(self, row: int) -> Iterator[Segment]:
        rows = np.asarray(self._picture.convert("L"), dtype=float)[row : row + 2]
        places = (rows.mean(0) / 256 * len(SHADES)).astype(int)
        yield Segment("".join(SHADES[place] for place in places))

    def _colour(self, column: int, row: int) -> str:
        value = self._picture.getpixel((column, row))
        assert isinstance(value, tuple)
        return "#{:02x}{:02x}{:02x}".format(*value)


class Gallery:
    """Recovered images, each beside the true one where that is known, as many as fit the width.

    Args:
        recovered: (B, C, H, W).
        truth: (B, C, H, W) in the same order, or None.
        captions: one line under each pair.
    """

    def __init__(self, recovered: Tensor, truth: Tensor | None, captions: list[str]) -> None:
        self.recovered = recovered
        self.truth = truth
        self.captions = captions

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the pairs out in rows."""
        per_pair = 1 if self.truth is None else 2
        count = len(self.recovered)
        native = int(self.recovered.shape[3])
        columns = max(1, options.max_width // (per_pair * (native + 1) + 2))
        if columns < count and count > 1:  # a batch: smaller, so that more of it is seen
            native = max(NARROWEST, native // 2)
            columns = max(1, options.max_width // (per_pair * (native + 1) + 2))
        width = min(native, (options.max_width - 2) // per_pair - 1)
        for first in range(0, count, columns):
            grid = Table.grid(padding=(0, 2, 0, 0))
            shown = range(first, min(first + columns, count))
            grid.add_row(*(self._pair(index, width) for index in shown))
            yield grid

    def _pair(self, index: int, width: int) -> RenderableType:
        sides = Table.grid(padding=(0, 1, 0, 0))
        found = HalfBlocks(self.recovered[index], width)
        if self.truth is None:
            sides.add_row(found)
        else:
            sides.add_row(HalfBlocks(self.truth[index], width), found)
        return Group(sides, Text(self.captions[index], "dim", no_wrap=True))


def decibels(value: float) -> str:
    """A PSNR for people.

    >>> decibels(31.24), decibels(math.inf)
    ('31.2 dB', 'equal')
    """
    return "equal" if math.isinf(value) else f"{value:.1f} dB"
