//! Deliveries of forges at the door.
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use ring::hmac;

use super::bench::{Bench, HOOK, request};

const BODY: &str = r#"{"ref":"refs/heads/main","before":"1111111111111111111111111111111111111111",
"after":"2222222222222222222222222222222222222222","created":false,"deleted":false,
"repository":{"full_name":"platform/web","clone_url":"https://git.example.com/platform/web.git",
"ssh_url":"git@git.example.com:platform/web.git","html_url":"https://git.example.com/platform/web"}}"#;

fn delivery(path: &str, secret: &[u8], body: &str) -> Request<Body> {
    let signature = hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), body.as_bytes()));
    request(Method::POST, path)
        .header("x-github-event", "push")
        .header("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
        .header("x-hub-signature-256", format!("sha256={signature}"))
        .body(Body::from(body.to_owned()))
        .unwrap()
}

#[tokio::test]
async fn each_outcome_has_its_status() {
    let bench = Bench::new().await;
    let status = async |request| bench.send(request).await.status;
    assert_eq!(status(delivery("/webhooks/github", b"wrong secret", BODY)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(delivery("/webhooks/github/other", HOOK, BODY)).await, StatusCode::NOT_FOUND);
    assert_eq!(status(delivery("/webhooks/sourceforge", HOOK, BODY)).await, StatusCode::NOT_FOUND);
    assert_eq!(status(delivery("/webhooks/github", HOOK, "not json")).await, StatusCode::BAD_REQUEST);
    assert_eq!(status(delivery("/webhooks/github", HOOK, BODY)).await, StatusCode::ACCEPTED);
    assert_eq!(status(delivery("/webhooks/github/default", HOOK, BODY)).await, StatusCode::OK);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read_whole() {
    let bench = Bench::new().await;
    let reply = bench.send(delivery("/webhooks/github", HOOK, &"x".repeat(30 << 20))).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(reply.header("content-type"), "application/problem+json");
}
