//! Secrets, audit, system, people: what somebody who runs the server looks at.
use axum::body::Body;
use axum::http::{Method, StatusCode};

use super::bench::{Bench, request};
use super::rows::Texts;

#[tokio::test]
async fn a_secret_is_set_replaced_and_deleted_on_its_page_and_never_shown() {
    let bench = Bench::new().await;
    let alice = bench.login("alice").await;
    let page = "/secrets/pipeline/web";
    let start = bench.get("/secrets", &alice).await;
    assert!(start.text().contains(page) && !start.text().contains("/secrets/global"), "{}", start.text());
    let set = bench.post(page, &alice, "key=DEPLOY_KEY&value=line+one%0D%0Aline+two").await;
    assert_eq!(set.status, StatusCode::SEE_OTHER, "{}", set.text());
    let again = bench.post(page, &alice, "key=DEPLOY_KEY&value=another-value").await;
    assert!(again.text().contains("is there already") && !again.text().contains("another-value"), "{}", again.text());
    let replaced = bench.post(page, &alice, "key=DEPLOY_KEY&value=another-value&replace=1").await;
    assert_eq!(replaced.status, StatusCode::SEE_OTHER);
    let short = bench.post(page, &alice, "key=SHORT&value=abc").await;
    assert!(short.status == StatusCode::OK && short.text().contains("Not stored"), "{}", short.text());
    let shown = bench.get(page, &alice).await.text();
    assert!(shown.contains("DEPLOY_KEY") && !shown.contains("another-value") && !shown.contains("SHORT"), "{shown}");
    let asks = bench.get(&format!("{page}/DEPLOY_KEY/delete"), &alice).await.text();
    assert!(asks.contains("Delete DEPLOY_KEY?"), "{asks}");
    let deleted = bench.post(&format!("{page}/DEPLOY_KEY/delete"), &alice, "").await;
    assert_eq!(deleted.status, StatusCode::SEE_OTHER);
    assert!(!bench.get(page, &alice).await.text().contains("DEPLOY_KEY"));
    let olga = bench.get("/secrets/global/all", &bench.login("olga").await).await;
    assert!(olga.status == StatusCode::OK && olga.text().contains("HOOK"), "{}", olga.text());
}

#[tokio::test]
async fn the_audit_log_goes_page_by_page_and_says_whether_it_is_whole() {
    let bench = Bench::new().await;
    let (alice, olga) = (bench.login("alice").await, bench.login("olga").await);
    for key in ["ONE", "TWO", "THREE"] {
        let path = "/secrets/pipeline/web";
        bench.post(path, &alice, &format!("key={key}&value=long-enough")).await;
    }
    let first = bench.get("/api/v1/audit?action=pipeline.secrets&limit=2", &olga).await.json();
    let lines = first["lines"].as_array().unwrap();
    assert_eq!((lines.len(), &lines[0]["who"]), (2, &"alice@example.com".into()), "{first}");
    assert!(lines.iter().all(|line| line["sound"] == true));
    assert_eq!((&first["chain"]["sound"], &first["chain"]["checked"]), (&true.into(), &first["chain"]["lines"]));
    let next = first["next"].as_str().unwrap();
    let second = bench.get(&format!("/api/v1/audit?action=pipeline.secrets&limit=2&cursor={next}"), &olga).await;
    assert_eq!(second.json()["lines"].as_array().unwrap().len(), 1);
    let none = bench.get("/api/v1/audit?who=nobody", &olga).await.json();
    assert_eq!(none["lines"].as_array().unwrap().len(), 0);
    let wrong = bench.get("/api/v1/audit?decision=maybe", &olga).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let page = bench.get("/audit?action=pipeline.secrets", &olga).await.text();
    assert!(page.contains("chain verified") && page.contains("THREE"), "{page}");
}

#[tokio::test]
async fn the_system_page_and_its_api_say_how_the_server_is() {
    let bench = Bench::new().await;
    bench.enqueue("web", &Texts::usual()).await;
    let olga = bench.login("olga").await;
    let health = bench.get("/api/v1/health/details", &olga).await.json();
    assert_eq!((&health["ready"], &health["queue"]["pending"]), (&true.into(), &1.into()), "{health}");
    assert!(health["database_bytes"].as_u64().unwrap() > 0);
    let page = bench.get("/system", &olga).await.text();
    assert!(page.contains("ready") && page.contains(env!("CARGO_PKG_VERSION")), "{page}");
}

#[tokio::test]
async fn people_see_who_they_are_and_their_own_teams() {
    let bench = Bench::new().await;
    let alice = bench.login("alice").await;
    let me = bench.get("/api/v1/me", &alice).await.json();
    assert_eq!((&me["kind"], &me["email"]), (&"user".into(), &"alice@example.com".into()), "{me}");
    assert_eq!((&me["teams"][0]["name"], &me["pipelines"][0]["level"]), (&"platform".into(), &"admin".into()), "{me}");
    let teams = async |cookie: &str| bench.get("/api/v1/teams", cookie).await.json()["teams"].as_array().unwrap().len();
    assert_eq!(teams(&alice).await, 1);
    assert_eq!(teams(&bench.login("olga").await).await, 4);
    let local = bench.send_local(request(Method::GET, "/api/v1/me").body(Body::empty()).unwrap()).await.json();
    assert_eq!((&local["kind"], &local["global_admin"]), (&"local_admin".into(), &true.into()), "{local}");
}

#[tokio::test]
async fn a_pipeline_tells_how_it_has_fared() {
    let bench = Bench::new().await;
    bench.green_job("web").await;
    bench.failed_job("web", &Texts::usual()).await;
    let shown = bench.get("/api/v1/pipelines/web", &bench.login("carol").await).await.json();
    let health = &shown["health"];
    assert_eq!((&health["ended"], &health["succeeded"]), (&2.into(), &1.into()), "{shown}");
    assert_eq!(health["recent"][0]["status"], "failure");
    assert!(health["median_seconds"].as_f64().unwrap() > 0.0);
}
