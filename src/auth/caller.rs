//! Who asks, with what it may do.
use serde::{Deserialize, Serialize};

use super::Grants;
use crate::model::settings::Level;
use crate::model::{PipelineId, Principal};

/// A principal and its rights, loaded anew for every request: a change of teams holds at once.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// May what.
    pub grants: Grants,
}

impl Caller {
    /// root or the service user on the machine.
    pub fn local_admin() -> Self {
        Self { principal: Principal::LocalAdmin, grants: Grants { global_admin: true, ..Grants::default() } }
    }
}

/// What a token was narrowed to; the default narrows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Only reads.
    #[serde(default)]
    pub read_only: bool,
    /// Only this pipeline.
    #[serde(default)]
    pub pipeline: Option<PipelineId>,
}

impl Scope {
    /// Does the scope reach something on a pipeline that needs `level`?
    pub(super) fn covers(self, pipeline: PipelineId, level: Level) -> bool {
        (!self.read_only || level == Level::Read) && self.pipeline.is_none_or(|only| only == pipeline)
    }

    /// Does the scope reach what belongs to no pipeline?
    pub(super) fn covers_global(self, reads: bool) -> bool {
        self.pipeline.is_none() && (reads || !self.read_only)
    }
}
