"""Caches of a step, as they reach the master."""

from __future__ import annotations

import protos
from support import JobTest

from danube import Cache, DanubeError, secrets, step


class CacheTest(JobTest):
    def test_a_cache_reaches_the_master_without_its_defaults(self) -> None:
        step.run("make", caches=[Cache("cargo", ["~/.cargo", "target"]), Cache("npm", ["/n"], key="k", write="always")])
        message = protos.message("Cache")
        self.assertEqual(
            list(self.master.last().caches),
            [
                message(name="cargo", paths=["~/.cargo", "target"]),
                message(name="npm", paths=["/n"], key="k", write="always"),
            ],
        )

    def test_what_cannot_be_a_cache_is_refused_before_a_call(self) -> None:
        for caches, reason in [
            ([Cache("", ["a"])], "can't name a cache"),
            ([Cache("a/b", ["a"])], "can't name a cache"),
            ([Cache("a\n", ["a"])], "can't name a cache"),
            ([Cache("a", "target")], "give a list with at least one path"),
            ([Cache("a", [])], "give a list with at least one path"),
            ([Cache("a", ["x"], key="")], "leave it out"),
            ([Cache("a", ["x"], write="sometimes")], 'write "protected"'),
            ([Cache("a", ["x"]), Cache("a", ["y"])], "twice"),
            (Cache("a", ["x"]), "give a list"),
            (["a"], "give a list"),
        ]:
            with self.subTest(caches=caches), self.assertRaisesRegex(DanubeError, reason):
                step.run("make", caches=caches)  # type: ignore[arg-type]
        with self.assertRaises(DanubeError):
            step.run("make", caches=[Cache("a", ["x"], key=secrets.get("K"))])  # type: ignore[arg-type]
        self.assertEqual(self.master.keys(), ["/secret#0"])
