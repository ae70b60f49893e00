"""`tests`: results of tests, kept with the job and compared with earlier ones."""

from __future__ import annotations

import sys

from danube._errors import DanubeError
from danube._messages import JunitReply, JunitRequest
from danube._secret import plain
from danube._session import ask


class _Tests:
    def junit(self, glob: str, *, name: str = "tests") -> None:
        """Keeps the results of JUnit XML files of the workspace; `name` tells several reports of a job apart.

        Prints a summary. Failed tests do not raise: the step that ran them has failed already.
        """
        request = JunitRequest(glob=_given(glob, "the pattern of the reports"), name=_given(name, "name="))
        reply = ask("junit", "Junit", request, JunitReply)
        sys.stdout.write("".join(f"{line}\n" for line in reply.lines))
        sys.stdout.flush()


def _given(text: str, what: str) -> str:
    if not plain(text, what):
        raise DanubeError(f"{what} is empty")
    return text


tests = _Tests()
"""The test reports of the job."""
