"""What a step's arguments become on the wire, and what its end becomes in Python."""

from __future__ import annotations

import unittest

import protos
from support import JobTest

from danube import Artifact, DanubeError, Result, Retry, StepFailed, artifacts, ctx, secrets, step
from danube._units import memory_bytes, milliseconds


class StepTest(JobTest):
    def ends(self, **fields) -> None:
        self.master.answers["RunStep"] = lambda _: protos.message("RunStepReply")(attempt=1, **fields)

    def test_defaults_are_omitted(self) -> None:
        step.run("make")
        request = self.master.last()
        request.ClearField("call")
        self.assertEqual(request, protos.message("RunStepRequest")(command="make"))

    def test_every_argument_reaches_the_master(self) -> None:
        step.run(
            "make", name="build", image="alpine:3.20", env={"CI": "1", "TOKEN": secrets.get("T")},
            files={"/root/.netrc": secrets.get("N")}, workdir="/workspace/web",
            retry=Retry(3, on=["oom"], backoff="1m"),
            timeout="1h30m", check=False, capture="secret", once=True, user="1000", root="readonly", cpu=1.5,
            memory="512MiB", network=False, caps=["CAP_SETFCAP", "SETFCAP"],
        )  # fmt: skip
        request = self.master.last()
        request.ClearField("call")
        message = protos.message
        self.assertEqual(
            request,
            message("RunStepRequest")(
                command="make", name="build", image="alpine:3.20", workdir="/workspace/web", timeout_ms=5_400_000,
                env=[message("NamedValue")(name="CI", value=message("Value")(text="1")),
                     message("NamedValue")(name="TOKEN", value=message("Value")(secret="T"))],
                files=[message("NamedValue")(name="/root/.netrc", value=message("Value")(secret="N"))],
                retry=message("Retry")(times=3, on=["oom"], backoff_ms=60_000), capture="secret", once=True,
                user="1000", root="readonly", cpu=1.5, memory_bytes=512 << 20, no_network=True, allow_failure=True,
                caps=["SETFCAP"],
            ),
        )  # fmt: skip

    def test_a_number_of_retries_means_after_infrastructure_failures(self) -> None:
        step.run("make", retry=2)
        self.assertEqual(self.master.last().retry, protos.message("Retry")(times=2, on=["infra"], backoff_ms=5000))

    def test_an_empty_env_value_is_sent_as_text(self) -> None:
        step.run("make", env={"EMPTY": ""})
        self.assertEqual(self.master.last().env[0].value.WhichOneof("kind"), "text")

    def test_a_success_gives_its_result(self) -> None:
        self.ends(outcome="success", stdout="1.2\n", seconds=0.5)
        self.assertEqual(step.run("cat VERSION", capture=True), Result(0, "1.2\n", None, 0.5, 1))

    def test_a_failure_names_step_code_and_reason(self) -> None:
        cases = [
            ({"outcome": "exit", "exit_code": 3}, 'step "unit" failed: exit code 3'),
            ({"outcome": "exit", "exit_code": 3, "message": "exit code 3"}, 'step "unit" failed: exit code 3'),
            ({"outcome": "timeout", "exit_code": 143, "message": "it ran longer than its timeout of 5 s"},
             'step "unit" failed: it ran longer than its timeout of 5 s'),
            ({"outcome": "oom", "exit_code": 137}, 'step "unit" failed: it ran out of memory'),
            ({"outcome": "infra", "message": "cannot pull alpine:9"},
             'step "unit" failed: the infrastructure failed: cannot pull alpine:9'),
        ]  # fmt: skip
        for fields, message in cases:
            self.ends(**fields)
            with self.assertRaises(StepFailed) as caught:
                step.run("make", name="unit")
            self.assertEqual(str(caught.exception), message)
            self.assertEqual(caught.exception.result.exit_code, fields.get("exit_code", -1))

    def test_a_step_without_a_name_is_called_by_its_command(self) -> None:
        self.ends(outcome="exit", exit_code=1)
        with self.assertRaisesRegex(StepFailed, '^step "make check" failed'):
            step.run("\nmake check\nmake install")
        with self.assertRaisesRegex(StepFailed, f'^step "{"x" * 59}…" failed'):
            step.run("x" * 100)

    def test_check_false_returns_the_failure(self) -> None:
        self.ends(outcome="exit", exit_code=9)
        self.assertEqual(step.run("make", check=False).exit_code, 9)

    def test_a_failure_without_an_exit_code_never_reads_as_success(self) -> None:
        self.ends(outcome="infra", exit_code=0)
        self.assertEqual(step.run("make", check=False).exit_code, -1)

    def test_a_captured_secret_can_be_handed_to_the_next_step(self) -> None:
        self.ends(outcome="success", captured="handle-7")
        token = step.run("make-token", capture="secret").secret
        self.assertEqual(repr(token), '<danube secret captured by step "make-token">')
        step.run("use", env={"TOKEN": token})
        self.assertEqual(self.master.last().env[0].value.captured, "handle-7")

    def test_mistakes_are_named_before_anything_is_sent(self) -> None:
        mistakes = [
            (lambda: step.run(" "), "the command is empty"),
            (lambda: step.run(["make"]), "the command is \\['make'\\]: write it as text"),
            (lambda: step.run("x", env={"N": 1}), r"env\['N'\] is 1: write it as text"),
            (lambda: step.run("x", env={1: "N"}), "a name in env= is 1"),
            (lambda: step.run("x", timeout="5"), 'timeout= is \'5\': .*"90s", "5m", "1h30m"'),
            (lambda: step.run("x", timeout=5), "timeout= is 5: write it as text with a unit"),
            (lambda: step.run("x", memory="1.5GB"), '"512MiB"'),
            (lambda: step.run("x", capture="stdout"), 'write True, False or "secret"'),
            (lambda: step.run("x", root="ro"), '"writable" or "readonly"'),
            (lambda: step.run("x", cpu=0), "number of cores above zero"),
            (lambda: step.run("x", retry=-1), "from 0 to 100"),
            (lambda: step.run("x", retry=Retry(1, on=["crash"])), "names the cause 'crash'"),
            (lambda: step.run("x", retry=Retry(1, on="infra")), "give a list of"),
            (lambda: artifacts.upload("", name="a"), "path is empty"),
            (lambda: artifacts.upload("a", name="a", when="never"), '"success", "failure" or "always"'),
            (lambda: ctx.changed(), r'ctx\.changed\("src/\*\*"\)'),
            (lambda: ctx.hash(["a"]), "write it as text"),
            (lambda: secrets.mask(""), "is empty"),
        ]
        for call, message in mistakes:
            with self.subTest(message), self.assertRaisesRegex(DanubeError, message):
                call()
        self.assertEqual(self.master.requests, [])

    def test_artifacts_are_stored_and_fetched(self) -> None:
        self.master.answers["StoreArtifact"] = lambda r: protos.message("StoreArtifactReply")(
            name=r.name, sha256="ab", size=5
        )
        self.assertEqual(artifacts.upload("dist/", name="d", when="always", provenance=False), Artifact("d", "ab", 5))
        request = self.master.last()
        self.assertEqual((request.path, request.when, request.no_provenance), ("dist/", "always", True))
        artifacts.download("d")
        self.assertEqual((self.master.last().dest, self.master.last().job), ("", ""))
        artifacts.download("d", dest="in", job="job-1")
        self.assertEqual((self.master.last().dest, self.master.last().job), ("in", "job-1"))
        self.assertEqual(self.master.keys(), ["/upload#0", "/download#0", "/download#1"])

    def test_the_context_shows_absent_fields_as_none(self) -> None:
        self.master.answers["GetContext"] = lambda _: protos.message("GetContextReply")(
            job_id="j1", number=7, trigger="manual", params={"level": "2"}
        )
        self.assertEqual((ctx.job_id, ctx.number, ctx.trigger, ctx.is_fork), ("j1", 7, "manual", False))
        self.assertEqual((ctx.tag, ctx.event, ctx.pr, ctx.pr_base), (None, None, None, None))
        self.assertEqual(dict(ctx.params), {"level": "2"})
        with self.assertRaises(TypeError):
            ctx.params["level"] = "3"
        with self.assertRaisesRegex(AttributeError, "cannot be changed"):
            ctx.branch = "main"
        with self.assertRaisesRegex(AttributeError, "no attribute 'sha'"):
            ctx.sha  # noqa: B018


class UnitsTest(unittest.TestCase):
    def test_durations_and_sizes_are_read_as_written(self) -> None:
        durations = {"500ms": 500, "90s": 90_000, "5m": 300_000, "1h30m": 5_400_000, "1h1m1s1ms": 3_661_001}
        for text, expected in durations.items():
            self.assertEqual(milliseconds(text, "timeout="), expected)
        sizes = {
            "64KiB": 65_536,
            "512MiB": 512 << 20,
            "2GiB": 2 << 30,
            "512M": 512_000_000,
            "1GB": 10**9,
            "4096B": 4096,
        }
        for text, expected in sizes.items():
            self.assertEqual(memory_bytes(text, "memory="), expected)

    def test_anything_else_is_refused_with_the_forms(self) -> None:
        for text in ("", "0s", "5", "5 m", "-5m", "1m1h", "5m ", "\u0661s", "m", "1e3s", "99999999999s"):
            with self.subTest(text), self.assertRaisesRegex(DanubeError, "1h30m"):
                milliseconds(text, "timeout=")
        for text in ("", "0M", "512", "512mib", "-1G", "1.5GiB", "M"):
            with self.subTest(text), self.assertRaisesRegex(DanubeError, "512MiB"):
                memory_bytes(text, "memory=")
