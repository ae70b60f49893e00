//! The client against servers that break off, repeat and lie.
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use crate::cli::client::{Client, ClientError, Events, JobEvent, Pages, Request, meant};
use crate::model::job::Status;

/// Answers each connection with the next text and hangs up; gives the requests.
struct Script {
    dir: TempDir,
    requests: JoinHandle<Vec<String>>,
}

fn socket(dir: &TempDir) -> PathBuf {
    dir.path().join("api.sock")
}

fn play(answers: Vec<String>) -> Script {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(socket(&dir)).unwrap();
    let requests = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            requests.push(String::from_utf8(request).unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
        requests
    });
    Script { dir, requests }
}

fn stream(events: &[(&str, &str, Value)]) -> String {
    let body: String =
        events.iter().map(|(kind, id, data)| format!("event: {kind}\nid: {id}\ndata: {data}\n\n")).collect();
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{body}")
}

fn log(offset: u64, text: &str) -> Value {
    json!({ "step": 1, "attempt": 1, "offset": offset, "length": text.len(), "text": text })
}

#[tokio::test]
async fn a_follower_comes_back_with_its_place_and_drops_what_it_has() {
    let away = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\r\n{\"title\":\"Busy\",\"detail\":\"a moment\"}";
    let cut = format!("{}event: log\nid: lost\ndata: {{\"st", stream(&[("log", "a", log(0, "one "))]));
    let again = stream(&[("log", "b", log(0, "one two ")), ("odd", "c", json!({}))]);
    let last = stream(&[("log", "d", log(8, "three")), ("end", "e", json!({ "status": "timeout", "reason": "x" }))]);
    let script = play(vec![cut, away.to_owned(), again, last]);
    let client = Client::over_socket(socket(&script.dir));
    let mut events = Events::of(&client, &"web#1".parse().unwrap());
    let (mut got, mut ends, mut breaks) = (Vec::new(), Vec::new(), 0);
    while let Some(event) = events.next().await.unwrap() {
        match event {
            JobEvent::Log(piece) => got.extend(piece.bytes),
            JobEvent::End(status) => ends.push(status),
            JobEvent::Lost(_) => breaks += 1,
            JobEvent::State(_) => panic!("no state was sent"),
        }
    }
    assert_eq!(String::from_utf8(got).unwrap(), "one two three");
    assert_eq!((ends, breaks), (vec![Status::Timeout], 2));
    let requests = script.requests.await.unwrap();
    let last_ids: Vec<_> =
        requests.iter().map(|text| text.lines().find_map(|line| line.strip_prefix("last-event-id: "))).collect();
    assert_eq!(last_ids, [None, Some("a"), Some("a"), Some("c")]);
    assert!(requests[0].starts_with("GET /api/v1/jobs/web%231/events HTTP/1.1\r\n"), "{}", requests[0]);
}

#[tokio::test]
async fn a_follower_whose_rights_end_is_told_and_does_not_ask_again() {
    let gone = "HTTP/1.1 404 Not Found\r\ncontent-type: application/problem+json\r\n\r\n{\"title\":\"Not found\"}";
    let script = play(vec![stream(&[("log", "a", log(0, "one"))]), gone.to_owned()]);
    let client = Client::over_socket(socket(&script.dir));
    let mut events = Events::of(&client, &"web#1".parse().unwrap());
    let error = loop {
        match events.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("there was no end"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ClientError::Refused { status: 404, .. }), "{error}");
}

#[tokio::test]
async fn something_else_that_answers_is_no_danube_server() {
    let html = "HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\n\r\n<h1>nginx</h1>";
    let odd = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<h1>hello</h1>";
    let script = play(vec![html.to_owned(), odd.to_owned()]);
    let client = Client::over_socket(socket(&script.dir));
    for _ in 0..2 {
        let error = client.fetch::<Value>(Request::get("/api/v1/jobs")).await.unwrap_err();
        assert!(matches!(error, ClientError::Strange { .. }), "{error}");
        assert_eq!(error.code(), 3);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let script = play(vec!["HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"jobs\":".to_owned()]);
    let client = Client::over_socket(socket(&script.dir));
    let error = client.fetch::<Value>(Request::get("/api/v1/jobs")).await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error}");
}

fn answer(body: &Value) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{body}")
}

#[tokio::test]
async fn all_of_a_list_is_one_document_and_a_cursor_that_comes_again_ends_it() {
    let page = |n: u32, next: &str| answer(&json!({ "jobs": [{ "number": n }], "next": next }));
    let script = play(vec![page(3, "a/b"), page(2, "x"), page(1, "x")]);
    let client = Client::over_socket(socket(&script.dir));
    let pages = Pages::of(&client, Request::get("/api/v1/jobs?status=failure"), "jobs");
    let mut text = String::new();
    let put = |piece: &str| {
        text.push_str(piece);
        Ok(())
    };
    pages.json(put).await.unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(all, json!({ "jobs": [{ "number": 3 }, { "number": 2 }, { "number": 1 }], "next": null }));
    let requests = script.requests.await.unwrap();
    assert!(requests[1].starts_with("GET /api/v1/jobs?status=failure&limit=200&cursor=a%2Fb "), "{}", requests[1]);
}

#[tokio::test]
async fn a_server_that_is_older_is_named_as_such() {
    let gone = "HTTP/1.1 404 Not Found\r\ncontent-type: application/problem+json\r\n\r\n{\"title\":\"Not found\"}";
    let script = play(vec![gone.to_owned()]);
    let client = Client::over_socket(socket(&script.dir));
    let error = client.fetch::<Value>(Request::get("/api/v1/me").newer("who somebody is")).await.unwrap_err();
    assert_eq!(error.code(), 3);
    assert!(error.text().contains("older than this program and does not tell who somebody is"), "{}", error.text());
}

#[tokio::test]
async fn a_mistyped_pipeline_gets_the_name_that_was_meant() {
    let list = answer(&json!({ "pipelines": [{ "name": "web" }, { "name": "docs" }] }));
    let script = play(vec![list]);
    let client = Client::over_socket(socket(&script.dir));
    let missing = ClientError::Refused {
        status: 404,
        title: "Not found".to_owned(),
        detail: "the pipeline wbe is not there".to_owned(),
        retry_after: None,
    };
    let error = meant(&client, "wbe", missing).await;
    assert!(error.text().contains("Did you mean 'web'?"), "{}", error.text());
}
