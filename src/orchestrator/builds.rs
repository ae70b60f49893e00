//! `images.build`: a step whose program is the builder, and whose result is what the registry got.
use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::{Build, Call, Capture, Retry, StepAnswer, StepRequest};
use super::{CallError, LiveJob, bounds};
use crate::executor::Root;
use crate::registry::{self, HOST_PORT};
use crate::store::registry as rows;

/// Where a build sees the workspace: under a name that no image uses, for the builder leaves out of an image whatever
/// is written below a mount.
const CONTEXT: &str = "/danube/context";
/// The builder's program, as its image has it.
const BUILDER: &str = "/kaniko/executor";
/// The argument that names its layer cache.
const CACHE_REPO: &str = "--cache-repo=";
/// Arguments of one build, and characters of one.
const ARGS: usize = 256;
const ARG: usize = 4096;

/// An image as the danubefile asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRequest {
    /// Below the context.
    pub dockerfile: String,
    /// Below the workspace.
    pub context: String,
    /// Its name below the pipeline's, with a tag or without.
    pub tag: String,
    /// Values of the Dockerfile's `ARG`s.
    pub args: BTreeMap<String, String>,
}

impl BuildRequest {
    /// The step that it is.
    pub fn step(self, pipeline: &str) -> Result<StepRequest, CallError> {
        let place = registry::place(pipeline, &self.tag).ok_or_else(|| {
            CallError::Invalid(format!(
                "tag= is '{}': write the image's name below the pipeline's and a tag, such as \"app:1.2\", in lower case",
                self.tag.chars().filter(|c| !c.is_control()).take(120).collect::<String>()
            ))
        })?;
        let (dockerfile, context) = (below("dockerfile=", &self.dockerfile)?, below("context=", &self.context)?);
        let context = if context.is_empty() { CONTEXT.to_owned() } else { format!("{CONTEXT}/{context}") };
        let dockerfile = if dockerfile.is_empty() { "Dockerfile" } else { &dockerfile };
        let (repository, tag) = place;
        let mut program = vec![
            BUILDER.to_owned(),
            format!("--context=dir://{context}"),
            format!("--dockerfile={context}/{dockerfile}"),
            format!("--destination={HOST_PORT}/{repository}:{tag}"),
            "--cache=true".to_owned(),
            format!("{CACHE_REPO}{HOST_PORT}/{pipeline}/cache"),
            "--cache-copy-layers".to_owned(),
        ];
        if self.args.len() > ARGS {
            return Err(CallError::Invalid(format!("args= has {} entries, the limit is {ARGS}", self.args.len())));
        }
        for (name, value) in &self.args {
            let good = !name.is_empty() && !name.contains('=') && name.len() + value.len() <= ARG;
            if !good || [name, value].iter().any(|text| text.chars().any(char::is_control)) {
                return Err(CallError::Invalid(format!(
                    "args= has an entry that is no argument of a build: a name without '=' and one line of text, at most \
                     {ARG} characters"
                )));
            }
            program.push(format!("--build-arg={name}={value}"));
        }
        Ok(StepRequest {
            command: command(&program),
            name: format!("Build image {tag_of}", tag_of = self.tag),
            image: String::new(),
            env: BTreeMap::new(),
            files: BTreeMap::new(),
            workdir: CONTEXT.to_owned(),
            retry: Retry::default(),
            timeout: None,
            capture: Capture::No,
            once: false,
            user: None,
            root: Root::Writable,
            cpu: 0.0,
            memory_bytes: 0,
            network: true,
            allow_failure: false,
            caches: Vec::new(),
            caps: Vec::new(),
            build: Some(Build { program, repository, tag }),
        })
    }
}

impl Build {
    /// Names the layer cache that the job writes. The call stays the same on every branch: a recorded one is not another
    /// for it.
    fn cache_in(&mut self, repository: &str) {
        for word in self.program.iter_mut().filter(|word| word.starts_with(CACHE_REPO)) {
            *word = format!("{CACHE_REPO}{HOST_PORT}/{repository}");
        }
    }

    /// What is run, as a shell reads it.
    pub(super) fn command(&self) -> String {
        command(&self.program)
    }
}

impl LiveJob {
    /// Builds and pushes an image; `stdout` of the answer is its reference by digest.
    pub async fn build_image(self: &Arc<Self>, call: Call, request: BuildRequest) -> Result<StepAnswer, CallError> {
        let mut step = request.step(&self.row.pipeline_name)?;
        if let Some(build) = &mut step.build {
            build.cache_in(&registry::cache_of(&self.row.pipeline_name, &self.scope()));
        }
        let missing = match &self.engine.registry {
            None => Some("there is no registry where this runs: images are built by jobs of a server".to_owned()),
            Some(registry) => registry.absent().map(str::to_owned),
        };
        match missing {
            Some(why) => Err(CallError::Invalid(format!("no image can be built: {why}"))),
            None => self.run_step(call, step).await,
        }
    }

    /// What the registry got from this job under the build's name last: its digest is the server's own.
    pub(super) async fn built(&self, build: &Build) -> Result<Option<String>, CallError> {
        let job = self.row.id;
        let pushed = self.engine.store.read(move |view| rows::of_job(view, job)).await?;
        let own = pushed.into_iter().filter(|row| row.repository == build.repository && row.tag == build.tag);
        let last = own.max_by_key(|row| row.pushed_at);
        Ok(last.map(|row| format!("{HOST_PORT}/{}@sha256:{}", row.repository, row.digest)))
    }
}

/// A path below another, without dots at its ends.
fn below(what: &str, text: &str) -> Result<String, CallError> {
    bounds::path(what, text)?;
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if text.starts_with('/') || parts.contains(&"..") {
        return Err(CallError::Invalid(format!("{what} is '{text}': write a path below the workspace, without '..'")));
    }
    Ok(parts.join("/"))
}

fn command(program: &[String]) -> String {
    program.iter().map(|word| shown(word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell reads it.
fn shown(word: &str) -> String {
    let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:=@,+%".contains(&byte));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cache::Scope;

    fn request(tag: &str) -> BuildRequest {
        BuildRequest {
            dockerfile: "docker/App".to_owned(),
            context: "./web/".to_owned(),
            tag: tag.to_owned(),
            args: [("NOTE".to_owned(), "it's".to_owned())].into(),
        }
    }

    #[test]
    fn a_build_is_a_step_below_the_pipeline_s_own_name() {
        let step = request("app:1.2").step("site").unwrap();
        let build = step.build.unwrap();
        assert_eq!((build.repository.as_str(), build.tag.as_str()), ("site/app", "1.2"));
        assert_eq!(step.name, "Build image app:1.2");
        let expected = "/kaniko/executor --context=dir:///danube/context/web \
            --dockerfile=/danube/context/web/docker/App --destination=registry.danube-system:5000/site/app:1.2 \
            --cache=true --cache-repo=registry.danube-system:5000/site/cache --cache-copy-layers \
            '--build-arg=NOTE=it'\\''s'";
        assert_eq!(step.command, expected);
        assert_eq!(build.program.last().unwrap(), "--build-arg=NOTE=it's");
        assert_eq!(request("deep/app").step("site").unwrap().build.unwrap().tag, "latest");
    }

    #[test]
    fn a_build_of_a_branch_has_a_layer_cache_of_its_own() {
        let mut build = request("app:1.2").step("site").unwrap().build.unwrap();
        let own = registry::cache_of("site", &Scope::Branch("feature/x".to_owned()));
        build.cache_in(&own);
        let word = format!(" --cache-repo=registry.danube-system:5000/{own} ");
        assert!(build.command().contains(&word) && own.starts_with("site/cache/"), "{}", build.command());
        build.cache_in(&registry::cache_of("site", &Scope::Protected));
        assert_eq!(build.command(), request("app:1.2").step("site").unwrap().command);
    }

    #[test]
    fn names_and_paths_that_lead_elsewhere_are_refused() {
        for tag in ["", "../app", "app:", "App", "app:a b", "a@sha256:x", "cache", "cache/x:1"] {
            let error = request(tag).step("site").unwrap_err().to_string();
            assert!(error.contains("tag="), "{tag}: {error}");
        }
        for path in ["/etc", "../x", "a/../../b", "a\nb"] {
            let wrong = BuildRequest { context: path.to_owned(), ..request("app") };
            assert!(wrong.step("site").is_err(), "{path}");
        }
        let mut wrong = request("app");
        wrong.args.insert("A=B".to_owned(), String::new());
        assert!(wrong.step("site").is_err());
    }
}
