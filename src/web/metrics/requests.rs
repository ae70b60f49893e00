//! How many requests each address had, and how they were answered.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::web::state::AppState;

/// Answers by class: 1xx, 2xx, 3xx, 4xx, 5xx.
type Classes = [u64; 5];

/// An address without one of ours.
const NOWHERE: &str = "none";

/// Counted since the server started. The keys are the routes: what a client invents makes no new one.
#[derive(Debug, Default)]
pub(in crate::web) struct Requests(Mutex<BTreeMap<(Arc<str>, &'static str), Classes>>);

/// One line of the count.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) route: Arc<str>,
    pub(super) method: &'static str,
    pub(super) class: &'static str,
    pub(super) requests: u64,
}

impl Requests {
    fn add(&self, route: &str, method: &Method, status: StatusCode) {
        let Some(class) = usize::from(status.as_u16() / 100).checked_sub(1) else { return };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let classes = counts.entry((route.into(), word(method))).or_default();
        if let Some(count) = classes.get_mut(class) {
            *count += 1;
        }
    }

    /// Everything that was counted, by route and method.
    pub(super) fn counted(&self) -> Vec<Counted> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = counts.iter().flat_map(|((route, method), classes)| {
            let named = ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(*classes);
            let seen = named.filter(|(_, requests)| *requests > 0);
            seen.map(|(class, requests)| Counted { route: Arc::clone(route), method, class, requests })
        });
        lines.collect()
    }
}

/// HTTP lets a client invent methods.
fn word(method: &Method) -> &'static str {
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS]
        .iter()
        .zip(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
        .find_map(|(known, word)| (known == method).then_some(word))
        .unwrap_or("other")
}

/// Counts a request when its answer begins.
pub(in crate::web) async fn count(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;
    app.requests.add(route.as_ref().map_or(NOWHERE, MatchedPath::as_str), &method, response.status());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_methods_are_one() {
        let requests = Requests::default();
        for method in ["BREW", "WHEN"] {
            requests.add("/jobs/{id}", &Method::from_bytes(method.as_bytes()).unwrap(), StatusCode::NOT_FOUND);
        }
        requests.add("/jobs/{id}", &Method::GET, StatusCode::OK);
        let counted = requests.counted();
        let lines: Vec<_> = counted.iter().map(|line| (line.method, line.class, line.requests)).collect();
        assert_eq!(lines, [("GET", "2xx", 1), ("other", "4xx", 2)]);
    }
}
