"""Runs a danubefile again from the record of its job and stops where it ended: started by `danube replay`.

Beside what a run needs the command sets DANUBE_REPLAY_DEBUGGER (`pdb` or `none`) and DANUBE_REPLAY_BREAK (a line of
the danubefile, or nothing). Exit codes: those of a run, 64 where there is no such line, 79 when the person left.
"""

from __future__ import annotations

import os
import pdb
import signal
import sys
import threading
from bdb import BdbQuit

from danube._errors import JobCancelled
from danube._places import Source
from danube._report import described, with_values
from danube._run import end, prepare, run
from danube._session import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, NoReturn

_USAGE, _LEFT = 64, 79


class _Debugger(pdb.Pdb):
    """One prompt at a time: branches run in threads."""

    def __init__(self) -> None:
        super().__init__()
        self._one = threading.RLock()

    def interaction(self, *args: Any, **kwargs: Any) -> None:
        with self._one:
            super().interaction(*args, **kwargs)


def main() -> NoReturn:
    """Runs the danubefile, shows its end, and ends the process."""
    prepare()
    path = os.environ.get("DANUBE_FILE", "")
    source = Source(os.path.dirname(path))
    debugger = _Debugger() if os.environ.get("DANUBE_REPLAY_DEBUGGER") == "pdb" else None
    stop_at = os.environ.get("DANUBE_REPLAY_BREAK", "")
    try:
        if debugger is not None and stop_at:
            refused = _stop_at(debugger, path, int(stop_at))
            if refused:
                end(f"danube: cannot stop at line {stop_at} of {os.path.basename(path)}: {refused}\n", _USAGE)
        run(source)
    except BdbQuit:
        end("", _LEFT)
    except BaseException as error:
        text, status = _shown(error, source, debugger is None)
        sys.settrace(None)
        threading.settrace(None)
        if debugger is not None and status != 0:
            _say(text)
            text = ""
            _inspect(debugger, error.__traceback__, source)
        end(text, status)
    end("", 0)


def _stop_at(debugger: _Debugger, path: str, line: int) -> str | None:
    """Lets the debugger stop there and nowhere before; what is wrong with the line, if anything is."""
    refused: str | None = debugger.set_break(path, line)
    if refused is None:
        # As if this frame had been told to go on: without a frame to return to it stops at once.
        debugger.reset()
        debugger.botframe = sys._getframe()  # pyright: ignore[reportPrivateUsage]
        debugger.set_continue()
        threading.settrace(debugger.trace_dispatch)
        sys.settrace(debugger.trace_dispatch)
    return refused


def _shown(error: BaseException, source: Source, values: bool) -> tuple[str, int]:
    text, status = described(error, source)
    if isinstance(error, JobCancelled):
        text = f"danube: {error}\n"
    return (with_values(error, source) + text if values and status != 0 else text), status


def _inspect(debugger: _Debugger, trace: TracebackType | None, source: Source) -> None:
    """Opens the debugger at the innermost line of the user's files."""
    innermost, at = None, trace
    while at is not None:
        if source.relative(at.tb_frame.f_code.co_filename) is not None:
            innermost = at
        at = at.tb_next
    if innermost is None:
        return
    # What the SDK did below that line explains nothing.
    innermost.tb_next = None
    signal.signal(signal.SIGINT, signal.default_int_handler)
    current().transport.reopen()
    debugger.reset()
    debugger.interaction(None, trace)


def _say(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(text)
    sys.stderr.flush()


if __name__ == "__main__":
    main()
