"""Makes the SDK importable from its sources and gives every test a job of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parent
SOURCES = TESTS.parent / "src"
sys.path.insert(0, str(SOURCES))

from fake_master import FakeMaster  # noqa: E402

from danube import _session  # noqa: E402
from danube._ctx import ctx  # noqa: E402
from danube._keys import Branch, bind  # noqa: E402
from danube._places import Source  # noqa: E402
from danube._transport import Transport  # noqa: E402

_ENTRY = (
    f"import sys, runpy; sys.path.insert(0, {str(SOURCES)!r}); runpy.run_module('danube._run', run_name='__main__')"
)


class JobTest(unittest.TestCase):
    """A test inside a running job: calls go to a fake master, the test's own file is the user's file."""

    def setUp(self) -> None:
        self.master = FakeMaster()
        self.addCleanup(self.master.close)
        self.pauses: list[float] = []
        transport = Transport(str(self.master.folder), "credential-of-the-job", self.pauses.append)
        self.addCleanup(transport.release)
        self.session = _session.Session(transport, Source(str(TESTS)))
        self.session.importing = False
        _session.start(self.session)
        bind(Branch())
        vars(ctx).update(_values=None)


def in_thread(function) -> BaseException | None:
    """What the function raises in a thread that the SDK did not start."""
    caught: list[BaseException] = []

    def body() -> None:
        try:
            function()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return caught[0] if caught else None


class Outcome:
    """What a whole run printed, and how it ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err


class RunTest(unittest.TestCase):
    """A test that runs a danubefile in a process of its own."""

    def setUp(self) -> None:
        self.master = FakeMaster()
        self.addCleanup(self.master.close)
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.source = Path(scratch.name)

    def start(self, text: str | None, **changes: str) -> subprocess.Popen[str]:
        """Starts a danubefile with this text."""
        path = self.source / "danubefile.py"
        if text is not None:
            path.write_text(text)
        environment = {
            "DANUBE_SOCKET_DIR": str(self.master.folder),
            "DANUBE_CREDENTIAL": "credential-of-the-job",
            "DANUBE_FILE": str(path),
        } | changes
        return subprocess.Popen(
            [sys.executable, "-I", "-c", _ENTRY],
            cwd=self.source,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run_file(self, text: str | None, **changes: str) -> Outcome:
        """Runs a danubefile with this text to its end."""
        with self.start(text, **changes) as process:
            out, err = process.communicate(timeout=60)
        return Outcome(process.returncode, out, err)
