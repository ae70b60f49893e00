"""Journal keys: which branch the calling thread is in and how many calls of a kind it has made.

A key is `<branch>/<kind>#<n>`. The root branch is the empty string; below it a branch is named
`<parent>/parallel#<n>[<index>]` or `<parent>/matrix#<n>[axis=value,…]`. In names and values of axes the
characters `%`, `,`, `=`, `[`, `]`, `/` and control characters are written as `%XX` per byte, so that no two
branches share a key.

The branch is bound to the thread by `threading.local`: a context variable would be copied into threads
that the danubefile starts by itself, whose calls have no fixed order.
"""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_RESERVED = frozenset("%,=[]/") | {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}
_local = threading.local()


class Branch:
    """One line of calls in order; used by one thread at a time."""

    __slots__ = ("_counters", "_parent", "_stopped", "origin", "path")

    def __init__(self, path: str = "", parent: Branch | None = None, origin: tuple[str, int] = ("", 0)) -> None:
        self.path = path
        self.origin = origin
        self._parent = parent
        self._counters: dict[str, int] = {}
        self._stopped = False

    def key(self, kind: str) -> str:
        """The key of the branch's next call of this kind."""
        number = self._counters.get(kind, 0)
        self._counters[kind] = number + 1
        return f"{self.path}/{kind}#{number}"

    def stop(self) -> None:
        """Lets no further call of this branch or one below it begin."""
        self._stopped = True

    def is_stopped(self) -> bool:
        """Whether this branch or one above it was stopped."""
        return self._stopped or (self._parent is not None and self._parent.is_stopped())


def bind(branch: Branch) -> None:
    """Makes the calling thread the one that speaks for the branch."""
    _local.branch = branch


def bound() -> Branch | None:
    """The calling thread's branch; None in a thread that is not ours."""
    branch: Branch | None = getattr(_local, "branch", None)
    return branch


def matrix_label(values: Mapping[str, str]) -> str:
    """`python=3,mode=fast`, with every reserved character written as `%XX`."""
    return ",".join(f"{_escaped(axis)}={_escaped(value)}" for axis, value in values.items())


def _escaped(text: str) -> str:
    return "".join(_percent(char) if char in _RESERVED else char for char in text)


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode())
