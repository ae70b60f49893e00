//! Danubefiles that are wrong.
use std::fs;
use std::process::Command;

use crate::support::danube;
use crate::support::run::Run;

const HEAD: &str = "from danube import *\nimport sys, threading\n";

fn file(rest: &str) -> Run {
    Run::new(&format!("{HEAD}{rest}"))
}

#[test]
fn a_missing_danubefile_is_named_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(danube()).arg("run").arg(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("danubefile.py; a danubefile says what to run (`danube init`"), "{err}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_syntax_error_is_told_with_its_line() {
    let run = file("@pipeline(name=\"x\"\ndef build():\n    pass\n");
    run.end().failed("danubefile.py:3: SyntaxError: '(' was never closed");
    assert!(run.log(0, 1).contains("@pipeline(name=\"x\""), "{}", run.log(0, 1));
}

#[test]
fn a_danubefile_has_exactly_one_pipeline() {
    file("def build():\n    pass\n")
        .end()
        .failed("the danubefile has no pipeline: decorate one function with @pipeline(name=…)");
    let two = "@pipeline(name=\"a\")\ndef a():\n    pass\n@pipeline(name=\"b\")\ndef b():\n    pass\n";
    file(two).end().failed(
        "the danubefile has 2 pipelines, but a job runs exactly one: \"a\" (danubefile.py:3), \"b\" (danubefile.py:6)",
    );
}

#[test]
fn an_exception_points_at_the_users_line() {
    let run = file("@pipeline(name=\"x\")\ndef build():\n    part()\ndef part():\n    raise ValueError(\"no way\")\n");
    run.end().failed("danubefile.py:7: ValueError: no way");
    let log = run.log(0, 1);
    assert!(log.contains("File \"danubefile.py\", line 5, in build") && !log.contains("/danube/sdk"), "{log}");
}

#[test]
fn an_exception_of_a_library_points_at_the_users_line_too() {
    let run = file("import json\n@pipeline(name=\"x\")\ndef build():\n    json.loads(\"{\")\n");
    let end = run.end();
    let said = "danubefile.py:6: json.decoder.JSONDecodeError: Expecting property name";
    assert!(end.out.contains(said), "{}", end.out);
}

#[test]
fn the_step_that_failed_first_is_the_reason_whatever_fails_while_that_is_handled() {
    let body = |last: &str| {
        format!("@pipeline(name=\"x\")\ndef build():\n    try:\n        step.run(\"exit 3\", name=\"unit\")\n{last}")
    };
    let reason = "step \"unit\" failed: exit code 3 (danubefile.py:6)";
    for last in [
        "    finally:\n        tests.junit(\"reports/*.xml\")\n",
        "    except StepFailed:\n        raise ValueError(\"no\")\n",
        "    except StepFailed as e:\n        raise ValueError(\"no\") from e\n",
        "    except StepFailed:\n        sys.exit(1)\n",
    ] {
        file(&body(last)).end().failed(reason);
    }
}

#[test]
fn sys_exit_ends_the_job_as_it_says() {
    let run = file("@pipeline(name=\"x\")\ndef build():\n    sys.exit(3)\n");
    let end = run.end();
    end.failed("the danubefile ended the run by sys.exit: exit code 3 (danubefile.py:5)");
    assert_eq!(end.step("danubefile.py").exit_code(), 3);
    file("@pipeline(name=\"x\")\ndef build():\n    sys.exit()\n").end().succeeded();
}

#[test]
fn an_endless_danubefile_ends_by_its_own_timeout() {
    let end = file("@pipeline(name=\"x\", timeout=\"1s\")\ndef build():\n    while True: pass\n").end();
    assert_eq!((end.code, end.status()), (1, "timeout"), "{end:?}");
    assert_eq!(end.reason(), "it ran longer than 1 s, which is `timeout=` of @pipeline");
}

#[test]
fn a_step_outside_the_pipeline_function_is_refused_with_its_line() {
    let end = file("step.run(\"true\")\n@pipeline(name=\"x\")\ndef build():\n    pass\n").end();
    end.failed(
        "call this inside the pipeline function: while the danubefile is imported it is too early (danubefile.py:3)",
    );
}

#[test]
fn a_step_in_a_thread_of_its_own_fails_the_job() {
    let body = "    t = threading.Thread(target=lambda: step.run(\"true\", name=\"stray\"))\n    t.start(); t.join()\n";
    let end = file(&format!("@pipeline(name=\"x\")\ndef build():\n{body}")).end();
    end.failed(
        "this thread was not started by Danube, so its calls have no fixed order: run the work with step.parallel or \
         step.matrix (danubefile.py:5)",
    );
    assert_eq!(end.attempts("stray"), 0);
}

#[test]
fn a_secret_in_a_text_is_refused_with_its_line() {
    let body = "    token = secrets.get(\"TOKEN\")\n    step.run(f\"echo {token}\", name=\"leak\")\n";
    let end =
        file(&format!("@pipeline(name=\"x\")\ndef build():\n{body}")).env("DANUBE_SECRET_TOKEN", "hunter22").end();
    assert_eq!((end.code, end.status(), end.attempts("leak")), (1, "failure", 0), "{end:?}");
    let why = "danubefile.py:6: TypeError: <danube secret TOKEN> cannot be formatted into text: hand it to a step";
    assert!(end.reason().starts_with(why), "{}", end.reason());
}

#[test]
fn an_unknown_secret_is_named() {
    let end = file("@pipeline(name=\"x\")\ndef build():\n    secrets.get(\"NOPE\")\n").end();
    assert!(end.code == 1 && end.reason().contains("NOPE") && end.reason().ends_with("(danubefile.py:5)"), "{end:?}");
}
