"""`ctx`: what the job is about, recorded at its first attempt."""

from __future__ import annotations

import sys
import threading
from types import MappingProxyType

from danube._errors import DanubeError
from danube._messages import (
    ChangedReply,
    ChangedRequest,
    GetContextReply,
    GetContextRequest,
    HashReply,
    HashRequest,
    NowReply,
    NowRequest,
    RandomReply,
    RandomRequest,
)
from danube._secret import plain
from danube._session import ask, enter, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

# Fetched once for the whole job, whichever branch asks first.
_KEY = "/context#0"
_OPTIONAL = ("tag", "event", "pr", "pr_base")


class _Ctx:
    """What the job is about. Recorded when the job starts: a danubefile that is started again sees the same."""

    job_id: str
    """The job's id, the same for ever."""
    number: int
    """The job's number within its pipeline, from 1."""
    attempt: int
    """The attempt at the job, from 1; a further one follows a failure of the infrastructure."""
    pipeline: str
    """The pipeline's name in the config repo."""
    repository: str
    """The address of the built repository."""
    url: str
    """The job's page."""
    branch: str
    """The branch; empty for a tag."""
    tag: str | None
    """The tag, where one is built."""
    commit_sha: str
    """The commit, 40 hex digits."""
    commit_message: str
    """The commit's message."""
    author: str
    """Who wrote the commit: `Ada <ada@example.com>`."""
    actor: str
    """Who or what started the job: an address, the name of a token, `system`."""
    trigger: Literal["webhook", "cron", "manual", "api", "rerun"]
    """Why the job exists."""
    event: Literal["push", "tag", "pull_request"] | None
    """What happened in the repository, where that started the job."""
    pr: int | None
    """The number of the pull request, where one is built."""
    pr_base: str | None
    """The branch that the pull request is to be merged into."""
    is_fork: bool
    """The pull request comes from a fork: it gets no secrets."""
    params: Mapping[str, str]
    """The values of the pipeline's `params`, all of them as text: what the start gave, else the defaults."""

    def changed(self, *globs: str) -> bool:
        """Whether a matching file differs from the last state that is known to be good.

        A pull request is compared with its merge base, everything else with the newest green run of its branch
        before this job. Where there is none, the answer is `True`. A rerun is compared with what its first run was
        compared with. The log says what was compared.

        Args:
            globs: Patterns of paths from the top of the repository: `*` stops at `/`, `**` does not.

        Returns:
            `True` if any file differs that matches any pattern; a moved file differs at both places.
        """
        request = ChangedRequest(globs=_checked(globs, "ctx.changed"))
        reply = ask("changed", "Changed", request, ChangedReply, at_import=True)
        if reply.why:
            # In the danubefile's log, because a job that does nothing must say why.
            patterns = ", ".join(map(repr, globs))
            sys.stderr.write(f"ctx.changed({patterns}) is {reply.changed}: {reply.why}\n")
        return reply.changed

    def hash(self, *globs: str) -> str:
        """A hash over path, mode and content of the matching files of the commit.

        Args:
            globs: Patterns of paths from the top of the repository: `*` stops at `/`, `**` does not.

        Returns:
            64 hex digits; the same files give the same hash at every commit.
        """
        request = HashRequest(globs=_checked(globs, "ctx.hash"))
        return ask("hash", "Hash", request, HashReply, at_import=True).hash

    def now(self) -> str:
        """The time as recorded at the first call: a danubefile that is started again sees the same.

        Returns:
            RFC 3339 in UTC, such as `2026-01-02T03:04:05.678Z`.
        """
        return ask("now", "Now", NowRequest(), NowReply, at_import=True).now

    def random(self) -> float:
        """A number by chance, recorded: a danubefile that is started again sees the same.

        Returns:
            A number from 0 up to, but not including, 1.
        """
        return ask("random", "Random", RandomRequest(), RandomReply, at_import=True).value

    if not TYPE_CHECKING:

        def __init__(self):
            vars(self).update(_lock=threading.Lock(), _values=None)

        def __getattr__(self, name):
            if name not in GetContextReply.wire_names:
                raise AttributeError(f"ctx has no attribute {name!r}")
            return self._fetched()[name]

        def __setattr__(self, name, value):
            raise AttributeError(f"ctx.{name} cannot be changed: it is recorded with the job")

        def _fetched(self):
            session, _, place = enter(at_import=True)
            with self._lock:
                if self._values is None:
                    reply = send(session, _KEY, place, "GetContext", GetContextRequest(), GetContextReply)
                    vars(self).update(_values=_values(reply))
                return self._values


def _values(reply: GetContextReply) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(reply, name) for name in GetContextReply.wire_names}
    values.update({name: values[name] or None for name in _OPTIONAL})
    values["params"] = MappingProxyType(dict(reply.params))
    return values


def _checked(globs: tuple[str, ...], call: str) -> tuple[str, ...]:
    if not globs:
        raise DanubeError(f'{call} needs at least one pattern, such as {call}("src/**")')
    return tuple(plain(glob, f"a pattern of {call}") for glob in globs)


ctx = _Ctx()
"""What the job is about."""
