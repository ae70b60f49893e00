//! What the executor is asked to run: containers of steps and of the coordinator.
use base64::Engine as _;

use super::call::{Capture, StepRequest, Value};
use super::outcome::bytes;
use super::pulling::Ready;
use super::services::{self, Service, ServiceRequest};
use super::{CallError, LiveJob};
use crate::executor::{FileSpec, Limits, Probe, ReadyCheck, Root, StepKind, StepSpec};
use crate::model::Secret;
use crate::store::StepRow;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// `-I` keeps everything but the SDK off the import path, so the SDK is put there by hand.
const RUN: &str = "import sys; sys.path.insert(0, '/danube/sdk'); from danube._run import main; main()";
/// A log always has room for the reason of a failure.
const LEAST_LOG: u64 = 64 << 10;

impl LiveJob {
    /// The container of the danubefile.
    pub(super) fn coordinator_spec(&self, image: Option<&Ready>) -> StepSpec {
        let credential = self.credential();
        let env = [
            ("DANUBE_SOCKET_DIR", "/danube/run"),
            ("DANUBE_CREDENTIAL", credential.expose().as_str()),
            ("DANUBE_FILE", &format!("/danube/source/{}", self.pipeline.script)),
            ("PATH", PATH),
            ("LANG", "C.UTF-8"),
            ("HOME", "/tmp"),
        ];
        let mut masks = self.masks.all();
        let credential = base64::engine::general_purpose::STANDARD.encode(credential.expose());
        masks.push(crate::executor::Mask { name: "job credential".to_owned(), value: credential });
        StepSpec {
            kind: StepKind::Coordinator,
            image: self.engine.bounds.coordinator_image.clone(),
            pinned: image.map(Ready::pinned),
            argv: ["/usr/bin/python3", "-I", "-B", "-c", RUN].map(str::to_owned).to_vec(),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            files: Vec::new(),
            workdir: "/danube/source".to_owned(),
            user: None,
            limits: self.engine.bounds.coordinator,
            caps: Vec::new(),
            root: Root::Readonly,
            network: false,
            dns: None,
            hosts: Vec::new(),
            service: None,
            ready: None,
            masks,
            log_limit: self.engine.bounds.log_bytes.max(LEAST_LOG),
            capture_secret: false,
            notes: Vec::new(),
            caches: Vec::new(),
            trust: None,
            build: false,
        }
    }

    /// The container of a step's attempt; its secrets are filled in here and nowhere before.
    pub(super) async fn step_spec(
        &self,
        request: &StepRequest,
        image: Option<&Ready>,
        room: u64,
        notes: Vec<String>,
    ) -> Result<StepSpec, CallError> {
        self.within_bounds(request)?;
        let mut env = match image {
            Some(ready) => with_image(&ready.image.config.env, self.base_env()),
            None => self.base_env(),
        };
        for (name, value) in &request.env {
            let value = self.value(value).await?;
            let text = String::from_utf8(value.expose().clone())
                .map_err(|_| CallError::Invalid(format!("env['{name}'] is a secret that is not text: use files=")))?;
            if text.contains('\0') {
                return Err(CallError::Invalid(format!("env['{name}'] is a secret with a NUL byte: use files=")));
            }
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), text));
        }
        let mut files = Vec::with_capacity(request.files.len());
        for (path, value) in &request.files {
            let content = base64::engine::general_purpose::STANDARD.encode(self.value(value).await?.expose());
            files.push(FileSpec { path: path.clone(), content });
        }
        Ok(StepSpec {
            kind: StepKind::Step,
            image: self.image_of(request),
            pinned: image.map(Ready::pinned),
            argv: match &request.build {
                Some(build) => build.program.clone(),
                None => ["/bin/sh", "-c", &request.command].map(str::to_owned).to_vec(),
            },
            env,
            files,
            workdir: workdir_of(&request.workdir),
            user: request.user.clone(),
            limits: self.limits_of(request),
            caps: request.caps.clone(),
            root: request.root,
            network: request.network,
            dns: None,
            hosts: Vec::new(),
            service: None,
            ready: None,
            masks: self.masks.all(),
            log_limit: room.max(LEAST_LOG),
            capture_secret: request.capture == Capture::Secret,
            notes,
            caches: Vec::new(),
            trust: None,
            build: request.build.is_some(),
        })
    }

    /// The container of a service: its image's own program, no workspace.
    pub(super) async fn service_spec(
        &self,
        request: &ServiceRequest,
        image: Option<&Ready>,
        service: &Service,
        dns: std::net::Ipv4Addr,
    ) -> Result<StepSpec, CallError> {
        let config = image.map(|ready| &ready.image.config);
        let program = config.map(|config| config.entrypoint.iter().chain(&config.cmd).cloned().collect());
        let plain = vec![("PATH".to_owned(), PATH.to_owned())];
        let mut env = with_image(config.map_or(&[], |config| &config.env), plain);
        for (name, value) in &request.env {
            let value = self.value(value).await?;
            let text = String::from_utf8(value.expose().clone()).ok().filter(|text| !text.contains('\0'));
            let text = text.ok_or_else(|| CallError::Invalid(format!("env['{name}'] is a secret that is not text")))?;
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), text));
        }
        let argv = match request.ready.is_empty() {
            true => Vec::new(),
            false => ["/bin/sh", "-c", &request.ready].map(str::to_owned).to_vec(),
        };
        let address = services::address_of(service);
        Ok(StepSpec {
            kind: StepKind::Service,
            image: request.image.clone(),
            pinned: image.map(Ready::pinned),
            argv: program.unwrap_or_default(),
            env,
            files: Vec::new(),
            workdir: config.map_or_else(String::new, |config| config.workdir.clone()),
            user: None,
            limits: self.engine.bounds.step,
            caps: Vec::new(),
            root: Root::Writable,
            network: true,
            dns: Some(dns),
            hosts: services::host_entries(&self.services_of(services::branch_around(service))),
            service: Some(services::number_of(service)),
            ready: Some(ReadyCheck { argv, address: format!("{address}:{}", request.port) }),
            masks: self.masks.all(),
            log_limit: self.engine.bounds.log_bytes.max(LEAST_LOG),
            capture_secret: false,
            notes: image.and_then(Ready::note).into_iter().collect(),
            caches: Vec::new(),
            trust: None,
            build: false,
        })
    }

    /// The image that a step gets.
    pub(super) fn image_of(&self, request: &StepRequest) -> String {
        let bounds = &self.engine.bounds;
        match (&request.build, request.image.as_str()) {
            (Some(_), _) => bounds.builder_image.clone(),
            (None, "") => bounds.default_image.clone(),
            (None, image) => image.to_owned(),
        }
    }

    /// The size of the job's workspace.
    pub(super) fn workspace_bytes(&self) -> u64 {
        u64::from(self.pipeline.workspace_size_gb) << 30
    }

    /// The limits that a step gets.
    pub(super) fn limits_of(&self, request: &StepRequest) -> Limits {
        let default = self.engine.bounds.step;
        Limits {
            cpu: if request.cpu > 0.0 { request.cpu } else { default.cpu },
            memory_bytes: if request.memory_bytes > 0 { request.memory_bytes } else { default.memory_bytes },
            pids: default.pids,
        }
    }

    /// Refuses what the pipeline or this server does not give, with who can change that.
    fn within_bounds(&self, request: &StepRequest) -> Result<(), CallError> {
        if let Some(name) = request.caps.iter().find(|name| !self.pipeline.caps.contains(name)) {
            return Err(CallError::Invalid(format!(
                "caps= asks for the capability '{name}', which the config repo does not allow for the pipeline '{}': \
                 add it to the pipeline's caps (and to executor.allow of the server), or take it out of the step",
                self.row.pipeline_name
            )));
        }
        let ceiling = self.engine.bounds.ceiling;
        if request.cpu > ceiling.cpu {
            return Err(CallError::Invalid(format!(
                "cpu= asks for {} cores, this server gives a step at most {} (executor.limits.cpu in danube.toml)",
                request.cpu, ceiling.cpu
            )));
        }
        if request.memory_bytes > ceiling.memory_bytes {
            return Err(CallError::Invalid(format!(
                "memory= asks for {}, this server gives a step at most {} (executor.limits.memory in danube.toml)",
                bytes(request.memory_bytes),
                bytes(ceiling.memory_bytes)
            )));
        }
        Ok(())
    }

    fn base_env(&self) -> Vec<(String, String)> {
        let job = self.row.id.to_string();
        let number = self.row.number.to_string();
        [
            ("PATH", PATH),
            ("HOME", "/root"),
            ("LANG", "C.UTF-8"),
            ("CI", "true"),
            ("DANUBE", "true"),
            ("DANUBE_JOB_ID", &job),
            ("DANUBE_JOB_NUMBER", &number),
            ("DANUBE_PIPELINE", &self.row.pipeline_name),
            ("DANUBE_BRANCH", &self.row.branch),
            ("DANUBE_COMMIT", &self.row.commit_sha),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// The bytes behind a value of `env=` or `files=`.
    pub(super) async fn value(&self, value: &Value) -> Result<Secret<Vec<u8>>, CallError> {
        match value {
            Value::Text(text) => Ok(Secret::new(text.clone().into_bytes())),
            Value::Secret(name) => self.secret(name).await,
            Value::Captured(handle) => self.captured(handle).await,
        }
    }
}

/// The environment of a step in an image: the image's own search path, home and language come before those of the
/// machine's tools; HOME is else that of its user, which only its /etc/passwd tells.
fn with_image(image: &[String], base: Vec<(String, String)>) -> Vec<(String, String)> {
    let own = image.iter().filter_map(|entry| entry.split_once('='));
    let own = own.filter(|(name, value)| !name.is_empty() && !name.contains('\0') && !value.contains('\0'));
    let mut env: Vec<(String, String)> = own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for (name, value) in base {
        let images = matches!(name.as_str(), "PATH" | "LANG") && env.iter().any(|(known, _)| *known == name);
        if images || name == "HOME" {
            continue;
        }
        env.retain(|(known, _)| *known != name);
        env.push((name, value));
    }
    env
}

/// The line that a step which asks for the network finds in its log where there is none.
pub(super) fn network_note(probe: &Probe, wants_network: bool) -> Option<String> {
    let why = probe.not_enforced.iter().find(|line| line.starts_with("egress")).filter(|_| wants_network)?;
    let why = why.split_once("because ").map_or(why.as_str(), |(_, why)| why);
    Some(format!("danube: no network in the steps of this job: {why}"))
}

/// Where a step starts; a relative path is one below the workspace.
fn workdir_of(asked: &str) -> String {
    match asked {
        "" => "/workspace".to_owned(),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        below => format!("/workspace/{below}"),
    }
}

/// The name of a step that was given none: the head of its command's first line.
pub(super) fn name_of(request: &StepRequest) -> String {
    if !request.name.is_empty() {
        return request.name.clone();
    }
    let line = request.command.trim().lines().next().unwrap_or_default();
    let shown: String = line.chars().filter(|c| !c.is_control()).collect();
    if shown.chars().count() <= 60 { shown } else { shown.chars().take(59).chain(['…']).collect() }
}

/// The bytes of output that an attempt may write: what earlier ones left of the job's bound.
pub(super) fn room(bound: u64, rows: &[StepRow]) -> u64 {
    let own = rows.iter().filter(|row| row.reused_from.is_none());
    own.fold(bound, |room, row| room.saturating_sub(row.log_bytes.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orchestrator::tests::request;

    #[test]
    fn a_step_without_a_name_is_called_by_its_command() {
        assert_eq!(name_of(&request("  make test\nexit 0")), "make test");
        assert_eq!(name_of(&request(&"x".repeat(61))), format!("{}…", "x".repeat(59)));
    }

    #[test]
    fn a_missing_network_is_told_to_steps_that_ask_for_it() {
        let mut probe = Probe {
            kind: "local".to_owned(),
            version: "1".to_owned(),
            not_enforced: Vec::new(),
            networks: false,
            warnings: Vec::new(),
            host_image: true,
            allow: Vec::new(),
        };
        assert_eq!(network_note(&probe, true), None);
        probe
            .not_enforced
            .push("egress allowlist: steps have no network at all, because nft is not installed".to_owned());
        let note = network_note(&probe, true).unwrap();
        assert_eq!(note, "danube: no network in the steps of this job: nft is not installed");
        assert_eq!(network_note(&probe, false), None);
    }
}
