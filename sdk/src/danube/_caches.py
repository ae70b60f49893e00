"""Caches and services as they are sent."""

from __future__ import annotations

import re

from danube import _messages as messages
from danube._errors import DanubeError
from danube._results import Cache
from danube._secret import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_RULES = ("protected", "always", "never")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"


def caches_of(caches: Sequence[object]) -> tuple[messages.Cache, ...]:
    """The caches of a step; what can't be one is refused with the reason."""
    if isinstance(caches, Cache) or not all(isinstance(cache, Cache) for cache in caches):
        raise DanubeError(f'caches= is {caches!r}: give a list, such as [Cache("cargo", ["~/.cargo/registry"])]')
    found = [cache for cache in caches if isinstance(cache, Cache)]
    names = [cache.name for cache in found]
    for name in names:
        if names.count(name) > 1:
            raise DanubeError(f"caches= names the cache {name!r} twice")
    return tuple(_cache(cache) for cache in found)


def _cache(cache: Cache) -> messages.Cache:
    if not re.fullmatch(_NAME, plain(cache.name, "the name of a cache")):
        raise DanubeError(
            f"{cache.name!r} can't name a cache: write letters, digits, '.', '_' and '-', at most 100, "
            "and begin with a letter or digit"
        )
    if isinstance(cache.paths, str) or not cache.paths:
        raise DanubeError(f"the paths of cache {cache.name!r} are {cache.paths!r}: give a list with at least one path")
    if cache.write not in _RULES:
        raise DanubeError(f'write= of cache {cache.name!r} is {cache.write!r}: write "protected", "always" or "never"')
    if cache.key == "":
        raise DanubeError(f"the key of cache {cache.name!r} is empty: leave it out for the newest content")
    return messages.Cache(
        name=cache.name,
        paths=tuple(plain(path, f"a path of cache {cache.name!r}") for path in cache.paths),
        key="" if cache.key is None else plain(cache.key, f"the key of cache {cache.name!r}"),
        write="" if cache.write == "protected" else cache.write,
    )
