//! The machine's `ip_forward`: switched on while some instance needs it, and back as it was when none does.
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rustix::fs::FlockOperation;

use super::super::Local;
use super::tools;

const SWITCH: &str = "/proc/sys/net/ipv4/ip_forward";

impl Local {
    /// Shared by all executors of the machine, as the switch is; each network namespace has a switch of its own.
    fn forwarders(&self) -> PathBuf {
        let number = fs::metadata("/proc/self/ns/net").map_or(0, |meta| meta.ino());
        self.layout.uids.with_file_name("forward").join(number.to_string())
    }

    /// Whether this instance has noted that it needs it.
    pub(super) fn is_forwarding(&self) -> bool {
        self.forwarders().join(&self.layout.instance).exists()
    }

    /// Makes sure that the machine passes packets on, and notes that this instance needs it.
    pub(super) fn forward_begin(&self) -> io::Result<()> {
        let own = self.forwarders().join(&self.layout.instance);
        let on = || fs::read_to_string(SWITCH).map(|text| text.trim() != "0");
        if own.exists() && on()? {
            return Ok(());
        }
        let _lock = self.lock_forward()?;
        if !on()? {
            fs::write(self.forwarders().join("was-off"), "")?;
            fs::write(SWITCH, "1")?;
            tracing::info!("{SWITCH} was 0 and is 1 while jobs have a network; it is set back after the last one");
        }
        if !own.exists() {
            if let Some(complaint) = dropping() {
                tracing::warn!("{complaint}");
            }
            fs::write(own, "")?;
        }
        Ok(())
    }

    /// This instance needs it no longer.
    pub(super) fn forward_end(&self) -> io::Result<()> {
        let dir = self.forwarders();
        let own = dir.join(&self.layout.instance);
        if !own.exists() {
            return Ok(());
        }
        let _lock = self.lock_forward()?;
        fs::remove_file(own)?;
        let others = fs::read_dir(&dir)?.flatten().any(|entry| entry.file_name().len() == 8);
        if others {
            return Ok(());
        }
        if dir.join("was-off").exists() {
            fs::write(SWITCH, "0")?;
            tracing::info!("{SWITCH} is 0 again");
        }
        fs::remove_dir_all(&dir)?;
        // Where another switch is in use, it holds that.
        let _used = dir.parent().map(fs::remove_dir);
        Ok(())
    }

    fn lock_forward(&self) -> io::Result<File> {
        // Beside the directory, which comes and goes: the lock of the leases is held by nobody for long.
        fs::create_dir_all(self.forwarders())?;
        let file = File::options().create(true).truncate(false).write(true).open(self.layout.uids.join("lock"))?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
        fs::create_dir_all(self.forwarders())?;
        Ok(file)
    }
}

/// What a firewall of the machine that drops passing packets means for jobs.
pub(super) fn dropping() -> Option<String> {
    let chains = tools::nft_list(&["list", "chains"]).ok()?;
    let table = drops_forward(&chains)?;
    Some(format!(
        "the firewall of this machine (nft table {table}) drops what passes through it: let it accept what comes from \
         and goes to links named {}*, or steps reach nobody",
        super::address::LINKS
    ))
}

/// The first table of `nft list chains` that has a chain which drops what passes.
fn drops_forward(chains: &str) -> Option<&str> {
    let mut table = "";
    for line in chains.lines() {
        if let Some(name) = line.strip_prefix("table ") {
            table = name.trim_end_matches(" {");
        } else if line.contains("hook forward") && line.contains("policy drop") {
            return Some(table);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firewall_that_drops_what_passes_is_named() {
        let docker = "table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n";
        assert_eq!(drops_forward(docker), Some("ip filter"));
        assert_eq!(drops_forward(&docker.replace("drop", "accept")), None);
    }
}
