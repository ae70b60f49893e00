"""Calls over a connection that fails in every way."""

from __future__ import annotations

import threading

import protos
from fake_master import Cut, Dropped, Failure
from support import JobTest, in_thread

from danube import DanubeError, JobCancelled, NondeterministicPipeline, SecretNotFound, artifacts, ctx, secrets, step


def once(first, then):
    """An answer that is `first` the first time and `then` ever after."""
    answers = iter([first])
    return lambda request: next(answers, then)


def text_reply(name: str, **fields):
    return protos.message(name)(**fields)


class TransportTest(JobTest):
    def test_a_call_carries_the_credential_and_the_users_line(self) -> None:
        step.run("true")
        self.assertEqual(self.master.headers[0]["authorization"], "Bearer credential-of-the-job")
        self.assertEqual(self.master.headers[0]["content-type"], "application/grpc-web+proto")
        call = self.master.last().call
        self.assertEqual((call.key, call.file), ("/run#0", "test_transport.py"))
        self.assertEqual(
            call.line, TransportTest.test_a_call_carries_the_credential_and_the_users_line.__code__.co_firstlineno + 1
        )

    def test_one_thread_keeps_one_connection(self) -> None:
        for _ in range(3):
            ctx.now()
        self.assertEqual(self.master.connections, 1)

    def test_a_dropped_connection_sends_the_same_key_again(self) -> None:
        self.master.answers["Now"] = once(Dropped(), text_reply("NowReply", now="2026-01-02T03:04:05Z"))
        self.assertEqual(ctx.now(), "2026-01-02T03:04:05Z")
        self.assertEqual(self.master.keys(), ["/now#0", "/now#0"])

    def test_an_answer_without_a_status_is_sent_again(self) -> None:
        self.master.answers["Random"] = once(Cut(), text_reply("RandomReply", value=0.25))
        self.assertEqual(ctx.random(), 0.25)
        self.assertEqual(self.master.keys(), ["/random#0", "/random#0"])

    def test_an_unavailable_server_is_asked_again(self) -> None:
        self.master.answers["Random"] = once(Failure(14, "starting"), text_reply("RandomReply", value=0.5))
        self.assertEqual(ctx.random(), 0.5)

    def test_a_server_that_is_away_is_waited_for(self) -> None:
        self.master.shut()

        def pause(seconds: float) -> None:
            self.pauses.append(seconds)
            if len(self.pauses) == 9:
                self.master.open()

        self.session.transport._sleep = pause
        step.run("true")
        self.assertEqual(self.pauses, [0.0, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0])

    def test_a_job_whose_folder_is_gone_ends(self) -> None:
        self.master.shut()
        self.master.folder.rmdir()
        with self.assertRaisesRegex(DanubeError, "is gone, so the job has ended"):
            step.run("true")

    def test_errors_are_read_from_headers_and_from_trailers(self) -> None:
        for in_headers in (True, False):
            self.master.answers["Hash"] = lambda _, where=in_headers: Failure(
                3, "bad glob %22%C3%BC%22%0Afix it", in_headers=where
            )
            with self.assertRaisesRegex(DanubeError, r'(?s)^bad glob "ü"\nfix it \(test_transport\.py:\d+\)$'):
                ctx.hash("ü")

    def test_a_refusal_without_a_reason_names_its_status(self) -> None:
        self.master.answers["Hash"] = lambda _: Failure(13)
        with self.assertRaisesRegex(DanubeError, "status 13"):
            ctx.hash("x")

    def test_another_call_than_the_recorded_one_is_its_own_error(self) -> None:
        self.master.answers["RunStep"] = lambda _: Failure(9, "nondeterministic pipeline: recorded was another command")
        with self.assertRaisesRegex(NondeterministicPipeline, r"recorded was another command \(test_transport"):
            step.run("true")

    def test_a_missing_secret_names_its_key(self) -> None:
        self.master.answers["CheckSecret"] = lambda _: Failure(5, "no secret TOKEN in team web")
        with self.assertRaisesRegex(SecretNotFound, "^no secret TOKEN in team web ") as caught:
            secrets.get("TOKEN")
        self.assertEqual(caught.exception.key, "TOKEN")

    def test_a_cancelled_job_raises_again_at_every_later_call(self) -> None:
        self.master.answers["RunStep"] = lambda _: Failure(1, "cancelled by alice", in_headers=True)
        with self.assertRaisesRegex(JobCancelled, "cancelled by alice"):
            step.run("true")
        sent = len(self.master.requests)
        for again in (lambda: step.run("true"), lambda: ctx.now(), lambda: artifacts.download("a")):
            self.assertRaises(JobCancelled, again)
        self.assertEqual(len(self.master.requests), sent)

    def test_a_cancel_passes_through_except_exception(self) -> None:
        self.assertFalse(issubclass(JobCancelled, Exception))

    def test_a_thread_of_the_danubefile_is_refused_with_its_line(self) -> None:
        for call in (lambda: step.run("true"), lambda: ctx.branch, lambda: secrets.get("A"), lambda: step.parallel()):
            error = in_thread(call)
            self.assertIsInstance(error, DanubeError)
            self.assertRegex(
                str(error), r"thread was not started by Danube.*step\.parallel.*\(test_transport\.py:\d+\)"
            )
        self.assertEqual(self.master.requests, [])

    def test_eight_threads_of_ours_call_at_once(self) -> None:
        everyone = threading.Barrier(8, timeout=30)

        def answer(request):
            everyone.wait()
            return text_reply("NowReply", now=request.call.key)

        self.master.answers["Now"] = answer
        self.assertEqual(step.parallel(*[ctx.now] * 8), [f"/parallel#0[{n}]/now#0" for n in range(8)])
