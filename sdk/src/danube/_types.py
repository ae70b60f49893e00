"""Names of types for annotations; loaded only when a danubefile asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from danube._secret import Secret

When = Literal["success", "failure", "always"]
"""The ends of a job at which an artifact is kept."""

Level = Literal["info", "warning", "error"]
"""How loud an annotation is."""

Cause = Literal["infra", "timeout", "oom", "exit"]
"""Why an attempt of a step failed."""

Env = Mapping[str, str | Secret]
"""Names to plain text or secrets: what `env=` and `files=` accept."""
