"""The one job of this process: every call goes through `ask`, which gives it its key and its line."""

from __future__ import annotations

from danube._errors import BranchStopped, DanubeError, NondeterministicPipeline, RpcError
from danube._keys import bound
from danube._messages import Call
from danube._places import shown
from danube._transport import FAILED_PRECONDITION
from danube._wire import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from danube._keys import Branch
    from danube._messages import Request
    from danube._places import Source
    from danube._transport import Transport
    from danube._wire import Message

    R = TypeVar("R", bound=Message)


class Session:
    """The connection to the master and the phase of the run; `importing` until the pipeline function starts."""

    def __init__(self, transport: Transport, source: Source) -> None:
        self.transport = transport
        self.source = source
        self.importing = True


_sessions: list[Session] = []


def start(session: Session) -> None:
    """Makes this the job of the process."""
    _sessions[:] = [session]


def current() -> Session:
    """The job of this process."""
    if not _sessions:
        raise DanubeError("this program does not run in a Danube job: start it with `danube run`, which provides one")
    return _sessions[0]


def enter(*, at_import: bool = False) -> tuple[Session, Branch, tuple[str, int]]:
    """The session, the caller's branch and line, for a call that is allowed here and now."""
    session = current()
    branch = bound()
    place = session.source.of_call() or (branch.origin if branch else ("", 0))
    if branch is None:
        raise DanubeError(
            "this thread was not started by Danube, so its calls have no fixed order: "
            "run the work with step.parallel or step.matrix",
            shown(place),
        )
    if session.importing and not at_import:
        raise DanubeError(
            "call this inside the pipeline function: while the danubefile is imported it is too early", shown(place)
        )
    if branch.is_stopped():
        raise BranchStopped(f"branch {branch.path} was stopped")
    return session, branch, place


def ask(kind: str, method: str, request: Request, reply: type[R], *, at_import: bool = False) -> R:
    """One journaled call to the master and its answer."""
    session, branch, place = enter(at_import=at_import)
    return send(session, branch.key(kind), place, method, request, reply)


def send(session: Session, key: str, place: tuple[str, int], method: str, request: Request, reply: type[R]) -> R:
    """A call under a key that the caller chose."""
    request.call = Call(key=key, file=place[0], line=place[1])
    try:
        return decode(reply, session.transport.unary(method, encode(request)))
    except RpcError as error:
        if error.code == FAILED_PRECONDITION and error.message.startswith("nondeterministic pipeline"):
            raise NondeterministicPipeline(error.message, shown(place)) from None
        raise RpcError(error.code, error.message, shown(place)) from None
