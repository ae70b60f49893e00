//! The API as scripts see it.
use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};

use super::bench::{Bench, Reply, request};
use super::rows::Texts;

async fn local(bench: &Bench, method: Method, path: &str, body: &str) -> Reply {
    bench.send_local(request(method, path).body(Body::from(body.to_owned())).unwrap()).await
}

async fn ranged(bench: &Bench, path: &str, range: &str) -> Reply {
    bench.send_local(request(Method::GET, path).header(header::RANGE, range).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_job_is_found_by_id_and_by_number() {
    let bench = Bench::new().await;
    let id = bench.failed_job("web", &Texts::usual()).await;
    let by_id = local(&bench, Method::GET, &format!("/api/v1/jobs/{id}"), "").await.json();
    let by_number = local(&bench, Method::GET, "/api/v1/jobs/web%231", "").await.json();
    assert_eq!(by_id, by_number);
    assert_eq!((&by_id["status"], &by_id["pipeline"], &by_id["number"]), (&"failure".into(), &"web".into(), &1.into()));
    let steps = by_id["steps"].as_array().unwrap();
    assert_eq!((steps[1]["n"].as_u64(), steps[1]["exit_code"].as_i64()), (Some(2), Some(1)));
    for wrong in ["web%232", "nope%231", "x", "..%2f..%2fetc"] {
        let reply = local(&bench, Method::GET, &format!("/api/v1/jobs/{wrong}"), "").await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{wrong}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert_eq!(reply.json()["status"], 404);
    }
}

#[tokio::test]
async fn the_list_goes_page_by_page_and_shows_only_what_may_be_seen() {
    let bench = Bench::new().await;
    for n in 0..5 {
        bench.enqueue(if n % 2 == 0 { "web" } else { "tomli" }, &Texts::usual()).await;
    }
    let mut seen = BTreeSet::new();
    let mut path = "/api/v1/jobs?limit=2".to_owned();
    loop {
        let page = local(&bench, Method::GET, &path, "").await.json();
        seen.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/jobs?limit=2&cursor={next}");
    }
    assert_eq!(seen.len(), 5);
    let count = |reply: Reply| reply.json()["jobs"].as_array().unwrap().len();
    assert_eq!(count(local(&bench, Method::GET, "/api/v1/jobs?pipeline=web&status=pending", "").await), 3);
    assert_eq!(count(local(&bench, Method::GET, "/api/v1/jobs?status=success", "").await), 0);
    assert_eq!(local(&bench, Method::GET, "/api/v1/jobs?status=green", "").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(local(&bench, Method::GET, "/api/v1/jobs?cursor=x", "").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(count(bench.get("/api/v1/jobs", &bench.login("bob").await).await), 0);
    assert_eq!(count(bench.get("/api/v1/jobs", &bench.login("carol").await).await), 5);
    let hidden = bench.get("/api/v1/jobs?pipeline=web", &bench.login("bob").await).await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn logs_come_raw_and_in_ranges() {
    let bench = Bench::new().await;
    let lease = bench.start("web", &Texts::usual()).await;
    let bytes = b"\x1b[31mred\x1b[0m \xff\xfe <b>\n0123456789\n";
    let step = bench.step(lease, "one", "", "").await;
    bench.append(lease.job, &step.log_stream, bytes);
    let path = format!("/api/v1/jobs/{}/steps/1/log", lease.job);
    let whole = local(&bench, Method::GET, &path, "").await;
    assert_eq!(whole.body, bytes);
    assert_eq!(whole.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let part = ranged(&bench, &path, "bytes=-11").await;
    assert_eq!((part.status, part.body.as_slice()), (StatusCode::PARTIAL_CONTENT, b"0123456789\n".as_slice()));
    assert_eq!(part.header("content-range"), format!("bytes {}-{}/{}", bytes.len() - 11, bytes.len() - 1, bytes.len()));
    for wrong in ["bytes=9999-", "bytes=5-4", "bytes=abc", "bytes=-0"] {
        let reply = ranged(&bench, &path, wrong).await;
        assert_eq!(reply.status, StatusCode::RANGE_NOT_SATISFIABLE, "{wrong}");
        assert_eq!(reply.header("content-range"), format!("bytes */{}", bytes.len()));
    }
    let all = format!("/api/v1/jobs/{}/log", lease.job);
    assert_eq!(local(&bench, Method::GET, &all, "").await.body, bytes);
    assert_eq!(ranged(&bench, &all, "bytes=0-3").await.body, &bytes[..4]);
    for missing in ["steps/9/log", "steps/1/log?attempt=2", "steps/x/log"] {
        let reply = local(&bench, Method::GET, &format!("/api/v1/jobs/{}/{missing}", lease.job), "").await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{missing}");
    }
}

#[tokio::test]
async fn an_artifact_is_saved_never_shown() {
    let bench = Bench::new().await;
    let id = bench.failed_job("web", &Texts::usual()).await;
    let list = local(&bench, Method::GET, &format!("/api/v1/jobs/{id}/artifacts"), "").await.json();
    assert_eq!(list["artifacts"][0]["name"], "report.xml");
    let path = format!("/api/v1/jobs/{id}/artifacts/report.xml");
    let whole = local(&bench, Method::GET, &path, "").await;
    assert_eq!(whole.body, b"0123456789");
    assert!(whole.header("content-disposition").starts_with("attachment; filename=\"report.xml\""));
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert_eq!(whole.header("content-type"), "application/octet-stream");
    assert_eq!(ranged(&bench, &path, "bytes=2-4").await.body, b"234");
    assert_eq!(ranged(&bench, &path, "bytes=10-").await.status, StatusCode::RANGE_NOT_SATISFIABLE);
    let sealed = local(&bench, Method::GET, &format!("/api/v1/jobs/{id}/attestation"), "").await;
    assert_eq!(sealed.json()["payload"], "x");
}

#[tokio::test]
async fn cancelling_is_possible_twice_and_told_apart() {
    let bench = Bench::new().await;
    let waiting = bench.enqueue("web", &Texts::usual()).await;
    let path = format!("/api/v1/jobs/{waiting}/cancel");
    assert_eq!(local(&bench, Method::POST, &path, "").await.json()["outcome"], "cancelled");
    assert_eq!(local(&bench, Method::POST, &path, "").await.json()["outcome"], "already cancelled");
    let running = bench.start("web", &Texts::usual()).await.job;
    let path = format!("/api/v1/jobs/{running}/cancel");
    for _ in 0..2 {
        let reply = local(&bench, Method::POST, &path, "").await;
        assert_eq!((reply.status, reply.json()["outcome"].as_str()), (StatusCode::ACCEPTED, Some("stopping")));
    }
}

#[tokio::test]
async fn a_narrowed_token_does_no_more_than_it_may() {
    let bench = Bench::new().await;
    let id = bench.enqueue("web", &Texts::usual()).await;
    let other = bench.enqueue("tomli", &Texts::usual()).await;
    let made = local(&bench, Method::POST, "/api/v1/tokens", r#"{"name":"t","read_only":true,"pipeline":"web"}"#).await;
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let status = async |method: Method, path: String| {
        let request = request(method, &path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        bench.send(request.body(Body::empty()).unwrap()).await.status
    };
    assert_eq!(status(Method::GET, format!("/api/v1/jobs/{id}")).await, StatusCode::OK);
    assert_eq!(status(Method::GET, format!("/api/v1/jobs/{other}")).await, StatusCode::NOT_FOUND);
    assert_eq!(status(Method::POST, format!("/api/v1/jobs/{id}/cancel")).await, StatusCode::NOT_FOUND);
    assert_eq!(status(Method::POST, "/api/v1/tokens".to_owned()).await, StatusCode::NOT_FOUND);
    assert_eq!(status(Method::GET, "/api/v1/config/status".to_owned()).await, StatusCode::NOT_FOUND);
    let gone = format!("/api/v1/tokens/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(local(&bench, Method::DELETE, &gone, "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(status(Method::GET, format!("/api/v1/jobs/{id}")).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn secrets_go_in_and_never_come_out() {
    let bench = Bench::new().await;
    let path = "/api/v1/secrets/pipeline/web/DEPLOY_TOKEN";
    assert_eq!(local(&bench, Method::PUT, path, "hunter2-hunter2").await.status, StatusCode::NO_CONTENT);
    let list = local(&bench, Method::GET, "/api/v1/secrets/pipeline/web", "").await;
    assert_eq!(list.json()["secrets"][0]["key"], "DEPLOY_TOKEN");
    assert!(!list.text().contains("hunter2"));
    let short = local(&bench, Method::PUT, path, "12345").await;
    assert_eq!(short.status, StatusCode::BAD_REQUEST);
    assert_eq!(local(&bench, Method::DELETE, path, "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(local(&bench, Method::DELETE, path, "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn health_and_keys_are_for_everybody() {
    let bench = Bench::new().await;
    for path in ["/health", "/health/ready", "/.well-known/danube/keys", "/static/base.css", "/static/live.js"] {
        let reply = bench.send(request(Method::GET, path).body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
    }
    let outside = bench.send(request(Method::GET, "/static/..%2fCargo.toml").body(Body::empty()).unwrap()).await;
    assert_eq!(outside.status, StatusCode::NOT_FOUND);
}
