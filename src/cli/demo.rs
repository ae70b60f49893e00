//! `danube demo`: a server, a push, a real build, an attestation and its check, on one screen.
mod follow;
mod needs;
mod paths;
mod proof;
mod repos;
mod show;

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use tokio::task::block_in_place;

use super::ground::{self, Api, Options, Place, Server, git};
use crate::model::Secret;
use crate::model::job::Status;
use crate::platform::SystemIds;
use follow::Job;
use show::{Colour, Show, clean};

/// Build, test, attest and verify a real program on a server of its own, while you watch
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// End with the job's result instead of keeping the console up
    #[arg(long)]
    exit: bool,
    /// The port of the console on 127.0.0.1 [default: a free one]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Put everything into this directory and leave it there
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub(super) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    needs::check(args.port)?;
    // The server reads the repositories as another user, whatever this shell's mask is.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(demo(args))
}

async fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let mut stop = pin!(super::serve::interrupted());
    let mut demo = Demo {
        place: Place::make("danube-demo", args.keep.as_deref(), &SystemIds::new())?,
        show: Show::start(),
        server: None,
        password: repos::fresh(&SystemIds::new()),
    };
    // First the ear for Ctrl-C, then the work: what was begun is always cleared away.
    let ended = tokio::select! {
        biased;
        () = &mut stop => Ended::Stopped,
        played = demo.play(args) => played.map_or_else(Ended::Failed, |()| Ended::Well),
    };
    let ended = match ended {
        Ended::Well if !args.exit => tokio::select! {
            biased;
            () = &mut stop => Ended::Well,
            failed = demo.server_gone() => Ended::Failed(failed),
        },
        ended => ended,
    };
    match &ended {
        Ended::Well => {}
        Ended::Stopped => demo.show.print("\nStopped before the end."),
        Ended::Failed(error) => demo.complain(error),
    }
    let cleared = demo.clear().await;
    Ok(if matches!(ended, Ended::Well) && cleared { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How a demo ended.
enum Ended {
    /// The job succeeded and its attestation holds.
    Well,
    /// A person or the machine wanted the end.
    Stopped,
    /// Something did not work.
    Failed(anyhow::Error),
}

struct Demo {
    place: Place,
    show: Show,
    server: Option<Server>,
    password: Secret<String>,
}

impl Demo {
    /// All stages; fine only where the job succeeded and its attestation holds.
    async fn play(&mut self, args: &DemoArgs) -> anyhow::Result<()> {
        let Self { place, show, server, password } = self;
        show.print(&show.bold("Danube: a push becomes a tested and attested artifact"));
        show.stage("Two Git repositories");
        block_in_place(|| repos::configuration(place, password).and_then(|()| repos::program(place)))?;
        show.line(&format!("{}  users, a team, a pipeline", place.config_repo().display()));
        show.line(&format!("{}  simplejson 3.19.2 and a danubefile.py", paths::program_repo(place).display()));
        show.done("made");

        show.stage("A server");
        let server = server.insert(Server::start(place, Options { port: args.port, ..Options::default() })?);
        let address = server.address(place).await?;
        let uid = std::fs::metadata(place.data())?.uid();
        show.done(&format!("danube serve at http://{address}, as the unprivileged user {uid}"));

        show.stage("Configuration from Git");
        let api = Api::new(&ground::socket(place))?;
        let secret = repos::fresh(&SystemIds::new());
        api.put_secret(&format!("/api/v1/secrets/global/{}", repos::WEBHOOK_SECRET), &secret).await?;
        let commit = ground::in_force(&api, server).await?;
        show.done(&format!("commit {} is in force, the webhook's secret is stored", short(&commit)));

        show.stage("A push");
        let job = pushed(place, show, &api, server, address, &secret).await?;

        show.stage(&format!("Job {}#{} in containers without network", repos::PIPELINE, job.number));
        let job = follow::follow(&api, show, &job.id).await?;
        if job.status != Status::Success {
            bail!("the job ended as {}", job.ending());
        }
        show.done(&job.ending());

        show.stage("Proof of what was built, from what, by whom");
        proof::prove(&api, show, server, place, &job).await?;
        show.done("attested and verified");
        if !args.exit {
            welcome(place, show, &api, address, password).await?;
        }
        Ok(())
    }

    /// Waits for the end of the server, which nobody asked for.
    async fn server_gone(&mut self) -> anyhow::Error {
        let Some(server) = &mut self.server else { return anyhow!("there is no server") };
        match server.end().await {
            Ok(status) => anyhow!("the server ended by itself ({status})"),
            Err(error) => error,
        }
    }

    fn complain(&self, error: &anyhow::Error) {
        self.show.print(&format!("\n{} {error:#}", self.show.paint("✗ The demo failed:", Colour::Red)));
        let words = ground::last_words(&self.place.server_log());
        if !words.is_empty() {
            self.show.print("The end of the server's log:");
            words.iter().for_each(|line| self.show.line(line));
        }
    }

    /// Ends and removes everything; true: nothing is left.
    async fn clear(mut self) -> bool {
        self.show.passing("stopping the server and removing everything");
        let complaints = ground::clear(&self.place, self.server.take()).await;
        for complaint in &complaints {
            self.show.print(&format!("{} {complaint}", self.show.paint("✗", Colour::Red)));
        }
        let path = self.place.path().display();
        if complaints.is_empty() && self.place.is_kept() {
            self.show.print(&format!("\nThe server has stopped; {path} is kept."));
        } else if complaints.is_empty() {
            self.show.print(&format!("\nThe server has stopped, {path} is removed."));
        }
        complaints.is_empty()
    }
}

/// Pushes, and waits for the job that the hook's delivery makes.
async fn pushed(
    place: &Place,
    show: &Show,
    api: &Api,
    server: &mut Server,
    address: SocketAddr,
    secret: &Secret<String>,
) -> anyhow::Result<Job> {
    let said = block_in_place(|| {
        repos::hook(place, address, secret)?;
        git::push(&paths::checkout(place))
    })?;
    show.line(&format!("git push to simplejson.git; its hook sent a signed webhook, {}", clean(&said.join(" "))));
    let job = server
        .until("the push made a job", Duration::from_secs(60), async || {
            let mut answer = api.get(&format!("/api/v1/jobs?pipeline={}", repos::PIPELINE)).await?;
            match answer["jobs"].as_array_mut().and_then(|jobs| jobs.pop()) {
                Some(job) => Ok(Some(serde_json::from_value::<Job>(job).context("the job cannot be read")?)),
                None => Ok(None),
            }
        })
        .await
        .with_context(|| format!("the webhook was answered: {}", clean(&said.join(" "))))?;
    show.done(&format!("commit {} started job {}#{}", short(&job.commit), repos::PIPELINE, job.number));
    Ok(job)
}

/// The way in, and what else can be tried.
async fn welcome(
    place: &Place,
    show: &Show,
    api: &Api,
    address: SocketAddr,
    password: &Secret<String>,
) -> anyhow::Result<()> {
    let link = api.post("/api/v1/login-links").await?;
    let link = link["url"].as_str().context("the server made no login link")?;
    show.print(&format!("\n{}", show.bold("Look around")));
    show.line(&format!("console, logged in once:  {}", show.paint(link, Colour::Green)));
    show.line(&format!("and later:                http://{address}/login  {}  {}", repos::EMAIL, password.expose()));
    if std::env::var_os("SSH_CONNECTION").is_some() {
        let port = address.port();
        show.line(&format!("from your own computer:   ssh -L {port}:127.0.0.1:{port} <this machine>, then the link"));
    }
    show.line(&format!(
        "push again:               cd {}, change, git commit, git push",
        paths::checkout(place).display()
    ));
    show.line(&format!("verify again:             {}", proof::command(place)?));
    show.print("\nCtrl-C stops the server and removes everything.");
    Ok(())
}

fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}
