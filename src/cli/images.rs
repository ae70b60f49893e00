//! `danube images`: the layers of images that this machine's executor keeps.
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::say::{say, say_json};
use super::style::{Look, table};
use crate::executor::remote::Client;
use crate::executor::{Executor as _, KeepLayers, StoredLayer};

/// Look at the layers of images that the executor of this machine keeps
#[derive(Debug, Args)]
pub(super) struct ImagesArgs {
    #[command(subcommand)]
    command: Command,
    /// Where the executor's socket lives
    #[arg(long, global = true, value_name = "DIR", default_value = "/run/danube/main")]
    run_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the layers, the one that was used last at the end
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove every layer that no job needs
    Prune {
        /// Print what was removed as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &ImagesArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(&args.run_dir.join("executor.sock"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        std::os::unix::net::UnixStream::connect(args.run_dir.join("executor.sock")).with_context(|| {
            format!(
                "no executor answers in {}: run this as root on the machine of the server; a server that was started by \
                 hand has its own directory in /run/danube, named by --run-dir",
                args.run_dir.display()
            )
        })?;
        match args.command {
            Command::List { json } => {
                let layers = client.layers().await?;
                match json {
                    true => say_json(&layers)?,
                    false => say(&shown(&layers))?,
                }
            }
            Command::Prune { json } => {
                let gone = client.evict_layers(KeepLayers { bytes: 0, seconds: 0 }).await?;
                match json {
                    true => say_json(&gone)?,
                    false => say(&format!("removed {} layers, {}\n", gone.len(), size(&gone)))?,
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn shown(layers: &[StoredLayer]) -> String {
    let row = |layer: &StoredLayer| {
        let used = jiff::Timestamp::from_second(layer.used_at).map(|at| at.to_string()).unwrap_or_default();
        let needed = if layer.in_use { "yes" } else { "" };
        let bytes = size(std::slice::from_ref(layer));
        [layer.digest.as_str().into(), bytes.into(), used.into(), needed.into()]
    };
    let rows: Vec<_> = layers.iter().map(row).collect();
    let text = table(["LAYER", "SIZE", "USED", "NEEDED"], &rows, Look::of(&std::io::stdout()));
    format!("{text}{} layers, {}\n", layers.len(), size(layers))
}

fn size(layers: &[StoredLayer]) -> String {
    let bytes: u64 = layers.iter().map(|layer| layer.bytes).sum();
    format!("{:.1} MB", bytes as f64 / 1e6)
}
