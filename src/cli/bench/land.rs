//! The servers of one run of a bench: started for it, and gone after it, whatever happened between.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::task::block_in_place;

use super::process::{Cpu, Process};
use super::progress::Progress;
use super::report::Used;
use super::repos::{self, Plan, WEBHOOK_SECRET};
use crate::cli::ground::{self, Api, Options, Place, Server};
use crate::model::Secret;
use crate::model::job::Status;
use crate::platform::{Ids as _, SystemIds};

/// The time between two looks at a job.
const LOOK: Duration = Duration::from_millis(20);
/// The longest a job of a bench may take.
const JOB: Duration = Duration::from_secs(600);

/// All servers of one run.
pub(super) struct Land {
    grounds: Vec<(Place, Option<Server>, Options)>,
    pub(super) progress: Progress,
}

/// One server, to be used.
#[derive(Clone)]
pub(super) struct Ground {
    place: usize,
    pub(super) dir: PathBuf,
    pub(super) data: PathBuf,
    pub(super) instance: String,
    pub(super) address: SocketAddr,
    pub(super) secret: Arc<Secret<String>>,
    pub(super) serve: Process,
    pub(super) executor: Process,
    pub(super) api: Arc<Api>,
}

impl Land {
    pub(super) fn new(progress: Progress) -> Self {
        Self { grounds: Vec::new(), progress }
    }

    /// A server with the plan's pipelines, ready.
    pub(super) async fn begin(&mut self, plan: &Plan) -> anyhow::Result<Ground> {
        self.progress.say("starting a server");
        let options = Options { port: 0, without_sync: plan.without_sync };
        let place = Place::make("danube-bench", None, &SystemIds::new())?;
        self.grounds.push((place, None, options));
        let number = self.grounds.len() - 1;
        block_in_place(|| repos::make(&self.grounds[number].0, plan))?;
        self.start(number).await?;
        let secret = Arc::new(fresh());
        let ground = self.ground(number, secret).await?;
        let put = async |key: &str, value: &Secret<String>| {
            ground.api.put_secret(&format!("/api/v1/secrets/global/{key}"), value).await
        };
        put(WEBHOOK_SECRET, &ground.secret).await?;
        for key in plan.pipelines.iter().flat_map(|job| &job.secrets) {
            put(key, &fresh()).await?;
        }
        let (_, server, _) = &mut self.grounds[number];
        ground::in_force(&ground.api, server.as_mut().context("the server is gone")?).await?;
        Ok(ground)
    }

    /// Starts the server of a place; when it listens, it was started that long ago.
    async fn start(&mut self, number: usize) -> anyhow::Result<Duration> {
        let (place, server, options) = &mut self.grounds[number];
        let began = Instant::now();
        let server = server.insert(Server::start(place, *options)?);
        server.address(place).await?;
        Ok(began.elapsed())
    }

    async fn ground(&mut self, number: usize, secret: Arc<Secret<String>>) -> anyhow::Result<Ground> {
        let (place, server, _) = &mut self.grounds[number];
        let server = server.as_mut().context("the server is gone")?;
        let address = server.address(place).await?;
        let instance = std::fs::read_to_string(place.data().join("instance")).context("the server has no instance")?;
        let executor = ground::executor_of(instance.trim())?.context("the server has no executor")?;
        Ok(Ground {
            place: number,
            dir: place.path().to_owned(),
            data: place.data(),
            instance: instance.trim().to_owned(),
            address,
            secret,
            serve: Process(server.pid().context("the server has ended")?),
            executor: Process(executor.as_raw_nonzero().get().unsigned_abs()),
            api: Arc::new(Api::new(&ground::socket(place))?),
        })
    }

    /// Stops a server; its rows and files stay.
    pub(super) async fn stop(&mut self, ground: &Ground) -> anyhow::Result<()> {
        match self.grounds[ground.place].1.take() {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }

    /// Starts a stopped server again and does not wait for it.
    pub(super) fn again(&mut self, ground: &Ground) -> anyhow::Result<()> {
        let (place, server, options) = &mut self.grounds[ground.place];
        *server = Some(Server::start(place, *options)?);
        Ok(())
    }

    /// The same ground after its server was started again.
    pub(super) async fn renewed(&mut self, ground: &Ground) -> anyhow::Result<Ground> {
        self.ground(ground.place, Arc::clone(&ground.secret)).await
    }

    /// The last words of every server.
    pub(super) fn last_words(&self) -> Vec<String> {
        self.grounds.iter().flat_map(|(place, ..)| ground::last_words(&place.server_log())).collect()
    }

    /// What every server is named by.
    pub(super) fn servers(&self) -> Vec<Used> {
        let used = |(place, ..): &(Place, Option<Server>, Options)| Used {
            directory: place.path().display().to_string(),
            instance: std::fs::read_to_string(place.data().join("instance")).unwrap_or_default().trim().to_owned(),
        };
        self.grounds.iter().map(used).collect()
    }

    /// Ends and removes everything; what could not be done.
    pub(super) async fn clear(self) -> Vec<String> {
        self.progress.say("stopping the server and removing everything");
        let mut complaints = Vec::new();
        for (place, server, _) in self.grounds {
            complaints.extend(ground::clear(&place, server).await);
        }
        self.progress.clear();
        complaints
    }
}

impl Ground {
    /// The machine's socket of the server.
    pub(super) fn socket(&self) -> PathBuf {
        self.data.join("api.sock")
    }

    /// The executor's tree.
    pub(super) fn executor_dir(&self) -> PathBuf {
        Path::new("/var/lib/danube-executor").join(&self.instance)
    }

    /// Starts a job; its id.
    pub(super) async fn trigger(&self, pipeline: &str) -> anyhow::Result<String> {
        let answer = self.api.post(&format!("/api/v1/pipelines/{pipeline}/trigger")).await?;
        Ok(answer["id"].as_str().context("the server started a job without an id")?.to_owned())
    }

    /// The job as the API tells it.
    pub(super) async fn job(&self, id: &str) -> anyhow::Result<Value> {
        self.api.get(&format!("/api/v1/jobs/{id}")).await
    }

    /// Waits until a job has succeeded.
    pub(super) async fn succeeded(&self, id: &str) -> anyhow::Result<Value> {
        let deadline = Instant::now() + JOB;
        loop {
            let job = self.job(id).await?;
            match job["status"].as_str().and_then(|word| word.parse::<Status>().ok()) {
                Some(Status::Success) => return Ok(job),
                Some(status) if status.is_terminal() => {
                    bail!("a job of the bench ended as {status}: {}", job["reason"])
                }
                _ if Instant::now() > deadline => bail!("a job of the bench did not end in {} s", JOB.as_secs()),
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Processor time of server and executor so far.
    pub(super) fn cpu(&self) -> anyhow::Result<Cpu> {
        let (a, b) = (self.serve.cpu()?, self.executor.cpu()?);
        Ok(Cpu { own: a.own + b.own, children: a.children + b.children })
    }

    /// Memory of server and executor.
    pub(super) fn pss(&self) -> anyhow::Result<u64> {
        Ok(self.serve.pss()? + self.executor.pss()?)
    }
}

/// Random text of 128 bits.
fn fresh() -> Secret<String> {
    let mut bytes = zeroize::Zeroizing::new([0; 16]);
    SystemIds::new().fill(bytes.as_mut());
    Secret::new(hex::encode(*bytes))
}
