"""The reference page, and what `help` says."""

from __future__ import annotations

import pydoc
import subprocess
import sys
import unittest

from support import SOURCES

import danube

SCRIPT = SOURCES.parent / "reference.py"


class ReferenceTest(unittest.TestCase):
    def test_the_page_is_current_and_everything_public_is_documented(self) -> None:
        done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_help_says_what_each_argument_is_for(self) -> None:
        text = pydoc.plain(pydoc.render_doc(danube.step.run))
        for part in ["run(command: 'str'", "retry: How often", "memory: The most memory", "StepFailed: It did not"]:
            self.assertIn(part, text)
