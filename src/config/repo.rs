//! `[config_repo]`
use std::time::Duration;

use super::layers::Layers;
use super::units::parse_duration;
use crate::platform::git::{check_branch, check_url};

/// Where the config repo is, and how often it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigRepo {
    /// Its address; passed `check_url`.
    pub url: String,
    /// The branch that counts.
    pub branch: String,
    /// The time between two looks.
    pub sync_interval: Duration,
}

pub(super) fn check(layers: &mut Layers) -> Option<ConfigRepo> {
    let address = "a repository address such as git@git.example.com:ops/danube-config.git, https://…, file:///… or an absolute path";
    let url = layers.required("config_repo.url", address, |text| check_url(text).ok().map(|_| text.to_owned()));
    let name = |text: &str| check_branch(text).then(|| text.to_owned());
    let branch = layers.required("config_repo.branch", "the name of a branch, such as main", name);
    let range = Duration::from_secs(1)..=Duration::from_secs(86_400);
    let interval = |text: &str| parse_duration(text).filter(|interval| range.contains(interval));
    let sync_interval = layers.required("config_repo.sync_interval", "a duration from \"1s\" to \"1d\"", interval);
    Some(ConfigRepo { url: url?, branch: branch?, sync_interval: sync_interval? })
}
