//! Taking a cache out of its job.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use danube_shim::sys;

use super::super::Problem;
use super::super::export::{BUFFER, Found, NAMES_LIMIT, Unchanged, cannot_send};
use super::super::path::explain;
use super::survey::Survey;
use super::{Cache, NEXT};

pub(super) fn run(cache: &Cache, files: u64, bytes: u64, to: File) -> Result<(), Problem> {
    let survey = Survey::of(cache, files)?;
    if survey.bytes > bytes {
        return Err(format!("it has {} MiB, and a cache may have {} MiB", mib(survey.bytes), mib(bytes)));
    }
    if survey.entries == 0 {
        return Err("its paths are empty".to_owned());
    }
    let stamp = survey.stamp();
    if cache.stamp().is_some_and(|known| known == stamp) {
        return Ok(());
    }
    let mut pack = Pack { tar: tar::Builder::new(BufWriter::with_capacity(BUFFER, to)) };
    for (number, place) in cache.places.iter().enumerate() {
        let (below, path) = cache.at(place);
        match Found::open(below, path.as_os_str(), &place.shown()) {
            Ok(found) => pack.found(found, number.to_string().as_ref(), &place.shown())?,
            Err(_) if sys::open_beneath(below, path.as_os_str(), libc::O_PATH).is_err() => {}
            Err(problem) => return Err(problem),
        }
    }
    pack.tar.into_inner().and_then(|mut to| to.flush()).map_err(|error| cannot_send(&error))?;
    cache.write_stamp(NEXT, &stamp).map_err(|error| format!("cannot note what was stored: {error}"))?;
    if survey.left_out > 0 {
        crate::say(&format!("{} sockets, pipes or devices were left out", survey.left_out));
    }
    Ok(())
}

const fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

struct Pack<W: Write> {
    tar: tar::Builder<W>,
}

impl<W: Write> Pack<W> {
    fn found(&mut self, found: Found, path: &Path, shown: &Path) -> Result<(), Problem> {
        match found {
            Found::Dir(dir) => {
                let meta = dir.metadata().map_err(|error| explain(shown, &error))?;
                let mut slashed = path.as_os_str().to_owned();
                slashed.push("/");
                let mut header = header_of(tar::EntryType::Directory, &meta);
                header.set_size(0);
                // The names in it are what counts: its time would make equal content differ.
                header.set_mtime(0);
                self.append(&mut header, Path::new(&slashed), io::empty(), shown)?;
                self.directory(&dir, path, shown)
            }
            Found::File(file, meta) => {
                let mut header = header_of(tar::EntryType::Regular, &meta);
                let mut file = Unchanged::new(file, meta);
                self.append(&mut header, path, &mut file, shown)?;
                file.check().map_err(|error| explain(shown, &error))
            }
            Found::Link(target) => {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                header.set_size(0);
                header.set_mtime(0);
                self.tar.append_link(&mut header, path, target).map_err(|error| explain(shown, &error))
            }
        }
    }

    fn directory(&mut self, dir: &File, path: &Path, shown: &Path) -> Result<(), Problem> {
        let mut names = sys::list(dir, NAMES_LIMIT).map_err(|error| explain(shown, &error))?;
        names.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        for name in names {
            let (path, shown) = (path.join(&name), shown.join(&name));
            if kept(dir, &name).map_err(|error| explain(&shown, &error))? {
                self.found(Found::open(dir, &name, &shown)?, &path, &shown)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, header: &mut tar::Header, path: &Path, data: impl Read, shown: &Path) -> Result<(), Problem> {
        self.tar.append_data(header, path, data).map_err(|error| explain(shown, &error))
    }
}

/// Sockets, pipes and devices are nothing that another job could use.
fn kept(dir: &File, name: &OsStr) -> io::Result<bool> {
    let kind = sys::open_beneath(dir, name, libc::O_PATH)?.metadata()?.file_type();
    Ok(kind.is_file() || kind.is_dir() || kind.is_symlink())
}

fn header_of(kind: tar::EntryType, meta: &Metadata) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(meta.mode() & 0o777);
    header.set_size(meta.len());
    header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
    header.set_uid(0);
    header.set_gid(0);
    header
}
