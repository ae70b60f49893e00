//! What people see.
use axum::http::StatusCode;

use super::bench::Bench;
use super::html::{decode, shape, tags};
use super::rows::Texts;

const PLAIN: &str = "abcdefgh";
const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "</title></pre></details><form action=https://evil.example.com>",
    "{{ 7*7 }}&lt;b&gt;",
];

async fn seen(texts: &Texts) -> Vec<String> {
    let bench = Bench::new().await;
    let job = bench.failed_job("web", texts).await;
    let cookie = bench.login("alice").await;
    let mut pages = Vec::new();
    let tests = ["/pipelines/web/tests", "/pipelines/web/tests?show=all", "/pipelines/web/tests/1"].map(str::to_owned);
    let first = ["/".to_owned(), "/pipelines".to_owned(), "/pipelines/web".to_owned(), format!("/jobs/{job}")];
    for path in first.into_iter().chain([format!("/jobs/{job}/tests")]).chain(tests) {
        let reply = bench.get(&path, &cookie).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text());
        pages.push(reply.text());
    }
    pages
}

#[tokio::test]
async fn hostile_text_is_shown_as_text() {
    let plain = seen(&Texts::all(PLAIN)).await;
    for hostile in HOSTILE {
        let pages = seen(&Texts::all(hostile)).await;
        for (page, plain) in pages.iter().zip(&plain) {
            // A line that looks like an error is marked; nothing else may differ.
            assert_eq!(shape(page), shape(plain), "{hostile}");
            for tag in tags(page) {
                for name in ["href", "action", "src"] {
                    let target = tag.get(name).unwrap_or("/");
                    assert!(target.starts_with(['/', '#', '?']) && !target.starts_with("//"), "{target}");
                }
            }
        }
        assert!(decode(&pages[3]).contains(hostile), "{hostile}");
        assert!(pages[4..].iter().all(|page| decode(page).contains(hostile)), "{hostile}");
    }
}

#[tokio::test]
async fn a_failed_job_says_why_first_and_leads_to_the_line() {
    let bench = Bench::new().await;
    let job = bench.failed_job("web", &Texts::usual()).await;
    let page = bench.get("/pipelines/web/1", &bench.login("carol").await).await.text();
    let text = decode(&page);
    let why = text.find("Step \"test 3.11\" exited with code 1 after 12.4 s.").unwrap();
    assert!(why < text.find(">Steps</h2>").unwrap());
    assert!(text[why..].contains("<code>FAIL: test_bare_cr"));
    let all = tags(&page);
    let link = all.iter().filter_map(|tag| tag.get("href")).find(|href| *href == "#s2-L2");
    assert!(link.is_some());
    assert!(all.iter().any(|tag| tag.get("id") == Some("s2-L2")));
    // The failing step is open, the good one is not.
    let open = |id| all.iter().find(|tag| tag.get("id") == Some(id)).unwrap().get("open").is_some();
    assert!(open("s2") && !open("s1"));
    assert!(!page.contains('\u{1b}'));
    assert!(text.contains("sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"));
    assert!(page.contains(&format!("/api/v1/jobs/{job}/artifacts/report.xml")));
    assert!(!page.contains("danube verify"));
}

#[tokio::test]
async fn a_reader_is_offered_nothing_that_he_may_not_do() {
    let bench = Bench::new().await;
    let lease = bench.start("web", &Texts::usual()).await;
    for (person, may) in [("alice", true), ("carol", false)] {
        let cookie = bench.login(person).await;
        let job = bench.get(&format!("/jobs/{}", lease.job), &cookie).await.text();
        assert_eq!(job.contains("/cancel\""), may, "{person}");
        let pipeline = bench.get("/pipelines/web", &cookie).await.text();
        assert_eq!(pipeline.contains("/pipelines/web/trigger"), may, "{person}");
        assert!(!job.contains("href=\"/config\""), "{person}");
    }
}

#[tokio::test]
async fn a_long_log_shows_its_end_and_leads_to_the_rest() {
    let bench = Bench::new().await;
    let lease = bench.start("web", &Texts::usual()).await;
    let log: String = (1..=5000).map(|n| format!("line {n}\n")).collect();
    bench.step(lease, "long", "", &log).await;
    let cookie = bench.login("alice").await;
    let page = bench.get(&format!("/jobs/{}", lease.job), &cookie).await.text();
    assert!(page.contains("id=\"s1-L5000\"") && page.contains("id=\"s1-L4501\"") && !page.contains("id=\"s1-L4500\""));
    assert!(page.contains("show lines 4001–4500"));
    let page = bench.get(&format!("/jobs/{}?step=1&from=1001", lease.job), &cookie).await.text();
    assert!(page.contains("id=\"s1-L1001\"") && page.contains("id=\"s1-L1500\"") && !page.contains("id=\"s1-L1501\""));
}

#[tokio::test]
async fn a_waiting_job_says_why() {
    let bench = Bench::new().await;
    let id = bench.enqueue("web", &Texts::usual()).await;
    let cookie = bench.login("alice").await;
    assert!(bench.get(&format!("/jobs/{id}"), &cookie).await.text().contains("Starts in a moment"));
    assert!(bench.get("/", &cookie).await.text().contains("starts in a moment"));
}

#[tokio::test]
async fn the_config_page_shows_each_mistake_with_its_place_and_remedy() {
    let bench = Bench::new().await;
    let issues = r#"[{"file":"pipelines/web.yaml","line":7,"column":9,"message":"unknown team <x>","fix":"did you mean 'web'?"}]"#;
    bench
        .store
        .write("test", crate::store::Durability::Acknowledged, move |tx| {
            crate::store::config_commits::record_failure(tx, &"d1".repeat(20), issues)
        })
        .await
        .unwrap();
    let cookie = bench.login("olga").await;
    let page = decode(&bench.get("/config", &cookie).await.text());
    for told in ["pipelines/web.yaml:7:9", "unknown team <x>", "did you mean 'web'?", "last good configuration"] {
        assert!(page.contains(told), "{told}");
    }
    assert!(bench.get("/", &cookie).await.text().contains("class=\"banner\""));
    assert!(!bench.get("/", &bench.login("alice").await).await.text().contains("class=\"banner\""));
}

#[tokio::test]
async fn a_token_is_shown_once() {
    let bench = Bench::new().await;
    let cookie = bench.login("alice").await;
    let made = bench.post("/tokens", &cookie, "name=ci&days=30&pipeline=web&read_only=1").await.text();
    let start = made.find("danube_").unwrap();
    let token = &made[start..start + 50];
    let again = bench.get("/tokens", &cookie).await.text();
    assert!(!again.contains(token) && again.contains("read · web"));
}

/// Writes every page to the directory named by `DANUBE_PAGES`, to look at them; else it only renders them.
#[tokio::test]
async fn every_page_renders() {
    let bench = Bench::new().await;
    super::rows::history(&bench).await;
    let cookie = bench.login("olga").await;
    let failed = bench.failed_job("web", &Texts::usual()).await;
    let green = bench.green_job("tomli").await;
    let running = bench.running_job("web").await;
    bench.enqueue("tomli", &Texts::usual()).await;
    bench.post("/tokens", &cookie, "name=release+script&days=30&pipeline=web&read_only=1").await;
    let pages = [
        ("dashboard", "/".to_owned()),
        ("pipelines", "/pipelines".to_owned()),
        ("pipeline", "/pipelines/web".to_owned()),
        ("failed", format!("/jobs/{failed}")),
        ("green", format!("/jobs/{green}")),
        ("running", format!("/jobs/{running}")),
        ("components", "/about/components".to_owned()),
        ("find", "/find?q=nothing".to_owned()),
        ("tests", format!("/jobs/{failed}/tests")),
        ("no_tests", format!("/jobs/{green}/tests")),
        ("test_history", "/pipelines/web/tests".to_owned()),
        ("test_case", "/pipelines/web/tests/1".to_owned()),
        ("config", "/config".to_owned()),
        ("tokens", "/tokens".to_owned()),
        ("login", "/login?return_to=/pipelines".to_owned()),
        ("missing", "/nothing".to_owned()),
    ];
    for (name, path) in pages {
        let reply = bench.get(&path, &cookie).await;
        assert!(reply.status.is_success() || name == "missing", "{name}: {}", reply.text());
        if let Some(dir) = std::env::var_os("DANUBE_PAGES") {
            std::fs::write(std::path::Path::new(&dir).join(format!("{name}.html")), reply.body).unwrap();
        }
    }
}
