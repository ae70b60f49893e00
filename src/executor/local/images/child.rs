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

/// Hands the stream on, and hashes it on the way.
fn feed(child: &mut Child, layer: &Layer, mut source: File) -> Result<(), Fed> {
    let Some(mut sink) = child.stdin.take() else { return Ok(()) };
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
        if sink.write_all(&piece[..read]).is_err() {
            // It has ended, and says why.
            return Ok(());
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
