//! Every key there is.

/// What a value looks like in danube.toml. In the environment and in flags everything is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Flag,
    Number,
    List,
}

impl Form {
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Text => "expected text in quotes",
            Self::Flag => "expected true or false",
            Self::Number => "expected a number without quotes",
            Self::List => "expected a list of texts, such as [\"a\", \"b\"]",
        }
    }
}

/// A key, its form, and its default.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) default: Option<&'static str>,
}

const fn key(name: &'static str, form: Form, default: Option<&'static str>) -> Key {
    Key { name, form, default }
}

/// In the order in which `danube config show` prints them.
pub(super) const KEYS: &[Key] = &[
    key("config_repo.url", Form::Text, None),
    key("config_repo.branch", Form::Text, Some("main")),
    key("config_repo.sync_interval", Form::Text, Some("60s")),
    key("server.bind_address", Form::Text, Some("127.0.0.1:8080")),
    key("server.data_dir", Form::Text, Some("/var/lib/danube")),
    key("server.public_url", Form::Text, None),
    key("server.tls_cert", Form::Text, None),
    key("server.tls_key", Form::Text, None),
    key("server.trusted_proxies", Form::List, Some("")),
    key("server.operator_address", Form::Text, Some("127.0.0.1:9464")),
    key("server.grpc_address", Form::Text, None),
    key("server.insecure_http", Form::Flag, Some("false")),
    key("executor.kind", Form::Text, Some("local")),
    key("executor.host_image", Form::Flag, Some("true")),
    key("executor.coordinator_image", Form::Text, Some("host")),
    key("executor.builder_image", Form::Text, Some("gcr.io/kaniko-project/executor:latest")),
    key("executor.allow", Form::List, Some("")),
    key("executor.image_dirs", Form::List, Some("")),
    key("executor.images_max_bytes", Form::Text, Some("20GiB")),
    key("executor.images_max_age", Form::Text, Some("30d")),
    key("executor.keep_workspaces_for", Form::Text, Some("24h")),
    key("executor.keep_workspaces_bytes", Form::Text, Some("5GiB")),
    key("executor.caches_max_bytes", Form::Text, Some("10GiB")),
    key("executor.pipeline_caches_max_bytes", Form::Text, Some("5GiB")),
    key("executor.dns", Form::List, Some("")),
    key("executor.egress_pool", Form::Text, Some("198.19.64.0/19")),
    key("executor.egress_private", Form::List, Some("")),
    key("executor.limits.max_log_bytes", Form::Text, Some("1GiB")),
    key("executor.limits.max_artifact_bytes", Form::Text, Some("10GiB")),
    key("executor.limits.cpu", Form::Number, Some("2")),
    key("executor.limits.memory", Form::Text, Some("2GiB")),
    key("executor.limits.pids", Form::Number, Some("1024")),
    key("registry.program", Form::Text, Some("auto")),
    key("registry.quota", Form::Text, Some("20GiB")),
    key("log.format", Form::Text, Some("auto")),
    key("log.level", Form::Text, Some("info")),
];

/// The key of that name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// `DANUBE_SERVER__BIND_ADDRESS`.
pub(super) fn variable(key: &Key) -> String {
    format!("DANUBE_{}", key.name.replace('.', "__").to_ascii_uppercase())
}
