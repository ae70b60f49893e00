//! Who reaches what: every address of the list, for everybody.
use axum::body::Body;
use axum::http::{Method, StatusCode, header};

use super::bench::{Bench, Reply, request};
use super::rows::Texts;
use crate::model::JobId;
use crate::web::guard::Access;
use crate::web::routes::{Route, routes};

/// What the owner of a pipeline, a reader of it, a member of another team, and a global admin get.
/// `ok`: the handler was reached and did not say 404.
struct Row(&'static str, [bool; 4]);

const EVERYBODY: [bool; 4] = [true; 4];
const READ: [bool; 4] = [true, true, false, true];
const WRITE: [bool; 4] = [true, false, false, true];
const ADMIN: [bool; 4] = [true, false, false, true];
const GLOBAL: [bool; 4] = [false, false, false, true];

/// Every address that asks who it is. An address that is missing here fails the test.
#[rustfmt::skip]
const MATRIX: &[Row] = &[
    Row("GET /", EVERYBODY),
    Row("GET /find", EVERYBODY),
    Row("GET /about/components", EVERYBODY),
    Row("GET /pipelines", EVERYBODY),
    Row("GET /pipelines/{name}", READ),
    Row("POST /pipelines/{name}/trigger", WRITE),
    Row("POST /pipelines/{name}/caches/delete", ADMIN),
    Row("GET /pipelines/{name}/tests", READ),
    Row("GET /pipelines/{name}/tests/{case}", READ),
    Row("GET /pipelines/{name}/{number}", READ),
    Row("GET /jobs/{id}", READ),
    Row("GET /jobs/{id}/tests", READ),
    Row("GET /jobs/{id}/log", READ),
    Row("GET /jobs/{id}/log/lines", READ),
    Row("POST /jobs/{id}/cancel", WRITE),
    Row("POST /jobs/{id}/rerun", WRITE),
    Row("GET /config", GLOBAL),
    Row("POST /config/sync", GLOBAL),
    Row("GET /tokens", EVERYBODY),
    Row("POST /tokens", EVERYBODY),
    Row("POST /tokens/{id}/revoke", [false; 4]), // another person's token
    Row("POST /logout", EVERYBODY),
    Row("GET /secrets", EVERYBODY),
    Row("GET /secrets/{scope}/{owner}", ADMIN),
    Row("POST /secrets/{scope}/{owner}", ADMIN),
    Row("GET /secrets/{scope}/{owner}/{key}/delete", ADMIN),
    Row("POST /secrets/{scope}/{owner}/{key}/delete", ADMIN),
    Row("GET /audit", GLOBAL),
    Row("GET /system", GLOBAL),
    Row("GET /api/v1/me", EVERYBODY),
    Row("GET /api/v1/teams", EVERYBODY),
    Row("GET /api/v1/audit", GLOBAL),
    Row("GET /api/v1/health/details", GLOBAL),
    Row("GET /metrics", GLOBAL),
    Row("GET /api/v1/pipelines/{name}", READ),
    Row("GET /api/v1/pipelines/{name}/caches", READ),
    Row("DELETE /api/v1/pipelines/{name}/caches", ADMIN),
    Row("GET /api/v1/jobs", EVERYBODY),
    Row("GET /api/v1/jobs/{id}", READ),
    Row("GET /api/v1/jobs/{id}/summary", READ),
    Row("GET /api/v1/jobs/{id}/log", READ),
    Row("GET /api/v1/jobs/{id}/steps/{n}/log", READ),
    Row("GET /api/v1/jobs/{id}/steps/{n}/lines", READ),
    Row("GET /api/v1/jobs/{id}/search", READ),
    Row("GET /api/v1/jobs/{id}/events", READ),
    Row("GET /api/v1/jobs/{id}/artifacts", READ),
    Row("GET /api/v1/jobs/{id}/artifacts/{name}", READ),
    Row("GET /api/v1/jobs/{id}/annotations", READ),
    Row("GET /api/v1/jobs/{id}/egress", READ),
    Row("GET /api/v1/jobs/{id}/tests", READ),
    Row("GET /api/v1/jobs/{id}/attestation", READ),
    Row("GET /api/v1/jobs/{id}/replay", WRITE),
    Row("GET /api/v1/jobs/{id}/replay/source", WRITE),
    Row("POST /api/v1/jobs/{id}/cancel", WRITE),
    Row("POST /api/v1/jobs/{id}/rerun", WRITE),
    Row("GET /api/v1/pipelines", EVERYBODY),
    Row("GET /api/v1/pipelines/{name}/tests", READ),
    Row("GET /api/v1/pipelines/{name}", READ),
    Row("POST /api/v1/pipelines/{name}/trigger", WRITE),
    Row("GET /api/v1/config/status", GLOBAL),
    Row("POST /api/v1/config/sync", GLOBAL),
    Row("GET /api/v1/registry", GLOBAL),
    Row("POST /api/v1/registry/collect", GLOBAL),
    Row("GET /api/v1/tokens", EVERYBODY),
    Row("POST /api/v1/tokens", EVERYBODY),
    Row("DELETE /api/v1/tokens/{id}", [false; 4]), // another person's token
    Row("GET /api/v1/secrets/global", GLOBAL),
    Row("PUT /api/v1/secrets/global/{key}", GLOBAL),
    Row("DELETE /api/v1/secrets/global/{key}", GLOBAL),
    Row("GET /api/v1/secrets/{scope}/{owner}", ADMIN),
    Row("PUT /api/v1/secrets/{scope}/{owner}/{key}", ADMIN),
    Row("DELETE /api/v1/secrets/{scope}/{owner}/{key}", ADMIN),
    Row("POST /api/v1/login-links", [false; 4]), // the machine's socket alone
];

const PEOPLE: [&str; 4] = ["alice", "carol", "bob", "olga"];

fn name_of(route: &Route) -> String {
    format!("{} {}", route.method, route.path)
}

/// An address with everything filled in that the failed job has.
fn filled(path: &str, job: JobId) -> String {
    path.replace("{id}", &job.to_string())
        .replace("{number}", "1")
        .replace("{case}", "1")
        .replace("{n}", "2")
        .replace("{scope}", "pipeline")
        .replace("{owner}", "web")
        .replace("{key}", "HOOK")
        .replace("/artifacts/{name}", "/artifacts/report.xml")
        .replace("{name}", "web")
}

async fn ask(bench: &Bench, route: &Route, job: JobId, cookie: &str) -> Reply {
    let path = filled(route.path, job);
    let body = match (route.path, route.method.as_str()) {
        ("/api/v1/tokens", "POST") => r#"{"name":"t"}"#,
        ("/pipelines/{name}/caches/delete", _) => "cache=none",
        ("/tokens", _) => "name=t&days=9",
        (path, "PUT") if path.contains("secrets") => "a long enough value",
        _ => "",
    };
    if route.access == Access::Page && route.method == Method::POST {
        return bench.post(&path, cookie, body).await;
    }
    let request = request(route.method.clone(), &path)
        .header(header::COOKIE, format!("danube_session={cookie}"))
        .header("x-csrf-token", crate::auth::csrf::token(cookie))
        .body(Body::from(body))
        .unwrap();
    bench.send(request).await
}

#[tokio::test]
async fn every_address_answers_exactly_those_who_may() {
    let bench = Bench::new().await;
    let job = bench.failed_job("web", &Texts::usual()).await;
    for route in routes().iter().filter(|route| route.access != Access::Open) {
        let name = name_of(route);
        let Row(_, expected) =
            MATRIX.iter().find(|row| row.0 == name).unwrap_or_else(|| panic!("{name} is not in the matrix"));
        for (person, may) in PEOPLE.into_iter().zip(expected) {
            if name == "DELETE /api/v1/secrets/{scope}/{owner}/{key}" {
                let put = routes().into_iter().find(|r| r.method == Method::PUT && r.path == route.path).unwrap();
                ask(&bench, &put, job, &bench.login("alice").await).await;
            }
            let reply = ask(&bench, route, job, &bench.login(person).await).await;
            let seen = reply.status != StatusCode::NOT_FOUND;
            assert_eq!(seen, *may, "{person} at {name}: {} {}", reply.status, reply.text());
            assert!(!reply.status.is_server_error(), "{person} at {name}: {}", reply.text());
        }
    }
    let listed: Vec<String> = routes().iter().filter(|r| r.access != Access::Open).map(name_of).collect();
    for Row(name, _) in MATRIX {
        assert!(listed.iter().any(|known| known == name), "{name} is no address any more");
    }
}

#[tokio::test]
async fn a_stranger_sees_the_login_and_nothing_else() {
    let bench = Bench::new().await;
    let job = bench.failed_job("web", &Texts::usual()).await;
    let mut open = Vec::new();
    for route in routes() {
        if route.access == Access::Open {
            open.push(name_of(&route));
            continue;
        }
        let request = request(route.method.clone(), &filled(route.path, job)).body(Body::empty()).unwrap();
        let reply = bench.send(request).await;
        match route.access {
            Access::Page => {
                assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", route.path);
                assert!(reply.header("location").starts_with("/login"), "{}", route.path);
            }
            Access::Machine => assert_eq!(reply.status, StatusCode::NOT_FOUND, "{}", route.path),
            _ => assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{}", route.path),
        }
    }
    // Nothing joins this list unseen.
    assert_eq!(
        open,
        [
            "GET /health",
            "GET /health/ready",
            "GET /.well-known/danube/keys",
            "GET /static/{*name}",
            "GET /login",
            "POST /login",
            "GET /login/link",
            "POST /login/link",
            "POST /webhooks/{forge}",
            "POST /webhooks/{forge}/{name}",
            "GET /api/v1/openapi.json",
        ]
    );
}

#[tokio::test]
async fn a_change_without_the_forms_token_or_from_another_site_is_refused() {
    let bench = Bench::new().await;
    let id = bench.enqueue("web", &Texts::usual()).await;
    let cookie = bench.login("alice").await;
    let token = crate::auth::csrf::token(&cookie);
    for route in
        routes().iter().filter(|r| r.access != Access::Open && r.access != Access::Machine && !r.method.is_safe())
    {
        let path = filled(route.path, id);
        let with = |headers: &[(&'static str, &str)], body: String| {
            let mut request = request(route.method.clone(), &path)
                .header(header::COOKIE, format!("danube_session={cookie}"))
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request.body(Body::from(body)).unwrap()
        };
        let right = format!("csrf={token}");
        for forged in [
            with(&[], String::new()),
            with(&[], "csrf=".to_owned()),
            with(&[], format!("csrf={}", crate::auth::csrf::token("another"))),
            with(&[("x-csrf-token", "wrong")], right.clone()),
            with(&[("origin", "https://evil.example.com")], right.clone()),
            with(&[("origin", "null")], right.clone()),
            with(&[("sec-fetch-site", "cross-site")], right.clone()),
            with(&[("sec-fetch-site", "same-site")], right),
        ] {
            assert_eq!(bench.send(forged).await.status, StatusCode::FORBIDDEN, "{} {path}", route.method);
        }
    }
    let shown = bench.get(&format!("/api/v1/jobs/{id}"), &cookie).await.json();
    assert_eq!(shown["status"], "pending");
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_bind_browsers() {
    let bench = Bench::new().await;
    let job = bench.failed_job("web", &Texts::usual()).await;
    let cookie = bench.login("olga").await;
    let mut replies = Vec::new();
    for route in routes().iter().filter(|route| route.method == Method::GET) {
        replies.push((route.path, ask(&bench, route, job, &cookie).await));
    }
    replies.push(("nowhere", bench.get("/nowhere", &cookie).await));
    for (path, reply) in replies {
        let csp = reply.header("content-security-policy");
        assert!(csp.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"), "{path}: {csp}");
        assert!(csp.contains("frame-ancestors 'none'") && !csp.contains("unsafe"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("referrer-policy"), "same-origin", "{path}");
        if !path.starts_with("/static") {
            assert!(reply.header("cache-control").contains("no-"), "{path}: {}", reply.header("cache-control"));
        }
    }
}
