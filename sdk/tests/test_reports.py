"""`tests.junit` and `annotate`: what is sent, what is printed, what is refused before anything is sent."""

from __future__ import annotations

import contextlib
import io

import protos
from fake_master import Failure
from support import JobTest

import danube


class ReportsTest(JobTest):
    def test_a_report_is_asked_for_under_its_own_key_and_its_summary_is_printed(self) -> None:
        self.master.answers["Junit"] = lambda _: protos.message("JunitReply")(lines=["unit: 3 tests", "  new: a"])
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            danube.tests.junit("reports/**/*.xml", name="unit")
            danube.tests.junit("b.xml")
        self.assertEqual(printed.getvalue(), "unit: 3 tests\n  new: a\n" * 2)
        self.assertEqual(self.master.keys(), ["/junit#0", "/junit#1"])
        sent = [(request.glob, request.name) for _, request in self.master.requests]
        self.assertEqual(sent, [("reports/**/*.xml", "unit"), ("b.xml", "tests")])

    def test_a_report_that_is_refused_points_at_the_line(self) -> None:
        self.master.answers["Junit"] = lambda _: Failure(5, "*.xml: no such file in the workspace")
        with self.assertRaises(danube.DanubeError) as caught:
            danube.tests.junit("*.xml")
        self.assertRegex(str(caught.exception), r"no such file in the workspace \(test_reports.py:\d+\)")

    def test_an_annotation_sends_its_level_unless_it_is_the_usual_one(self) -> None:
        danube.annotate("**81 %**")
        danube.annotate("slow", level="warning")
        sent = [(request.call.key, request.markdown, request.level) for _, request in self.master.requests]
        self.assertEqual(sent, [("/annotate#0", "**81 %**", ""), ("/annotate#1", "slow", "warning")])

    def test_what_cannot_be_meant_is_refused_at_once(self) -> None:
        wrong = [
            (lambda: danube.annotate("x", level="loud"), "level= is 'loud'"),
            (lambda: danube.annotate(" \n"), "is empty"),
            (lambda: danube.tests.junit(""), "is empty"),
            (lambda: danube.tests.junit("a", name=""), "name= is empty"),
        ]
        for call, why in wrong:
            with self.assertRaisesRegex(danube.DanubeError, why):
                call()
        self.assertEqual(self.master.requests, [])
