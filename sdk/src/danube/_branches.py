"""Branches side by side: one daemon thread each.

There is no shared pool, because a branch that waits for branches of its own would hold a place in it for
ever. Threads are daemons, because a thread in a call must not keep a cancelled job's process alive.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue

from danube._errors import BranchStopped, DanubeError, JobCancelled
from danube._keys import bind
from danube._session import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from danube._keys import Branch

    T = TypeVar("T")

DEFAULT_SIDE_BY_SIDE = 16
"""How many branches of one call run at once unless `max_parallel` says otherwise."""

# After a cancel the branches' `finally` blocks get this long; the server kills the process after 10 s.
_GRACE = 5.0


def side_by_side(work: Sequence[tuple[Branch, Callable[[], T]]], limit: int, fail_fast: bool) -> list[T]:
    """The branches' values in order; the first branch's exception once all have ended, or at once with `fail_fast`."""
    values: dict[int, T] = {}
    failures: dict[int, BaseException] = {}
    ended: SimpleQueue[int] = SimpleQueue()

    def body(index: int) -> None:
        branch, function = work[index]
        bind(branch)
        try:
            values[index] = function()
        except BaseException as error:
            failures[index] = error
        finally:
            current().transport.release()
            ended.put(index)

    started = running = 0
    cancelled = False
    while running or (started < len(work) and not cancelled):
        if started < len(work) and running < limit and not cancelled:
            _start(body, started, work)
            started += 1
            running += 1
            continue
        try:
            ended.get(timeout=_GRACE if cancelled else None)
        except Empty:
            break
        running -= 1
        cancelled = any(isinstance(error, JobCancelled) for error in tuple(failures.values()))
        if failures and fail_fast:
            break
    if failures:
        for branch, _ in work:
            branch.stop()
        raise _first(failures, work)
    return [values[index] for index in range(len(work))]


def _start(body: Callable[[int], None], index: int, work: Sequence[tuple[Branch, object]]) -> None:
    try:
        threading.Thread(target=body, args=(index,), name=work[index][0].path, daemon=True).start()
    except RuntimeError as error:
        for branch, _ in work:
            branch.stop()
        raise DanubeError(
            f"cannot start the thread of branch {work[index][0].path}: {error}. "
            "A danubefile has at most 256 threads and processes and 256 MB of memory: lower max_parallel"
        ) from error


def _first(failures: dict[int, BaseException], work: Sequence[tuple[Branch, object]]) -> BaseException:
    """The failure to raise: a cancel before all else, then the lowest branch; it names the others in notes."""
    known = dict(sorted(failures.copy().items()))
    for error in known.values():
        if isinstance(error, (JobCancelled, BranchStopped)):
            return error
    (_, first), *others = known.items()
    for index, error in others:
        first.add_note(f"branch {work[index][0].path} failed too: {error or type(error).__name__}")
    return first
