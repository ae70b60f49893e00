"""Branches side by side: keys, order, failures, cancel."""

from __future__ import annotations

import threading
from unittest import mock

import protos
from fake_master import Failure
from support import JobTest

from danube import DanubeError, JobCancelled, StepFailed, ctx, step


def reply(outcome: str = "success", code: int = 0, **fields):
    return protos.message("RunStepReply")(outcome=outcome, exit_code=code, attempt=1, **fields)


def failing(*commands: str):
    return lambda request: reply("exit", 2) if request.command in commands else reply()


class BranchTest(JobTest):
    def test_values_come_back_in_the_order_of_the_branches(self) -> None:
        first_may_end = threading.Event()

        def answer(request):
            if request.command == "a":
                first_may_end.wait(30)
            else:
                first_may_end.set()
            return reply(stdout=request.command)

        self.master.answers["RunStep"] = answer
        results = step.parallel(lambda: step.run("a", capture=True), lambda: step.run("b", capture=True))
        self.assertEqual([result.stdout for result in results], ["a", "b"])

    def test_keys_name_nested_branches_and_count_within_each(self) -> None:
        def inner(db: str) -> None:
            step.run("x")
            step.run("y")

        step.run("before")
        step.parallel(lambda: step.matrix(inner, {"db": ["15"]}), lambda: step.parallel(lambda: step.run("z")))
        step.parallel(lambda: None)
        step.matrix(inner, {"db": ["16"]})
        step.run("after")
        self.assertEqual(
            sorted(self.master.keys()),
            [
                "/matrix#0[db=16]/run#0",
                "/matrix#0[db=16]/run#1",
                "/parallel#0[0]/matrix#0[db=15]/run#0",
                "/parallel#0[0]/matrix#0[db=15]/run#1",
                "/parallel#0[1]/parallel#0[0]/run#0",
                "/run#0",
                "/run#1",
            ],
        )

    def test_reserved_characters_of_a_matrix_value_are_escaped(self) -> None:
        step.matrix(lambda **axes: step.run("x"), {"a": ["1,b=2", "p/q[0]%"], "ü": ["\n \x85"]})
        self.assertEqual(
            sorted(self.master.keys()),
            ["/matrix#0[a=1%2Cb%3D2,ü=%0A %C2%85]/run#0", "/matrix#0[a=p%2Fq%5B0%5D%25,ü=%0A %C2%85]/run#0"],
        )

    def test_a_matrix_runs_every_cell_that_is_not_excluded(self) -> None:
        def cell(python: str, mode: str) -> str:
            return f"{python}-{mode}"

        axes = {"python": ["3.11", "3.12"], "mode": ["fast", "slow"]}
        self.assertEqual(step.matrix(cell, axes), ["3.11-fast", "3.11-slow", "3.12-fast", "3.12-slow"])
        self.assertEqual(
            step.matrix(cell, axes, exclude=[{"mode": "slow", "python": "3.11"}, {"python": "3.12"}]), ["3.11-fast"]
        )

    def test_at_most_max_parallel_branches_run_at_once(self) -> None:
        lock = threading.Lock()
        full = threading.Event()
        running: list[int] = [0, 0]

        def branch() -> None:
            with lock:
                running[0] += 1
                running[1] = max(running)
                if running[0] == 2:
                    full.set()
            full.wait(30)
            with lock:
                running[0] -= 1

        step.parallel(*[branch] * 6, max_parallel=2)
        self.assertEqual(running, [0, 2])

    def test_sixteen_branches_run_at_once_by_default(self) -> None:
        everyone = threading.Barrier(16, timeout=30)
        step.parallel(*[everyone.wait] * 16)

    def test_a_failure_is_raised_after_all_branches_ended(self) -> None:
        self.master.answers["RunStep"] = failing("bad", "worse")
        with self.assertRaisesRegex(StepFailed, 'step "bad" failed') as caught:
            step.parallel(lambda: step.run("good"), lambda: step.run("bad"), lambda: step.run("worse"), max_parallel=1)
        self.assertEqual([request.command for _, request in self.master.requests], ["good", "bad", "worse"])
        self.assertEqual(
            caught.exception.__notes__, ['branch /parallel#0[2] failed too: step "worse" failed: exit code 2']
        )

    def test_fail_fast_raises_at_once_and_stops_the_other_branches(self) -> None:
        slow_may_answer, slow_is_running = threading.Event(), threading.Event()
        slow_ended: list[BaseException] = []
        slow_is_over = threading.Event()

        def answer(request):
            if request.command == "slow":
                slow_is_running.set()
                slow_may_answer.wait(30)
                return reply()
            slow_is_running.wait(30)
            return reply("exit", 1)

        def slow() -> None:
            try:
                step.run("slow")
                step.run("never")
            except BaseException as error:
                slow_ended.append(error)
                raise
            finally:
                slow_is_over.set()

        self.master.answers["RunStep"] = answer
        with self.assertRaisesRegex(StepFailed, "bad"):
            step.parallel(slow, lambda: step.run("bad"), lambda: step.run("late"), max_parallel=2, fail_fast=True)
        slow_may_answer.set()
        self.assertTrue(slow_is_over.wait(30))
        self.assertEqual(type(slow_ended[0]).__name__, "BranchStopped")
        self.assertEqual({request.command for _, request in self.master.requests}, {"slow", "bad"})

    def test_a_cancel_reaches_every_branch_and_the_parent(self) -> None:
        cleaned: list[str] = []
        together = threading.Barrier(3, timeout=30)

        def branch(cleaning_takes: float) -> None:
            try:
                step.run("long")
            finally:
                threading.Event().wait(cleaning_takes)
                cleaned.append("cleaned")

        def answer(request):
            together.wait()
            return Failure(1, "cancelled", in_headers=True)

        self.master.answers["RunStep"] = answer
        with self.assertRaises(JobCancelled):
            step.parallel(*[lambda t=t: branch(t) for t in (0, 0.2, 0.2, 0)], max_parallel=3)
        self.assertEqual(cleaned, ["cleaned"] * 3)
        self.assertRaises(JobCancelled, step.run, "more")

    def test_no_branches_give_no_values(self) -> None:
        self.assertEqual(step.parallel(), [])
        self.assertEqual(step.matrix(lambda: None, {"a": []}), [])

    def test_the_context_is_fetched_once_for_all_branches(self) -> None:
        self.master.answers["GetContext"] = lambda _: protos.message("GetContextReply")(branch="main")
        together = threading.Barrier(4, timeout=30)

        def branch() -> str:
            together.wait()
            return ctx.branch

        self.assertEqual(step.parallel(*[branch] * 4), ["main"] * 4)
        self.assertEqual(self.master.keys(), ["/context#0"])

    def test_a_branch_without_a_line_of_its_own_shows_the_line_of_the_call(self) -> None:
        step.parallel(ctx.now)
        self.assertEqual(self.master.last().call.file, "test_branches.py")
        self.assertGreater(self.master.last().call.line, 0)

    def test_a_thread_too_many_names_the_limits(self) -> None:
        with (
            mock.patch("threading.Thread.start", side_effect=RuntimeError("can't start new thread")),
            self.assertRaisesRegex(
                DanubeError, r"/parallel#0\[0\].*256 threads and processes and 256 MB.*max_parallel"
            ),
        ):
            step.parallel(lambda: None)

    def test_mistakes_are_named_before_anything_runs(self) -> None:
        mistakes = [
            (lambda: step.parallel("make"), "branch 0 of step.parallel is 'make'"),
            (lambda: step.parallel(lambda: None, max_parallel=0), "at least one branch"),
            (lambda: step.matrix(str, {"a": "abc"}), "give a list of values"),
            (lambda: step.matrix(str, {"a": ["1", "1"]}), "names a value twice"),
            (lambda: step.matrix(str, {"a": [1]}), "write it as text"),
            (lambda: step.matrix(str, {"a": ["1"]}, exclude=[{"b": "1"}]), "names the axis 'b'"),
            (lambda: step.matrix("make", {"a": ["1"]}), "give a function"),
        ]
        for call, message in mistakes:
            with self.assertRaisesRegex(DanubeError, message):
                call()
        self.assertEqual(self.master.requests, [])
