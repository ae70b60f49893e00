//! What a shim and a container's first process are told, each by one frame on an inherited
//! descriptor. These types carry secrets: they have no `Debug` and go into no file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The version of the frames in this file.
pub const VERSION: u32 = 1;

/// Everything `danube-shim step` needs, on descriptor 3. Descriptors 4 and 5 are log and index, 6 is the user namespace
/// of [`StepStart::overlay`], where that asks for one.
#[derive(Clone, Serialize, Deserialize)]
pub struct StepStart {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// The OCI bundle, absolute.
    pub bundle: PathBuf,
    /// The name of the container for crun.
    pub container_id: String,
    /// The crun program, absolute.
    pub crun: PathBuf,
    /// crun's state directory (`--root`), absolute.
    pub crun_root: PathBuf,
    /// The step's directory (0700, root), absolute: lock, control socket, `rec/`.
    pub step_dir: PathBuf,
    /// Cgroup directories in which the counts of out-of-memory kills and of refused processes may be found.
    #[serde(default)]
    pub cgroups: Vec<PathBuf>,
    /// Whether crun must not see `/sys/fs/cgroup/unified`, which it cannot handle on hybrid hosts.
    #[serde(default)]
    pub hide_unified: bool,
    /// Who the shim becomes once the container runs; `None` keeps the user it was started as.
    #[serde(default)]
    pub drop: Option<Ids>,
    /// What must not appear in the log.
    #[serde(default)]
    pub patterns: Vec<Pattern>,
    /// The size at which the log is full, in bytes.
    pub log_limit: u64,
    /// Whether stdout is a secret: kept in `rec/captured` and not logged.
    #[serde(default)]
    pub capture_secret: bool,
    /// The frame that the container's first process gets.
    pub container: ContainerStart,
    /// Lines that Danube itself writes into the log first.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What a test wants to fail; the shim has no environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<crate::fault::Wish>,
    /// The bundle's root is put together from layers first; `None`: it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<crate::overlay::Overlay>,
}

/// A user and group of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// One secret value and the name that replaces it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pattern {
    /// The name that stands in the log instead of the value.
    pub name: String,
    /// The value.
    #[serde(with = "crate::base64")]
    pub value: Vec<u8>,
}

/// Everything `danube-shim init` needs, on descriptor 3 of the container's first process.
#[derive(Clone, Serialize, Deserialize)]
pub struct ContainerStart {
    /// The command; never empty.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Files that hold secrets; their contents lie in a tmpfs and end with the step.
    #[serde(default)]
    pub files: Vec<StartFile>,
    /// Where the command starts.
    pub workdir: PathBuf,
    /// The user within the container; `None` stays the container's root.
    #[serde(default)]
    pub uid: Option<u32>,
    /// The group within the container; `None` stays the container's root.
    #[serde(default)]
    pub gid: Option<u32>,
    /// A user as an image names one (`name`, `uid`, `uid:gid`), looked up in the container's own /etc/passwd and
    /// /etc/group; not beside `uid` and `gid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A service: what tells that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// An authority that the command trusts beside those of its image, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// The authorities that it trusts with that one where its image brings none, PEM. Empty: that one alone will do;
    /// `None`: it won't, and what the command trusts stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<String>,
}

/// Where distributions have the bundle of the authorities that they trust.
pub const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What is tried until it goes well; then one byte is written to descriptor 4.
#[derive(Clone, Serialize, Deserialize)]
pub struct Ready {
    /// A command in the service's container, with its environment and user; none: a connection.
    #[serde(default)]
    pub argv: Vec<String>,
    /// Where a connection is tried: `10.0.0.1:5432`.
    pub address: String,
}

/// One file of a step.
#[derive(Clone, Serialize, Deserialize)]
pub struct StartFile {
    /// Where it appears; relative paths are below the working directory.
    pub path: PathBuf,
    /// What it holds.
    #[serde(with = "crate::base64")]
    pub content: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = r#"{"version":1,"bundle":"/run/danube/b","container_id":"d-1","crun":"/usr/bin/crun","crun_root":"/run/danube/crun","step_dir":"/var/lib/danube/s","cgroups":["/sys/fs/cgroup/memory/d"],"hide_unified":true,"drop":{"uid":61184,"gid":61184},"patterns":[{"name":"TOKEN","value":"aHVudGVyMjI="}],"log_limit":1024,"capture_secret":false,"container":{"argv":["/bin/sh","-c","true"],"env":[["A","b"]],"files":[{"path":".netrc","content":"eA=="}],"workdir":"/workspace","uid":null,"gid":null},"notes":["danube: attempt 2"]}"#;

    #[test]
    fn version_1_of_the_start_frame_is_pinned() {
        let start: StepStart = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!(start.patterns[0].value, b"hunter22");
        assert_eq!(start.container.files[0].content, b"x");
        assert_eq!(serde_json::to_string(&start).unwrap(), GOLDEN);
    }

    #[test]
    fn only_a_test_puts_faults_into_the_frame() {
        let mut start: StepStart = serde_json::from_str(GOLDEN).unwrap();
        assert!(start.fault.is_none());
        start.fault = Some(crate::fault::Wish { faults: "shim.exit:kill".into(), hits: None });
        let text = serde_json::to_string(&start).unwrap();
        assert!(serde_json::from_str::<StepStart>(&text).unwrap().fault == start.fault);
    }

    #[test]
    fn fields_of_a_later_release_are_ignored() {
        let later = GOLDEN.replacen("{\"version\":1", "{\"later\":[1],\"version\":1", 1);
        assert!(serde_json::from_str::<StepStart>(&later).is_ok());
    }
}
