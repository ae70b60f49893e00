"""`artifacts`: files that outlive the job."""

from __future__ import annotations

from danube._errors import DanubeError
from danube._messages import FetchArtifactReply, FetchArtifactRequest, StoreArtifactReply, StoreArtifactRequest
from danube._results import Artifact
from danube._secret import plain
from danube._session import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from danube._types import When


class _Artifacts:
    """Files that outlive the job, and files of other jobs."""

    def upload(self, path: str, *, name: str, when: When = "success", provenance: bool = True) -> Artifact:
        """Stores a file or a folder of the workspace under a name of the job.

        Args:
            path: Where it lies in the workspace. A folder is stored as one tar file.
            name: The artifact's name; one name is used once in a job.
            when: The ends of the job at which it is kept: `"success"`, `"failure"` or `"always"`.
            provenance: Name it in the signed statement of the job.

        Returns:
            What was stored: its name, its digest as the server computed it, its size.
        """
        if when not in ("success", "failure", "always"):
            raise DanubeError(f'when= is {when!r}: write "success", "failure" or "always"')
        request = StoreArtifactRequest(
            path=_given(path, "the artifact's path"),
            name=_given(name, "the artifact's name"),
            when="" if when == "success" else when,
            no_provenance=not provenance,
        )
        reply = ask("upload", "StoreArtifact", request, StoreArtifactReply)
        return Artifact(reply.name, reply.sha256, reply.size)

    def download(self, name: str, *, dest: str = ".", job: str | None = None) -> None:
        """Puts an artifact of this job, or of another one, into the workspace.

        Args:
            name: The artifact's name.
            dest: The folder of the workspace that it is put into.
            job: The id of the job that stored it, one of the same pipeline. Left out, it is this one.
        """
        folder = _given(dest, "dest=")
        request = FetchArtifactRequest(
            name=_given(name, "the artifact's name"),
            dest="" if folder == "." else folder,
            job="" if job is None else _given(job, "job="),
        )
        ask("download", "FetchArtifact", request, FetchArtifactReply)


def _given(text: str, what: str) -> str:
    if not plain(text, what):
        raise DanubeError(f"{what} is empty")
    return text


artifacts = _Artifacts()
"""The artifacts of the job."""
