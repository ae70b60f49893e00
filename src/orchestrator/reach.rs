//! A job's way to the registry: a listener in each of its networks, and what a step needs to use it.
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use base64::Engine as _;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::call::StepRequest;
use super::{CallError, LiveJob};
use crate::executor::{ExecutorError, FileSpec, HostEntry, Mask, Space, StepSpec, Transport};
use crate::registry::{ADDRESS, Door, HOST, Registry};

/// The directory of the clients' configuration, where the user gives none: on the tmpfs of the step's files, so that
/// no image that is built in the step gets it.
const CONFIG_DIR: &str = "/danube/files/docker";
/// What names it to clients.
const VARIABLE: &str = "DOCKER_CONFIG";
/// What the path of a configuration ends with that the user gives.
const GIVEN: &str = ".docker/config.json";

/// The networks of a job in which the registry listens.
#[derive(Debug, Default)]
pub(super) struct Reach(Mutex<HashSet<Space>>);

impl LiveJob {
    /// Opens the registry to a step, where there is one: its name, its authority, the job's credential.
    pub(super) async fn reach_registry(&self, request: &StepRequest, spec: &mut StepSpec) -> Result<(), CallError> {
        let Some(registry) = self.engine.registry.as_ref() else { return Ok(()) };
        if let Some(why) = registry.absent() {
            if request.command.contains(HOST) {
                spec.notes.push(format!("danube: {HOST} leads nowhere: {why}"));
            }
            return Ok(());
        }
        if !self.has_networks().await {
            if request.command.contains(HOST) {
                spec.notes.push(format!("danube: {HOST} leads nowhere: this executor makes no networks"));
            }
            return Ok(());
        }
        let space = if request.network { Space::Open } else { Space::Quiet };
        match self.listen(registry, space).await {
            Ok(()) => {}
            Err(error) => return Err(CallError::Unavailable(format!("the registry could not be reached: {error}"))),
        }
        let door = self.door();
        spec.hosts.push(HostEntry { address: *ADDRESS.ip(), names: vec![HOST.to_owned()] });
        spec.trust = Some(registry.certificate().to_owned());
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        spec.masks
            .push(Mask { name: "registry credential".to_owned(), value: encode(door.credential.expose().as_bytes()) });
        let mut dir = None;
        for file in spec.files.iter_mut().filter(|file| file.path.ends_with(GIVEN)) {
            let content = base64::engine::general_purpose::STANDARD.decode(&file.content).unwrap_or_default();
            let merged = door.docker_config(Some(&content));
            let merged = merged.map_err(|why| CallError::Invalid(format!("files['{}']: {why}", file.path)))?;
            file.content = encode(merged.expose());
            // A relative path is one below the step's directory.
            let dir_of = file.path.strip_suffix("/config.json").unwrap_or_default();
            dir = Some(if dir_of.starts_with('/') { dir_of.to_owned() } else { format!("{}/{dir_of}", spec.workdir) });
        }
        if dir.is_none() {
            let plain = door.docker_config(None).map_err(CallError::Invalid)?;
            spec.files.push(FileSpec { path: format!("{CONFIG_DIR}/config.json"), content: encode(plain.expose()) });
        }
        // An image may name a directory of its own; who writes the danubefile comes before both.
        if !request.env.contains_key(VARIABLE) {
            spec.env.retain(|(name, _)| name != VARIABLE);
            spec.env.push((VARIABLE.to_owned(), dir.unwrap_or_else(|| CONFIG_DIR.to_owned())));
        }
        Ok(())
    }

    /// Listens in one of the job's networks, once.
    async fn listen(&self, registry: &Arc<Registry>, space: Space) -> Result<(), ExecutorError> {
        let mut open = self.reach.0.lock().await;
        if open.contains(&space) {
            return Ok(());
        }
        let socket = self.engine.executor.listen(self.row.id, space, Transport::Tcp, ADDRESS).await?;
        let listener = listener(socket).map_err(|error| ExecutorError::Start(error.to_string()))?;
        let (registry, door) = (Arc::clone(registry), Arc::new(self.door()));
        let (closing, halt) = (self.closing.clone(), self.halt.clone());
        self.work.spawn(async move {
            let stop = closing.child_token();
            let serving = registry.serve(listener, door, stop.clone());
            tokio::pin!(serving);
            tokio::select! {
                () = &mut serving => return,
                () = halt.cancelled() => stop.cancel(),
            }
            serving.await;
        });
        open.insert(space);
        Ok(())
    }

    /// Whom the registry takes this job for.
    fn door(&self) -> Door {
        Door {
            job: self.row.id,
            lease: self.lease.id,
            pipeline: self.row.pipeline_id,
            name: self.row.pipeline_name.clone(),
            fork: self.row.fork,
            scope: self.scope(),
            credential: self.engine.job_key.registry_credential(self.row.id, self.row.attempt),
        }
    }
}

fn listener(socket: OwnedFd) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
