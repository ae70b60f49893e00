//! The process that unpacks: started, fed, and believed only where the digest of what it was fed is right.
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sha2::{Digest as _, Sha256};

use super::refused;
use crate::executor::local::job::io_error;
use crate::executor::local::roots::user_namespace;
use crate::executor::local::{Local, sys};
use crate::executor::unpack::{Order, Said, Unpacked};
use crate::executor::{ExecutorError, Layer};

/// How much is read and handed on at once.
const PIECE: usize = 256 << 10;
/// The most that the process may say.
const ANSWER: u64 = 16 << 20;

impl Local {
    /// Unpacks what `source` gives into `files`.
    pub(super) fn unpack(&self, layer: &Layer, files: &Path, source: File) -> Result<Unpacked, ExecutorError> {
        let mut child = self.start_unpacking(layer, files).map_err(|e| io_error("start to unpack a layer", &e))?;
        let fed = feed(&mut child, layer, source);
        let mut answer = Vec::new();
        let read = match child.stdout.take() {
            Some(stdout) => stdout.take(ANSWER).read_to_end(&mut answer),
            None => Ok(0),
        };
        let ended = child.wait().map_err(|e| io_error("wait for the end of an unpacking", &e))?;
        read.map_err(|e| io_error("hear of an unpacking", &e))?;
        let named = |why: String| refused(format!("its layer {} can't be used: {why}", layer.digest));
        // A stream that is not the layer explains whatever came of it.
        fed.map_err(|e| match e {
            Fed::Wrong(why) => named(why),
            Fed::Short(why) => ExecutorError::Start(format!("the layer {} did not arrive: {why}", layer.digest)),
        })?;
        match serde_json::from_slice(&answer) {
            Ok(Said::Done(unpacked)) => Ok(unpacked),
            Ok(Said::Refused(why)) => Err(named(why)),
            Ok(Said::Full(why)) => Err(ExecutorError::OutOfSpace(format!("the layer {}: {why}", layer.digest))),
            Ok(Said::Failed(why)) => {
                Err(ExecutorError::Start(format!("the layer {} could not be unpacked: {why}", layer.digest)))
            }
            Err(_) => Err(named(format!("the process that unpacks it ended with {ended}"))),
        }
    }

    fn start_unpacking(&self, layer: &Layer, files: &Path) -> io::Result<Child> {
        let order = Order { packing: layer.packing, diff_id: layer.diff_id.clone(), bounds: self.policy.unpack };
        let dir = File::open(files)?;
        let mut command = Command::new("/proc/self/exe");
        command.arg("unpack-layer").arg(serde_json::to_string(&order)?).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        sys::pass(&mut command, &[&dir])?;
        let owners = self.roots.owners();
        if self.rootless {
            sys::alone(&mut command, None);
        } else {
            sys::alone(&mut command, Some(user_namespace(&format!("0 {} {}", owners.base, owners.size))?));
        }
        command.spawn()
    }
}

/// Why a stream was not the layer.
enum Fed {
    /// It was another one.
    Wrong(String),
    /// Its sender ended early.
    Short(String),
}

/// Hands the stream on, and hashes it on the way: all of it, also where the process has ended before. What that says of a
/// stream counts only where the stream is the layer.
fn feed(child: &mut Child, layer: &Layer, mut source: File) -> Result<(), Fed> {
    let mut sink = child.stdin.take();
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut bytes = 0;
    loop {
        let read = match source.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Fed::Short(error.to_string())),
        };
        bytes += read as u64;
        if bytes > layer.size {
            return Err(Fed::Wrong(format!("it is longer than the {} bytes that the manifest tells", layer.size)));
        }
        hash.update(&piece[..read]);
        if sink.as_mut().is_some_and(|sink| sink.write_all(&piece[..read]).is_err()) {
            // It has ended, and says why.
            sink = None;
        }
    }
    if bytes < layer.size {
        return Err(Fed::Short(format!("{bytes} of {} bytes came", layer.size)));
    }
    let found = format!("sha256:{}", hex::encode(hash.finalize()));
    match found == layer.digest {
        true => Ok(()),
        false => Err(Fed::Wrong(format!("what came has the digest {found}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::image::Packing;
    use std::io::Seek as _;

    /// Feeds bytes to a process that reads none of them.
    fn fed(bytes: &[u8], digest: &str, size: u64) -> Result<(), Fed> {
        let mut source = tempfile::tempfile().unwrap();
        source.write_all(bytes).unwrap();
        source.rewind().unwrap();
        let mut child = Command::new("/bin/true").stdin(Stdio::piped()).spawn().unwrap();
        let layer = Layer { digest: digest.to_owned(), size, diff_id: String::new(), packing: Packing::Tar };
        let result = feed(&mut child, &layer, source);
        child.wait().unwrap();
        result
    }

    #[test]
    fn a_stream_is_hashed_to_its_end_whoever_reads_it() {
        let bytes = vec![7; 3 << 20];
        let (digest, size) = (format!("sha256:{}", hex::encode(Sha256::digest(&bytes))), 3 << 20);
        assert!(fed(&bytes, &digest, size).is_ok());
        assert!(matches!(fed(&bytes, "sha256:00", size), Err(Fed::Wrong(why)) if why.contains(&digest)));
        assert!(matches!(fed(&bytes, &digest, size + 1), Err(Fed::Short(_))));
        assert!(matches!(fed(&bytes, &digest, size - 1), Err(Fed::Wrong(why)) if why.contains("longer")));
    }
}
