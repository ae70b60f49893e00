"""The Danube SDK: what a danubefile imports.

Owns the words of a danubefile and their way to the master. Uses the standard library only. Starts no
process, opens no file of the job and knows no secret value (except what `Secret.reveal` returns).
"""

from __future__ import annotations

from danube._annotate import annotate
from danube._artifacts import artifacts
from danube._ctx import ctx
from danube._errors import (
    DanubeError,
    JobCancelled,
    NondeterministicPipeline,
    SecretNotFound,
    ServiceFailed,
    StepFailed,
)
from danube._images import images
from danube._pipeline import pipeline
from danube._results import Artifact, Cache, Result, Retry, Service
from danube._secret import Secret
from danube._secrets import secrets
from danube._step import step
from danube._tests import tests
from danube._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from danube._types import Cause as Cause
    from danube._types import Env as Env
    from danube._types import Level as Level
    from danube._types import When as When

__all__ = [
    "Artifact",
    "Cache",
    "DanubeError",
    "JobCancelled",
    "NondeterministicPipeline",
    "Result",
    "Retry",
    "Secret",
    "SecretNotFound",
    "Service",
    "ServiceFailed",
    "StepFailed",
    "__version__",
    "annotate",
    "artifacts",
    "ctx",
    "images",
    "pipeline",
    "secrets",
    "step",
    "tests",
]

if not TYPE_CHECKING:

    def __getattr__(name):
        # The names of types load `typing`, so they are no part of `import *` either.
        if name in ("Cause", "Env", "Level", "When"):
            from danube import _types

            return getattr(_types, name)
        raise AttributeError(f"module 'danube' has no attribute {name!r}")
