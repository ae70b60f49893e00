"""What the coordinator's log says when a run ends badly: the user's lines, and none of ours.

Loaded only when there is something to report.
"""

from __future__ import annotations

import traceback

from danube._errors import DanubeError, JobCancelled, NondeterministicPipeline, StepFailed
from danube._places import PACKAGE

_VALUE = 300

TYPE_CHECKING = False
if TYPE_CHECKING:
    from danube._places import Source


def described(error: BaseException, source: Source) -> tuple[str, int]:
    """The text for standard error and the exit code of the process."""
    first = _first_cause(error)
    text, code = _said(error, source)
    if first is not error:
        # What went wrong first is the reason; what failed while that was handled comes after it.
        text = _said(first, source)[0] + text.replace("danube: ", "danube: after that: ", 1)
    shown = next((told for told in (error, first) if _is_python(told)), None)
    return ("" if shown is None else _text(shown, source)) + text, code


def _first_cause(error: BaseException) -> BaseException:
    """The step that failed first of a chain of exceptions, else the chain's first exception."""
    if isinstance(error, JobCancelled | KeyboardInterrupt | NondeterministicPipeline):
        return error
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return error
    chain = [error]
    inner = _inner(error)
    while inner is not None and not any(inner is known for known in chain):
        chain.append(inner)
        inner = _inner(inner)
    causes = [cause for cause in reversed(chain) if isinstance(cause, Exception)]
    for cause in causes:
        if isinstance(cause, StepFailed):
            return cause
    # Leaving by sys.exit after an error of one's own is no accident.
    return error if isinstance(error, SystemExit) or not causes else causes[0]


def _inner(error: BaseException) -> BaseException | None:
    """What was raised before, and led to this one."""
    while isinstance(error, DanubeError) and error.__suppress_context__ and isinstance(error.__context__, DanubeError):
        # The SDK said an error of its own again in better words.
        error = error.__context__
    return error.__cause__ if error.__suppress_context__ else error.__cause__ or error.__context__


def _said(error: BaseException, source: Source) -> tuple[str, int]:
    """The SDK's own words about an error, and the exit code."""
    place = source.of_error(error.__traceback__)
    at = f" ({place})" if place else ""
    match error:
        case JobCancelled():
            return "danube: the job was cancelled\n", 75
        case KeyboardInterrupt():
            return f"danube: the run was told to end{at}\n", 143
        case SystemExit():
            return _exit(error, at)
        case StepFailed():
            return f"danube: {error}{at}\n{_notes(error)}", 1
        case DanubeError():
            return f"danube: {error}{'' if error.place else at}\n{_notes(error)}", 1
        case SyntaxError():
            return f"danube: {_file(error, source)} cannot be read as Python\n", 1
        case _:
            return f"danube: the danubefile raised {type(error).__name__}{at}\n", 1


def with_values(error: BaseException, source: Source) -> str:
    """The user's lines with the values of their variables."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    _trim(report, source)
    for frame in report.stack:
        # A module's variables are its imports and functions: they say nothing about the run.
        values = {} if frame.name == "<module>" else frame.locals or {}
        frame.locals = {name: _cut(value) for name, value in values.items()}
    return "".join(report.format()).replace(f'File "{source.folder}', 'File "')


def _cut(value: str) -> str:
    return value if len(value) <= _VALUE else f"{value[:_VALUE]}…"


def _exit(error: SystemExit, at: str) -> tuple[str, int]:
    code: object = error.code
    if code is None or code == 0:
        return f"danube: the danubefile ended the run by sys.exit: success{at}\n", 0
    if isinstance(code, int):
        # The kernel keeps eight bits; a failure must not become a success on the way.
        status = code & 0xFF or 1
        return f"danube: the danubefile ended the run by sys.exit: exit code {status}{at}\n", status
    return f"{code}\ndanube: the danubefile ended the run by sys.exit: exit code 1{at}\n", 1


def _notes(error: BaseException) -> str:
    notes: list[str] = getattr(error, "__notes__", [])
    return "".join(f"danube: {note}\n" for note in notes)


def _file(error: SyntaxError, source: Source) -> str:
    return source.relative(error.filename or "") or error.filename or "the danubefile"


def _is_python(error: BaseException) -> bool:
    """Whether Python's traceback says more than the SDK does."""
    return not isinstance(error, JobCancelled | KeyboardInterrupt | SystemExit | StepFailed | DanubeError)


def _text(error: BaseException, source: Source) -> str:
    """The traceback from the first of the user's frames on, without the SDK's, with paths told from the checkout."""
    report = traceback.TracebackException.from_exception(error)
    _trim(report, source)
    return "".join(report.format()).replace(f'File "{source.folder}', 'File "')


def _trim(report: traceback.TracebackException, source: Source) -> None:
    shown = [frame for frame in report.stack if not frame.filename.startswith(PACKAGE)]
    while shown and source.relative(shown[0].filename) is None:
        del shown[0]
    report.stack[:] = shown
    for inner in (report.__cause__, report.__context__, *(report.exceptions or ())):
        if inner is not None:
            _trim(inner, source)
