//! Starting a job by hand, from a real repository.
use axum::body::Body;
use axum::http::{Method, StatusCode, header};

use super::bench::{Bench, request, settings};
use crate::mirror::testing::Source;
use crate::store::audit_log;

async fn bench_with(source: &Source) -> Bench {
    let bench = Bench::new().await;
    let mut settings = settings();
    settings.pipelines[0].repository = source.url();
    bench.apply(settings).await;
    bench
}

#[tokio::test]
async fn a_form_starts_a_job_of_a_branch_and_leads_to_it() {
    let source = Source::new();
    let commit = source.commit("main", "First", &[("danubefile.py", "pass")]);
    let bench = bench_with(&source).await;
    let cookie = bench.login("alice").await;
    let reply = bench.post("/pipelines/web/trigger", &cookie, "branch=main&commit=").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text());
    let id = reply.header("location").strip_prefix("/jobs/").unwrap().to_owned();
    let job = bench.get(&format!("/api/v1/jobs/{id}"), &cookie).await.json();
    assert_eq!(
        (&job["commit"], &job["trigger"], &job["actor"]),
        (&commit.into(), &"manual".into(), &"alice@example.com".into())
    );
    let lines = bench.store.read(|view| audit_log::page(view, None, i64::MAX, 1)).await.unwrap();
    assert_eq!((lines[0].action.as_str(), lines[0].resource.as_str()), ("pipeline.trigger", "web"));
}

#[tokio::test]
async fn the_api_starts_a_job_and_says_what_is_wrong_where_it_cannot() {
    let source = Source::new();
    let commit = source.commit("main", "First", &[("danubefile.py", "pass")]);
    let bench = bench_with(&source).await;
    let ask = async |body: &str| {
        let request = request(Method::POST, "/api/v1/pipelines/web/trigger").body(Body::from(body.to_owned())).unwrap();
        bench.send_local(request).await
    };
    let reply = ask(&format!(r#"{{"commit":"{commit}","params":{{"target":"staging"}}}}"#)).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    assert_eq!(reply.json()["number"], 1);
    assert_eq!(
        reply.header(header::LOCATION.as_str()),
        format!("/api/v1/jobs/{}", reply.json()["id"].as_str().unwrap())
    );
    let unknown = ask(r#"{"branch":"mian"}"#).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unknown.text().contains("main"), "{}", unknown.text());
    for wrong in ["[]", r#"{"brunch":"main"}"#, r#"{"commit":"--upload-pack=x"}"#, r#"{"branch":"a\nb"}"#] {
        assert_eq!(ask(wrong).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    let jobs = bench.send_local(request(Method::GET, "/api/v1/jobs").body(Body::empty()).unwrap()).await.json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1);
}
