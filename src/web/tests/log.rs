//! Reading logs, on pages and by the API.
use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::json;

use super::bench::{Bench, Reply, request};
use super::html::{decode, tags};
use super::rows::Texts;
use crate::model::JobId;

const HOSTILE: &[u8] =
    b"\x1b[31m<script>alert(1)</script>\x1b[0m\n\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\\n\
    \x1b]52;c;ZXZpbA==\x07copied\n10%\r100%\n\"><img src=x onerror=alert(1)>\na\xe2\x80\xaeb\n\xff\x00\nerror: last\n";

async fn job_with(log: &[u8]) -> (Bench, JobId, String) {
    let bench = Bench::new().await;
    let lease = bench.start("web", &Texts::usual()).await;
    let step = bench.step(lease, "test", "", "").await;
    bench.append(lease.job, &step.log_stream, log);
    bench.end_step(lease, &step, 1).await;
    bench.finish(lease, 1, None).await;
    let cookie = bench.login("carol").await;
    (bench, lease.job, cookie)
}

async fn api(bench: &Bench, path: &str) -> Reply {
    bench.send_local(request(Method::GET, path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn hostile_bytes_of_a_log_are_shown_as_text_with_colours() {
    let (bench, job, cookie) = job_with(HOSTILE).await;
    for path in [format!("/jobs/{job}"), format!("/jobs/{job}/log?step=1"), format!("/jobs/{job}/log/lines?step=1")] {
        let page = bench.get(&path, &cookie).await.text();
        let all = tags(&page);
        assert!(!page.contains(['\u{1b}', '\0', '\u{7}', '\u{202e}']), "{path}");
        assert!(all.iter().all(|tag| tag.name != "img" && tag.get("onerror").is_none()), "{path}");
        assert!(all.iter().filter(|tag| tag.name == "script").all(|tag| tag.get("src").is_some()), "{path}");
        assert!(page.contains("<span class=\"f1\">") && page.contains("<span class=\"code-point\">"), "{path}");
        let text = decode(&page);
        for seen in ["<script>alert(1)</script>", ">click<", ">copied<", ">100%<", "<U+202E>", "\u{fffd}"] {
            assert!(text.contains(seen), "{path}: {seen}");
        }
        assert!(!text.contains("javascript:") && !text.contains("10%\r"), "{path}");
    }
}

#[tokio::test]
async fn a_line_of_a_log_has_an_address_of_its_own() {
    let log: String = (1..=5000).map(|n| format!("line {n}\n")).collect();
    let (bench, job, cookie) = job_with(log.as_bytes()).await;
    let page = bench.get(&format!("/jobs/{job}/log?step=1&line=2000-2002"), &cookie).await.text();
    let all = tags(&page);
    let hits: Vec<_> =
        all.iter().filter(|tag| tag.get("class") == Some("hit")).filter_map(|tag| tag.get("id")).collect();
    assert_eq!(hits, ["s1-L2000", "s1-L2001", "s1-L2002"]);
    assert!(page.contains("id=\"s1-L1980\"") && page.contains("id=\"s1-L2479\"") && !page.contains("id=\"s1-L2480\""));
    // The links before and after lead to the lines that are missing.
    let link = |class: &str| {
        let tag = all.iter().find(|tag| tag.get("class") == Some(class)).unwrap();
        decode(tag.get("href").unwrap())
    };
    let earlier = bench.get(&link("more earlier"), &cookie).await.text();
    assert!(
        earlier.contains("id=\"s1-L1979\"")
            && earlier.contains("id=\"s1-L1480\"")
            && !earlier.contains("id=\"s1-L1980\"")
    );
    let later = bench.get(&link("more later"), &cookie).await.text();
    assert!(later.contains("id=\"s1-L2480\"") && !later.contains("id=\"s1-L2479\""));
    for (wrong, status) in [
        ("step=1&line=x", StatusCode::BAD_REQUEST),
        ("step=1&line=0", StatusCode::BAD_REQUEST),
        ("step=9", StatusCode::NOT_FOUND),
        ("step=1&line=1000000000000", StatusCode::OK),
        ("step=1&at=18446744073709551615", StatusCode::OK),
        ("step=1&before=18446744073709551615", StatusCode::OK),
    ] {
        let reply = bench.get(&format!("/jobs/{job}/log?{wrong}"), &cookie).await;
        assert_eq!(reply.status, status, "{wrong}");
    }
}

#[tokio::test]
async fn the_first_error_is_one_link_away() {
    let (bench, job, cookie) = job_with(HOSTILE).await;
    let page = bench.get(&format!("/jobs/{job}"), &cookie).await.text();
    assert!(decode(&page).contains("line=first-error"));
    let reply = bench.get(&format!("/jobs/{job}/log?step=1&line=first-error"), &cookie).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert!(reply.header("location").ends_with("&line=8#s1-L8"), "{}", reply.header("location"));
}

#[tokio::test]
async fn a_log_is_searched_page_by_page() {
    let log: String = (1..=900).map(|n| format!("line {n}\n")).collect();
    let (bench, job, cookie) = job_with(log.as_bytes()).await;
    let (mut lines, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/jobs/{job}/search?q=LINE+9&limit=50{cursor}");
        let reply = api(&bench, &path).await.json();
        lines.extend(reply["hits"].as_array().unwrap().iter().map(|hit| hit["line"].as_u64().unwrap()));
        let Some(next) = reply["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let expected: Vec<u64> = (1..=900).filter(|n: &u64| n.to_string().starts_with('9')).collect();
    assert_eq!(lines, expected);
    let page = bench.get(&format!("/jobs/{job}/log?q=%3Cline+7&step=1"), &cookie).await.text();
    assert!(page.contains("Nothing was found."));
    let page = bench.get(&format!("/jobs/{job}/log?q=line+77"), &cookie).await.text();
    assert!(page.contains("<mark>line 77</mark>") && page.contains("11 lines found; everything was searched."));
    assert!(decode(&page).contains(&format!("/jobs/{job}/log?step=1&attempt=1&line=770#s1-L770")));
    let page = bench.get(&format!("/jobs/{job}/log?q=(&expr=1"), &cookie).await.text();
    assert!(page.contains("no regular expression"));
    for wrong in ["q=", "q=(&regex=true", "q=x&cursor=1.1", "limit=5"] {
        let reply = api(&bench, &format!("/api/v1/jobs/{job}/search?{wrong}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn lines_come_as_json_with_their_times() {
    let (bench, job, _) = job_with(b"one\n\x1b[31mtwo\x1b[0m\nthree").await;
    let path = format!("/api/v1/jobs/{job}/steps/1/lines");
    let reply = api(&bench, &format!("{path}?from=2&limit=1")).await.json();
    assert_eq!(reply["lines"][0]["text"], "two");
    assert_eq!(reply["lines"][0]["number"], 2);
    assert_eq!(reply["lines"][0]["stream"], "stdout");
    assert_eq!(reply["lines"][0]["time"], "1970-01-01T00:00:00Z");
    assert_eq!((&reply["next"], &reply["bytes"]), (&json!(3), &json!(22)));
    let last = api(&bench, &format!("{path}?limit=1")).await.json();
    assert_eq!((&last["lines"][0]["text"], &last["next"]), (&json!("three"), &json!(null)));
    let part = api(&bench, &format!("/api/v1/jobs/{job}/steps/1/log?from=4&length=8")).await;
    assert_eq!(part.body, b"\x1b[31mtwo");
    assert_eq!(part.header("content-type"), "text/plain; charset=utf-8");
}

#[tokio::test]
async fn a_watcher_of_states_gets_no_logs() {
    let (bench, job, _) = job_with(b"one\ntwo\n").await;
    let none = api(&bench, &format!("/api/v1/jobs/{job}/events?logs=0")).await.text();
    assert!(none.contains("event: state") && none.contains("event: end") && !none.contains("event: log"));
    let offsets = api(&bench, &format!("/api/v1/jobs/{job}/events?logs=offsets")).await.text();
    assert!(offsets.contains("\"length\":8") && !offsets.contains("two"), "{offsets}");
}

#[tokio::test]
async fn an_event_id_of_another_log_is_refused() {
    let (bench, job, _) = job_with(b"one\ntwo\n").await;
    for (id, status) in [
        ("1;;1.1=4", StatusCode::OK),
        ("1;;1.1=9", StatusCode::BAD_REQUEST),
        ("1;;7.1=0", StatusCode::BAD_REQUEST),
        ("\u{e9}", StatusCode::BAD_REQUEST),
    ] {
        let request =
            request(Method::GET, &format!("/api/v1/jobs/{job}/events")).header("last-event-id", id.as_bytes());
        assert_eq!(bench.send_local(request.body(Body::empty()).unwrap()).await.status, status, "{id}");
    }
}
