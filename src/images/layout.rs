//! OCI layouts: a directory that holds images, or a tar of one. Nothing here waits for a network; it blocks.
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::error::shown;
use super::manifest::{self, CONFIG_LIMIT, Descriptor, MANIFEST_LIMIT, Manifest};
use super::reference::checked_digest;
use super::{Image, ImageError};

const INDEX: &str = "index.json";
/// The name of an image in a layout.
const NAME: &str = "org.opencontainers.image.ref.name";
/// The most names that a tar of a layout may hold.
const MOST: usize = 100_000;
const BLOCK: u64 = 512;
/// How much of a blob is read at once.
const PIECE: usize = 256 << 10;

/// A layout that is open.
#[derive(Debug)]
pub struct Layout {
    files: Files,
}

#[derive(Debug)]
enum Files {
    Directory(File),
    /// Where each file begins in the tar, and how long it is.
    Tar(File, HashMap<String, (u64, u64)>),
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

impl Layout {
    /// A directory. Links in it are not followed.
    pub fn directory(path: &Path) -> Result<Self, ImageError> {
        let dir = File::open(path).map_err(|e| absent(&path.display().to_string(), &e))?;
        Ok(Self { files: Files::Directory(dir) })
    }

    /// A tar of a layout, with its names at its root or below one directory.
    pub fn archive(file: File) -> Result<Self, ImageError> {
        let index = index_of(&file).map_err(|e| ImageError::Damaged(format!("the archive can't be read: {e}")))?;
        Ok(Self { files: Files::Tar(file, index) })
    }

    /// The image of that name, or the only one.
    pub fn image(&self, name: Option<&str>) -> Result<Image, ImageError> {
        let index = self.bytes(INDEX, MANIFEST_LIMIT)?;
        let index: Index = serde_json::from_slice(&index)
            .map_err(|e| ImageError::Damaged(format!("its index.json can't be read: {e}")))?;
        let named =
            |one: &&Descriptor| name.is_none_or(|name| one.annotations.get(NAME).is_some_and(|own| own == name));
        let found: Vec<Descriptor> = index.manifests.iter().filter(named).cloned().collect();
        let top = match (found.as_slice(), name) {
            ([one], _) => one,
            ([], Some(name)) => return Err(ImageError::NotFound(format!("the layout holds no '{}'", shown(name)))),
            ([], None) => return Err(ImageError::NotFound("the layout holds no image".to_owned())),
            (several, _) if several.iter().all(|one| one.annotations.contains_key(NAME)) && name.is_none() => {
                let names = several.iter().filter_map(|one| one.annotations.get(NAME)).map(|name| shown(name));
                let names = names.take(16).collect::<Vec<_>>().join(", ");
                return Err(ImageError::Name(format!("the layout holds several images, name one behind ':': {names}")));
            }
            (several, _) => manifest::choose(several)?,
        };
        let read = |one: &Descriptor| manifest::read(&self.blob_bytes(&one.digest, MANIFEST_LIMIT, "its manifest")?);
        let found = match read(top)? {
            Manifest::Image(found) => found,
            Manifest::Index(manifests) => match read(manifest::choose(&manifests)?)? {
                Manifest::Image(found) => found,
                Manifest::Index(_) => return Err(ImageError::Unfit("its index leads to another index".to_owned())),
            },
        };
        let config = self.blob_bytes(&found.config.digest, CONFIG_LIMIT, "its config")?;
        manifest::image(found, &config)
    }

    /// Makes sure that a blob is there, all of it and as its digest says: whoever knows that alone has nothing.
    pub fn verify(&self, digest: &str, size: u64) -> Result<(), ImageError> {
        let wanted = checked_digest(digest).map_err(ImageError::Damaged)?;
        let (file, at, length) = self.open(&blob_name(&wanted))?;
        if length != size {
            return Err(ImageError::Damaged(format!(
                "the layer {wanted} has {length} bytes in the layout, its manifest tells of {size}"
            )));
        }
        let mut hash = Sha256::new();
        let mut part = Part { file, at, left: length };
        let mut piece = vec![0; PIECE];
        loop {
            match part.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => hash.update(&piece[..read]),
                Err(error) => return Err(absent(&wanted, &error)),
            }
        }
        let found = format!("sha256:{}", hex::encode(hash.finalize()));
        match found == wanted {
            true => Ok(()),
            false => Err(ImageError::Damaged(format!("the layer {wanted} has the digest {found} in the layout"))),
        }
    }

    /// A blob from its start. Nothing of it is verified.
    pub fn blob(&self, digest: &str) -> Result<Box<dyn io::Read + Send>, ImageError> {
        let digest = checked_digest(digest).map_err(ImageError::Damaged)?;
        let (file, at, length) = self.open(&blob_name(&digest))?;
        Ok(Box::new(Part { file, at, left: length }))
    }

    fn blob_bytes(&self, digest: &str, limit: u64, what: &str) -> Result<Vec<u8>, ImageError> {
        let digest = checked_digest(digest).map_err(ImageError::Damaged)?;
        manifest::verified(self.bytes(&blob_name(&digest), limit)?, &digest, what)
    }

    fn bytes(&self, name: &str, limit: u64) -> Result<Vec<u8>, ImageError> {
        let (file, at, length) = self.open(name)?;
        if length > limit {
            return Err(ImageError::Damaged(format!("{name} has {length} bytes; {limit} are read")));
        }
        let mut bytes = Vec::new();
        let part = Part { file, at, left: length };
        part.take(limit).read_to_end(&mut bytes).map_err(|e| absent(name, &e))?;
        Ok(bytes)
    }

    /// A file, where it begins in it, and how long it is.
    fn open(&self, name: &str) -> Result<(File, u64, u64), ImageError> {
        match &self.files {
            Files::Directory(dir) => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
                let file = openat2(dir, name, flags, Mode::empty(), resolve).map_err(|e| absent(name, &e.into()))?;
                let file = File::from(file);
                let found = file.metadata().map_err(|e| absent(name, &e))?;
                match found.is_file() {
                    true => Ok((file, 0, found.len())),
                    false => Err(ImageError::Damaged(format!("{name} of the layout is no file"))),
                }
            }
            Files::Tar(file, index) => {
                let (at, length) = *index
                    .get(name)
                    .ok_or_else(|| ImageError::NotFound(format!("the archive has no {name}: is it an OCI archive?")))?;
                Ok((file.try_clone().map_err(|e| absent(name, &e))?, at, length))
            }
        }
    }
}

fn blob_name(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

fn absent(name: &str, error: &io::Error) -> ImageError {
    ImageError::NotFound(format!("{} of the OCI layout can't be read: {error}", shown(name)))
}

/// A part of a file, read by its place: others may read the same file.
struct Part {
    file: File,
    at: u64,
    left: u64,
}

impl io::Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// The files of a tar. Names of a layout are short: entries with long ones are not among them.
fn index_of(file: &File) -> io::Result<HashMap<String, (u64, u64)>> {
    let end = file.metadata()?.len();
    let mut found = HashMap::new();
    let mut at = 0;
    while at + BLOCK <= end {
        let mut header = [0; BLOCK as usize];
        file.read_exact_at(&mut header, at)?;
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        let size =
            octal(&header[124..136]).ok_or_else(|| io::Error::other("a header is damaged: is it a plain tar?"))?;
        let begin = at + BLOCK;
        if matches!(header[156], b'0' | 0) {
            let name =
                String::from_utf8_lossy(header[..100].split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
            let name = name.trim_start_matches("./");
            // Below one directory, as some tools pack it.
            let name = match name.split_once('/') {
                Some((_, rest)) if !name.starts_with("blobs/") => rest,
                _ => name,
            };
            found.insert(name.to_owned(), (begin, size));
            if found.len() > MOST {
                return Err(io::Error::other("it holds too many files for a layout"));
            }
        }
        at = begin
            .checked_add(size)
            .and_then(|at| at.checked_next_multiple_of(BLOCK))
            .ok_or_else(|| io::Error::other("a header is damaged"))?;
    }
    found.retain(|_, (begin, size)| *begin + *size <= end);
    Ok(found)
}

fn octal(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        return field[1..4]
            .iter()
            .all(|byte| *byte == 0)
            .then(|| field[4..].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)));
    }
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii();
    text.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'7' => Some(value << 3 | u64::from(digit - b'0')),
        _ => None,
    })
}
