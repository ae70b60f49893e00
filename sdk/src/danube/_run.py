"""Runs a danubefile inside a job: `python3 -I -m danube._run`.

The master sets DANUBE_SOCKET_DIR, DANUBE_CREDENTIAL and DANUBE_FILE. Exit codes: 0 success, 1 failure (or
what the danubefile gave to sys.exit), 75 cancelled, 143 told to end by a signal.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from io import TextIOWrapper
from types import ModuleType

from danube._errors import DanubeError
from danube._keys import Branch, bind
from danube._messages import DeclareReply, DeclareRequest, RegisterReply, RegisterRequest
from danube._pipeline import Declared, declared
from danube._places import Source
from danube._session import Session, ask, start
from danube._transport import Transport
from danube._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Runs the danubefile and ends the process, whatever threads are left in it."""
    prepare()
    source = Source(os.path.dirname(os.environ.get("DANUBE_FILE", "")))
    text, status = "", 0
    try:
        run(source)
    except BaseException as error:
        from danube._report import described

        text, status = described(error, source)
    end(text, status)


def prepare() -> None:
    """Makes the process's streams and signals fit for a run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A character that the locale does not know must not fail a job.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def run(source: Source) -> None:
    """Loads the danubefile and calls its pipeline; every error of either comes out."""
    path = os.path.abspath(_variable("DANUBE_FILE"))
    transport = Transport(_variable("DANUBE_SOCKET_DIR"), _variable("DANUBE_CREDENTIAL"))
    # Programs that the danubefile starts have no business with the job's credential.
    del os.environ["DANUBE_CREDENTIAL"]
    session = Session(transport, source)
    start(session)
    root = Branch(origin=(os.path.basename(path), 1))
    bind(root)
    ask("register", "Register", RegisterRequest(sdk_version=__version__), RegisterReply, at_import=True)
    _load(path)
    pipeline = _only_pipeline(source)
    egress = pipeline.egress
    request = DeclareRequest(
        name=pipeline.name, timeout_ms=pipeline.timeout_ms, egress=egress or (), has_egress=egress is not None
    )
    file, line = pipeline.place()
    root.origin = (source.relative(file) or os.path.basename(path), max(line, 1))
    ask("declare", "Declare", request, DeclareReply, at_import=True)
    session.importing = False
    strays = _strays()
    pipeline.function()
    if strays:
        # A step that was not run must not pass as a success, because its error ended in another thread.
        raise strays[0]


def _strays() -> list[DanubeError]:
    """From now on collects refused calls that end a thread of the danubefile's own."""
    found: list[DanubeError] = []

    def hook(args: threading.ExceptHookArgs) -> None:
        if isinstance(args.exc_value, DanubeError):
            found.append(args.exc_value)
        else:
            threading.__excepthook__(args)

    threading.excepthook = hook
    return found


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if value:
        return value
    raise DanubeError(f"{name} is not set: this program is started by the Danube server or by `danube run`")


def _load(path: str) -> None:
    """Runs the danubefile as the module `danubefile`."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        raise DanubeError(
            f"cannot read {os.path.basename(path)} at the top of the repository: {error.strerror}"
        ) from None
    # At the end of the path: a file of the repository never takes the place of a standard module.
    sys.path.append(os.path.dirname(path))
    sys.argv = [path]
    module = ModuleType("danubefile")
    module.__file__ = path
    sys.modules["danubefile"] = module
    exec(compile(text, path, "exec", dont_inherit=True), vars(module))


def _only_pipeline(source: Source) -> Declared:
    if len(declared) == 1:
        return declared[0]
    if not declared:
        raise DanubeError("the danubefile has no pipeline: decorate one function with @pipeline(name=…)")
    places = ", ".join(_shown(item, source) for item in declared)
    raise DanubeError(f"the danubefile has {len(declared)} pipelines, but a job runs exactly one: {places}")


def _shown(item: Declared, source: Source) -> str:
    file, line = item.place()
    return f'"{item.name}" ({source.relative(file) or file}:{line})'


def end(text: str, status: int) -> NoReturn:
    """Ends the process with a last text for standard error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.write(text if stream is sys.stderr else "")
            stream.flush()
        except (AttributeError, OSError, ValueError):
            # The reader is gone or the danubefile closed the stream; the exit code still counts.
            continue
    os._exit(status)


if __name__ == "__main__":
    main()
