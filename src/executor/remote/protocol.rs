//! Requests and replies. Version 1; a release answers its own version and the one before it.
use serde::{Deserialize, Serialize};

use crate::executor::{
    ExecutorError, JobPlace, JobSpec, KeepLayers, Layer, Mask, Probe, Signal, StepAt, StepSpec, StepState, StoredLayer,
};
use crate::model::JobId;

/// The protocol's version.
pub const VERSION: u32 = 1;

/// A request with its number; the reply bears the same.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) id: u64,
    #[serde(flatten)]
    pub(super) verb: Verb,
}

/// What is asked. Descriptors that belong to a verb are named beside it, in order.
#[derive(Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub(super) enum Verb {
    Hello {
        version: u32,
    },
    Probe,
    /// Descriptor: the source.
    EnsureJob {
        spec: JobSpec,
    },
    /// Descriptors: log, index.
    EnsureStep {
        at: StepAt,
        spec: Box<StepSpec>,
    },
    HoldLayers {
        job: JobId,
        layers: Vec<String>,
    },
    /// Descriptor: the layer.
    AddLayer {
        layer: Layer,
    },
    Layers,
    EvictLayers {
        keep: KeepLayers,
    },
    Observe {
        at: StepAt,
    },
    Signal {
        at: StepAt,
        signal: Signal,
    },
    AddMask {
        job: JobId,
        masks: Vec<Mask>,
    },
    Captured {
        at: StepAt,
    },
    /// Descriptor: the sink.
    Export {
        job: JobId,
        path: String,
    },
    /// Descriptor: the sink.
    Collect {
        job: JobId,
        pattern: String,
    },
    /// Descriptor: the source.
    Import {
        job: JobId,
        dest: String,
    },
    Keep {
        job: JobId,
    },
    List,
    Teardown {
        job: JobId,
    },
    /// The one who started this executor needs it no longer: end once no step lives and nobody is connected.
    Leave,
}

/// An answer.
#[derive(Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) id: u64,
    pub(super) result: Result<Answer, ExecutorError>,
}

/// What a verb gives.
#[derive(Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(super) enum Answer {
    Hello { version: u32 },
    Probe { probe: Probe },
    Place { place: JobPlace },
    State { state: StepState },
    Captured { base64: String },
    Kept { bytes: Option<u64> },
    Jobs { jobs: Vec<JobId> },
    Missing { layers: Vec<String> },
    Layers { layers: Vec<StoredLayer> },
    Done,
}
