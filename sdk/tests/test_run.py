"""Whole runs: what is sent, what is printed, how the process ends."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading

import protos
from fake_master import Dropped, Failure
from support import TESTS, RunTest

HEAD = "from danube import *\n"
BUILD = '@pipeline(name="p")\ndef build():\n'


class OutcomeTest(RunTest):
    def ends(self, **fields) -> None:
        self.master.answers["RunStep"] = lambda _: protos.message("RunStepReply")(attempt=1, **fields)

    def test_a_green_run_is_silent_and_ends_with_zero(self) -> None:
        done = self.run_file(HEAD + BUILD + "    step.run('make')\n    print('built ü')\n")
        self.assertEqual((done.status, done.out, done.err), (0, "built ü\n", ""))

    def test_register_comes_first_and_declare_before_the_first_step(self) -> None:
        self.run_file(
            HEAD + "main = ctx.branch == 'main'\nkey = secrets.get('K')\n"
            "@pipeline(name='p', timeout='20m', egress=[])\ndef build():\n    step.run('make')\n"
        )
        self.assertEqual(self.master.keys(), ["/register#0", "/context#0", "/secret#0", "/declare#0", "/run#0"])
        register, declare = self.master.requests[0][1], self.master.requests[3][1]
        self.assertRegex(register.sdk_version, r"^\d+\.\d+\.\d+$")
        self.assertEqual(
            (declare.name, declare.timeout_ms, list(declare.egress), declare.has_egress), ("p", 1_200_000, [], True)
        )
        lines = [(request.call.file, request.call.line) for _, request in self.master.requests]
        self.assertEqual(lines, [("danubefile.py", line) for line in (1, 2, 3, 4, 6)])

    def test_a_failed_step_is_one_line_with_the_users_line(self) -> None:
        self.ends(outcome="exit", exit_code=1)
        done = self.run_file(HEAD + BUILD + "    step.run('make', name='unit')\n")
        self.assertEqual((done.status, done.err), (1, 'danube: step "unit" failed: exit code 1 (danubefile.py:4)\n'))

    def test_failed_branches_are_each_named(self) -> None:
        self.ends(outcome="exit", exit_code=1)
        done = self.run_file(
            HEAD + BUILD + "    step.parallel(lambda: step.run('a'),\n        lambda: step.run('b'))\n"
        )
        self.assertEqual(
            done.err,
            'danube: step "a" failed: exit code 1 (danubefile.py:4)\n'
            'danube: branch /parallel#0[1] failed too: step "b" failed: exit code 1\n',
        )

    def test_an_exception_shows_the_users_frames_alone(self) -> None:
        text = HEAD + "import json\n" + BUILD + "    step.parallel(inner)\ndef inner():\n    json.loads('{')\n"
        done = self.run_file(text)
        self.assertEqual(done.status, 1)
        self.assertTrue(
            done.err.startswith('Traceback (most recent call last):\n  File "danubefile.py", line 5, in build\n'),
            done.err,
        )
        self.assertIn('  File "danubefile.py", line 7, in inner\n', done.err)
        self.assertTrue(
            done.err.endswith("danube: the danubefile raised JSONDecodeError (danubefile.py:7)\n"), done.err
        )
        for ours in ("_run.py", "_branches.py", "runpy", "danube/"):
            self.assertNotIn(ours, done.err)

    def test_causes_are_trimmed_too(self) -> None:
        self.ends(outcome="exit", exit_code=1)
        text = (
            HEAD
            + BUILD
            + "    try:\n        step.run('a')\n    except StepFailed as e:\n        raise ValueError('no') from e\n"
        )
        done = self.run_file(text)
        self.assertIn("direct cause", done.err)
        self.assertNotIn("_step.py", done.err)
        self.assertTrue(
            done.err.endswith(
                'danube: step "a" failed: exit code 1 (danubefile.py:5)\n'
                "danube: after that: the danubefile raised ValueError (danubefile.py:7)\n"
            ),
            done.err,
        )

    def test_what_fails_in_a_finally_does_not_hide_the_step_that_failed_first(self) -> None:
        self.ends(outcome="exit", exit_code=3)
        self.master.answers["Junit"] = lambda _: Failure(5, "reports/*.xml: no such file")
        last = "danube.tests.junit('reports/*.xml')"
        text = "import danube\n" + HEAD + BUILD + f"    try:\n        step.run('a')\n    finally:\n        {last}\n"
        done = self.run_file(text)
        first = 'danube: step "a" failed: exit code 3 (danubefile.py:6)\n'
        self.assertEqual((done.status, done.err.split("danube: after that: ")[0]), (1, first))
        self.assertIn("no such file (danubefile.py:8)", done.err)
        # An error of the danubefile itself is a first cause too.
        done = self.run_file(text.replace("step.run('a')", "int('x')"))
        self.assertIn("danube: the danubefile raised ValueError (danubefile.py:6)\ndanube: after that: ", done.err)
        self.assertIn("invalid literal", done.err)
        # What was said on purpose stands.
        for said in ("sys.exit(0)", "raise ValueError('mine') from None"):
            done = self.run_file("import sys\n" + text.replace(last, said))
            self.assertNotIn("after that", done.err)

    def test_a_refused_call_shows_the_servers_words_and_the_users_line(self) -> None:
        self.master.answers["RunStep"] = lambda _: Failure(
            9, "nondeterministic pipeline: recorded was a run of %22a%22"
        )
        done = self.run_file(HEAD + BUILD + "    step.run('b')\n")
        self.assertEqual(
            (done.status, done.err),
            (1, 'danube: nondeterministic pipeline: recorded was a run of "a" (danubefile.py:4)\n'),
        )

    def test_a_mistake_in_an_argument_shows_the_users_line(self) -> None:
        done = self.run_file(HEAD + BUILD + "    step.run('b',\n        timeout='soon')\n")
        self.assertRegex(done.err, r"^danube: timeout= is 'soon': .* \(danubefile\.py:4\)\n$")
        self.assertEqual(done.status, 1)

    def test_a_missing_danubefile_is_named(self) -> None:
        done = self.run_file(None)
        self.assertEqual(
            (done.status, done.err),
            (1, "danube: cannot read danubefile.py at the top of the repository: No such file or directory\n"),
        )

    def test_a_syntax_error_shows_its_line(self) -> None:
        done = self.run_file(HEAD + "def build(:\n    pass\n")
        self.assertEqual(done.status, 1)
        self.assertTrue(done.err.startswith('  File "danubefile.py", line 2\n    def build(:\n'), done.err)
        self.assertTrue(done.err.endswith("danube: danubefile.py cannot be read as Python\n"), done.err)

    def test_a_file_that_is_no_text_fails_the_run(self) -> None:
        (self.source / "danubefile.py").write_bytes(b"x = 1\0\n")
        done = self.run_file(None)
        self.assertEqual(done.status, 1)
        self.assertIn("null byte", done.err)

    def test_a_failing_import_shows_the_users_line(self) -> None:
        done = self.run_file(HEAD + "import nowhere\n")
        self.assertEqual(done.status, 1)
        self.assertIn('  File "danubefile.py", line 2, in <module>\n', done.err)
        self.assertTrue(
            done.err.endswith("danube: the danubefile raised ModuleNotFoundError (danubefile.py:2)\n"), done.err
        )

    def test_a_file_without_a_pipeline_says_so(self) -> None:
        done = self.run_file(HEAD)
        self.assertEqual(
            (done.status, done.err),
            (1, "danube: the danubefile has no pipeline: decorate one function with @pipeline(name=…)\n"),
        )

    def test_two_pipelines_are_both_named(self) -> None:
        done = self.run_file(HEAD + BUILD + "    pass\n@pipeline(name='q')\ndef other():\n    pass\n")
        self.assertEqual(
            (done.status, done.err),
            (
                1,
                "danube: the danubefile has 2 pipelines, but a job runs exactly one: "
                '"p" (danubefile.py:2), "q" (danubefile.py:5)\n',
            ),
        )
        self.assertEqual(self.master.keys(), ["/register#0"])

    def test_an_asynchronous_pipeline_is_refused(self) -> None:
        done = self.run_file(HEAD + '@pipeline(name="p")\nasync def build():\n    pass\n')
        self.assertRegex(
            done.err, r'^danube: the pipeline "p" is asynchronous or a generator: .* \(danubefile\.py:2\)\n$'
        )

    def test_a_step_at_module_level_is_refused_with_its_line(self) -> None:
        for call in ("step.run('x')", "step.parallel()", "artifacts.download('a')", "secrets.mask('abcdef')"):
            with self.subTest(call):
                done = self.run_file(HEAD + call + "\n" + BUILD + "    pass\n")
                self.assertEqual(done.status, 1)
                self.assertRegex(done.err, r"^danube: call this inside the pipeline function.* \(danubefile\.py:2\)\n$")
                self.assertEqual(self.master.keys()[-1], "/register#0")

    def test_sys_exit_is_honoured_and_noted(self) -> None:
        cases = [
            ("", 0, "success"),
            ("0", 0, "success"),
            ("7", 7, "exit code 7"),
            ("256", 1, "exit code 1"),
            ("-1", 255, "exit code 255"),
        ]
        for code, status, words in cases:
            with self.subTest(code):
                done = self.run_file(f"import sys\n{HEAD}{BUILD}    sys.exit({code})\n")
                self.assertEqual(
                    (done.status, done.err),
                    (status, f"danube: the danubefile ended the run by sys.exit: {words} (danubefile.py:5)\n"),
                )
        done = self.run_file(f"import sys\n{HEAD}{BUILD}    sys.exit('no space left')\n")
        self.assertEqual((done.status, done.err.splitlines()[0]), (1, "no space left"))

    def test_a_cancelled_job_runs_its_finally_blocks_and_ends_with_75(self) -> None:
        self.master.answers["RunStep"] = lambda _: Failure(1, "cancelled", in_headers=True)
        text = (
            BUILD
            + "    try:\n        step.run('x')\n    finally:\n        print('cleaned')\n        step.run('more')\n"
        )
        done = self.run_file(HEAD + text)
        self.assertEqual((done.status, done.out, done.err), (75, "cleaned\n", "danube: the job was cancelled\n"))

    def test_a_signal_ends_the_run_with_143(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asked, may_end = threading.Event(), threading.Event()

            def answer(_, asked=asked, may_end=may_end):
                asked.set()
                may_end.wait(30)
                return Dropped()

            self.master.answers["RunStep"] = answer
            with self.start(HEAD + BUILD + "    step.run('x')\n") as process:
                self.assertTrue(asked.wait(30))
                process.send_signal(number)
                _, err = process.communicate(timeout=30)
            may_end.set()
            self.assertEqual((process.returncode, err), (143, "danube: the run was told to end (danubefile.py:4)\n"))

    def test_a_thread_of_the_danubefile_holds_up_nothing(self) -> None:
        text = (
            "import threading\n"
            + HEAD
            + BUILD
            + "    threading.Thread(target=threading.Event().wait).start()\n    print('end')\n"
        )
        done = self.run_file(text)
        self.assertEqual((done.status, done.out), (0, "end\n"))

    def test_print_appears_line_by_line(self) -> None:
        asked, may_end = threading.Event(), threading.Event()
        answered_in_time: list[bool] = []

        def answer(_):
            asked.set()
            answered_in_time.append(may_end.wait(20))
            return protos.message("RunStepReply")(outcome="success")

        self.master.answers["RunStep"] = answer
        with self.start(HEAD + BUILD + "    print('before')\n    step.run('x')\n") as process:
            self.assertTrue(asked.wait(30))
            self.assertEqual(process.stdout.readline(), "before\n")
            may_end.set()
            process.communicate(timeout=30)
        self.assertEqual(answered_in_time, [True])

    def test_a_character_that_the_locale_does_not_know_is_printed(self) -> None:
        done = self.run_file(HEAD + BUILD + "    print('ü', '\\udc80')\n", LC_ALL="C", PYTHONCOERCECLOCALE="0")
        self.assertEqual((done.status, done.out), (0, "ü \\udc80\n"))

    def test_the_credential_is_gone_from_the_environment(self) -> None:
        text = "import os\n" + HEAD + BUILD + "    print(sorted(k for k in os.environ if k.startswith('DANUBE')))\n"
        self.assertEqual(self.run_file(text).out, "['DANUBE_FILE', 'DANUBE_SOCKET_DIR']\n")

    def test_the_sdks_own_future_imports_do_not_reach_the_danubefile(self) -> None:
        done = self.run_file(HEAD + BUILD + "    def f(x: int): pass\n    print(f.__annotations__)\n")
        self.assertEqual(done.out, "{'x': <class 'int'>}\n")

    def test_modules_of_the_repository_are_found_after_the_standard_ones(self) -> None:
        (self.source / "tasks.py").write_text("from danube import step\ndef lint():\n    step.run('lint')\n")
        (self.source / "json.py").write_text("raise SystemExit('the wrong json')\n")
        done = self.run_file("import json, tasks\n" + HEAD + BUILD + "    tasks.lint()\n")
        self.assertEqual((done.status, done.err), (0, ""))
        call = self.master.last().call
        self.assertEqual((call.file, call.line), ("tasks.py", 3))

    def test_a_missing_variable_is_named(self) -> None:
        done = self.run_file(HEAD, DANUBE_CREDENTIAL="")
        self.assertRegex(
            done.err, r"^danube: DANUBE_CREDENTIAL is not set: this program is started by the Danube server"
        )
        self.assertEqual(done.status, 1)

    def test_a_refused_registration_ends_the_run(self) -> None:
        self.master.answers["Register"] = lambda _: Failure(16, "the job's credential is not valid")
        done = self.run_file(HEAD)
        self.assertEqual((done.status, done.err), (1, "danube: the job's credential is not valid (danubefile.py:1)\n"))


class GoldenTest(RunTest):
    def test_the_keys_of_the_example_are_those_of_the_first_release(self) -> None:
        self.master.answers["GetContext"] = lambda _: protos.message("GetContextReply")(branch="main")
        self.master.answers["Changed"] = lambda _: protos.message("ChangedReply")(changed=True)
        self.master.answers["RunStep"] = example_step
        done = self.run_file((TESTS.parents[1] / "tests" / "fixtures" / "example_core.py").read_text())
        self.assertEqual((done.status, done.err), (0, ""))
        lines = sorted(f"{method} {request.call.key}\n" for method, request in self.master.requests)
        self.assertEqual("".join(lines), (TESTS / "example_core.keys").read_text())
        publish = next(r for m, r in self.master.requests if m == "RunStep" and r.name == "publish")
        self.assertEqual((publish.env[0].value.secret, publish.once), ("PUBLISH_TOKEN", True))

    def test_the_sdk_starts_without_heavy_modules(self) -> None:
        done = self.run_file("import sys\n" + HEAD + BUILD + "    print(*sys.modules)\n")
        heavy = {"asyncio", "dataclasses", "inspect", "json", "logging", "traceback", "typing"}
        self.assertEqual(heavy & set(re.findall(r"\S+", done.out)) - loaded_before(), set())


def loaded_before() -> set[str]:
    """Modules that this machine's interpreter loads by itself at its start."""
    bare = subprocess.run(
        [sys.executable, "-I", "-c", "import sys, runpy; print(*sys.modules)"], capture_output=True, text=True
    )
    return set(bare.stdout.split())


def example_step(request):
    reply = protos.message("RunStepReply")(outcome="success", attempt=1, seconds=1.5)
    if request.command == "exit 3":
        reply.outcome, reply.exit_code = "exit", 3
    if request.capture == "stdout":
        reply.stdout = "1.2.3\n"
    return reply
