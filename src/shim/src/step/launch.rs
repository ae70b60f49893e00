//! Starting the container by `crun run -d`.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use danube_shim::start::StepStart;
use danube_shim::{frame, sys};

/// How much of crun's complaint is repeated, in bytes.
const COMPLAINT_LIMIT: u64 = 4 << 10;

/// A container that runs, and the ends of its output.
pub(super) struct Container {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) stdout: File,
    pub(super) stderr: File,
    /// Of a service: a byte comes when it answers.
    pub(super) ready: Option<File>,
}

/// Starts the container; its first process becomes a child of this one. `third` is descriptor 3,
/// which carries the start frame into the container.
pub(super) fn launch(start: &StepStart, third: File) -> Result<Container, String> {
    let not_ready = |error: io::Error| format!("cannot prepare the step: {error}");
    let frame = frame::encode(&start.container).map_err(|error| error.to_string())?;
    let memory = sys::sealed_memory(&frame).map_err(not_ready)?;
    sys::place(&memory, 3).map_err(not_ready)?;
    drop(memory);
    let (stdout, stdout_in) = output_pipe().map_err(not_ready)?;
    let (mut stderr, stderr_in) = output_pipe().map_err(not_ready)?;
    let log = start.step_dir.join("crun.log");
    let pid_file = start.step_dir.join("pid");
    let mut crun = Command::new(&start.crun);
    crun.arg("--root").arg(&start.crun_root);
    crun.arg("--cgroup-manager=cgroupfs").arg("--log").arg(&log);
    crun.arg("run").arg("-d").arg("--pid-file").arg(&pid_file);
    crun.arg(if start.container.ready.is_some() { "--preserve-fds=2" } else { "--preserve-fds=1" });
    crun.arg("-b").arg(&start.bundle);
    crun.arg(&start.container_id);
    crun.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    if let Some(value) = std::env::var_os("XDG_RUNTIME_DIR") {
        crun.env("XDG_RUNTIME_DIR", value);
    }
    crun.stdin(Stdio::null()).stdout(stdout_in).stderr(stderr_in);
    let mut ready = None;
    if start.container.ready.is_some() {
        let (reader, writer) = io::pipe().map_err(not_ready)?;
        let reader = File::from(OwnedFd::from(reader));
        sys::set_nonblocking(reader.as_fd()).map_err(not_ready)?;
        sys::give(&mut crun, File::from(OwnedFd::from(writer)), 4);
        ready = Some(reader);
    }
    let spawned = crun.spawn();
    // Both hold ends of the pipes or of the frame, which belong to the container alone now.
    drop(crun);
    drop(third);
    let status = spawned
        .and_then(|mut child| child.wait())
        .map_err(|error| format!("cannot run {}: {error}", start.crun.display()))?;
    if !status.success() {
        let complaint = complaint(&log, &mut stderr);
        return Err(format!("the container could not be started: {complaint}"));
    }
    let text = fs::read_to_string(&pid_file).map_err(not_ready)?;
    let pid = text.trim().parse().map_err(|_| format!("crun wrote no process number into {}", pid_file.display()))?;
    let pidfd = sys::pidfd(pid).map_err(not_ready)?;
    Ok(Container { pid, pidfd, stdout, stderr, ready })
}

/// A pipe whose writing end may be opened again as /dev/stdout by any user of the container.
fn output_pipe() -> io::Result<(File, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    let writer = File::from(OwnedFd::from(writer));
    // Only processes of the container can reach it, and none of them can read it back.
    writer.set_permissions(Permissions::from_mode(0o222))?;
    let reader = File::from(OwnedFd::from(reader));
    sys::set_nonblocking(reader.as_fd())?;
    Ok((reader, writer.into()))
}

/// What crun said, without the time in front.
fn complaint(log: &std::path::Path, stderr: &mut File) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(log) {
        let length = file.metadata().map_or(0, |file| file.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(COMPLAINT_LIMIT)));
        let _ = file.take(COMPLAINT_LIMIT).read_to_end(&mut bytes);
    }
    if bytes.is_empty() {
        let mut buffer = [0; COMPLAINT_LIMIT as usize];
        let count = stderr.read(&mut buffer).unwrap_or(0);
        bytes.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(without_time).collect();
    match lines.is_empty() {
        true => "crun gave no reason".to_owned(),
        false => lines.join("; "),
    }
}

fn without_time(line: &str) -> &str {
    match line.split_once(": ") {
        Some((time, rest)) if time.starts_with("20") && time.ends_with('Z') => rest,
        _ => line,
    }
}
