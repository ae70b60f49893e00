//! `/etc/hosts` and `/etc/resolv.conf` of a container: made for it, and shown read-only.
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use super::plan::Bind;
use crate::executor::HostEntry;

/// Writes both below `bundle`; what shows them in the container.
pub(super) fn make(bundle: &Path, hosts: &[HostEntry], dns: Option<Ipv4Addr>) -> io::Result<Vec<Bind>> {
    let dir = bundle.join("etc");
    fs::create_dir(&dir)?;
    let files = [("hosts", self::hosts(hosts)), ("resolv.conf", resolv_conf(dns))];
    files
        .into_iter()
        .map(|(name, text)| {
            let path = dir.join(name);
            fs::write(&path, text)?;
            Ok(Bind::file(&path, &format!("/etc/{name}")))
        })
        .collect()
}

fn hosts(entries: &[HostEntry]) -> String {
    let mut text = "127.0.0.1 localhost step\n::1 localhost\n".to_owned();
    for entry in entries {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{} {}", entry.address, entry.names.join(" "));
    }
    text
}

/// A question that a restarting master leaves open is asked again every two seconds.
fn resolv_conf(dns: Option<Ipv4Addr>) -> String {
    match dns {
        Some(address) => format!("nameserver {address}\noptions timeout:2 attempts:5 ndots:1\n"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_finds_its_names_and_its_nameserver() {
        let entry = HostEntry { address: Ipv4Addr::new(127, 0, 0, 5), names: vec!["a".to_owned(), "b.c".to_owned()] };
        assert!(hosts(&[entry]).ends_with("\n127.0.0.5 a b.c\n"));
        assert!(resolv_conf(Some(Ipv4Addr::new(127, 1, 0, 1))).starts_with("nameserver 127.1.0.1\n"));
        assert_eq!(resolv_conf(None), "");
    }
}
