//! `ip` and `nft`, in the network of the thread that calls.
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

const NFT: [&str; 2] = ["/usr/sbin/nft", "/sbin/nft"];
const IP: [&str; 3] = ["/usr/sbin/ip", "/sbin/ip", "/bin/ip"];

/// Where a tool is.
fn place(places: &[&'static str]) -> Option<&'static str> {
    places.iter().copied().find(|place| Path::new(place).exists())
}

/// Why this machine gives no networks, where it does not.
pub(super) fn missing() -> Option<String> {
    for (places, package) in [(&NFT[..], "nftables"), (&IP[..], "iproute2")] {
        if place(places).is_none() {
            return Some(format!("{} is not installed; install the package {package}", places[0]));
        }
    }
    None
}

/// Carries out a transaction: all of it or nothing.
pub(super) fn nft(text: &str) -> io::Result<()> {
    run(place(&NFT).unwrap_or(NFT[0]), &["-f", "-"], text).map(|_| ())
}

/// What `nft` lists.
pub(super) fn nft_list(args: &[&str]) -> io::Result<String> {
    run(place(&NFT).unwrap_or(NFT[0]), args, "")
}

/// Lines of `ip`, one after the other; the first that fails ends it.
pub(super) fn ip(lines: &str) -> io::Result<()> {
    run(place(&IP).unwrap_or(IP[0]), &["-batch", "-"], lines).map(|_| ())
}

/// The links of a network, one a line.
pub(super) fn ip_show() -> io::Result<String> {
    run(place(&IP).unwrap_or(IP[0]), &["-o", "link", "show"], "")
}

fn run(program: &str, args: &[&str], input: &str) -> io::Result<String> {
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends early says why below.
        let _gone = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let name = program.rsplit('/').next().unwrap_or(program);
    Err(io::Error::other(format!("{name}: {}", said.lines().next().unwrap_or("it failed and said nothing"))))
}

/// IPv6 is not filtered, so it is not there, but for `::1`.
pub(super) fn quiet_ipv6() -> io::Result<()> {
    for (which, value) in [("all", "1"), ("default", "1"), ("lo", "0")] {
        let path = format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6");
        match std::fs::write(&path, value) {
            // A kernel without IPv6.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
