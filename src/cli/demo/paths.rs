//! What the demo keeps where in its directory.
use std::path::PathBuf;

use crate::cli::ground::Place;

/// The repository that is built.
pub(super) fn program_repo(place: &Place) -> PathBuf {
    place.path().join("simplejson.git")
}

/// A checkout of it, to push from.
pub(super) fn checkout(place: &Place) -> PathBuf {
    place.path().join("simplejson")
}

/// The webhook's secret, for the hook of the repository.
pub(super) fn webhook_secret(place: &Place) -> PathBuf {
    place.path().join("webhook.secret")
}

/// What was downloaded and verified.
pub(super) fn result(place: &Place) -> PathBuf {
    place.path().join("result")
}
