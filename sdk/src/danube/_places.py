"""Which line of the user's files a call or an error comes from."""

from __future__ import annotations

import os.path
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType

PACKAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
"""The folder of the SDK, with a slash at the end."""


class Source:
    """The folder of the checkout; places in it are told relative to it."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.join(os.path.abspath(folder), "")

    def relative(self, filename: str) -> str | None:
        """The path below the folder; None for any other file."""
        inside = filename.startswith(self.folder) and not filename.startswith(PACKAGE)
        return filename[len(self.folder) :] if inside else None

    def of_call(self) -> tuple[str, int] | None:
        """The nearest line of the user's files above the caller."""
        frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # inspect loads ten times slower
        while frame is not None:
            file = self.relative(frame.f_code.co_filename)
            if file is not None:
                return file, frame.f_lineno
            frame = frame.f_back
        return None

    def of_error(self, trace: TracebackType | None) -> str:
        """`danubefile.py:7`, the innermost line of the user's files; empty where there is none."""
        place = ""
        while trace is not None:
            file = self.relative(trace.tb_frame.f_code.co_filename)
            if file is not None:
                place = f"{file}:{trace.tb_lineno}"
            trace = trace.tb_next
        return place


def shown(place: tuple[str, int]) -> str:
    """`danubefile.py:7`; empty where the line is not known."""
    return f"{place[0]}:{place[1]}" if place[0] else ""
