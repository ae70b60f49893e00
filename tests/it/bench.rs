//! Every bench in its smallest size: it runs, says what it measured, and leaves nothing. No time is judged.
use std::process::{Command, Stdio};

use serde_json::Value;

use super::support::machine::machine_snapshot;
use super::support::{danube, shim};

/// Runs a bench and reads its report.
fn bench(args: &[&str]) -> Value {
    let output = Command::new(danube())
        .arg("bench")
        .args(args)
        .arg("--json")
        .env("DANUBE_SHIM", shim())
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    assert_eq!(report["bench"], args[0]);
    report_has_its_shape(&report);
    nothing_is_left(&report);
    report
}

fn report_has_its_shape(report: &Value) {
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let number = |value: &Value| value.as_f64().is_some();
    assert!(text(&report["version"]) && report["size"].is_object() && report["notes"].is_array(), "{report:#}");
    assert!(number(&report["machine"]["cpus"]) && text(&report["machine"]["kernel"]), "{report:#}");
    let measures = report["measures"].as_array().expect("there are measures");
    assert!(!measures.is_empty(), "{report:#}");
    for measure in measures {
        assert!(text(&measure["what"]) && measure["n"].as_u64().is_some_and(|n| n > 0), "{measure}");
        let spread: Vec<f64> =
            ["min", "p50", "p95", "p99", "max"].iter().filter_map(|key| measure[*key].as_f64()).collect();
        assert!(spread.len() == 5 && spread.is_sorted(), "{measure}");
    }
    for goal in report["goals"].as_array().expect("there are goals") {
        assert!(text(&goal["what"]) && number(&goal["seen"]) && number(&goal["goal"]), "{goal}");
        assert!(goal["met"].is_boolean(), "{goal}");
        assert!(["at_most", "at_least"].iter().any(|word| goal["bound"] == *word), "{goal}");
        assert!(["ratio", "count", "time"].iter().any(|word| goal["of"] == *word), "{goal}");
        assert!(goal["of"] != "ratio" || number(&goal["ratio"]), "{goal}");
    }
}

/// Other tests come and go meanwhile: what carries the names of this bench's servers must be gone.
fn nothing_is_left(report: &Value) {
    let servers = report["servers"].as_array().expect("servers are named");
    assert!(!servers.is_empty(), "{report:#}");
    let lines = machine_snapshot();
    for server in servers {
        for name in ["directory", "instance"].map(|key| server[key].as_str().expect("a name")) {
            assert!(!name.is_empty(), "{server}");
            let left: Vec<&String> = lines.iter().filter(|line| line.contains(name)).collect();
            assert!(left.is_empty(), "the machine is not as it was: {left:#?}");
        }
    }
}

fn measured(report: &Value, what: &str) -> bool {
    report["measures"].as_array().is_some_and(|all| all.iter().any(|measure| measure["what"] == what))
}

fn exact(report: &Value, what: &str) -> f64 {
    let goals = report["goals"].as_array().expect("there are goals");
    let goal = goals.iter().find(|goal| goal["what"] == what).unwrap_or_else(|| panic!("no goal {what}"));
    goal["seen"].as_f64().expect("a number")
}

#[test]
fn latency_tells_the_parts_of_a_job_with_and_without_durability() {
    let report = bench(&["latency", "--steps", "2", "--rounds", "1"]);
    for what in ["trigger → finished", "  queue", "  first step", "  a further step, without power-loss durability"] {
        assert!(measured(&report, what), "{what} is missing: {report:#}");
    }
}

#[test]
fn burst_counts_jobs_and_their_cost() {
    let report = bench(&["burst", "-n", "2"]);
    assert!(exact(&report, "jobs per second") > 0.0);
}

#[test]
fn log_reads_back_what_the_step_printed() {
    let report = bench(&["log", "--lines", "1000", "--rounds", "1"]);
    assert_eq!(exact(&report, "logs whose hash is not the producer's"), 0.0);
}

#[test]
fn sse_gives_every_viewer_every_line_once() {
    let report = bench(&["sse", "--viewers", "2", "--rate", "5", "--seconds", "1"]);
    assert_eq!(exact(&report, "lines left out, doubled or out of order"), 0.0);
}

#[test]
fn webhook_deliveries_are_acknowledged() {
    let args = ["webhook", "--deliveries", "3", "--connections", "1", "--rate", "5", "--seconds", "1"];
    assert!(exact(&bench(&args), "durable acknowledgements per second") > 0.0);
}

#[test]
fn start_measures_a_server_that_becomes_ready() {
    assert!(measured(&bench(&["start", "--rounds", "1"]), "exec → ready"));
}

#[test]
fn seed_asks_for_every_list() {
    let report = bench(&["seed", "--jobs", "100", "--requests", "1"]);
    assert!(measured(&report, "/api/v1/jobs?limit=200, 100 jobs"), "{report:#}");
}

#[test]
fn soak_ends_every_job_well() {
    let report = bench(&["soak", "--minutes", "0.05"]);
    assert_eq!(exact(&report, "jobs that did not succeed"), 0.0);
    assert_eq!(exact(&report, "lines left out, doubled or out of order"), 0.0);
}
