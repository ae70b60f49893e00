//! The numbers of one moment.
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use jiff::Timestamp;

use super::requests::Counted;
use super::tally::Counts;
use super::text::Text;
use crate::model::Action;
use crate::registry;
use crate::store::job_list::{self, Filter, Live};
use crate::store::{JobRow, View, deliveries, jobs};
use crate::web::access;
use crate::web::api::details::size_of;
use crate::web::blocking;
use crate::web::error::Answer;
use crate::web::state::{AppState, FOLLOWERS};
use crate::web::visitor::Visitor;

/// Prometheus' own media type.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Newest jobs whose time in the queue is told.
const RECENT: u32 = 100;

/// Rows that are read together.
struct Rows {
    live: Live,
    oldest: Option<Timestamp>,
    deliveries: u64,
    waits: Vec<f64>,
}

/// The metrics, for those who may see how the server is: over the machine's socket, or with a token.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor) -> Answer {
    access::allow(&visitor, Action::ReadHealth)?;
    let rows = app.store.read(rows).await?;
    let ended = app.tally.ended(&app.store).await?;
    let database = app.store.path().to_owned();
    let bytes = blocking::run(move || Ok::<_, std::io::Error>(size_of(&database))).await?;
    let mut text = Text::default();
    server(&mut text, &app, bytes);
    queue(&mut text, &rows, app.now());
    finished(&mut text, &ended);
    requests(&mut text, &app.requests.counted());
    if let Some(registry) = &app.registry {
        images(&mut text, &registry.counted());
    }
    Ok(([(header::CONTENT_TYPE, KIND)], text.finish()).into_response())
}

fn rows(view: &View<'_>) -> Result<Rows, crate::store::StoreError> {
    let newest = job_list::page(view, &Filter { limit: RECENT, ..Filter::default() })?;
    let mut waits: Vec<f64> = newest.iter().filter_map(waited).collect();
    waits.sort_by(f64::total_cmp);
    Ok(Rows {
        live: job_list::live(view)?,
        oldest: jobs::pending(view, 1)?.first().map(|job| job.created_at),
        deliveries: deliveries::count_waiting(view)?,
        waits,
    })
}

/// Seconds from a job's creation to its start.
fn waited(job: &JobRow) -> Option<f64> {
    Some(seconds(job.created_at, job.started_at?))
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn server(text: &mut Text, app: &AppState, database_bytes: u64) {
    text.family("danube_build_info", "gauge", "The version that runs; always 1.");
    text.sample("danube_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.gauge("danube_start_time_seconds", "When the server started.", app.started_at.as_second());
    text.gauge("danube_database_bytes", "Bytes of the database with its write-ahead log.", database_bytes);
    let open = FOLLOWERS.saturating_sub(app.followers.available_permits());
    text.gauge("danube_followers", "Open live streams.", open);
    text.gauge("danube_followers_limit", "Open live streams at most.", FOLLOWERS);
    if let Some(at) = (app.hooks.config)().last_success {
        text.gauge("danube_cac_sync_last_success", "When the config repo was last in force.", at.as_second());
    }
}

fn queue(text: &mut Text, rows: &Rows, now: Timestamp) {
    text.family("danube_jobs", "gauge", "Jobs that have not ended.");
    text.sample("danube_jobs", &[("status", "pending")], rows.live.pending);
    text.sample("danube_jobs", &[("status", "running")], rows.live.running);
    let oldest = rows.oldest.map_or(0.0, |since| seconds(since, now));
    text.gauge("danube_queue_oldest_seconds", "How long the job waits that waits longest.", oldest);
    let name = "danube_queue_wait_seconds";
    text.family(name, "gauge", "How long the newest jobs that started had waited.");
    for (quantile, per_mille) in [("0.5", 500), ("0.95", 950), ("1", 1000)] {
        if let Some(last) = rows.waits.len().checked_sub(1) {
            text.sample(name, &[("quantile", quantile)], rows.waits[last * per_mille / 1000]);
        }
    }
    text.gauge("danube_deliveries_waiting", "Webhook deliveries taken and not looked at yet.", rows.deliveries);
}

fn finished(text: &mut Text, ended: &Counts) {
    text.family("danube_jobs_total", "counter", "Jobs that ended, counted at most a minute ago.");
    for ((pipeline, status), jobs) in ended {
        text.sample("danube_jobs_total", &[("status", status), ("pipeline", pipeline)], jobs);
    }
}

fn images(text: &mut Text, counted: &[registry::Counted]) {
    for (name, help, of) in [
        ("danube_registry_pulls_total", "Manifests read from the registry by jobs since the server started.", 0),
        ("danube_registry_pushes_total", "Manifests written to the registry by jobs since the server started.", 1),
    ] {
        text.family(name, "counter", help);
        for registry::Counted { image, pulls, pushes } in counted {
            text.sample(name, &[("image", image)], [pulls, pushes][of]);
        }
    }
}

fn requests(text: &mut Text, counted: &[Counted]) {
    text.family("danube_http_requests_total", "counter", "Requests answered since the server started.");
    for Counted { route, method, class, requests } in counted {
        let labels = [("route", route.as_ref()), ("method", method), ("class", class)];
        text.sample("danube_http_requests_total", &labels, requests);
    }
}
