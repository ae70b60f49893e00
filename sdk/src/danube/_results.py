"""Plain values that calls take and give.

Each tuple is written twice: once for type checkers, once for the interpreter, because importing `typing`
costs every job milliseconds at its start. A test holds the two equal.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal, NamedTuple

    from danube._secret import Secret
    from danube._types import Cause

    class Result(NamedTuple):
        """How a step ended."""

        exit_code: int
        """The command's exit code; -1 where a failed step has none."""
        stdout: str
        """With `capture=True`: redacted, at most 64 KiB."""
        secret: Secret | None
        """With `capture="secret"`: the output as a secret that is never logged."""
        seconds: float
        """How long the last attempt ran."""
        attempt: int
        """The attempt that ended it, from 1."""

    class Retry(NamedTuple):
        """How often, after which causes and with which pauses a step is tried again."""

        times: int = 2
        """Further attempts after the first one."""
        on: Sequence[Cause] = ("infra",)
        """The causes after which it is tried again: `"infra"` (the machine failed), `"timeout"` (its own `timeout=`),
        `"oom"` (out of memory), `"exit"` (the command failed)."""
        backoff: str = "5s"
        """The pause before the second attempt. It doubles before each further one, up to an hour."""

    class Cache(NamedTuple):
        """Directories that a step finds as an earlier step of the pipeline left them."""

        name: str
        """Its name within the pipeline."""
        paths: Sequence[str]
        """Below the workspace (`"node_modules"`), below the home (`"~/.cache/pip"`), or absolute in the image."""
        key: str | None = None
        """What the content depends on, such as `ctx.hash("package-lock.json")`: exactly that content is restored, and
        it is stored once. Left out: the newest content of the name is restored, and stored again when it changed."""
        write: Literal["protected", "always", "never"] = "protected"
        """Which jobs store it: `"protected"`: those of protected branches alone; `"always"`: other branches and pull
        requests too, each for itself; `"never"`: none."""

    class Service(NamedTuple):
        """Where steps reach a service."""

        host: str
        """Its name."""
        port: int
        """Its port."""

    class Artifact(NamedTuple):
        """A stored artifact."""

        name: str
        """Its name within the job."""
        sha256: str
        """Its digest, hex, computed by the server."""
        size: int
        """In bytes."""
else:
    from collections import namedtuple

    Result = namedtuple("Result", ("exit_code", "stdout", "secret", "seconds", "attempt"), module="danube")
    Retry = namedtuple("Retry", ("times", "on", "backoff"), defaults=(2, ("infra",), "5s"), module="danube")
    Cache = namedtuple("Cache", ("name", "paths", "key", "write"), defaults=(None, "protected"), module="danube")
    Service = namedtuple("Service", ("host", "port"), module="danube")
    Artifact = namedtuple("Artifact", ("name", "sha256", "size"), module="danube")
