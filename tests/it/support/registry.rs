//! A registry of the world, on loopback: where mirrors lead.
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::server::until;

/// The distribution's `docker-registry`, open to all, gone when dropped.
pub(crate) struct World {
    child: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("it-world-").tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let data = dir.path().join("data");
        let config = dir.path().join("world.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n",
            data.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        until("the world's registry answers", || TcpStream::connect(&address).ok());
        Self { child, address, _dir: dir }
    }

    /// Pushes an OCI layout.
    pub(crate) fn push(&self, layout: &Path, name: &str) {
        let output = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "-q", "--dest-tls-verify=false"])
            .arg(format!("oci:{}", layout.display()))
            .arg(format!("docker://{}/{name}", self.address))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A line of the global Config that makes this the mirror of a host.
    pub(crate) fn mirrors(&self, host: &str) -> String {
        format!("  registries: [{{host: {host}, mirrors: [\"http://{}\"]}}]\n", self.address)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
