//! Test reports and annotations as people and scripts see them.
use axum::http::StatusCode;

use super::bench::Bench;
use super::html::decode;
use super::rows::Texts;

#[tokio::test]
async fn a_failed_test_is_on_the_page_of_its_job_with_message_and_log() {
    let bench = Bench::new().await;
    let job = bench.failed_job("web", &Texts::usual()).await;
    let cookie = bench.login("alice").await;
    let page = decode(&bench.get(&format!("/jobs/{job}/tests"), &cookie).await.text());
    for told in ["test 3.11", "step \"test 3.11\" failed: exit code 1", "1.23 s", "and more"] {
        assert!(page.contains(told), "{told}");
    }
    assert!(page.contains(&format!("/jobs/{job}?step=1#s1")), "the last step before it at the root");
    let none = bench.get(&format!("/jobs/{job}/tests?show=skipped"), &cookie).await.text();
    assert!(none.contains("No test was skipped."));
    let one = decode(&bench.get("/pipelines/web/tests/1", &cookie).await.text());
    assert!(one.contains("It fails since") && one.contains("last 1 results: 1 failed"));
}

#[tokio::test]
async fn the_api_tells_tests_and_annotations() {
    let bench = Bench::new().await;
    let job = bench.failed_job("web", &Texts { log: "**81 %** <b>".to_owned(), ..Texts::usual() }).await;
    let cookie = bench.login("alice").await;
    let tests = bench.get(&format!("/api/v1/jobs/{job}/tests"), &cookie).await.json();
    assert_eq!((&tests["reports"][0]["failed"], &tests["tests"][0]["status"]), (&1.into(), &"failed".into()));
    assert!(tests["next"].is_null());
    let first = bench.get(&format!("/api/v1/jobs/{job}/tests?limit=1"), &cookie).await.json();
    let next = first["next"].as_str().unwrap();
    let rest = bench.get(&format!("/api/v1/jobs/{job}/tests?limit=1&cursor={next}"), &cookie).await.json();
    assert_eq!(rest["tests"].as_array().unwrap().len(), 0);
    let history = bench.get("/api/v1/pipelines/web/tests", &cookie).await.json();
    assert_eq!(history["tests"][0]["results"][0]["number"], 1);
    let notes = bench.get(&format!("/api/v1/jobs/{job}/annotations"), &cookie).await.json();
    assert_eq!(notes["annotations"][0]["html"], "<p><strong>81 %</strong> &lt;b&gt;</p>\n");
    for wrong in ["tests?cursor=x", "tests?cursor=1.2", "tests?cursor=-1.2.3", "tests?status=red"] {
        let reply = bench.get(&format!("/api/v1/jobs/{job}/{wrong}"), &cookie).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    for wrong in ["tests?cursor=1.2.3", "tests?which=red", "tests?cursor=99999999999999999999.1"] {
        let reply = bench.get(&format!("/api/v1/pipelines/web/{wrong}"), &cookie).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}
