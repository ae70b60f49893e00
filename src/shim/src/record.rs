//! The records of a step in `rec/` of its directory: `started` before the container, `exit` after
//! it. Neither is ever there in part, and both survive a loss of power.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{fault, sys};

/// The version of the records this release writes.
pub const VERSION: u32 = 1;

/// The name of the flag that says the log's limit was reached.
pub const OVERFLOW: &str = "overflow";
/// The name of the flag that says the disk of the log has no room left.
pub const DISK_FULL: &str = "disk-full";
/// The name of the flag that says a service answers.
pub const READY: &str = "ready";
/// The name of the file that holds a captured secret.
pub const CAPTURED: &str = "captured";
/// The most that is captured as a secret, in bytes.
pub const CAPTURED_LIMIT: usize = 64 << 10;

const RECORD_LIMIT: u64 = 64 << 10;

/// The step may have run from here on: it is never started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// The shim's process.
    pub pid: u32,
    /// When, in nanoseconds since 1970.
    pub at_ns: i64,
}

/// How the step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// The exit code of the container's first process; 128 + signal when it was killed; -1 when it
    /// never ran.
    pub exit_code: i32,
    /// The signal that killed the container's first process.
    pub signal: Option<i32>,
    /// How many processes of the step were killed for lack of memory.
    pub oom_kills: u64,
    /// How often a new process was refused, because there were as many as the step may have.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pids_refused: u64,
    /// The length of the log when the step ended.
    pub log_bytes: u64,
    /// Whether output is missing from the log.
    pub log_truncated: bool,
    /// When the container was asked for, in nanoseconds since 1970.
    pub started_ns: i64,
    /// When its first process ended, in nanoseconds since 1970.
    pub ended_ns: i64,
    /// Why there is no honest exit code, in a sentence for the user.
    pub error: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The `rec/` directory, held open so that it can be written after privileges are gone.
pub struct Records {
    dir: File,
    path: PathBuf,
}

/// Why a record could not be read or written.
#[derive(Debug)]
pub enum RecordError {
    /// The file system said no.
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is not a record.
    Malformed {
        /// Which file.
        path: PathBuf,
    },
    /// The record is of a later release.
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { what, path, source } => {
                write!(f, "cannot {what} {}: {source}", path.display())
            }
            Self::Malformed { path } => {
                write!(f, "{} is not a record of a step; it was damaged or written by something else", path.display())
            }
            Self::Newer { path, version } => write!(
                f,
                "{} has version {version}, this release reads up to {VERSION}; upgrade danube",
                path.display()
            ),
        }
    }
}

impl std::error::Error for RecordError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Records {
    /// The directory of a step's records below the step's own.
    pub fn path_in(step_dir: &Path) -> PathBuf {
        step_dir.join("rec")
    }

    /// Opens the records of a step.
    pub fn open(step_dir: &Path) -> Result<Self, RecordError> {
        let path = Self::path_in(step_dir);
        match File::open(&path) {
            Ok(dir) => Ok(Self { dir, path }),
            Err(source) => Err(RecordError::Io { what: "open", path, source }),
        }
    }

    /// The start record, if the step was started.
    pub fn started(&self) -> Result<Option<Started>, RecordError> {
        self.read("started")
    }

    /// The exit record, if the step has ended.
    pub fn exit(&self) -> Result<Option<Exit>, RecordError> {
        self.read("exit")
    }

    /// Writes the start record; durable when it returns.
    pub fn write_started(&self, record: &Started) -> Result<(), RecordError> {
        self.write_json("shim.started", "started", record)
    }

    /// Writes the exit record; durable when it returns.
    pub fn write_exit(&self, record: &Exit) -> Result<(), RecordError> {
        self.write_json("shim.exit", "exit", record)
    }

    /// Sets the flag that the log's limit was reached.
    pub fn set_overflow(&self) -> Result<(), RecordError> {
        self.replace("shim.overflow", OVERFLOW, b"")
    }

    /// Whether the log's limit was reached.
    pub fn overflowed(&self) -> bool {
        fs::exists(self.path.join(OVERFLOW)).unwrap_or(false)
    }

    /// Sets the flag that the disk of the log has no room left.
    pub fn set_disk_full(&self) -> Result<(), RecordError> {
        self.replace("shim.disk_full", DISK_FULL, b"")
    }

    /// Whether the disk of the log had no room left.
    pub fn disk_was_full(&self) -> bool {
        fs::exists(self.path.join(DISK_FULL)).unwrap_or(false)
    }

    /// Sets the flag that a service answers.
    pub fn set_ready(&self) -> Result<(), RecordError> {
        self.replace("shim.ready", READY, b"")
    }

    /// Whether a service has answered.
    pub fn is_ready(&self) -> bool {
        fs::exists(self.path.join(READY)).unwrap_or(false)
    }

    /// Keeps what a step printed as a secret; durable when it returns.
    pub fn write_captured(&self, bytes: &[u8]) -> Result<(), RecordError> {
        self.replace("shim.captured", CAPTURED, bytes)
    }

    /// What the step printed as a secret, if it was started to do so.
    pub fn captured(&self) -> Result<Option<Vec<u8>>, RecordError> {
        self.read_bytes(CAPTURED)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, RecordError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Some(bytes) = self.read_bytes(name)? else {
            return Ok(None);
        };
        let malformed = |_| RecordError::Malformed { path: self.path.join(name) };
        let Versioned { version } = serde_json::from_slice(&bytes).map_err(malformed)?;
        if version > VERSION {
            return Err(RecordError::Newer { path: self.path.join(name), version });
        }
        serde_json::from_slice(&bytes).map(Some).map_err(malformed)
    }

    fn read_bytes(&self, name: &str) -> Result<Option<Vec<u8>>, RecordError> {
        let failed = |source| RecordError::Io { what: "read", path: self.path.join(name), source };
        let file = match sys::open_at(&self.dir, name.as_ref(), libc::O_RDONLY, 0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(RECORD_LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > RECORD_LIMIT {
            return Err(RecordError::Malformed { path: self.path.join(name) });
        }
        Ok(Some(bytes))
    }

    fn write_json(&self, point: &'static str, name: &str, record: &impl Serialize) -> Result<(), RecordError> {
        let bytes = serde_json::to_vec(record).map_err(|error| RecordError::Io {
            what: "write",
            path: self.path.join(name),
            source: error.into(),
        })?;
        self.replace(point, name, &bytes)
    }

    fn replace(&self, point: &'static str, name: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let write = || {
            let temporary = format!("{name}.tmp");
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
            let mut file = sys::open_at(&self.dir, temporary.as_ref(), flags, 0o600)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            sys::rename_at(&self.dir, temporary.as_ref(), name.as_ref())?;
            self.dir.sync_all()
        };
        fault::around(point, write).map_err(|source| RecordError::Io {
            what: "write",
            path: self.path.join(name),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> (tempfile::TempDir, Records) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rec")).unwrap();
        let records = Records::open(dir.path()).unwrap();
        (dir, records)
    }

    fn exit() -> Exit {
        Exit {
            version: 1,
            exit_code: 137,
            signal: Some(9),
            oom_kills: 2,
            pids_refused: 0,
            log_bytes: 10,
            log_truncated: true,
            started_ns: 1,
            ended_ns: 2,
            error: Some("no".into()),
        }
    }

    #[test]
    fn version_1_of_the_records_is_pinned() {
        let (dir, records) = records();
        let started = Started { version: 1, pid: 7, at_ns: 5 };
        records.write_started(&started).unwrap();
        records.write_exit(&exit()).unwrap();
        let text = |name| fs::read_to_string(dir.path().join("rec").join(name)).unwrap();
        assert_eq!(text("started"), r#"{"version":1,"pid":7,"at_ns":5}"#);
        assert_eq!(
            text("exit"),
            r#"{"version":1,"exit_code":137,"signal":9,"oom_kills":2,"log_bytes":10,"log_truncated":true,"started_ns":1,"ended_ns":2,"error":"no"}"#
        );
        assert_eq!(records.started().unwrap(), Some(started));
        assert_eq!(records.exit().unwrap(), Some(exit()));
        // A count that a later writer added, where there is one.
        let refused = Exit { pids_refused: 3, ..exit() };
        records.write_exit(&refused).unwrap();
        assert!(text("exit").contains(r#""oom_kills":2,"pids_refused":3,"#));
        assert_eq!(records.exit().unwrap(), Some(refused));
    }

    #[test]
    fn a_step_that_has_not_ended_has_no_exit_record() {
        let (_dir, records) = records();
        assert_eq!(records.exit().unwrap(), None);
        assert!(!records.overflowed());
    }

    #[test]
    fn a_half_written_record_is_not_seen() {
        let (dir, records) = records();
        fs::write(dir.path().join("rec/exit.tmp"), b"{\"version\":1,\"ex").unwrap();
        assert_eq!(records.exit().unwrap(), None);
        records.write_exit(&exit()).unwrap();
        assert_eq!(records.exit().unwrap(), Some(exit()));
    }

    #[test]
    fn a_record_of_a_later_release_says_so() {
        let (dir, records) = records();
        fs::write(dir.path().join("rec/exit"), b"{\"version\":2}").unwrap();
        let error = records.exit().unwrap_err();
        assert!(matches!(error, RecordError::Newer { version: 2, .. }));
    }

    #[test]
    fn damage_is_an_error_that_names_the_file() {
        let (dir, records) = records();
        fs::write(dir.path().join("rec/exit"), vec![b'{'; 1 << 17]).unwrap();
        assert!(records.exit().unwrap_err().to_string().contains("rec/exit"));
    }
}
