"""The names of the SDK and their types."""

from __future__ import annotations

import ast
import unittest

from support import SOURCES

import danube
from danube import _results


class SurfaceTest(unittest.TestCase):
    def test_tuples_are_the_same_for_type_checkers_and_the_interpreter(self) -> None:
        tree = ast.parse((SOURCES / "danube" / "_results.py").read_text())
        typed = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        self.assertEqual([node.name for node in typed], ["Result", "Retry", "Cache", "Service", "Artifact"])
        for node in typed:
            fields = [line for line in node.body if isinstance(line, ast.AnnAssign)]
            kind = getattr(_results, node.name)
            self.assertEqual(tuple(field.target.id for field in fields), kind._fields)
            defaults = {field.target.id: ast.literal_eval(field.value) for field in fields if field.value}
            self.assertEqual(defaults, kind._field_defaults)

    def test_every_name_can_be_imported(self) -> None:
        for name in [*danube.__all__, "Cause", "Env", "Level", "When"]:
            self.assertIsNotNone(getattr(danube, name))
        with self.assertRaises(AttributeError):
            _ = danube.approve

    def test_a_call_outside_a_job_says_how_to_start_one(self) -> None:
        danube._session._sessions.clear()
        with self.assertRaisesRegex(danube.DanubeError, "danube run"):
            danube.step.run("make")
