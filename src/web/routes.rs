//! Every address of the server, in one list: its method, who may come, how large a body may be, and what
//! the API's document says of it.
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, post, put};

use super::etag::revalidate;
use super::guard::{Access, FORM, guard};
use super::openapi::{self, Operation, doc};
use super::query::PageQuery;
use super::state::AppState;
use super::{api, assets, explain, headers, metrics, pages};

/// Bodies of the API that carry JSON.
const JSON: usize = 256 * 1024;
/// Deliveries of forges.
const DELIVERY: usize = crate::trigger::MAX_BODY;

/// One address.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) access: Access,
    body: usize,
    handler: MethodRouter<AppState>,
    /// What the API's document says of it; pages have none.
    pub(super) operation: Option<Operation>,
}

impl Route {
    /// Its answers carry an `ETag`.
    pub(super) fn revalidates(&self) -> bool {
        let json = self.operation.as_ref().is_some_and(Operation::answers_json);
        json && self.method == Method::GET && (self.access == Access::Api || self.path.ends_with("openapi.json"))
    }

    fn says(self, operation: Operation) -> Self {
        Self { operation: Some(operation), ..self }
    }
}

fn open(path: &'static str, handler: MethodRouter<AppState>) -> Route {
    Route { method: Method::GET, path, access: Access::Open, body: FORM, handler, operation: None }
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
        open("/health", get(api::health::alive))
            .says(doc("Does the process answer?").json::<api::health::Alive>()),
        open("/health/ready", get(api::health::ready))
            .says(doc("Can the server do its work?").json::<api::health::Ready>().json_as::<api::health::Ready>(503)),
        read("/metrics", get(metrics::show))
            .says(doc("Numbers for a monitor, in Prometheus' text format").bytes("text/plain")),
        open("/.well-known/danube/keys", get(api::keys::list))
            .says(doc("The keys that verify attestations").json::<api::keys::List>()),
        open("/static/{*name}", get(assets::file)),
        open("/login", get(pages::login::show)),
        door("/login", post(pages::login::submit)),
        open("/login/link", get(pages::link::show)),
        door("/login/link", post(pages::link::submit)),
        delivery("/webhooks/{forge}", post(api::webhooks::unnamed))
            .says(doc("A delivery for the webhook `default`").takes_bytes().json::<api::webhooks::Outcome>().json_as::<api::webhooks::Outcome>(202).refuses(&[400, 401, 404, 503])),
        delivery("/webhooks/{forge}/{name}", post(api::webhooks::named))
            .says(doc("A delivery for a named webhook").takes_bytes().json::<api::webhooks::Outcome>().json_as::<api::webhooks::Outcome>(202).refuses(&[400, 401, 404, 503])),

        page("/", get(pages::dashboard::show)),
        page("/find", get(pages::find::show)),
        page("/about/components", get(pages::components::show)),
        page("/pipelines", get(pages::pipelines::show)),
        page("/pipelines/{name}", get(pages::pipeline::show)),
        form("/pipelines/{name}/trigger", post(pages::pipeline::run)),
        form("/pipelines/{name}/caches/delete", post(pages::pipeline::delete_cache)),
        page("/pipelines/{name}/tests", get(pages::test_history::show)),
        page("/pipelines/{name}/tests/{case}", get(pages::test_case::show)),
        page("/pipelines/{name}/{number}", get(pages::job::numbered)),
        page("/jobs/{id}", get(pages::job::show)),
        page("/jobs/{id}/tests", get(pages::tests::show)),
        page("/jobs/{id}/log", get(pages::log::show)),
        page("/jobs/{id}/log/lines", get(pages::log::lines)),
        form("/jobs/{id}/cancel", post(pages::job::cancel)),
        form("/jobs/{id}/rerun", post(pages::job::rerun)),
        page("/config", get(pages::config::show)),
        form("/config/sync", post(pages::config::sync)),
        page("/secrets", get(pages::secrets::start)),
        page("/secrets/{scope}/{owner}", get(pages::secrets::show)),
        form("/secrets/{scope}/{owner}", post(pages::secrets::set)),
        page("/secrets/{scope}/{owner}/{key}/delete", get(pages::secrets::ask)),
        form("/secrets/{scope}/{owner}/{key}/delete", post(pages::secrets::delete)),
        page("/audit", get(pages::audit::show)),
        page("/system", get(pages::system::show)),
        page("/tokens", get(pages::tokens::show)),
        form("/tokens", post(pages::tokens::make)),
        form("/tokens/{id}/revoke", post(pages::tokens::revoke)),
        form("/logout", post(pages::login::leave)),

        open("/api/v1/openapi.json", get(openapi::show)).says(doc("This document").json::<openapi::AnyJson>()),
        read("/api/v1/me", get(api::me::show)).says(doc("Who asks, and what they may do").json::<api::me::Me>()),
        read("/api/v1/teams", get(api::teams::list)).says(doc("The teams with their members").json::<api::teams::List>()),
        read("/api/v1/audit", get(api::audit::list))
            .says(doc("The audit log, newest first").query::<api::audit::ListQuery>().json::<api::audit::List>()),
        read("/api/v1/health/details", get(api::details::show)).says(doc("How the server is").json::<api::details::Details>()),
        read("/api/v1/jobs", get(api::jobs::list))
            .says(doc("List jobs, newest first").query::<api::jobs::ListQuery>().json::<api::jobs::List>()),
        read("/api/v1/jobs/{id}", get(api::jobs::show))
            .says(doc("A job with its steps").json::<api::jobs::Details>()),
        read("/api/v1/jobs/{id}/summary", get(api::summary::show))
            .says(doc("Why a job is red, slow or waiting").json::<explain::Explanation>()),
        read("/api/v1/jobs/{id}/log", get(api::log::whole))
            .says(doc("The whole log in order of time").ranges("text/plain").refuses(&[410])),
        read("/api/v1/jobs/{id}/steps/{n}/log", get(api::log::step))
            .says(doc("The log of a step, byte for byte").query::<api::log::AttemptQuery>().ranges("text/plain").refuses(&[410])),
        read("/api/v1/jobs/{id}/steps/{n}/lines", get(api::log_lines::lines))
            .says(doc("Lines of a step's log, with their numbers and times").query::<api::log_lines::LinesQuery>().json::<api::log_lines::Lines>().refuses(&[410])),
        read("/api/v1/jobs/{id}/search", get(api::log_lines::search))
            .says(doc("Search a job's logs").query::<api::log_lines::SearchQuery>().json::<api::log_lines::Hits>().refuses(&[410, 503])),
        read("/api/v1/jobs/{id}/events", get(api::events::follow))
            .says(doc("Follow a job: server-sent events `state`, `log`, `end`").query::<api::events::From>().bytes("text/event-stream")),
        read("/api/v1/jobs/{id}/artifacts", get(api::artifacts::list))
            .says(doc("The artifacts of a job, by name").query::<PageQuery>().json::<api::artifacts::List>()),
        read("/api/v1/jobs/{id}/artifacts/{name}", get(api::artifacts::download))
            .says(doc("The bytes of an artifact; a directory is its tar").ranges("application/octet-stream").refuses(&[410])),
        read("/api/v1/jobs/{id}/annotations", get(api::annotations::list))
            .says(doc("What the danubefile said by `annotate`").json::<api::annotations::List>()),
        read("/api/v1/jobs/{id}/egress", get(api::egress::show))
            .says(doc("Which names the steps of a job asked for, and what they were told").json::<api::egress::Egress>()),
        read("/api/v1/jobs/{id}/tests", get(api::tests::of_job))
            .says(doc("The test reports of a job: newly failing first").query::<api::tests::ResultsQuery>().json::<api::tests::JobTests>()),
        read("/api/v1/jobs/{id}/attestation", get(api::attestation::show))
            .says(doc("The signed statement of a job: a DSSE envelope").json::<openapi::AnyJson>()),
        read("/api/v1/jobs/{id}/replay", get(api::replay::show))
            .says(doc("What an ended job's danubefile asked and was answered").query::<PageQuery>().json::<api::replay::Replay>().refuses(&[409])),
        read("/api/v1/jobs/{id}/replay/source", get(api::replay::source))
            .says(doc("The files of an ended job's commit, as a tar").bytes("application/x-tar").refuses(&[409, 410, 422])),
        change(M::POST, "/api/v1/jobs/{id}/cancel", post(api::cancel::cancel))
            .says(doc("Stop a job").json::<api::cancel::Outcome>().json_as::<api::cancel::Outcome>(202)),
        change(M::POST, "/api/v1/jobs/{id}/rerun", post(api::rerun::rerun))
            .says(doc("Run an ended job again").may_take::<api::rerun::Request>().json_as::<api::trigger::Started>(201).refuses(&[409, 422])),
        read("/api/v1/pipelines", get(api::pipelines::list))
            .says(doc("The pipelines, each with its newest job").query::<PageQuery>().json::<api::pipelines::List>()),
        read("/api/v1/pipelines/{name}", get(api::pipeline::show)).says(doc("A pipeline with its health").json::<api::pipeline::Details>()),
        read("/api/v1/pipelines/{name}/tests", get(api::tests::of_pipeline))
            .says(doc("The tests of a pipeline with their newest results").query::<api::tests::CasesQuery>().json::<api::tests::PipelineTests>()),
        read("/api/v1/pipelines/{name}/caches", get(api::caches::list))
            .says(doc("What is stored for the steps of a pipeline").json::<api::caches::List>()),
        change(M::DELETE, "/api/v1/pipelines/{name}/caches", delete(api::caches::delete))
            .says(doc("Delete caches of a pipeline").query::<api::caches::Which>().json::<api::caches::Deleted>()),
        change(M::POST, "/api/v1/pipelines/{name}/trigger", post(api::trigger::trigger))
            .says(doc("Start a job").may_take::<api::trigger::Request>().json_as::<api::trigger::Started>(201).refuses(&[409, 422])),
        read("/api/v1/config/status", get(api::config::status))
            .says(doc("What configuration is in force, and why not a newer one").json::<api::config::Status>()),
        change(M::POST, "/api/v1/config/sync", post(api::config::sync))
            .says(doc("Look at the config repo now").json_as::<api::config::Outcome>(202)),
        read("/api/v1/registry", get(api::registry::show)).says(doc("The registry beside the server").json::<api::registry::State>()),
        change(M::POST, "/api/v1/registry/collect", post(api::registry::collect))
            .says(doc("Remove unused images and unreferenced blobs now").json::<api::registry::Collected>().refuses(&[409, 503])),
        read("/api/v1/tokens", get(api::tokens::list))
            .says(doc("One's own tokens, newest first").query::<PageQuery>().json::<api::tokens::List>()),
        change(M::POST, "/api/v1/tokens", post(api::tokens::create))
            .says(doc("Make a token").takes::<api::tokens::Request>().json_as::<api::tokens::New>(201)),
        change(M::DELETE, "/api/v1/tokens/{id}", delete(api::tokens::revoke))
            .says(doc("Revoke a token").empty()),
        read("/api/v1/secrets/global", get(api::secrets::list_global))
            .says(doc("The names of the global secrets").json::<api::secrets::List>()),
        change(M::PUT, "/api/v1/secrets/global/{key}", put(api::secrets::set_global))
            .says(doc("Set a global secret; the body is the value").takes_bytes().empty()),
        change(M::DELETE, "/api/v1/secrets/global/{key}", delete(api::secrets::delete_global))
            .says(doc("Delete a global secret").empty()),
        read("/api/v1/secrets/{scope}/{owner}", get(api::secrets::list_owned))
            .says(doc("The names of the secrets of a team or pipeline").json::<api::secrets::List>()),
        change(M::PUT, "/api/v1/secrets/{scope}/{owner}/{key}", put(api::secrets::set_owned))
            .says(doc("Set a secret of a team or pipeline; the body is the value").takes_bytes().empty()),
        change(M::DELETE, "/api/v1/secrets/{scope}/{owner}/{key}", delete(api::secrets::delete_owned))
            .says(doc("Delete a secret of a team or pipeline").empty()),
        Route { access: Access::Machine, ..change(M::POST, "/api/v1/login-links", post(api::links::create)) }
            .says(doc("A link that logs one browser in; over the machine's socket alone").json_as::<api::links::LoginLink>(201)),
    ]
}

/// The whole server: for the network and for the machine's socket alike; who is there, `Peer` tells.
pub fn router(app: AppState) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let revalidates = route.revalidates();
        let Route { path, access, body, handler, .. } = route;
        let guarded = from_fn_with_state((app.clone(), access), guard);
        let handler = handler.layer(DefaultBodyLimit::max(body));
        let handler = if revalidates { handler.route_layer(from_fn(revalidate)) } else { handler };
        router = router.route(path, handler.route_layer(guarded));
    }
    let counted = from_fn_with_state(app.clone(), metrics::count);
    router.with_state(app).layer(from_fn(headers::secure)).layer(counted)
}
