//! Caches of steps: content by digest below `caches/`, and the directories of a job that hold it while the job lives.
//!
//! The bytes are packed and unpacked by helpers in the job's own user namespace. Here they are only counted, hashed and
//! given a name; a name is the digest of its bytes, so nothing that is cut short, torn by a power loss or changed on
//! disk is ever restored.
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::Local;
use super::job::{io_error, make_dir, remove_tree};
use super::plan::{Bind, workspace};
use super::policy::user;
use crate::executor::{
    CacheBlob, CacheFill, CacheFilled, CacheMount, CachePlace, CacheRoot, CacheTake, CacheTaken, ExecutorError, StepAt,
};
use crate::model::JobId;
use crate::model::cache::CachePath;
use crate::platform::{atomic, fault};

/// Where a helper sees the job's own directory of a cache.
const OWN: &str = "/danube/cache";
/// Paths of one cache.
const PATHS: usize = 16;
/// What a tar has beside the bytes of a file: two headers where a name is long, and what fills its last block.
const AROUND: u64 = 4096;
const CHUNK: usize = 256 << 10;

impl Local {
    /// Fills a cache of a job, once: whoever asks again, and every later step, finds what is there.
    pub fn cache_restore(&self, job: JobId, fill: &CacheFill) -> Result<CacheFilled, ExecutorError> {
        let (uid, gid) = user(fill.user.as_deref())?;
        let (uid, gid) = if self.rootless { (0, 0) } else { (uid.unwrap_or(0), gid.unwrap_or(0)) };
        check(&fill.place)?;
        let blob = fill.digest.as_deref().map(|digest| self.blob(digest)).transpose()?;
        let lock = self.cache_lock(job, &fill.place.id);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = self.layout.cache_mark(job, &fill.place.id);
        if let Ok(text) = fs::read(&mark) {
            let known = serde_json::from_slice::<(StepAt, CacheFilled)>(&text).ok();
            return Ok(known.filter(|(at, _)| *at == fill.at).map_or(CacheFilled::Here, |(_, filled)| filled));
        }
        let filled = match (blob, fill.digest.as_deref()) {
            (Some(path), Some(digest)) => self.fill(job, &fill.place, (uid, gid), (&path, digest))?,
            _ => self.empty(job, &fill.place, (uid, gid)).map(|()| CacheFilled::Empty)?,
        };
        let text = serde_json::to_vec(&(fill.at, &filled)).map_err(|e| ExecutorError::Start(e.to_string()))?;
        atomic::write("executor.cache_filled", &mark, &text, 0o600).map_err(|e| io_error("note a filled cache", &e))?;
        Ok(filled)
    }

    fn fill(
        &self,
        job: JobId,
        place: &CachePlace,
        owner: (u32, u32),
        (path, digest): (&Path, &str),
    ) -> Result<CacheFilled, ExecutorError> {
        self.empty(job, place, owner)?;
        let mut content = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(CacheFilled::Missing),
            opened => opened.map_err(|e| io_error("read a cache", &e))?,
        };
        match hash(&mut content, &mut io::sink(), u64::MAX) {
            Ok((found, bytes)) if found == digest => {
                io::Seek::rewind(&mut content).map_err(|e| io_error("read a cache", &e))?;
                let (uid, gid) = (owner.0.to_string(), owner.1.to_string());
                match self.cache_helper(job, place, &["cache-restore", OWN, &uid, &gid], content.into(), Stdio::null())
                {
                    Ok(_) => Ok(CacheFilled::Restored { bytes }),
                    Err(ExecutorError::User(reason)) => {
                        // Half of a cache is none.
                        self.empty(job, place, owner)?;
                        Ok(CacheFilled::Refused { reason })
                    }
                    Err(error) => Err(error),
                }
            }
            result => {
                let error = result.err().map_or_else(|| "its digest is another".to_owned(), |e| e.to_string());
                tracing::warn!(digest, error, "a stored cache is damaged; it is removed");
                self.cache_remove(&[digest.to_owned()])?;
                Ok(CacheFilled::Damaged)
            }
        }
    }

    /// The directories of a cache, with nothing in them.
    fn empty(&self, job: JobId, place: &CachePlace, (uid, gid): (u32, u32)) -> Result<(), ExecutorError> {
        let users = self.users_of(job)?;
        let dir = self.layout.job_cache(job, &place.id);
        let make = || {
            make_dir(&self.layout.job_caches(job), 0o711)?;
            remove_tree(&dir)?;
            make_dir(&dir, 0o711)?;
            chown(&dir, Some(users.host(0)), Some(users.host(0)))?;
            for number in (0..place.paths.len()).filter(|number| place.paths[*number] == CacheRoot::Own) {
                let path = dir.join(number.to_string());
                make_dir(&path, 0o755)?;
                chown(&path, Some(users.host(uid)), Some(users.host(gid)))?;
            }
            Ok(())
        };
        make().map_err(|e: io::Error| io_error("make the directories of a cache", &e))
    }

    /// Stores what is in a cache of a job, unless it is what was restored or stored last.
    pub fn cache_save(&self, job: JobId, take: &CacheTake) -> Result<CacheTaken, ExecutorError> {
        check(&take.place)?;
        let lock = self.cache_lock(job, &take.place.id);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.layout.cache_mark(job, &take.place.id).exists() {
            return Err(ExecutorError::Lost(format!("job {job} has no such cache on this machine")));
        }
        let half = self.layout.caches().join(format!(".{job}-{}.tmp", take.place.id));
        let taken = self.take(job, take, &half);
        if let Err(error) = fs::remove_file(&half)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %half.display(), %error, "half of a cache can't be removed");
        }
        taken
    }

    fn take(&self, job: JobId, take: &CacheTake, half: &Path) -> Result<CacheTaken, ExecutorError> {
        let what = "store a cache";
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(half).map_err(|e| io_error(what, &e))?;
        let (mut source, sink) = io::pipe().map_err(|e| io_error(what, &e))?;
        let most = take.most_bytes.saturating_add(take.most_files.saturating_mul(AROUND));
        let receiving = std::thread::Builder::new().name("cache".to_owned()).spawn(move || {
            // The reading end closes with this thread: a helper that goes on writing ends by that.
            hash(&mut source, &mut file, most)
        });
        let receiving = receiving.map_err(|e| io_error(what, &e))?;
        let (files, bytes) = (take.most_files.to_string(), take.most_bytes.to_string());
        let said =
            self.cache_helper(job, &take.place, &["cache-save", OWN, &files, &bytes], Stdio::null(), sink.into());
        let received =
            receiving.join().map_err(|_| ExecutorError::Start("a cache could not be received".to_owned()))?;
        // Who could not store the bytes knows better why than who could not write any more.
        let (digest, bytes) = received.map_err(|e| io_error(what, &e))?;
        let remark = match said {
            Ok(remark) => Some(remark).filter(|remark| !remark.is_empty()),
            Err(ExecutorError::User(reason)) => return Ok(CacheTaken::Refused { reason }),
            Err(error) => return Err(error),
        };
        if bytes == 0 {
            return Ok(CacheTaken::Unchanged);
        }
        let named = self.blob(&digest)?;
        // Not synced: after a power loss the digest tells a torn file from a whole one.
        fault::around("executor.cache_stored", || fs::rename(half, &named)).map_err(|e| io_error(what, &e))?;
        let own = self.layout.job_cache(job, &take.place.id);
        if let Err(error) = fs::rename(own.join("stamp.next"), own.join("stamp")) {
            tracing::debug!(%job, %error, "a cache will be stored again though it did not change");
        }
        Ok(CacheTaken::Stored { digest, bytes, remark })
    }

    fn cache_helper(
        &self,
        job: JobId,
        place: &CachePlace,
        verb: &[&str],
        stdin: Stdio,
        stdout: Stdio,
    ) -> Result<String, ExecutorError> {
        let places: Vec<String> = place.paths.iter().map(argument).collect();
        let arguments: Vec<&str> = verb.iter().copied().chain(places.iter().map(String::as_str)).collect();
        let own = Bind { to: OWN.to_owned(), ..workspace(&self.layout.job_cache(job, &place.id)) };
        self.helper_said(job, &self.layout.workspace(job), &arguments, stdin, stdout, vec![own])
    }

    /// All stored content.
    pub fn cache_list(&self) -> Result<Vec<CacheBlob>, ExecutorError> {
        let entries = match fs::read_dir(self.layout.caches()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| io_error("list the caches", &e))?,
        };
        let blobs = entries.flatten().filter_map(|entry| {
            let digest = entry.file_name().into_string().ok().filter(|name| is_hex(name, 64))?;
            Some(CacheBlob { digest, bytes: entry.metadata().ok()?.len() })
        });
        Ok(blobs.collect())
    }

    /// Removes stored content. Well where it is not there.
    pub fn cache_remove(&self, digests: &[String]) -> Result<(), ExecutorError> {
        for digest in digests {
            match fs::remove_file(self.blob(digest)?) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove a cache", &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What a step sees of its caches.
    pub(super) fn cache_binds(&self, job: JobId, mounts: &[CacheMount]) -> io::Result<Vec<Bind>> {
        let mut mounts: Vec<&CacheMount> = mounts.iter().collect();
        // What lies below another one is mounted after it.
        mounts.sort_by(|a, b| a.to.cmp(&b.to));
        let wrong = |mount: &CacheMount| {
            io::Error::other(format!("'{}' can't be a path of a cache", mount.to.escape_default()))
        };
        let bind = |mount: &&CacheMount| {
            let plain = CachePath::parse(&mount.to, "/") == Ok(CachePath::Absolute(mount.to.clone()));
            if !plain || !is_hex(&mount.id, 32) {
                return Err(wrong(mount));
            }
            let from = self.layout.job_cache(job, &mount.id).join(mount.number.to_string());
            if !from.is_dir() {
                return Err(wrong(mount));
            }
            Ok(Bind { to: mount.to.clone(), ..workspace(&from) })
        };
        mounts.iter().map(bind).collect()
    }

    fn blob(&self, digest: &str) -> Result<PathBuf, ExecutorError> {
        if is_hex(digest, 64) {
            return Ok(self.layout.caches().join(digest));
        }
        Err(ExecutorError::PolicyDenied("a cache is named by its digest".to_owned()))
    }

    fn cache_lock(&self, job: JobId, id: &str) -> Arc<Mutex<()>> {
        let mut locks = self.cache_locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry((job, id.to_owned())).or_default())
    }
}

fn check(place: &CachePlace) -> Result<(), ExecutorError> {
    let plain = |path: &CacheRoot| match path {
        CacheRoot::Own => true,
        CacheRoot::Workspace(path) => CachePath::parse(path, "/") == Ok(CachePath::Workspace(path.clone())),
    };
    if is_hex(&place.id, 32) && (1..=PATHS).contains(&place.paths.len()) && place.paths.iter().all(plain) {
        return Ok(());
    }
    Err(ExecutorError::PolicyDenied("a cache with such a name or such paths".to_owned()))
}

fn argument(path: &CacheRoot) -> String {
    match path {
        CacheRoot::Own => "b".to_owned(),
        CacheRoot::Workspace(path) => format!("w:{path}"),
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Copies at most so many bytes, and says what they hash to and how many they are.
fn hash(from: &mut impl Read, to: &mut impl Write, most: u64) -> io::Result<(String, u64)> {
    let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok((hex::encode(hasher.finalize()), bytes)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        bytes += count as u64;
        if bytes > most {
            return Err(io::Error::other("it is larger than it said"));
        }
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
    }
}
