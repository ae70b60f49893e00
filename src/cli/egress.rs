//! `danube egress`: which names a job needed.
use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;

use super::client::{Client, ClientError, Connection, JobName, command, read};
use super::say::{say, say_json};
use super::style::plain;
use super::trigger::unsaid;
use crate::model::egress::bad_name;
use crate::store::egress::DENIED;

/// Look at what jobs may reach
#[derive(Debug, Args)]
pub(super) struct EgressArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    Suggest(SuggestArgs),
}

/// Print the allowlist that a job needed, as YAML for its pipeline
///
/// Every name that its steps asked for stands there, those that were denied marked as such: look at each before you
/// take it over. Run again with the list, the job may ask for more.
#[derive(Debug, Args)]
struct SuggestArgs {
    /// The job: web#42, or its id
    job: JobName,
    /// Print JSON: the names in force, and each name that was asked for
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Egress {
    hosts: Vec<Host>,
}

#[derive(Deserialize)]
struct Host {
    name: String,
    verdict: String,
    steps: Vec<u32>,
    why: Option<String>,
    within_ceiling: bool,
    /// An older server says nothing of it.
    #[serde(default)]
    images_only: bool,
}

pub(super) fn run(args: &EgressArgs) -> anyhow::Result<ExitCode> {
    let Command::Suggest(suggest) = &args.command;
    command(&args.connection, |client| async move { self::suggest(&client, suggest).await })
}

async fn suggest(client: &Client, args: &SuggestArgs) -> Result<ExitCode, ClientError> {
    let answer: Value = client.fetch(args.job.get("/egress").newer("what a job asked for")).await?;
    if args.json {
        say_json(&answer).map_err(unsaid)?;
    } else {
        let egress: Egress = read(client, answer)?;
        say(&render(&egress.hosts)).map_err(ClientError::output)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn render(hosts: &[Host]) -> String {
    // The server asked, and needs no entry.
    let hosts: Vec<&Host> = hosts.iter().filter(|host| !host.images_only).collect();
    if hosts.is_empty() {
        return "# No step of this job asked for a name.\negress_allowlist: []\n".to_owned();
    }
    // A name may have been denied to one step and be allowed in the next attempt; the last word is "denied".
    let mut lines: BTreeMap<&str, String> = BTreeMap::new();
    let mut beyond = false;
    for host in &hosts {
        let denied = host.verdict == "denied";
        let steps: Vec<String> = host.steps.iter().map(u32::to_string).collect();
        let of = format!("step{} {}", if steps.len() == 1 { "" } else { "s" }, steps.join(", "));
        let mut remark = format!("{} {of}", if denied { "denied to" } else { "reached by" });
        if !host.within_ceiling {
            beyond = true;
            remark.push_str("; not covered by the Config document");
        }
        match &host.why {
            Some(alias) if bad_name(alias).is_none() => {
                lines.entry(alias).or_insert_with(|| format!("what {} leads to", host.name));
            }
            Some(why) => remark.push_str(&format!("; {why}")),
            None => {}
        }
        lines.insert(&host.name, remark);
    }
    let mut text = "# What the steps of this job asked for. Look at each name before you take it over.\n".to_owned();
    if beyond {
        text.push_str(
            "# Names that the Config document does not cover go into its egress_allowlist first, or no pipeline may have them.\n",
        );
    }
    let denied = hosts.iter().filter(|host| host.verdict == "denied").map(|host| host.steps.len()).sum::<usize>();
    if denied >= DENIED as usize {
        text.push_str(&format!("# No more than {DENIED} denied names of a job are kept: it asked for others too.\n"));
    }
    text.push_str("egress_allowlist:\n");
    let good = |name: &&&str| bad_name(name).is_none();
    let width = lines.keys().filter(good).map(|name| name.len()).max().unwrap_or(0);
    for (name, remark) in &lines {
        match bad_name(name) {
            None => text.push_str(&format!("  - {name:width$}  # {}\n", plain(remark))),
            Some(why) => text.push_str(&format!("  # {}: {why}; {}\n", plain(name), plain(remark))),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, verdict: &str, why: Option<&str>, within_ceiling: bool) -> Host {
        let why = why.map(str::to_owned);
        let (name, verdict) = (name.to_owned(), verdict.to_owned());
        Host { name, verdict, steps: vec![1, 3], why, within_ceiling, images_only: false }
    }

    #[test]
    fn the_list_is_yaml_with_every_name_and_what_became_of_it() {
        let hosts = [
            host("a.example.com", "allowed", None, true),
            host("b.example.com", "denied", Some("b.cdn.example.net"), true),
            host("c.example.com", "denied", None, false),
            host("\\027.example.com", "denied", None, false),
        ];
        let text = render(&hosts);
        let listed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  - ")).collect();
        assert_eq!(
            listed,
            [
                "a.example.com      # reached by steps 1, 3",
                "b.cdn.example.net  # what b.example.com leads to",
                "b.example.com      # denied to steps 1, 3",
                "c.example.com      # denied to steps 1, 3; not covered by the Config document",
            ]
        );
        assert!(text.contains("  # \\027.example.com: it is not a DNS name; denied"), "{text}");
        assert!(render(&[]).ends_with("egress_allowlist: []\n"));
        let image = Host { images_only: true, ..host("registry.example.com", "allowed", None, false) };
        assert!(render(&[image]).ends_with("egress_allowlist: []\n"), "the server fetched an image from there");
        assert!(!text.contains("are kept"), "{text}");
        let many: Vec<Host> = (0..1000).map(|n| host(&format!("n{n}.example.com"), "denied", None, true)).collect();
        assert!(render(&many).contains("# No more than 2000 denied names of a job are kept"));
    }
}
