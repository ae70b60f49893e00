//! The job's page: its states, its steps on one axis, what is huge.
use super::bench::Bench;
use super::html::{decode, tags};
use super::rows::{Texts, shard};

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
