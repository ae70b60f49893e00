"""`@pipeline`: names the function that a job runs."""

from __future__ import annotations

from danube._errors import DanubeError
from danube._secret import plain
from danube._units import milliseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, ParamSpec, TypeVar

    P = ParamSpec("P")
    T = TypeVar("T")

_COROUTINE_OR_GENERATOR = 0x20 | 0x80 | 0x200


class Declared:
    """A decorated function and the constants of its decorator."""

    __slots__ = ("egress", "function", "name", "timeout_ms")

    def __init__(
        self, function: Callable[..., Any], name: str, timeout_ms: int, egress: tuple[str, ...] | None
    ) -> None:
        self.function = function
        self.name = name
        self.timeout_ms = timeout_ms
        self.egress = egress

    def place(self) -> tuple[str, int]:
        """The file and line of the function; line 0 where it is no Python function."""
        code = getattr(self.function, "__code__", None)
        return (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)


declared: list[Declared] = []
"""Every pipeline that was decorated, in order; a danubefile must have exactly one."""


def pipeline(
    *, name: str, timeout: str | None = None, egress: Sequence[str] | None = None
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Marks the function that the job runs. A danubefile has exactly one.

    It can only tighten what the Pipeline document of the config repo allows.

    Args:
        name: What people see as the title of its jobs.
        timeout: The longest that a job may run, such as `"20m"`; the smaller one of this and the document's counts.
        egress: The DNS names that the job may reach; each must be among those that the document allows.

    Returns:
        A decorator that leaves the function as it is.
    """
    if not plain(name, "the pipeline's name"):
        raise DanubeError("the pipeline's name is empty")
    if isinstance(egress, str):
        raise DanubeError(f'egress= is the text {egress!r}: give a list, such as ["registry.example.com"]')
    hosts = None if egress is None else tuple(plain(host, "a host of egress=") for host in egress)
    timeout_ms = 0 if timeout is None else milliseconds(timeout, "the pipeline's timeout=")

    def mark(function: Callable[P, T]) -> Callable[P, T]:
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & _COROUTINE_OR_GENERATOR:
            raise DanubeError(f'the pipeline "{name}" is asynchronous or a generator: write a plain function')
        declared.append(Declared(function, name, timeout_ms, hosts))
        return function

    return mark
