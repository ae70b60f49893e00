//! Following a job.
use axum::body::Body;
use axum::http::{Method, StatusCode};
use base64::Engine as _;
use serde_json::Value;

use super::bench::{Bench, request};
use super::rows::Texts;
use crate::model::JobId;

#[derive(Debug, Clone)]
struct Event {
    kind: String,
    id: String,
    data: Value,
}

fn parse(body: &str) -> Vec<Event> {
    let field = |block: &str, name: &str| {
        let lines: Vec<_> = block.lines().filter_map(|line| line.strip_prefix(&format!("{name}: "))).collect();
        assert!(lines.len() <= 1, "{block}");
        lines.first().map_or_else(String::new, |line| (*line).to_owned())
    };
    let blocks = body.split("\n\n").filter(|block| block.contains("data: "));
    blocks
        .map(|block| Event {
            kind: field(block, "event"),
            id: field(block, "id"),
            data: serde_json::from_str(&field(block, "data")).unwrap(),
        })
        .collect()
}

/// Follows to the end; the job must have ended.
async fn follow(bench: &Bench, job: JobId, last: Option<&str>) -> Vec<Event> {
    let mut request = request(Method::GET, &format!("/api/v1/jobs/{job}/events"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let reply = bench.send_local(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    parse(&reply.text())
}

/// The bytes of one step, put together from events; a gap or a repetition shows.
fn bytes(events: &[Event], step: u64) -> Vec<u8> {
    let mut all = Vec::new();
    for event in events.iter().filter(|event| event.kind == "log" && event.data["step"] == step) {
        assert_eq!(event.data["offset"], all.len());
        let bytes = match event.data["text"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => base64::engine::general_purpose::STANDARD.decode(event.data["base64"].as_str().unwrap()).unwrap(),
        };
        assert_eq!(event.data["length"], bytes.len());
        all.extend(bytes);
    }
    all
}

/// More than one event can hold, with everything that could break a frame.
fn hostile() -> Vec<u8> {
    let mut log = b"\n\nevent: end\ndata: {}\n\nid: 1\r\rretry: 1\n\x00\xff".to_vec();
    log.extend("é€\u{1f30a}".repeat(30_000).bytes());
    log.extend(b"\n\nlast \xe2\x82");
    log
}

async fn ended(bench: &Bench) -> JobId {
    let lease = bench.start("web", &Texts::usual()).await;
    let one = bench.step(lease, "one", "", "").await;
    bench.append(lease.job, &one.log_stream, &hostile());
    let two = bench.step(lease, "two", "", "short\n").await;
    bench.end_step(lease, &one, 0).await;
    bench.end_step(lease, &two, 0).await;
    bench.finish(lease, 0, None).await;
    lease.job
}

#[tokio::test]
async fn a_follower_gets_every_byte_once_and_then_the_end() {
    let bench = Bench::new().await;
    let job = ended(&bench).await;
    let events = follow(&bench, job, None).await;
    assert_eq!(events[0].kind, "state");
    assert_eq!(events[0].data["steps"].as_array().unwrap().len(), 2);
    assert_eq!(bytes(&events, 1), hostile());
    assert_eq!(bytes(&events, 2), b"short\n");
    assert_eq!(events.iter().filter(|event| event.kind == "end").count(), 1);
    assert_eq!(events.last().unwrap().data["status"], "success");
}

#[tokio::test]
async fn a_follower_goes_on_exactly_where_it_was_cut_off() {
    let bench = Bench::new().await;
    let job = ended(&bench).await;
    let whole = follow(&bench, job, None).await;
    for cut in 0..whole.len() {
        let rest = follow(&bench, job, Some(&whole[cut].id)).await;
        let mut joined = whole[..=cut].to_vec();
        joined.extend(rest.into_iter().filter(|event| event.kind == "log"));
        assert_eq!(bytes(&joined, 1), hostile(), "cut after event {cut}");
        assert_eq!(bytes(&joined, 2), b"short\n", "cut after event {cut}");
    }
}

#[tokio::test]
async fn a_foreign_event_id_is_refused() {
    let bench = Bench::new().await;
    let job = ended(&bench).await;
    for wrong in ["x", "1;2", "1;0-4294967295.1;"] {
        let path = format!("/api/v1/jobs/{job}/events");
        let request = request(Method::GET, &path).header("last-event-id", wrong).body(Body::empty()).unwrap();
        assert_eq!(bench.send_local(request).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn a_follower_sees_a_running_job_to_its_end() {
    let bench = Bench::new().await;
    let lease = bench.start("web", &Texts::usual()).await;
    let step = bench.step(lease, "one", "", "first\n").await;
    let following = follow(&bench, lease.job, None);
    let working = async {
        for n in 0..20 {
            bench.append(lease.job, &step.log_stream, format!("line {n}\n").as_bytes());
            tokio::task::yield_now().await;
        }
        bench.end_step(lease, &step, 0).await;
        bench.finish(lease, 0, None).await;
    };
    let (events, ()) = tokio::join!(following, working);
    let expected: String =
        std::iter::once("first\n".to_owned()).chain((0..20).map(|n| format!("line {n}\n"))).collect();
    assert_eq!(String::from_utf8(bytes(&events, 1)).unwrap(), expected);
    assert_eq!(events.last().unwrap().kind, "end");
}
