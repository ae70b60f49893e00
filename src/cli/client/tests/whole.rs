//! The client against the real router over a real socket.
use std::io;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::server::Server;
use crate::cli::client::{Client, ClientError, Events, Job, JobEvent, JobName, Request, follow, log_end};
use crate::cli::style::Screen;
use crate::model::job::Status;
use crate::platform::ManualClock;

/// Output that a test reads back.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn screen(&self) -> Screen {
        Screen::bare(self.clone(), Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)))
    }
}

/// Words alone: times differ from run to run.
fn without_times(text: &str) -> String {
    let is_time = |words: &[&str]| words[1] == "s" && words[0].parse::<f64>().is_ok();
    let mut lines = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut kept = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let unit = words.get(at + 1).map(|unit| unit.trim_end_matches(':'));
            if unit.is_some_and(|unit| is_time(&[words[at], unit])) {
                kept.push(if words[at + 1].ends_with(':') { "_:" } else { "_" });
                at += 2;
            } else {
                kept.push(words[at]);
                at += 1;
            }
        }
        lines.push(kept.join(" "));
    }
    lines.join("\n")
}

#[tokio::test]
async fn a_job_is_followed_to_its_end_and_its_failure_is_explained() {
    let server = Server::start().await;
    server.enqueue().await;
    let lease = server.claim().await;
    let lint = server.step(lease, "lint").await;
    server.write(&lint, b"fine\n");
    server.end_step(lease, &lint, 0).await;
    let test = server.step(lease, "test\u{1b}[2J").await;
    server.write(&test, b"\x1b[31mFAIL\x1b[0m: test_bare_cr\nAssertionError: not raised\n");
    server.end_step(lease, &test, 1).await;
    server.finish(lease, 1, Some("step \"test\" failed: exit code 1")).await;
    let paper = Paper::default();
    let name: JobName = "web#1".parse().unwrap();
    assert_eq!(follow(&server.client(), &name, &mut paper.screen()).await.unwrap(), Status::Failure);
    let expected = "web#1 main 9f3c1ab0 Reject\u{fffd}[2J returns\n\
                    ✓ lint _\n\
                    ✗ test\u{fffd}[2J _ exit code 1\n\
                    the first failing lines of step 2, test\u{fffd}[2J:\n\
                    │ 1 FAIL: test_bare_cr\n\
                    │ 2 AssertionError: not raised\n\
                    all of it: danube logs 'web#1' --step 2\n\
                    ✗ failure web#1 in _: step \"test\" failed: exit code 1";
    assert_eq!(without_times(&paper.text()), expected, "{}", paper.text());
}

#[tokio::test]
async fn a_restart_of_the_server_loses_and_doubles_no_byte() {
    let mut server = Server::start().await;
    let job = server.enqueue().await;
    let lease = server.claim().await;
    let step = server.step(lease, "build").await;
    let client = server.client();
    let mut events = Events::of(&client, &JobName::from(job));
    let (mut got, mut expected, mut breaks) = (Vec::new(), Vec::new(), 0);
    for round in 0..3u8 {
        let bytes: Vec<u8> = (0..70_000u32).map(|n| (n % 251) as u8 ^ round).collect();
        server.write(&step, &bytes);
        expected.extend(bytes);
        while got.len() < expected.len() {
            match events.next().await.unwrap().unwrap() {
                JobEvent::Log(piece) => got.extend(piece.bytes),
                JobEvent::Lost(_) => breaks += 1,
                JobEvent::State(_) => {}
                JobEvent::End(_) => panic!("the job runs"),
            }
        }
        server.stop().await;
        server.serve().await;
    }
    server.end_step(lease, &step, 0).await;
    server.finish(lease, 0, None).await;
    let mut end = None;
    while let Some(event) = events.next().await.unwrap() {
        match event {
            JobEvent::Log(piece) => got.extend(piece.bytes),
            JobEvent::Lost(_) => breaks += 1,
            JobEvent::End(status) => end = Some(status),
            JobEvent::State(_) => {}
        }
    }
    assert_eq!(end, Some(Status::Success));
    assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
    assert_eq!(breaks, 3);
}

#[tokio::test]
async fn refusals_are_sentences_with_codes() {
    let server = Server::start().await;
    let client = server.client();
    let error = client.fetch::<Job>("web#99".parse::<JobName>().unwrap().get("")).await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused { status: 404, .. }), "{error}");
    assert_eq!(error.text(), "danube: Not found: job web#99 is not there, or you may not see it\n");
    assert_eq!(error.code(), 1);
    let error = client.fetch::<Value>(Request::get("/api/v1/jobs?status=odd")).await.unwrap_err();
    assert_eq!(error.code(), 64, "{error}");
    assert!(error.text().contains("'odd' is not a status"), "{}", error.text());
    let missing = Client::over_socket(server.dir.path().join("other.sock"));
    assert_eq!(missing.fetch::<Value>(Request::get("/api/v1/jobs")).await.unwrap_err().code(), 3);
}

#[tokio::test]
async fn secrets_tokens_links_and_cancels_go_through_the_socket() {
    let server = Server::start().await;
    let client = server.client();
    client.tell(Request::put("/api/v1/secrets/pipeline/web/TOKEN").bytes("hunter22")).await.unwrap();
    let list: Value = client.fetch(Request::get("/api/v1/secrets/pipeline/web")).await.unwrap();
    assert_eq!(list["secrets"][0]["key"], "TOKEN");
    client.tell(Request::delete("/api/v1/secrets/pipeline/web/TOKEN")).await.unwrap();
    let made: Value =
        client.fetch(Request::post("/api/v1/tokens").json(&json!({ "name": "ci", "days": 3 }))).await.unwrap();
    assert!(made["token"].as_str().unwrap().starts_with("danube_"));
    let link: Value = client.fetch(Request::post("/api/v1/login-links")).await.unwrap();
    assert!(link["url"].as_str().unwrap().starts_with("https://danube.example.com/login/link?token="));
    let job = server.enqueue().await;
    let cancelled: Value = client.fetch(Request::post("/api/v1/jobs/web%231/cancel")).await.unwrap();
    assert_eq!(cancelled["outcome"], "cancelled");
    let shown: Job = client.fetch(JobName::from(job).get("")).await.unwrap();
    assert_eq!((shown.label(), shown.status), ("web#1".to_owned(), Status::Cancelled));
}

#[tokio::test]
async fn a_step_without_output_has_no_last_lines() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let lease = server.claim().await;
    let step = server.step(lease, "silent").await;
    server.end_step(lease, &step, 1).await;
    server.finish(lease, 1, Some("no")).await;
    let client = server.client();
    let name = JobName::from(job);
    let shown: Job = client.fetch(name.get("")).await.unwrap();
    assert_eq!(log_end(&client, &name, shown.culprit().unwrap()).await.unwrap(), None);
}
