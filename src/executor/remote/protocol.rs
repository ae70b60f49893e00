//! Requests and replies. A release answers its own version alone: master and executor are restarted together.
use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

use crate::executor::{
    CacheBlob, CacheFill, CacheFilled, CacheTake, CacheTaken, ExecutorError, JobPlace, JobSpec, KeepLayers, Layer,
    Mask, Probe, ServiceNet, Signal, Space, StepAt, StepSpec, StepState, StoredLayer, Transport,
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
    Ready {
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
    Note {
        at: StepAt,
        line: String,
    },
    Connect {
        job: JobId,
        linked: bool,
    },
    /// The reply brings a descriptor: the socket.
    Listen {
        job: JobId,
        space: Space,
        transport: Transport,
        at: SocketAddrV4,
    },
    Unlisten {
        job: JobId,
        space: Space,
        transport: Transport,
        at: SocketAddrV4,
    },
    Allow {
        job: JobId,
        addresses: Vec<Ipv4Addr>,
        seconds: u32,
    },
    AttachService {
        job: JobId,
        number: u8,
    },
    DetachService {
        job: JobId,
        number: u8,
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
    CacheRestore {
        job: JobId,
        fill: CacheFill,
    },
    CacheSave {
        job: JobId,
        take: CacheTake,
    },
    CacheList,
    CacheRemove {
        digests: Vec<String>,
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
    Hello {
        version: u32,
    },
    Probe {
        probe: Probe,
    },
    Place {
        place: JobPlace,
    },
    State {
        state: StepState,
    },
    Captured {
        base64: String,
    },
    Kept {
        bytes: Option<u64>,
    },
    Ready {
        ready: bool,
    },
    Filled {
        filled: CacheFilled,
    },
    Taken {
        taken: CacheTaken,
    },
    Caches {
        blobs: Vec<CacheBlob>,
    },
    Jobs {
        jobs: Vec<JobId>,
    },
    Service {
        service: ServiceNet,
    },
    /// Its descriptor rides on the frame.
    Socket,
    Missing {
        layers: Vec<String>,
    },
    Layers {
        layers: Vec<StoredLayer>,
    },
    Done,
}
