//! The registry beside the server, and the way of jobs to it.
//!
//! Owns: the registry program's life, the authority of its in-job name, the proxy through which a job reaches it (path
//! rules, quota, what was pushed and used), garbage collection. May use: model, platform, store, artifacts' digests.
//! Must not touch: containers; a listener inside of a job comes in ready made.
//!
//! The program listens on a Unix socket of the master's own and knows no credentials: whoever comes to it came through
//! the proxy here. One listener is one job's identity, whatever the job does with the name in its `/etc/hosts`.

mod answer;
mod ask;
mod authority;
mod body;
mod child;
mod collect;
mod counts;
mod door;
mod error;
mod manifest;
mod proxy;
mod quota;
mod sessions;
mod storage;
mod tags;
mod upstream;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use child::State;
pub use collect::{Collected, collect_daily};
pub use counts::Counted;
pub use door::Door;
pub use error::RegistryError;

use crate::artifacts::Digest;
use crate::model::cache::Scope;
use crate::model::{PipelineId, Secret};
use crate::store::{Store, registry as rows};
use authority::Authority;
use child::Program;
use counts::Counts;
use quota::Quota;
use sessions::Sessions;
use storage::Storage;
use tags::Tags;

/// The registry's name in every job.
pub const HOST: &str = "registry.danube-system";
/// With its port, as it stands in references to images.
pub const HOST_PORT: &str = "registry.danube-system:5000";
/// Where a job's listener is made, on its own `lo`.
pub const ADDRESS: std::net::SocketAddrV4 = std::net::SocketAddrV4::new(std::net::Ipv4Addr::new(127, 0, 0, 5), 5000);
/// Digits that tell the layer cache of one scope from those of the others.
const SCOPE: usize = 12;

/// Whether a repository is its pipeline's layer cache (`<pipeline>/cache`): images in it are parts of builds and no
/// outputs.
pub fn is_cache(repository: &str) -> bool {
    repository.split_once('/').is_some_and(|(_, rest)| rest == "cache" || rest.starts_with("cache/"))
}

/// The layer cache that the jobs of a scope write: what a later build takes from there must come from jobs that it may
/// trust as itself.
pub fn cache_of(pipeline: &str, scope: &Scope) -> String {
    match scope {
        Scope::Protected => format!("{pipeline}/cache"),
        other => format!("{pipeline}/cache/{}", &Digest::of(other.stored().as_bytes()).to_string()[..SCOPE]),
    }
}

/// Whether a repository is the layer cache of one branch, pull request or tag, or below it.
fn is_cache_of_scope(repository: &str) -> bool {
    let mut parts = repository.splitn(4, '/').skip(1);
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    parts.next() == Some("cache") && parts.next().is_some_and(|name| name.len() == SCOPE && name.bytes().all(digit))
}

/// The repository and tag of an image that a pipeline builds under this name, `app` or `deep/app:1.2`; none where it is
/// no such name, or one of its layer cache.
pub fn place(pipeline: &str, name: &str) -> Option<(String, String)> {
    let (path, tag) = name.split_once(':').unwrap_or((name, "latest"));
    let repository = format!("{pipeline}/{path}");
    (ask::is_name(&repository) && ask::is_tag(tag) && !is_cache(&repository)).then(|| (repository, tag.to_owned()))
}

/// The user of every credential; the secret tells whose it is.
const USER: &str = "danube";

/// What a registry is made of.
pub struct Setup {
    /// The database.
    pub store: Store,
    /// `<data>/registry`.
    pub dir: PathBuf,
    /// `<data>/keys`.
    pub keys: PathBuf,
    /// `auto`, `off`, or the program's path.
    pub program: String,
    /// Bytes that each pipeline may keep.
    pub quota: u64,
}

/// The registry of this server.
pub struct Registry {
    store: Store,
    program: Result<Program, String>,
    state: watch::Sender<State>,
    authority: Authority,
    quota: Quota,
    sessions: Sessions,
    tags: Tags,
    counts: Counts,
}

impl Registry {
    /// Prepares it; nothing runs yet.
    pub fn open(setup: Setup) -> Result<Arc<Self>, RegistryError> {
        let Setup { store, dir, keys, program, quota } = setup;
        let authority = Authority::load_or_create(&keys)?;
        let program = child::find(&program).map(|path| Program { path, dir });
        let state = match &program {
            Ok(program) => {
                program.install(&authority.derived("registry http secret"))?;
                State::Starting
            }
            Err(why) => State::Absent(why.clone()),
        };
        Ok(Arc::new(Self {
            store,
            program,
            state: watch::Sender::new(state),
            authority,
            quota: Quota::new(quota),
            sessions: Sessions::default(),
            tags: Tags::default(),
            counts: Counts::default(),
        }))
    }

    /// Keeps the program running until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        match &self.program {
            Ok(program) => program.clone().keep(self.state.clone(), stop).await,
            Err(why) => tracing::info!("{why}"),
        }
    }

    /// Whether it can be used.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Why it can't be used at all; none where it can, perhaps not at this moment.
    pub fn absent(&self) -> Option<&str> {
        self.program.as_ref().err().map(String::as_str)
    }

    /// Waits until it answers, or until it is known that it does not.
    pub async fn settled(&self) -> State {
        let mut state = self.state.subscribe();
        match state.wait_for(|state| *state != State::Starting).await {
            Ok(state) => state.clone(),
            Err(_) => self.state(),
        }
    }

    /// What a step must trust to reach it, PEM.
    pub fn certificate(&self) -> &str {
        self.authority.certificate()
    }

    /// The user and the password of this server itself, at `serve_own`.
    pub fn own_login(&self) -> (String, Secret<String>) {
        (USER.to_owned(), self.own_password())
    }

    fn own_password(&self) -> Secret<String> {
        Secret::new(self.authority.derived("the server's own password"))
    }

    /// Whether a pipeline may use the images of a repository.
    pub async fn may_read(&self, pipeline: PipelineId, repository: &str) -> Result<bool, RegistryError> {
        let owner = ask::owner(repository).to_owned();
        Ok(self.store.read(move |view| rows::may_read(view, pipeline, &owner)).await?)
    }

    /// How often each repository was pulled from and pushed to since the start.
    pub fn counted(&self) -> Vec<Counted> {
        self.counts.all()
    }

    /// The program's socket, for those who come past the proxy: this server itself.
    pub fn socket(&self) -> Option<PathBuf> {
        self.program.as_ref().ok().map(Program::socket)
    }

    fn storage(&self) -> Result<Storage, RegistryError> {
        let program = self.program.as_ref().map_err(|why| RegistryError::Unavailable(why.clone()))?;
        Ok(Storage::new(&program.storage()))
    }
}

#[cfg(test)]
mod tests;
