//! Coming in and going out.
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};

use super::bench::{Bench, PASSWORD, form, request};
use crate::store::audit_log;
use crate::web::peer::Peer;

#[tokio::test]
async fn the_right_password_opens_a_session_of_its_own_and_logout_ends_it() {
    let bench = Bench::new().await;
    let first = bench.login("alice").await;
    let second = bench.login("alice").await;
    assert_ne!(first, second);
    assert_eq!(bench.get("/", &first).await.status, StatusCode::OK);
    assert_eq!(bench.post("/logout", &first, "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(bench.get("/", &first).await.status, StatusCode::SEE_OTHER);
    assert_eq!(bench.get("/", &second).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_that_was_planted_before_the_login_is_worth_nothing_after() {
    let bench = Bench::new().await;
    let planted = bench.login("bob").await;
    let door = "d".repeat(43);
    let token = crate::auth::csrf::token(&door);
    let fields = format!("csrf={token}&email=alice%40example.com&password={}", PASSWORD.replace(' ', "+"));
    let cookies = format!("danube_door={door}; danube_session={planted}");
    let reply = bench.send(form("/login", &cookies, &fields)).await;
    let own = reply.cookie("danube_session").unwrap();
    assert_ne!(own, planted);
    assert_eq!(bench.get("/", &planted).await.status, StatusCode::SEE_OTHER);
    assert!(bench.get("/", &own).await.text().contains("alice@example.com"));
    assert_eq!(bench.get("/", &"x".repeat(43)).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn cookies_are_out_of_reach_and_secure_behind_https() {
    for (url, secure) in [(None, false), (Some("https://danube.example.com"), true)] {
        let bench = Bench::with_url(url).await;
        let reply = bench.try_login("alice@example.com", PASSWORD, "").await;
        let line = reply.headers.get_all(header::SET_COOKIE).iter().next().unwrap().to_str().unwrap();
        assert!(line.contains("; HttpOnly; SameSite=Lax"), "{line}");
        assert_eq!(line.contains("; Secure"), secure, "{line}");
    }
}

#[tokio::test]
async fn a_wrong_address_and_a_wrong_password_look_the_same() {
    let bench = Bench::new().await;
    let known = bench.try_login("alice@example.com", "wrong", "").await;
    let unknown = bench.try_login("nobody@example.com", "wrong", "").await;
    assert_eq!((known.status, unknown.status), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    assert_eq!(known.text().replace("alice", "nobody"), unknown.text());
}

#[tokio::test]
async fn many_wrong_passwords_close_the_account_also_for_the_right_one() {
    let bench = Bench::new().await;
    for _ in 0..10 {
        let reply = bench.try_login("alice@example.com", "wrong", "").await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }
    let closed = bench.try_login("alice@example.com", PASSWORD, "").await;
    assert_eq!(closed.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(closed.header("retry-after"), "900");
    bench.login("bob").await;
    bench.clock.advance(Duration::from_secs(901));
    bench.login("alice").await;
}

#[tokio::test]
async fn a_login_leads_only_to_own_pages() {
    let bench = Bench::new().await;
    for (asked, led) in
        [("/pipelines/web", "/pipelines/web"), ("//evil.example.com", "/"), ("/\\evil", "/"), ("https:evil", "/")]
    {
        let encoded: String = url::form_urlencoded::byte_serialize(asked.as_bytes()).collect();
        let reply = bench.try_login("alice@example.com", PASSWORD, &format!("&return_to={encoded}")).await;
        assert_eq!(reply.header("location"), led);
    }
}

#[tokio::test]
async fn a_login_form_of_another_browser_is_refused() {
    let bench = Bench::new().await;
    let fields = format!("csrf={}&email=a&password=b", crate::auth::csrf::token("theirs"));
    let reply = bench.send(form("/login", &format!("danube_door={}", "o".repeat(43)), &fields)).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn sessions_end_idle_and_at_the_latest_after_a_week() {
    let bench = Bench::new().await;
    let idle = bench.login("alice").await;
    bench.clock.advance(Duration::from_secs(12 * 3600 + 1));
    assert_eq!(bench.get("/", &idle).await.status, StatusCode::SEE_OTHER);
    let used = bench.login("alice").await;
    for _ in 0..15 {
        bench.clock.advance(Duration::from_secs(11 * 3600));
        assert_eq!(bench.get("/", &used).await.status, StatusCode::OK);
    }
    bench.clock.advance(Duration::from_secs(4 * 3600));
    assert_eq!(bench.get("/", &used).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn who_leaves_the_configuration_is_out_at_once() {
    let bench = Bench::new().await;
    let cookie = bench.login("alice").await;
    let token = bench.send(
        request(Method::POST, "/api/v1/tokens")
            .header(header::COOKIE, format!("danube_session={cookie}"))
            .header("x-csrf-token", crate::auth::csrf::token(&cookie))
            .body(Body::from(r#"{"name":"ci"}"#))
            .unwrap(),
    );
    let token = token.await.json()["token"].as_str().unwrap().to_owned();
    let with_token = || request(Method::GET, "/api/v1/jobs").header(header::AUTHORIZATION, format!("Bearer {token}"));
    assert_eq!(bench.send(with_token().body(Body::empty()).unwrap()).await.status, StatusCode::OK);
    bench.apply_without("alice").await;
    assert_eq!(bench.get("/", &cookie).await.status, StatusCode::SEE_OTHER);
    assert_eq!(bench.send(with_token().body(Body::empty()).unwrap()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_login_link_is_made_on_the_machine_and_works_once() {
    let bench = Bench::new().await;
    let make = || request(Method::POST, "/api/v1/login-links").body(Body::empty()).unwrap();
    assert_eq!(bench.send(make()).await.status, StatusCode::NOT_FOUND);
    let path = bench.send_local(make()).await.json()["path"].as_str().unwrap().to_owned();
    let (_, token) = path.split_once("token=").unwrap();
    // Looking at the link, as mail scanners do, uses nothing up.
    let page = bench.send(request(Method::GET, &path).body(Body::empty()).unwrap()).await;
    let door = page.cookie("danube_door").unwrap();
    let fields = format!("csrf={}&token={token}", crate::auth::csrf::token(&door));
    let cookies = format!("danube_door={door}");
    let reply = bench.send(form("/login/link", &cookies, &fields)).await;
    let cookie = reply.cookie("danube_session").unwrap();
    assert!(bench.get("/config", &cookie).await.text().contains("local-admin"));
    assert_eq!(bench.send(form("/login/link", &cookies, &fields)).await.status, StatusCode::GONE);
    let late = bench.send_local(make()).await.json()["path"].as_str().unwrap().to_owned();
    bench.clock.advance(Duration::from_secs(601));
    let fields = format!("csrf={}&token={}", crate::auth::csrf::token(&door), late.split_once("token=").unwrap().1);
    assert_eq!(bench.send(form("/login/link", &cookies, &fields)).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn guessing_links_is_stopped_for_the_guessers_address_and_writes_nothing_more() {
    let bench = Bench::new().await;
    let door = "d".repeat(43);
    let csrf = crate::auth::csrf::token(&door);
    let cookies = format!("danube_door={door}");
    let guess = |token: &str| form("/login/link", &cookies, &format!("csrf={csrf}&token={token}"));
    for n in 0..30 {
        assert_eq!(bench.send(guess(&format!("guess-{n}"))).await.status, StatusCode::GONE);
    }
    let written = bench.store.read(|view| audit_log::page(view, None, i64::MAX, 100)).await.unwrap().len();
    let refused = bench.send(guess("guess-30")).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(bench.store.read(|view| audit_log::page(view, None, i64::MAX, 100)).await.unwrap().len(), written);
    let make = request(Method::POST, "/api/v1/login-links").body(Body::empty()).unwrap();
    let path = bench.send_local(make).await.json()["path"].as_str().unwrap().to_owned();
    let (_, token) = path.split_once("token=").unwrap();
    let elsewhere = Peer::Network(SocketAddr::from(([192, 0, 2, 2], 4000)));
    let reply = bench.send_from(guess(token), elsewhere).await;
    assert!(reply.cookie("danube_session").is_some(), "{}", reply.status);
}

#[tokio::test]
async fn logins_are_in_the_audit_log() {
    let bench = Bench::new().await;
    bench.try_login("alice@example.com", "wrong", "").await;
    bench.login("alice").await;
    let lines = bench.store.read(|view| audit_log::page(view, None, i64::MAX, 10)).await.unwrap();
    let told: Vec<_> = lines.iter().map(|l| (l.label.as_str(), l.action.as_str(), l.decision.as_str())).collect();
    assert_eq!(told[..2], [("alice@example.com", "session.begin", "allowed"), ("system", "session.begin", "denied")]);
}
