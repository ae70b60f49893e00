//! One pull: under which settings, and whom it asked.
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use url::Url;

use crate::images::settings::Endpoint;
use crate::images::{Place, Settings};

/// Hosts that are noted of one pull.
const HOSTS: usize = 64;

/// The settings of one pull, which others do not change, and the hosts that it spoke to.
#[derive(Debug, Default)]
pub struct Pull {
    pub(super) settings: Settings,
    asked: Mutex<BTreeSet<String>>,
}

impl Pull {
    /// Goes by these settings to its end.
    pub fn new(settings: Settings) -> Self {
        Self { settings, asked: Mutex::default() }
    }

    /// The hosts that were asked and not told of before, without their ports. A name that leads elsewhere is none.
    pub fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }

    pub(super) fn endpoints(&self, place: &Place) -> Vec<Endpoint> {
        self.settings.endpoints(&place.host, place.address())
    }

    pub(super) fn note(&self, url: &Url) {
        let Some(host) = url.host_str().filter(|_| !self.settings.is_direct(url)) else { return };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() < HOSTS {
            asked.insert(host.to_ascii_lowercase());
        }
    }
}
