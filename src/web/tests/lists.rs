//! The dashboard, the lists, what leads from one to the other.
use axum::body::Body;
use axum::http::{Method, StatusCode, header};

use super::bench::{Bench, pipeline, request, settings};
use super::html::{decode, shape, tags};
use super::rows::Texts;
use crate::model::settings::{Param, ParamType, TriggerRule};

#[tokio::test]
async fn the_dashboard_says_what_is_red_since_when_by_whom_and_why() {
    let bench = Bench::new().await;
    let green = bench.start("web", &Texts::usual()).await;
    bench.finish(green, 0, None).await;
    bench.failed_job("web", &Texts { author: "Mina Ito <mina@example.com>".to_owned(), ..Texts::usual() }).await;
    bench.failed_job("web", &Texts { author: "Bo Lind <bo@example.com>".to_owned(), ..Texts::usual() }).await;
    bench.failed_job("web", &Texts { branch: "try-things".to_owned(), ..Texts::usual() }).await;
    let page = decode(&bench.get("/", &bench.login("carol").await).await.text());
    assert!(page.contains("1 red, 1 on other branches · 0 running · 0 waiting"));
    let red = &page[page.find("Red branches").unwrap()..page.find("Other red branches").unwrap()];
    assert!(red.contains("#3") && red.contains("since #2 by Mina Ito, 2 runs"), "{red}");
    assert!(red.contains("FAIL: test_bare_cr") && !red.contains("try-things"), "{red}");
}

#[tokio::test]
async fn a_green_main_branch_does_not_hide_that_others_are_red() {
    let bench = Bench::new().await;
    let green = bench.start("web", &Texts::usual()).await;
    bench.finish(green, 0, None).await;
    for branch in ["one", "two"] {
        bench.failed_job("web", &Texts { branch: branch.to_owned(), ..Texts::usual() }).await;
    }
    let cookie = bench.login("carol").await;
    let page = decode(&bench.get("/", &cookie).await.text());
    assert!(page.contains("main is green; 2 other branches are red: ") && page.contains("0 red, 2 on other"), "{page}");
    assert!(page.contains(">web two #3</a>, ") && page.contains(">web one #2</a>"), "{page}");
    assert!(!page.contains("Nothing is red"));
    for branch in ["one", "two"] {
        let lease = bench.start("web", &Texts { branch: branch.to_owned(), ..Texts::usual() }).await;
        bench.finish(lease, 0, None).await;
    }
    let page = decode(&bench.get("/", &cookie).await.text());
    assert!(page.contains("Nothing is red") && !page.contains("other branches"), "{page}");
}

#[tokio::test]
async fn a_page_that_follows_is_sent_again_only_when_it_changed() {
    let bench = Bench::new().await;
    let cookie = bench.login("alice").await;
    let first = bench.get("/", &cookie).await;
    let tag = first.header("etag").to_owned();
    assert!(first.text().contains("data-live"));
    let again = || {
        request(Method::GET, "/")
            .header(header::COOKIE, format!("danube_session={cookie}"))
            .header(header::IF_NONE_MATCH, tag.clone())
            .body(Body::empty())
            .unwrap()
    };
    assert_eq!(bench.send(again()).await.status, StatusCode::NOT_MODIFIED);
    bench.running_job("web").await;
    let changed = bench.send(again()).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_ne!(changed.header("etag"), tag);
    assert!(changed.text().contains("1 running"));
}

#[tokio::test]
async fn pipelines_are_filtered_by_text_team_and_state_and_come_page_by_page() {
    let bench = Bench::new().await;
    let mut settings = settings();
    settings.pipelines.extend((0..50).map(|n| pipeline(&format!("svc-{n:02}"), "others")));
    settings.pipelines[0].triggers.push(TriggerRule::Cron {
        schedule: "0 12 * * *".to_owned(),
        timezone: None,
        branch: "main".to_owned(),
    });
    bench.apply(settings).await;
    bench.failed_job("web", &Texts::usual()).await;
    let cookie = bench.login("olga").await;
    let names = |page: &str| {
        let found =
            tags(page).into_iter().filter_map(|tag| Some(tag.get("href")?.strip_prefix("/pipelines/")?.to_owned()));
        found.collect::<Vec<String>>()
    };
    let first = bench.get("/pipelines", &cookie).await.text();
    assert_eq!(names(&first).len(), 40);
    let more = tags(&first).into_iter().find(|tag| tag.get("rel") == Some("next")).unwrap();
    let second = names(&bench.get(more.get("href").unwrap(), &cookie).await.text());
    assert_eq!(second.len(), 12);
    assert!(second.iter().all(|name| !names(&first).contains(name)));
    assert_eq!(names(&bench.get("/pipelines?q=SVC-07", &cookie).await.text()), ["svc-07"]);
    assert_eq!(names(&bench.get("/pipelines?team=platform", &cookie).await.text()), ["tomli", "web"]);
    let red = bench.get("/pipelines?state=red", &cookie).await.text();
    assert_eq!(names(&red), ["web"]);
    assert!(red.contains("0 of 1") && red.contains("in 1 h"), "{red}");
    assert!(bench.get("/pipelines?q=nothing", &cookie).await.text().contains("None fits"));
}

#[tokio::test]
async fn the_history_of_a_pipeline_is_cut_by_branch_and_status() {
    let bench = Bench::new().await;
    bench.failed_job("web", &Texts::usual()).await;
    bench.failed_job("web", &Texts { branch: "feature/x&y".to_owned(), ..Texts::usual() }).await;
    let green = bench.start("web", &Texts::usual()).await;
    bench.finish(green, 0, None).await;
    let running = bench.start("web", &Texts::usual()).await;
    let cookie = bench.login("alice").await;
    let jobs = |page: String| {
        let list = page.split("aria-label=\"Jobs\"").nth(1).unwrap().to_owned();
        list.matches("class=\"to\"").count()
    };
    let all = bench.get("/pipelines/web", &cookie).await.text();
    let drawn = tags(&all).iter().filter(|tag| tag.get("class") == Some("zone")).count();
    assert_eq!(drawn, 8, "each job once for wide pages and once for phones");
    assert!(all.contains(&format!("/jobs/{}/cancel", running.job)) && all.contains("1 of 3"));
    assert_eq!(jobs(all), 4);
    assert_eq!(jobs(bench.get("/pipelines/web?status=failure", &cookie).await.text()), 2);
    assert_eq!(jobs(bench.get("/pipelines/web?branch=feature%2Fx%26y", &cookie).await.text()), 1);
    assert_eq!(jobs(bench.get("/pipelines/web?branch=none&status=success", &cookie).await.text()), 0);
    for wrong in ["status=broken", "cursor=xyz"] {
        let reply = bench.get(&format!("/pipelines/web?{wrong}"), &cookie).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert!(reply.text().contains("<h1>"));
    }
}

#[tokio::test]
async fn a_job_a_commit_or_a_pipeline_is_found_by_what_one_has_in_hand() {
    let bench = Bench::new().await;
    let job = bench.failed_job("web", &Texts::usual()).await;
    let cookie = bench.login("carol").await;
    let to = async |asked: &str| bench.get(&format!("/find?q={asked}"), &cookie).await.header("location").to_owned();
    assert_eq!(to("web%231").await, format!("/jobs/{job}"));
    assert_eq!(to(&job.to_string()).await, format!("/jobs/{job}"));
    assert_eq!(to("9F3C1AB").await, format!("/jobs/{job}"));
    assert_eq!(to("tom").await, "/pipelines/tomli");
    let stranger = bench.login("bob").await;
    for asked in ["web%231", "9f3c1ab", "web", "", "%3Cscript%3E"] {
        let reply = bench.get(&format!("/find?q={asked}"), &stranger).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(!reply.text().contains("/jobs/") && !reply.text().contains("<script>"), "{asked}");
    }
}

#[tokio::test]
async fn hostile_questions_change_no_page() {
    let bench = Bench::new().await;
    bench.failed_job("web", &Texts::usual()).await;
    let cookie = bench.login("olga").await;
    let hostile: String = url::form_urlencoded::byte_serialize("\"><img src=x onerror=alert(1)>'".as_bytes()).collect();
    let long = "a".repeat(10_000);
    for address in ["/find?q=", "/pipelines?q=", "/pipelines?team=", "/pipelines?after=z&q=", "/pipelines/web?branch="]
    {
        let plain = bench.get(&format!("{address}abcdefgh"), &cookie).await;
        for asked in [&hostile, &long] {
            let reply = bench.get(&format!("{address}{asked}"), &cookie).await;
            assert_eq!(reply.status, StatusCode::OK, "{address}");
            assert_eq!(shape(&reply.text()), shape(&plain.text()), "{address}");
            assert!(reply.body.len() < 60_000, "{address}: {}", reply.body.len());
        }
    }
}

#[tokio::test]
async fn the_form_asks_for_the_params_that_the_pipeline_declares() {
    let bench = Bench::new().await;
    let param = |name: &str, kind, choices: &[&str], default: Option<&str>| Param {
        name: name.to_owned(),
        kind,
        choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
        default: default.map(str::to_owned),
        description: format!("What {name} is for <b>"),
    };
    let mut settings = settings();
    settings.pipelines[0].params = vec![
        param("target", ParamType::Choice, &["staging", "production"], Some("production")),
        param("dry_run", ParamType::Boolean, &[], Some("false")),
        param("count", ParamType::Integer, &[], Some("3")),
        param("note", ParamType::String, &[], None),
    ];
    bench.apply(settings).await;
    let page = bench.get("/pipelines/web", &bench.login("alice").await).await.text();
    let all = tags(&page);
    let field = |name: &str| all.iter().find(|tag| tag.get("name") == Some(name)).unwrap();
    assert_eq!(field("param.target").name, "select");
    assert!(page.contains("<option selected>production</option>") && page.contains("<option selected>false</option>"));
    assert_eq!(field("param.count").get("value"), Some("3"));
    assert!(field("param.note").get("required").is_some() && field("param.count").get("required").is_none());
    assert!(!page.contains("is for <b>") && decode(&page).contains("What note is for <b>"));
}

#[tokio::test]
async fn pipelines_tokens_and_artifacts_come_page_by_page_and_no_cursor_fits_another_list() {
    let bench = Bench::new().await;
    let mut settings = settings();
    settings.pipelines.extend((0..3).map(|n| pipeline(&format!("svc-{n}"), "others")));
    bench.apply(settings).await;
    let job = bench.green_job("web").await;
    let cookie = bench.login("olga").await;
    for name in ["one", "two", "three"] {
        bench.post("/tokens", &cookie, &format!("name={name}&days=3")).await;
    }
    let artifacts = format!("/api/v1/jobs/{job}/artifacts");
    let mut cursors = Vec::new();
    for (path, key) in [("/api/v1/pipelines", "pipelines"), ("/api/v1/tokens", "tokens"), (&artifacts, "artifacts")] {
        let whole = bench.get(path, &cookie).await.json();
        let whole = whole[key].as_array().unwrap().clone();
        assert!(!whole.is_empty(), "{path}");
        let (mut read, mut next) = (Vec::new(), String::new());
        loop {
            let page = bench.get(&format!("{path}?limit=1&cursor={next}"), &cookie).await.json();
            read.extend(page[key].as_array().unwrap().clone());
            assert!(read.len() <= whole.len(), "{path}");
            let Some(cursor) = page["next"].as_str() else { break };
            next = cursor.to_owned();
        }
        assert_eq!(read, whole, "{path}");
        cursors.push((path, next));
    }
    for (path, _) in &cursors {
        for cursor in cursors.iter().filter(|(other, _)| other != path).map(|(_, cursor)| cursor.as_str()) {
            let reply = bench.get(&format!("{path}?cursor={cursor}"), &cookie).await;
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}");
        }
        let reply = bench.get(&format!("{path}?limit=1001"), &cookie).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}");
    }
}
