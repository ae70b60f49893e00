"""The body of a service: a branch whose first call starts a container and whose last one ends it."""

from __future__ import annotations

import re

from danube._errors import DanubeError, JobCancelled, ServiceFailed
from danube._keys import Branch, bind, bound
from danube._messages import StartServiceReply, StartServiceRequest, StopServiceReply, StopServiceRequest
from danube._places import shown
from danube._results import Service
from danube._secret import plain
from danube._session import current, enter, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_NAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


class ServiceBody:
    """What `with step.service(…)` enters and leaves."""

    def __init__(self, request: StartServiceRequest) -> None:
        self._request = request
        self._branch: Branch | None = None
        self._parent: Branch | None = None

    def __enter__(self) -> Service:
        session, parent, place = enter()
        if self._branch is not None:
            raise DanubeError("this service was entered before: call step.service again for another one")
        branch = Branch(parent.key(f"service:{self._request.name}"), parent, place)
        self._branch, self._parent = branch, parent
        bind(branch)
        try:
            reply = send(session, branch.key("start"), place, "StartService", self._request, StartServiceReply)
            if reply.message:
                raise ServiceFailed(self._request.name, reply.message, shown(place))
        except BaseException:
            bind(parent)
            raise
        return Service(reply.host, reply.port)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        branch, parent = self._branch, self._parent
        if branch is None or parent is None or bound() is not branch:
            raise DanubeError(
                f'the service "{self._request.name}" must end in the thread and at the level at which it began: '
                "use it with `with`"
            )
        bind(parent)
        if isinstance(error, JobCancelled):
            # It ends with the job.
            return
        session = current()
        place = session.source.of_call() or branch.origin
        reply = send(session, branch.key("stop"), place, "StopService", StopServiceRequest(), StopServiceReply)
        if not reply.message:
            return
        if error is None:
            raise ServiceFailed(self._request.name, reply.message, shown(place))
        if reply.message not in str(error):
            error.add_note(reply.message)


def checked(name: str, port: object) -> None:
    """Refuses what can't be the name and port of a service."""
    if not re.fullmatch(_NAME, plain(name, "name=")) or name == "localhost":
        raise DanubeError(
            f"name= is {name!r}: the service is reached under it, so write small letters, digits and '-', "
            'at most 63, such as "db"'
        )
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise DanubeError(f"port= is {port!r}: write a number from 1 to 65535")
