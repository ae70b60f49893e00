//! The job's page: its states, its steps on one axis, what is huge.
use super::bench::Bench;
use super::bench::request;
use super::html::{decode, tags};
use super::rows::{Texts, shard};
use crate::queue::{self, Limits};
use crate::store::{Durability, Tx, kept_workspaces, steps};

async fn page(bench: &Bench, path: &str) -> String {
    let reply = bench.get(path, &bench.login("alice").await).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text()
}

#[tokio::test]
async fn steps_side_by_side_stand_below_their_call_and_the_critical_path_is_told_in_words() {
    let bench = Bench::new().await;
    let job = bench.green_job("web").await;
    let text = decode(&page(&bench, &format!("/jobs/{job}")).await);
    assert!(text.contains("2 side by side"));
    assert!(text.contains(", on the critical path"));
    let all = tags(&text);
    let rows: Vec<&str> = all
        .iter()
        .filter(|tag| tag.name == "li" && tag.get("data-step").is_some())
        .filter_map(|tag| tag.get("class"))
        .collect();
    assert_eq!(rows.len(), 4);
    assert!(rows[1].contains("d1") && rows[2].contains("d1") && rows[0].contains("d0"), "{rows:?}");
}

#[tokio::test]
async fn a_job_leads_to_those_beside_it() {
    let bench = Bench::new().await;
    for _ in 0..2 {
        bench.green_job("web").await;
    }
    bench.failed_job("web", &Texts::usual()).await;
    let all = tags(&page(&bench, "/pipelines/web/2").await);
    let to = |rel: &str| {
        all.iter().find(|tag| tag.get("rel") == Some(rel)).and_then(|tag| tag.get("href")).map(str::to_owned)
    };
    assert_eq!((to("prev").as_deref(), to("next").as_deref()), (Some("/pipelines/web/1"), Some("/pipelines/web/3")));
}

#[tokio::test]
async fn two_thousand_steps_make_a_page_of_bounded_size() {
    let bench = Bench::new().await;
    let lease = bench.start("web", &Texts::usual()).await;
    bench.quick_steps(lease, 1999).await;
    let last = bench.step(lease, "step 1999", &shard(1999), "Error: no\n").await;
    bench.end_step(lease, &last, 1).await;
    bench.finish(lease, 1, Some("step \"step 1999\" failed: exit code 1")).await;
    let text = page(&bench, &format!("/jobs/{}", lease.job)).await;
    let steps = &text[text.find("id=\"steps\"").unwrap()..text.find("id=\"logs\"").unwrap()];
    assert!(steps.len() < 200_000, "{} bytes", steps.len());
    assert!(steps.contains("step 1999") && steps.contains("earlier rows"));
    let open = page(&bench, &format!("/jobs/{}?open=%2Fmatrix%230%5Bshard%3D3%5D&rows=0", lease.job)).await;
    let rows = &open[open.find("id=\"steps\"").unwrap()..open.find("id=\"logs\"").unwrap()];
    assert!(rows.contains("step 35<") && !rows.contains("step 45<"));
    page(&bench, &format!("/jobs/{}?rows=999999999999&open={}", lease.job, "x".repeat(3000))).await;
}

#[tokio::test]
async fn headings_stand_in_order() {
    let bench = Bench::new().await;
    bench.green_job("web").await;
    let failed = bench.failed_job("web", &Texts::usual()).await;
    let all = tags(&page(&bench, &format!("/jobs/{failed}")).await);
    let heads: Vec<&str> =
        all.iter().map(|tag| tag.name.as_str()).filter(|name| ["h1", "h2", "h3"].contains(name)).collect();
    assert_eq!(heads.iter().filter(|name| **name == "h1").count(), 1);
    assert_eq!(heads.first(), Some(&"h1"));
}

#[tokio::test]
async fn notes_and_failed_tests_stand_on_top_of_a_job() {
    let bench = Bench::new().await;
    let texts = Texts { log: "**81 %** of lines <b>".to_owned(), ..Texts::usual() };
    let job = bench.failed_job("web", &texts).await;
    let text = page(&bench, &format!("/jobs/{job}")).await;
    let top = &text[..text.find("id=\"steps\"").unwrap()];
    assert!(top.contains("<b>Warning</b>") && top.contains("<strong>81 %</strong> of lines &lt;b&gt;"));
    assert!(top.contains(&format!("<a href=\"/jobs/{job}/tests\">1 test, 1 failed</a>")), "{top}");
    assert!(top.contains("/pipelines/web/tests/1"), "the failed test is named, with its past");
}

#[tokio::test]
async fn an_ended_job_is_run_again_by_who_may() {
    let bench = Bench::new().await;
    let job = bench.failed_job("web", &Texts::usual()).await;
    let form = format!("action=\"/jobs/{job}/rerun\"");
    assert!(page(&bench, &format!("/jobs/{job}")).await.contains(&form));
    let reader = bench.get(&format!("/jobs/{job}"), &bench.login("carol").await).await.text();
    assert!(!reader.contains(&form));
    let reply = bench.get(&format!("/api/v1/jobs/{job}/summary"), &bench.login("alice").await).await.json();
    let again = reply["next"].as_array().unwrap().iter().find(|action| action["do"] == "rerun").unwrap();
    assert_eq!(again["command"], "danube job rerun web#1");
    let replay = reply["next"].as_array().unwrap().iter().find(|action| action["do"] == "replay").unwrap();
    assert_eq!(replay["command"], "danube replay web#1");
    let running = bench.start("web", &Texts::usual()).await;
    let text = page(&bench, &format!("/jobs/{}", running.job)).await;
    assert!(!text.contains("/rerun\"") && text.contains("/cancel\""));
}

#[tokio::test]
async fn a_name_that_turns_the_line_shows_what_it_does() {
    let bench = Bench::new().await;
    let job = bench.failed_job("web", &Texts::all("\u{202e}gnp.exe\u{2066}")).await;
    for path in [format!("/jobs/{job}"), format!("/jobs/{job}/log"), format!("/jobs/{job}/tests"), "/".to_owned()] {
        let text = page(&bench, &path).await;
        assert!(!text.contains(['\u{202e}', '\u{2066}']), "{path}");
        assert!(decode(&text).contains("<U+202E>gnp.exe<U+2066>"), "{path}");
    }
}

#[tokio::test]
async fn a_job_goes_on_where_it_stopped_while_its_workspace_is_kept_and_says_why_where_it_is_not() {
    let bench = Bench::new().await;
    // The pipeline takes no params.
    let lease = bench.start("web", &Texts { param: String::new(), ..Texts::usual() }).await;
    let lint = bench.step(lease, "lint", "", "all is fine\n").await;
    bench.end_step(lease, &lint, 0).await;
    let test = bench.step(lease, "test", "", "no\n").await;
    bench.end_step(lease, &test, 1).await;
    let note = move |tx: &Tx<'_>| kept_workspaces::note(tx, lease.id, lease.job, 4096, None);
    bench.store.write("test", Durability::Progress, note).await.unwrap();
    bench.finish(lease, 1, Some("step \"test\" failed: exit code 1")).await;
    let (old, cookie) = (lease.job, bench.login("alice").await);
    let api = format!("/api/v1/jobs/{old}");
    let text = page(&bench, &format!("/jobs/{old}")).await;
    assert!(text.contains("Run again from the failed step") && text.contains("Run all again"));
    assert_eq!(bench.get(&api, &cookie).await.json()["rerun_from_failed"]["possible"], true);
    let summary = bench.get(&format!("{api}/summary"), &cookie).await.text();
    assert!(summary.contains("danube job rerun web#1 --failed"), "{summary}");

    let reply = bench.post(&format!("/jobs/{old}/rerun"), &cookie, "from=failed").await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    let new = reply.header("location").trim_start_matches("/jobs/").to_owned();
    let text = page(&bench, &format!("/jobs/{old}")).await;
    assert!(!text.contains("from the failed step") && text.contains("Only all of it: web#2 goes on in its workspace"));
    let rerun = |body: &'static str| {
        let request = request(axum::http::Method::POST, &format!("{api}/rerun"))
            .header("cookie", format!("danube_session={cookie}"))
            .header("x-csrf-token", crate::auth::csrf::token(&cookie))
            .header("content-type", "application/json");
        request.body(axum::body::Body::from(body)).unwrap()
    };
    let refused = bench.send(rerun("{\"from\":\"failed\"}")).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("web#2 goes on in its workspace; run all of it again"), "{}", refused.text());
    assert_eq!(bench.send(rerun("{\"from\":\"start\"}")).await.status, 201);

    let claimed = queue::claim(&bench.store, "test", Limits { max_running: 9 }).await.unwrap().unwrap();
    assert_eq!((claimed.job.id.to_string(), claimed.job.parent, claimed.job.reuse), (new.clone(), Some(old), true));
    let (id, lease) = (claimed.job.id, claimed.lease);
    let take = move |tx: &Tx<'_>| steps::take_over(tx, lease.id, old, id, "/run#lint");
    bench.store.write("test", Durability::Progress, take).await.unwrap();
    let test = bench.step(lease, "test", "", "yes\n").await;
    bench.end_step(lease, &test, 0).await;
    bench.finish(lease, 0, None).await;
    let shown = bench.get(&format!("/api/v1/jobs/{new}"), &cookie).await.json();
    assert_eq!((&shown["reuse"], &shown["rerun_from_failed"]["why"]), (&true.into(), &"it ended well".into()));
    assert_eq!(shown["steps"][0]["reused_from"]["label"], "web#1");
    assert!(shown["steps"][1]["reused_from"].is_null());
    assert_eq!(bench.get(&format!("/api/v1/jobs/{new}/steps/1/log"), &cookie).await.text(), "all is fine\n");
    assert_eq!(bench.get(&format!("/api/v1/jobs/{new}/log"), &cookie).await.text(), "yes\n");
    let followed = bench.get(&format!("/api/v1/jobs/{new}/events"), &cookie).await.text();
    assert!(followed.contains("yes") && !followed.contains("fine"), "{followed}");
    let text = page(&bench, &format!("/jobs/{new}")).await;
    assert!(text.contains("reused from web#1") && text.contains(&format!("/jobs/{old}?step=1#s1")), "{text}");
    assert!(text.contains("goes on from") && text.contains("No provenance") && text.contains("all is fine"));
    assert!(text.contains("signed job record (no provenance)"));
}
