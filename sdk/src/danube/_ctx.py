"""`ctx`: what the job is about, recorded at its first attempt."""

from __future__ import annotations

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
    job_id: str
    number: int
    """The job's number within its pipeline."""
    attempt: int
    pipeline: str
    repository: str
    url: str
    """The job's page."""
    branch: str
    tag: str | None
    commit_sha: str
    commit_message: str
    author: str
    """Who wrote the commit."""
    actor: str
    """Who or what triggered the job."""
    trigger: Literal["webhook", "cron", "manual", "api", "rerun"]
    event: Literal["push", "tag", "pull_request"] | None
    pr: int | None
    pr_base: str | None
    """The branch that the pull request is to be merged into."""
    is_fork: bool
    params: Mapping[str, str]

    def changed(self, *globs: str) -> bool:
        """Whether a matching file differs from the merge base, or from the branch's last green run."""
        request = ChangedRequest(globs=_checked(globs, "ctx.changed"))
        return ask("changed", "Changed", request, ChangedReply, at_import=True).changed

    def hash(self, *globs: str) -> str:
        """A hash over the matching files of the commit."""
        request = HashRequest(globs=_checked(globs, "ctx.hash"))
        return ask("hash", "Hash", request, HashReply, at_import=True).hash

    def now(self) -> str:
        """The time, RFC 3339 in UTC; a resumed or replayed run sees the same value."""
        return ask("now", "Now", NowRequest(), NowReply, at_import=True).now

    def random(self) -> float:
        """A number from 0 up to 1; a resumed or replayed run sees the same value."""
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
