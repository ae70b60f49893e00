//! Starting a job by hand, from a real repository.
use axum::body::Body;
use axum::http::{Method, StatusCode, header};

use super::bench::{Bench, request, settings};
use crate::mirror::testing::Source;
use crate::model::settings::{Param, ParamType};
use crate::store::audit_log;

async fn bench_with(source: &Source) -> Bench {
    let bench = Bench::new().await;
    let mut settings = settings();
    settings.pipelines[0].repository = source.url();
    settings.pipelines[0].params = [("target", ParamType::String, ""), ("tries", ParamType::Integer, "3")]
        .map(|(name, kind, default)| Param {
            name: name.to_owned(),
            kind,
            choices: Vec::new(),
            default: Some(default.to_owned()),
            description: String::new(),
        })
        .to_vec();
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
    let reply = ask(&format!(r#"{{"commit":"{commit}","params":{{"target":"staging","tries":5}}}}"#)).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    assert_eq!(reply.json()["number"], 1);
    assert_eq!(
        reply.header(header::LOCATION.as_str()),
        format!("/api/v1/jobs/{}", reply.json()["id"].as_str().unwrap())
    );
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    let job = bench.send_local(request(Method::GET, &format!("/api/v1/jobs/{id}")).body(Body::empty()).unwrap()).await;
    assert_eq!(job.json()["params"], serde_json::json!({"target": "staging", "tries": "5"}));
    let shown = request(Method::GET, "/api/v1/pipelines/web").body(Body::empty()).unwrap();
    let params = bench.send_local(shown).await.json()["params"].clone();
    assert_eq!(
        (&params[1]["name"], &params[1]["type"], &params[1]["default"]),
        (&"tries".into(), &"integer".into(), &"3".into())
    );
    for (wrong, part) in
        [(r#"{"params":{"tires":1}}"#, "did you mean 'tries'"), (r#"{"params":{"tries":"x"}}"#, "whole number")]
    {
        let refused = ask(wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.text().contains(part), "{}", refused.text());
    }
    let unknown = ask(r#"{"branch":"mian"}"#).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unknown.text().contains("main"), "{}", unknown.text());
    for wrong in [
        "[]",
        r#"{"params":{"tries":[1]}}"#,
        r#"{"brunch":"main"}"#,
        r#"{"commit":"--upload-pack=x"}"#,
        r#"{"branch":"a\nb"}"#,
    ] {
        assert_eq!(ask(wrong).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    let jobs = bench.send_local(request(Method::GET, "/api/v1/jobs").body(Body::empty()).unwrap()).await.json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_ended_job_runs_again_and_a_live_one_does_not() {
    let source = Source::new();
    let commit = source.commit("main", "First", &[("danubefile.py", "pass")]);
    let bench = bench_with(&source).await;
    let post = async |path: &str, body: &str| {
        bench.send_local(request(Method::POST, path).body(Body::from(body.to_owned())).unwrap()).await
    };
    let first = post("/api/v1/pipelines/web/trigger", r#"{"params":{"tries":9}}"#).await.json();
    let path = format!("/api/v1/jobs/{}", first["id"].as_str().unwrap());
    let early = post(&format!("{path}/rerun"), "").await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    assert!(early.text().contains("web#1 is pending"), "{}", early.text());
    post(&format!("{path}/cancel"), "").await;
    let refused = post(&format!("{path}/rerun"), r#"{"from":"failed"}"#).await;
    assert!(refused.status == StatusCode::CONFLICT && refused.text().contains("it never ran"), "{}", refused.text());
    assert_eq!(post(&format!("{path}/rerun"), r#"{"from":"end"}"#).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let again = post(&format!("{path}/rerun"), r#"{"from":"start"}"#).await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.text());
    let new = again.json();
    assert_eq!((&new["number"], &new["commit"]), (&2.into(), &commit.clone().into()));
    let lines = bench.store.read(|view| audit_log::page(view, None, i64::MAX, 1)).await.unwrap();
    assert_eq!((lines[0].action.as_str(), lines[0].resource.as_str()), ("job.rerun", "web#1"));
    let cookie = bench.login("alice").await;
    let job = bench.get(again.header(header::LOCATION.as_str()), &cookie).await.json();
    assert_eq!(
        (&job["parent"], &job["trigger"], &job["params"]["tries"]),
        (&first["id"], &"rerun".into(), &"9".into())
    );
    let form = bench.post(&format!("/jobs/{}/rerun", first["id"].as_str().unwrap()), &cookie, "").await;
    assert_eq!(form.status, StatusCode::SEE_OTHER, "{}", form.text());
    assert_ne!(form.header("location"), format!("/jobs/{}", first["id"].as_str().unwrap()));
}
