"""Durations and sizes as people write them."""

from __future__ import annotations

import re

from danube._errors import DanubeError

_DURATION = r"(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?(?:([0-9]{1,9})ms)?"
_MILLISECONDS = (3_600_000, 60_000, 1_000, 1)

_SIZE = r"([0-9]{1,9})(KiB|MiB|GiB|TiB|[KMGT]B?|B)"
_BYTES = {"B": 1}
for _power, _letter in enumerate("KMGT", start=1):
    _BYTES[f"{_letter}iB"] = 1024**_power
    _BYTES[_letter] = _BYTES[f"{_letter}B"] = 1000**_power


def milliseconds(text: object, what: str) -> int:
    """`1h30m` in milliseconds, always more than zero; `what` names the argument in errors."""
    found = re.fullmatch(_DURATION, _text(text, what))
    total = sum(int(n) * unit for n, unit in zip(found.groups(), _MILLISECONDS, strict=True) if n) if found else 0
    if total == 0:
        raise DanubeError(
            f'{what} is {text!r}: write a duration of more than zero, such as "90s", "5m", "1h30m" or "500ms"'
        )
    return total


def memory_bytes(text: object, what: str) -> int:
    """`512MiB` in bytes, always more than zero; `M` counts in thousands as in Kubernetes, `MiB` in 1024."""
    found = re.fullmatch(_SIZE, _text(text, what))
    total = int(found[1]) * _BYTES[found[2]] if found else 0
    if total == 0:
        raise DanubeError(f'{what} is {text!r}: write a size of more than zero, such as "512MiB", "2GiB" or "512M"')
    return total


def _text(text: object, what: str) -> str:
    if isinstance(text, str):
        return text
    raise DanubeError(f'{what} is {text!r}: write it as text with a unit, such as "5m" or "512MiB"')
