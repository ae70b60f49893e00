//! Every address of the server, in one list: its method, who may come, how large a body may be.
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, post, put};

use super::guard::{Access, FORM, guard};
use super::state::AppState;
use super::{api, assets, headers, pages};

/// Bodies of the API that carry JSON.
const JSON: usize = 256 * 1024;
/// Deliveries of forges.
const DELIVERY: usize = crate::trigger::MAX_BODY;

/// One address.
pub(super) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "for the test of access, which walks the list"))]
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) access: Access,
    body: usize,
    handler: MethodRouter<AppState>,
}

fn open(path: &'static str, handler: MethodRouter<AppState>) -> Route {
    Route { method: Method::GET, path, access: Access::Open, body: FORM, handler }
}

fn page(path: &'static str, handler: MethodRouter<AppState>) -> Route {
    Route { access: Access::Page, ..open(path, handler) }
}

fn read(path: &'static str, handler: MethodRouter<AppState>) -> Route {
    Route { access: Access::Api, ..open(path, handler) }
}

fn change(method: Method, path: &'static str, handler: MethodRouter<AppState>) -> Route {
    Route { method, body: JSON, ..read(path, handler) }
}

fn form(path: &'static str, handler: MethodRouter<AppState>) -> Route {
    Route { method: Method::POST, ..page(path, handler) }
}

fn door(path: &'static str, handler: MethodRouter<AppState>) -> Route {
    Route { method: Method::POST, ..open(path, handler) }
}

fn delivery(path: &'static str, handler: MethodRouter<AppState>) -> Route {
    Route { body: DELIVERY, ..door(path, handler) }
}

/// The list. The test of access walks it, so no address can be forgotten there.
#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        open("/health", get(api::health::alive)),
        open("/health/ready", get(api::health::ready)),
        open("/.well-known/danube/keys", get(api::keys::list)),
        open("/static/{*name}", get(assets::file)),
        open("/login", get(pages::login::show)),
        door("/login", post(pages::login::submit)),
        open("/login/link", get(pages::link::show)),
        door("/login/link", post(pages::link::submit)),
        delivery("/webhooks/{forge}", post(api::webhooks::unnamed)),
        delivery("/webhooks/{forge}/{name}", post(api::webhooks::named)),

        page("/", get(pages::dashboard::show)),
        page("/find", get(pages::find::show)),
        page("/about/components", get(pages::components::show)),
        page("/pipelines", get(pages::pipelines::show)),
        page("/pipelines/{name}", get(pages::pipeline::show)),
        form("/pipelines/{name}/trigger", post(pages::pipeline::run)),
        page("/pipelines/{name}/{number}", get(pages::job::numbered)),
        page("/jobs/{id}", get(pages::job::show)),
        form("/jobs/{id}/cancel", post(pages::job::cancel)),
        page("/config", get(pages::config::show)),
        form("/config/sync", post(pages::config::sync)),
        page("/tokens", get(pages::tokens::show)),
        form("/tokens", post(pages::tokens::make)),
        form("/tokens/{id}/revoke", post(pages::tokens::revoke)),
        form("/logout", post(pages::login::leave)),

        read("/api/v1/jobs", get(api::jobs::list)),
        read("/api/v1/jobs/{id}", get(api::jobs::show)),
        read("/api/v1/jobs/{id}/log", get(api::log::whole)),
        read("/api/v1/jobs/{id}/steps/{n}/log", get(api::log::step)),
        read("/api/v1/jobs/{id}/events", get(api::events::follow)),
        read("/api/v1/jobs/{id}/artifacts", get(api::artifacts::list)),
        read("/api/v1/jobs/{id}/artifacts/{name}", get(api::artifacts::download)),
        read("/api/v1/jobs/{id}/attestation", get(api::attestation::show)),
        change(M::POST, "/api/v1/jobs/{id}/cancel", post(api::cancel::cancel)),
        read("/api/v1/pipelines", get(api::pipelines::list)),
        change(M::POST, "/api/v1/pipelines/{name}/trigger", post(api::trigger::trigger)),
        read("/api/v1/config/status", get(api::config::status)),
        change(M::POST, "/api/v1/config/sync", post(api::config::sync)),
        read("/api/v1/tokens", get(api::tokens::list)),
        change(M::POST, "/api/v1/tokens", post(api::tokens::create)),
        change(M::DELETE, "/api/v1/tokens/{id}", delete(api::tokens::revoke)),
        read("/api/v1/secrets/global", get(api::secrets::list_global)),
        change(M::PUT, "/api/v1/secrets/global/{key}", put(api::secrets::set_global)),
        change(M::DELETE, "/api/v1/secrets/global/{key}", delete(api::secrets::delete_global)),
        read("/api/v1/secrets/{scope}/{owner}", get(api::secrets::list_owned)),
        change(M::PUT, "/api/v1/secrets/{scope}/{owner}/{key}", put(api::secrets::set_owned)),
        change(M::DELETE, "/api/v1/secrets/{scope}/{owner}/{key}", delete(api::secrets::delete_owned)),
        Route { access: Access::Machine, ..change(M::POST, "/api/v1/login-links", post(api::links::create)) },
    ]
}

/// The whole server: for the network and for the machine's socket alike; who is there, `Peer` tells.
pub fn router(app: AppState) -> Router {
    let mut router = Router::new();
    for Route { path, access, body, handler, .. } in routes() {
        let guarded = from_fn_with_state((app.clone(), access), guard);
        router = router.route(path, handler.layer(DefaultBodyLimit::max(body)).route_layer(guarded));
    }
    router.with_state(app).layer(from_fn(headers::secure))
}
