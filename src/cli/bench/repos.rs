//! The two repositories of a bench: two teams and their pipelines, and the danubefiles they run.
use std::fmt::Write as _;
use std::fs;

use crate::cli::ground::{Place, address, git};

/// The name of the secret that signs deliveries.
pub(super) const WEBHOOK_SECRET: &str = "BENCH_WEBHOOK";
/// The teams.
pub(super) const TEAMS: [&str; 2] = ["red", "blue"];

/// What a bench needs of a server.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    /// The pipelines.
    pub(super) pipelines: Vec<Job>,
    /// Jobs that run at once; none: what the product does by itself.
    pub(super) running: Option<u32>,
    /// Nothing waits for the disk.
    pub(super) without_sync: bool,
    /// Registries of images, by host and port.
    pub(super) registries: Vec<String>,
}

/// A pipeline and its danubefile.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// Its name, which is also that of its danubefile.
    pub(super) name: String,
    /// Its team.
    pub(super) team: &'static str,
    /// The danubefile.
    pub(super) script: String,
    /// The secrets it may read.
    pub(super) secrets: Vec<String>,
}

impl Job {
    /// A pipeline of the first team without secrets.
    pub(super) fn new(name: &str, script: String) -> Self {
        Self { name: name.to_owned(), team: TEAMS[0], script, secrets: Vec::new() }
    }
}

/// A danubefile that runs a command so many times, one after the other.
pub(super) fn steps(command: &str, times: u64) -> String {
    let command = serde_json::Value::from(command);
    format!(
        "from danube import pipeline, step\n\n\n@pipeline(name=\"bench\")\ndef build() -> None:\n    \
         for n in range({times}):\n        \
         step.run({command}, name=f\"step {{n}}\", image=\"host\", network=False)\n"
    )
}

/// Makes both repositories and danube.toml.
pub(super) fn make(place: &Place, plan: &Plan) -> anyhow::Result<()> {
    let program = place.path().join("program.git");
    let checkout = place.path().join("program");
    fs::create_dir(&checkout)?;
    fs::write(checkout.join("README"), "Run by danube bench.\n")?;
    for job in &plan.pipelines {
        fs::write(checkout.join(format!("{}.py", job.name)), &job.script)?;
    }
    git::repository(&program, &checkout, "Danubefiles of a bench")?;
    git::push(&checkout)?;

    let config = place.path().join("config");
    fs::create_dir_all(config.join("pipelines"))?;
    fs::write(config.join("config.yaml"), global(plan))?;
    fs::write(config.join("users.yaml"), document("User", "ada", "  email: ada@example.com\n"))?;
    let team = |name: &&str| document("Team", name, "  members: [ada@example.com]\n  global_admin: true\n");
    fs::write(config.join("teams.yaml"), TEAMS.iter().map(team).collect::<Vec<_>>().join("---\n"))?;
    for job in &plan.pipelines {
        let text = pipeline(job, &address(&program));
        fs::write(config.join(format!("pipelines/{}.yaml", job.name)), text)?;
    }
    git::repository(&place.config_repo(), &config, "Two teams and their pipelines")?;
    git::push(&config)?;
    let toml = include_str!("danube.toml").replace("@CONFIG_REPO@", &address(&place.config_repo()));
    Ok(fs::write(place.toml(), toml)?)
}

fn document(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: danube.dev/v1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n{spec}")
}

fn global(plan: &Plan) -> String {
    let mut spec = format!("  webhooks:\n    - forge: github\n      secret: {WEBHOOK_SECRET}\n");
    if let Some(running) = plan.running {
        let _infallible = write!(spec, "  concurrency:\n    max_running_jobs: {running}\n");
    }
    if !plan.registries.is_empty() {
        let _infallible = writeln!(spec, "  registries:");
    }
    for host in &plan.registries {
        let _infallible = writeln!(spec, "    - host: \"{host}\"");
    }
    document("Config", "global", &spec)
}

fn pipeline(job: &Job, repository: &str) -> String {
    let Job { name, team, secrets, .. } = job;
    let mut text = format!(
        "apiVersion: danube.dev/v1\nkind: Pipeline\nmetadata:\n  name: {name}\n  team: {team}\nspec:\n  \
         repository: \"{repository}\"\n  script: {name}.py\n  triggers:\n    - on: manual\n"
    );
    if !secrets.is_empty() {
        text += "  secrets:\n";
        for key in secrets {
            let _infallible = writeln!(text, "    - key: {key}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_repo::{check, from_dir};
    use crate::platform::SystemIds;

    #[test]
    fn the_configuration_has_no_mistakes() {
        let place = Place::make("danube-bench-test", None, &SystemIds::new()).unwrap();
        let with_secret = Job { secrets: vec!["ONE".to_owned()], ..Job::new("log", steps("echo \"hello\"", 2)) };
        let plan = Plan {
            pipelines: vec![with_secret],
            running: Some(7),
            registries: vec!["127.0.0.1:5000".into()],
            ..Plan::default()
        };
        make(&place, &plan).unwrap();
        let settings = check(from_dir(&place.path().join("config")).unwrap()).unwrap();
        assert_eq!((settings.global.max_running_jobs, settings.teams.len()), (7, 2));
        assert_eq!(settings.global.registries[0].host, "127.0.0.1:5000");
        assert_eq!((settings.pipelines[0].script.as_str(), settings.pipelines[0].secrets.len()), ("log.py", 1));
        place.remove().unwrap();
    }
}
