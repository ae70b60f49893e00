"""Every error that a danubefile can meet."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from danube._results import Result


class DanubeError(Exception):
    """A call that Danube refused."""

    message: str
    """What was refused, why, and what to do."""
    place: str
    """The line of the danubefile, such as `danubefile.py:7`."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{message} ({place})" if place else message)
        self.message = message
        self.place = place


class NondeterministicPipeline(DanubeError):
    """The danubefile made another call than the one recorded under this key before the restart."""


class SecretNotFound(DanubeError):
    """This job may see no secret of this name."""

    key: str
    """The name that was asked for."""

    def __init__(self, key: str, message: str, place: str = "") -> None:
        super().__init__(message or f'there is no secret "{key}" for this job', place)
        self.key = key


class RpcError(DanubeError):
    """The master answered with an error; `code` is the gRPC status."""

    code: int

    def __init__(self, code: int, message: str, place: str = "") -> None:
        super().__init__(message or f"the server refused the call without a reason (status {code})", place)
        self.code = code


class StepFailed(Exception):
    """A step ended without success. Left uncaught, it ends the job as a failure with this step as its reason."""

    result: Result
    """How it ended: its exit code, its attempt, what it captured."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


class ServiceFailed(DanubeError):
    """A service did not get ready, or ended while its body ran."""

    name: str
    """The service's name."""

    def __init__(self, name: str, message: str, place: str = "") -> None:
        super().__init__(message, place)
        self.name = name


class JobCancelled(BaseException):
    """The job was cancelled: `finally` blocks run, further calls raise this again."""


class BranchStopped(BaseException):
    """Ends a branch whose sibling failed under `fail_fast`; never reaches the danubefile's own level."""
