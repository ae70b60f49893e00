"""A service is a branch: its keys, its ends, its failures."""

from __future__ import annotations

import protos
from fake_master import Failure
from support import JobTest, in_thread

from danube import DanubeError, JobCancelled, ServiceFailed, StepFailed, secrets, step


class ServiceTest(JobTest):
    def setUp(self) -> None:
        super().setUp()
        self.master.answers["StartService"] = lambda request: protos.message("StartServiceReply")(
            host=request.name, port=request.port
        )

    def dies(self, why: str) -> None:
        self.master.answers["StopService"] = lambda _: protos.message("StopServiceReply")(message=why)

    def test_the_body_is_a_branch_between_start_and_stop(self) -> None:
        step.run("before")
        with step.service("postgres:16", name="db", port=5432) as db:
            self.assertEqual((db.host, db.port), ("db", 5432))
            step.run("x")
            with step.service("redis:7", name="cache", port=6379):
                step.parallel(lambda: step.run("y"))
        with step.service("postgres:16", name="db", port=5432):
            step.run("z")
        step.run("after")
        self.assertEqual(
            self.master.keys(),
            [
                "/run#0",
                "/service:db#0/start#0",
                "/service:db#0/run#0",
                "/service:db#0/service:cache#0/start#0",
                "/service:db#0/service:cache#0/parallel#0[0]/run#0",
                "/service:db#0/service:cache#0/stop#0",
                "/service:db#0/stop#0",
                "/service:db#1/start#0",
                "/service:db#1/run#0",
                "/service:db#1/stop#0",
                "/run#1",
            ],
        )

    def test_every_argument_reaches_the_master(self) -> None:
        with step.service("i", name="db", port=1, env={"P": secrets.get("P")}, ready="true", ready_timeout="5s"):
            pass
        request = next(request for method, request in self.master.requests if method == "StartService")
        request.ClearField("call")
        message = protos.message
        value = message("NamedValue")(name="P", value=message("Value")(secret="P"))
        self.assertEqual(
            request,
            message("StartServiceRequest")(
                name="db", image="i", port=1, env=[value], ready="true", ready_timeout_ms=5000
            ),
        )

    def test_two_branches_each_have_their_own(self) -> None:
        def branch() -> None:
            with step.service("i", name="db", port=1):
                step.run("x")

        step.parallel(branch, branch)
        for index in (0, 1):
            for call in ("start", "run", "stop"):
                self.assertIn(f"/parallel#0[{index}]/service:db#0/{call}#0", self.master.keys())

    def test_a_service_that_does_not_get_ready_has_no_body(self) -> None:
        self.master.answers["StartService"] = lambda _: protos.message("StartServiceReply")(message="not ready")
        with (
            self.assertRaisesRegex(ServiceFailed, r"not ready \(test_service.py:\d+\)"),
            step.service("i", name="db", port=1),
        ):
            step.run("never")
        step.run("after")
        self.assertEqual(self.master.keys(), ["/service:db#0/start#0", "/run#0"])

    def test_a_service_that_ended_early_is_the_error_of_a_good_body(self) -> None:
        self.dies('service "db" ended with exit code 1 while the body ran')
        with (
            self.assertRaisesRegex(ServiceFailed, "exit code 1 while the body ran") as caught,
            step.service("i", name="db", port=1),
        ):
            step.run("x")
        self.assertEqual(caught.exception.name, "db")

    def test_the_error_of_the_body_stays_the_error(self) -> None:
        self.dies("it ended")
        with (
            self.assertRaisesRegex(ZeroDivisionError, "division") as caught,
            step.service("i", name="db", port=1),
        ):
            raise ZeroDivisionError("division")
        self.assertEqual(caught.exception.__notes__, ["it ended"])
        self.master.answers["RunStep"] = lambda _: protos.message("RunStepReply")(outcome="exit", message="it ended")
        with self.assertRaises(StepFailed) as failed, step.service("i", name="db", port=1):
            step.run("x")
        self.assertFalse(hasattr(failed.exception, "__notes__"))

    def test_a_cancelled_body_makes_no_further_call(self) -> None:
        self.master.answers["RunStep"] = lambda _: Failure(1, "cancelled")
        with self.assertRaises(JobCancelled), step.service("i", name="db", port=1):
            step.run("x")
        self.assertEqual(self.master.keys()[-1], "/service:db#0/run#0")

    def test_it_is_left_where_it_was_entered(self) -> None:
        body = step.service("i", name="db", port=1)
        body.__enter__()
        error = in_thread(lambda: body.__exit__(None, None, None))
        self.assertRegex(str(error), "at the level at which it began")
        body.__exit__(None, None, None)
        with self.assertRaisesRegex(DanubeError, "entered before"):
            body.__enter__()

    def test_what_cannot_be_a_service_is_refused(self) -> None:
        for name, port in [("", 1), ("DB", 1), ("a.b", 1), ("-a", 1), ("a" * 64, 1), ("localhost", 1), ("d\n", 1),
                           ("db", 0), ("db", 65536), ("db", True), ("db", "5432")]:  # fmt: skip
            with self.subTest(name=name, port=port), self.assertRaises(DanubeError):
                step.service("i", name=name, port=port)  # type: ignore[arg-type]
        with self.assertRaisesRegex(DanubeError, "needs an image"):
            step.service("", name="db", port=1)
        self.assertEqual(self.master.keys(), [])
