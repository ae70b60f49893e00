//! The `Config` document.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use super::{Checking, egress, git_auth, registries};
use crate::config_repo::issue::shown;
use crate::config_repo::node::way;
use crate::config_repo::raw::{ConfigDocument, ConfigSpec, Items, WebhookEntry};
use crate::model::settings::{Global, Kubernetes, Observability, Retention, Webhook};

pub(super) fn check(at: &mut Checking<'_>, document: ConfigDocument) -> Global {
    if let Some(name) = document.metadata.unwrap_or_default().name
        && name != "global"
    {
        let message = format!("the Config document is named '{}'", shown(&name));
        at.wrong(way!["metadata", "name"], message, "write 'name: global'");
    }
    let spec = document.spec.unwrap_or_default();
    let defaults = Global::default();
    Global {
        server: server(at, &spec),
        retention: retention(&spec),
        kubernetes: kubernetes(&spec),
        observability: observability(at, &spec),
        egress_allowlist: spec.egress_allowlist.as_ref().map_or_else(Vec::new, |list| egress::names(at, list)),
        git_authentication: git_auth::check(at, &spec.git_authentication.unwrap_or_default()),
        registries: registries::check(at, &spec.registries.unwrap_or_default()),
        webhooks: webhooks(at, &spec.webhooks.unwrap_or_default()),
        max_running_jobs: spec.concurrency.and_then(|c| c.max_running_jobs).unwrap_or(defaults.max_running_jobs),
    }
}

fn server(at: &mut Checking<'_>, spec: &ConfigSpec) -> BTreeMap<String, String> {
    let mut server = BTreeMap::new();
    let Some(entry) = &spec.server else { return server };
    if let Some(address) = &entry.bind_address {
        if address.parse::<SocketAddr>().is_err() {
            let message = format!("'{}' is not an address and port", shown(address));
            at.wrong(way!["spec", "server", "bind_address"], message, "write one such as 127.0.0.1:8080");
        }
        server.insert("bind_address".to_owned(), address.clone());
    }
    if let Some(dir) = &entry.data_dir {
        if !Path::new(dir).is_absolute() {
            let message = format!("'{}' is not an absolute path", shown(dir));
            at.wrong(way!["spec", "server", "data_dir"], message, "write one such as /var/lib/danube");
        }
        server.insert("data_dir".to_owned(), dir.clone());
    }
    server
}

fn retention(spec: &ConfigSpec) -> Retention {
    let defaults = Retention::default();
    let Some(entry) = &spec.retention else { return defaults };
    Retention {
        logs_days: entry.logs_days.unwrap_or(defaults.logs_days),
        artifacts_days: entry.artifacts_days.unwrap_or(defaults.artifacts_days),
        registry_images_days: entry.registry_images_days.unwrap_or(defaults.registry_images_days),
        jobs_days: entry.jobs_days,
    }
}

fn kubernetes(spec: &ConfigSpec) -> Kubernetes {
    let defaults = Kubernetes::default();
    let Some(entry) = spec.kubernetes.clone() else { return defaults };
    Kubernetes {
        namespace: entry.namespace.unwrap_or(defaults.namespace),
        coordinator_image: entry.coordinator_image.or(defaults.coordinator_image),
    }
}

fn observability(at: &mut Checking<'_>, spec: &ConfigSpec) -> Observability {
    let defaults = Observability::default();
    let Some(entry) = spec.observability.clone() else { return defaults };
    if let Some(endpoint) = &entry.otel_endpoint
        && !is_http(endpoint)
    {
        let message = format!("'{}' is not the address of a collector", shown(endpoint));
        at.wrong(
            way!["spec", "observability", "otel_endpoint"],
            message,
            "write one such as http://otel.example.com:4317",
        );
    }
    Observability {
        otel_endpoint: entry.otel_endpoint,
        metrics_enabled: entry.metrics_enabled.unwrap_or(defaults.metrics_enabled),
        traces_enabled: entry.traces_enabled.unwrap_or(defaults.traces_enabled),
        trace_sample_ratio: entry.trace_sample_ratio.unwrap_or(defaults.trace_sample_ratio),
    }
}

/// An address of a web server without user, password or spaces.
pub(super) fn is_http(address: &str) -> bool {
    url::Url::parse(address).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
    }) && !address.contains(char::is_whitespace)
}

fn webhooks(at: &mut Checking<'_>, entries: &Items<WebhookEntry>) -> Vec<Webhook> {
    let mut seen = BTreeMap::new();
    let mut webhooks = Vec::new();
    for (index, entry) in entries.iter() {
        let here = way!["spec", "webhooks", index];
        let name = match &entry.name {
            Some(name) => at.name(way!["spec", "webhooks", index, "name"], Some(name)),
            None => "default".to_owned(),
        };
        let secret_at = way!["spec", "webhooks", index, "secret"];
        let secret = entry.secret.as_deref().map(|secret| at.secret(secret_at, secret)).unwrap_or_default();
        let previous_at = way!["spec", "webhooks", index, "previous_secret"];
        let previous_secret = entry.previous_secret.as_deref().map(|secret| at.secret(previous_at, secret));
        if previous_secret.as_ref() == Some(&secret) {
            at.wrong(
                previous_at,
                "previous_secret is the same as secret",
                "remove it, or name the secret before this one",
            );
        }
        let Some(forge) = entry.forge else { continue };
        let forge = forge.as_str().to_owned();
        if seen.insert((forge.clone(), name.clone()), ()).is_some() {
            let message = format!("the webhook '{name}' of {forge} is declared twice");
            at.wrong(here, message, "give each entry of a forge a 'name' of its own");
        }
        webhooks.push(Webhook { name, forge, secret, previous_secret });
    }
    webhooks
}
