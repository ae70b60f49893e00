//! What HTTP promises, at every address: validators, methods, refusals with a form, bounds.
use axum::body::Body;
use axum::http::{Method, StatusCode, header};

use super::bench::{Bench, Reply, request};
use super::rows::Texts;

async fn get(bench: &Bench, path: &str) -> Reply {
    bench.send_local(request(Method::GET, path).body(Body::empty()).unwrap()).await
}

async fn with(bench: &Bench, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut request = request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    bench.send_local(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[track_caller]
fn is_problem(reply: &Reply, status: StatusCode) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.header("content-type"), "application/problem+json", "{}", reply.text());
    let problem = reply.json();
    assert_eq!(problem["status"], status.as_u16());
    assert!(problem["detail"].as_str().is_some_and(|text| text.len() > 10), "{problem}");
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let bench = Bench::new().await;
    bench.enqueue("web", &Texts::usual()).await;
    let first = get(&bench, "/api/v1/jobs").await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() > 20, "{tag}");
    let again = with(&bench, Method::GET, "/api/v1/jobs", &[("if-none-match", &tag)], "").await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(again.header("etag"), tag);
    let head = with(&bench, Method::HEAD, "/api/v1/jobs", &[], "").await;
    assert_eq!((head.status, head.header("etag"), head.body.len()), (StatusCode::OK, tag.as_str(), 0));
    bench.enqueue("web", &Texts::usual()).await;
    let changed = with(&bench, Method::GET, "/api/v1/jobs", &[("if-none-match", &tag)], "").await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let bench = Bench::new().await;
    is_problem(&get(&bench, "/api/v1/nowhere").await, StatusCode::NOT_FOUND);
    is_problem(&get(&bench, "/api/v1/jobs?limit=many").await, StatusCode::BAD_REQUEST);
    is_problem(&get(&bench, "/api/v1/jobs?limit=0").await, StatusCode::BAD_REQUEST);
    is_problem(&get(&bench, "/api/v1/jobs?limit=201").await, StatusCode::BAD_REQUEST);
    is_problem(&get(&bench, "/api/v1/jobs?colour=red").await, StatusCode::BAD_REQUEST);
    is_problem(&get(&bench, "/api/v1/jobs?since=yesterday").await, StatusCode::BAD_REQUEST);
    is_problem(&get(&bench, &format!("/api/v1/jobs?branch={}", "x".repeat(10_000))).await, StatusCode::BAD_REQUEST);
    is_problem(&get(&bench, "/api/v1/jobs/%ff").await, StatusCode::BAD_REQUEST);
    let wrong = with(&bench, Method::DELETE, "/api/v1/jobs", &[], "").await;
    is_problem(&wrong, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(wrong.header("allow"), "GET,HEAD");
    let options = with(&bench, Method::OPTIONS, "/api/v1/tokens", &[], "").await;
    assert_eq!(options.status, StatusCode::NO_CONTENT);
    assert!(options.header("allow").contains("POST") && options.header("allow").contains("GET"));
    let json = [("content-type", "application/json")];
    let broken = with(&bench, Method::POST, "/api/v1/tokens", &json, "{\"name\": \n  x}").await;
    is_problem(&broken, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(broken.text().contains("line 2 column 3"), "{}", broken.text());
    let misspelt = with(&bench, Method::POST, "/api/v1/tokens", &json, "{\"nme\": \"x\"}").await;
    is_problem(&misspelt, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(misspelt.text().contains("nme"), "{}", misspelt.text());
    let text = with(&bench, Method::POST, "/api/v1/tokens", &[("content-type", "text/plain")], "{}").await;
    is_problem(&text, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let large = with(&bench, Method::POST, "/api/v1/tokens", &json, &"x".repeat(300 << 10)).await;
    is_problem(&large, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let bench = Bench::new().await;
    for _ in 0..3 {
        bench.enqueue("web", &Texts::usual()).await;
    }
    let next = get(&bench, "/api/v1/jobs?limit=1").await.json()["next"].as_str().unwrap().to_owned();
    assert_eq!(get(&bench, &format!("/api/v1/jobs?limit=2&cursor={next}")).await.status, StatusCode::OK);
    for other in [format!("/api/v1/jobs?pipeline=web&cursor={next}"), format!("/api/v1/audit?cursor={next}")] {
        let reply = get(&bench, &other).await;
        is_problem(&reply, StatusCode::BAD_REQUEST);
        assert!(reply.text().contains("another list"), "{}", reply.text());
    }
}

#[tokio::test]
async fn jobs_are_found_by_branch_commit_person_and_time() {
    let bench = Bench::new().await;
    bench.enqueue("web", &Texts { branch: "feature/a b".to_owned(), ..Texts::usual() }).await;
    bench.enqueue("web", &Texts::usual()).await;
    let found = async |query: &str| get(&bench, &format!("/api/v1/jobs?{query}")).await.json()["jobs"].clone();
    let count = async |query: &str| found(query).await.as_array().unwrap().len();
    assert_eq!(count("branch=feature/a%20b").await, 1);
    assert_eq!(count(&format!("commit={}", "9f3c1ab0".repeat(5))).await, 2);
    assert_eq!(count(&format!("commit={}", "0".repeat(40))).await, 0);
    assert_eq!(count("actor=nobody").await, 0);
    assert_eq!(count("since=2026-05-04T10:00:00Z&pipeline=web").await, 2);
    assert_eq!(count("since=2036-05-04T10:00:00Z&status=pending").await, 0);
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_go_on() {
    let bench = Bench::new().await;
    let cookie = bench.login("alice").await;
    let mut last = bench.get("/api/v1/me", &cookie).await;
    assert_eq!((last.status, last.header("ratelimit-limit")), (StatusCode::OK, "1000"));
    for _ in 0..1001 {
        last = bench.get("/health", &cookie).await;
    }
    assert_eq!(last.status, StatusCode::OK, "probes are nobody's");
    let mut refused = None;
    for _ in 0..1000 {
        let reply = bench.get("/api/v1/config/status", &cookie).await;
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("a thousand requests at one moment are too many");
    is_problem(&refused, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit-remaining")), ("1", "0"));
    let other = bench.login("olga").await;
    assert_eq!(bench.get("/api/v1/me", &other).await.status, StatusCode::OK);
    assert_eq!(get(&bench, "/api/v1/me").await.status, StatusCode::OK, "the machine is not counted");
}

#[tokio::test]
async fn the_document_is_there_for_everybody() {
    let bench = Bench::new().await;
    let reply = bench.send(request(Method::GET, "/api/v1/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!((reply.status, reply.header(header::CONTENT_TYPE.as_str())), (StatusCode::OK, "application/json"));
    assert_eq!(reply.json()["openapi"], "3.1.0");
}
