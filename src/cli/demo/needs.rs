//! What the machine must have, asked before anything starts.
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::cli::privileges;

/// The interpreter of the danubefile and of the program that is built.
const PYTHON: &str = "/usr/bin/python3";
/// Files that must be there, and the packages that bring them.
const FILES: &[(&str, &str)] = &[
    (PYTHON, "python3"),
    ("/usr/bin/gcc", "gcc"),
    ("/usr/include/stdio.h", "libc6-dev"),
    ("/usr/bin/git", "git"),
    ("/usr/bin/tar", "tar"),
    ("/usr/bin/gzip", "gzip"),
];
/// Prints the packages of Python that are missing. Isolated: what a user installed does not count.
const MODULES: &str = r#"
import importlib.util, os, sysconfig
header = os.path.join(sysconfig.get_path("include"), "Python.h")
for package, there in (
    ("python3-setuptools", importlib.util.find_spec("setuptools")),
    ("python3-wheel", importlib.util.find_spec("wheel")),
    ("python3-dev", os.path.exists(header)),
):
    if not there:
        print(package)
"#;

/// Refuses with what is missing and the line that installs it. Port 0 is any free one.
pub(super) fn check(port: u16) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("danube demo needs root, because it makes containers: try `sudo danube demo`");
    }
    let mut missing: Vec<String> =
        FILES.iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, name)| (*name).to_owned()).collect();
    if !in_path("crun") {
        missing.push("crun".to_owned());
    }
    if Path::new(PYTHON).exists() {
        missing.extend(python_packages()?);
    }
    if !missing.is_empty() {
        bail!("{}", complaint(&missing));
    }
    privileges::find_shim()?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
        format!("port {port} on 127.0.0.1 cannot be used: choose another with --port, or leave it out")
    })?;
    Ok(())
}

fn complaint(missing: &[String]) -> String {
    format!(
        "the demo builds a real program and lacks {} on this machine. Nothing was started. Install it first:\n\n    \
         apt-get install -y {}\n",
        missing.join(", "),
        missing.join(" ")
    )
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    std::env::split_paths(&path).map(|dir: PathBuf| dir.join(program)).any(|file| file.is_file())
}

fn python_packages() -> anyhow::Result<Vec<String>> {
    let output = Command::new(PYTHON).args(["-I", "-c", MODULES]).output().context("cannot run /usr/bin/python3")?;
    if !output.status.success() {
        bail!("{PYTHON} does not work: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_line_that_installs_it() {
        let text = complaint(&["gcc".to_owned(), "python3-wheel".to_owned()]);
        assert!(text.contains("lacks gcc, python3-wheel"), "{text}");
        assert!(text.contains("    apt-get install -y gcc python3-wheel\n"), "{text}");
    }

    #[test]
    fn a_program_that_nobody_has_is_not_found() {
        assert!(in_path("sh") && !in_path("no-such-program-as-this"));
    }
}
