//! The configuration's page.
use super::bench::{Bench, settings};
use super::html::decode;
use crate::store::{Durability, config_commits};

#[tokio::test]
async fn the_page_says_what_the_last_sync_changed_field_by_field() {
    let bench = Bench::new().await;
    let mut next = settings();
    next.pipelines[0].attempts = 3;
    next.pipelines[1].repository = "https://bot:hunter2@git.example.com/platform/tomli.git".to_owned();
    next.users[0].password_hash = Some("$2b$04$another".to_owned());
    next.teams[2].members.push("<b>new</b>@example.com".to_owned());
    next.users.retain(|user| user.name != "bob");
    bench.apply(next).await;
    let page = bench.get("/config", &bench.login("olga").await).await.text();
    let told = decode(&page);
    for expected in
        ["pipeline web · attempts", "<del>1</del><ins>3</ins>", "<del>bob</del>", "<ins><b>new</b>@example.com</ins>"]
    {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(!page.contains("<b>new</b>") && !page.contains("hunter2") && !page.contains("$2b$"));
}

#[tokio::test]
async fn a_mistake_is_quoted_with_its_line_and_a_caret_below_its_column() {
    let bench = Bench::new().await;
    let issues =
        r#"[{"file":"teams.yaml","line":3,"column":5,"message":"unknown key","fix":"x","text":"    membres: [a]"}]"#;
    let write = |tx: &crate::store::Tx<'_>| config_commits::record_failure(tx, &"d1".repeat(20), issues);
    bench.store.write("test", Durability::Acknowledged, write).await.unwrap();
    let page = bench.get("/config", &bench.login("olga").await).await.text();
    assert!(page.contains("    membres: [a]\n    ^</pre>"), "{page}");
}

#[tokio::test]
async fn a_missing_page_says_what_to_do_next() {
    let bench = Bench::new().await;
    let page = bench.get("/pipelines/none", &bench.login("alice").await).await.text();
    assert!(page.contains("Not found") && page.contains("action=\"/find\"") && page.contains("href=\"/\""));
}
