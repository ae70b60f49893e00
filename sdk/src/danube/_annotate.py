"""`annotate`: a text on top of the job."""

from __future__ import annotations

from danube._errors import DanubeError
from danube._messages import AnnotateReply, AnnotateRequest
from danube._secret import plain
from danube._session import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from danube._types import Level


def annotate(markdown: str, *, level: Level = "info") -> None:
    """Shows a text, in Markdown, on top of the job: "info", "warning" or "error"."""
    if level not in ("info", "warning", "error"):
        raise DanubeError(f'level= is {level!r}: write "info", "warning" or "error"')
    if not plain(markdown, "the text of the annotation").strip():
        raise DanubeError("the text of the annotation is empty")
    request = AnnotateRequest(markdown=markdown, level="" if level == "info" else level)
    ask("annotate", "Annotate", request, AnnotateReply)
