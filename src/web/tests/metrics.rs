//! What a monitor sees.
use axum::body::Body;
use axum::http::{Method, StatusCode};

use super::bench::{Bench, request};
use super::rows::Texts;

#[tokio::test]
async fn a_monitor_reads_jobs_queue_requests_and_size_over_the_machines_socket() {
    let bench = Bench::new().await;
    bench.green_job("web").await;
    bench.failed_job("web", &Texts::usual()).await;
    bench.enqueue("web", &Texts::usual()).await;
    let get = async |path: &str| bench.send_local(request(Method::GET, path).body(Body::empty()).unwrap()).await;
    get("/api/v1/jobs/nobody").await;
    get("/no/such/place/17").await;
    let reply = get("/metrics").await;
    assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = reply.text();
    for line in [
        format!("danube_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
        "danube_jobs{status=\"pending\"} 1".to_owned(),
        "danube_jobs{status=\"running\"} 0".to_owned(),
        "danube_jobs_total{status=\"success\",pipeline=\"web\"} 1".to_owned(),
        "danube_jobs_total{status=\"failure\",pipeline=\"web\"} 1".to_owned(),
        "danube_deliveries_waiting 0".to_owned(),
        "danube_followers 0".to_owned(),
        "danube_http_requests_total{route=\"/api/v1/jobs/{id}\",method=\"GET\",class=\"4xx\"} 1".to_owned(),
        "danube_http_requests_total{route=\"none\",method=\"GET\",class=\"4xx\"} 1".to_owned(),
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("danube_queue_wait_seconds{quantile=\"0.95\"} "), "{text}");
    assert!(!text.contains("nobody") && !text.contains("/no/such"), "addresses are told as routes alone: {text}");
}

#[tokio::test]
async fn the_metrics_are_for_those_who_may_see_the_servers_health() {
    let bench = Bench::new().await;
    let alice = bench.get("/metrics", &bench.login("alice").await).await;
    assert_eq!(alice.status, StatusCode::NOT_FOUND);
    let olga = bench.get("/metrics", &bench.login("olga").await).await;
    assert_eq!(olga.status, StatusCode::OK);
    let stranger = bench.send(request(Method::GET, "/metrics").body(Body::empty()).unwrap()).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
}
