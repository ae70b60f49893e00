//! The files of a config repo, from a commit or a folder, within limits.
use std::fs::{self, File, FileType};
use std::io::Read as _;
use std::path::Path;

use git2::{ObjectType, Oid, Repository, Tree};

use super::error::ConfigRepoError;
use super::issue::{Issues, Place};

/// Files that are read.
pub(super) const MAX_FILES: usize = 256;
/// The largest file, bytes.
pub(super) const MAX_FILE: u64 = 1 << 20;
/// All files together, bytes.
pub(super) const MAX_TOTAL: u64 = 8 << 20;
/// Names that are looked at in one folder before it is refused.
const MAX_NAMES: usize = 10_000;
/// The files beside the folder of pipelines.
const TOP: [&str; 3] = ["config.yaml", "users.yaml", "teams.yaml"];
/// The folder of pipelines.
const PIPELINES: &str = "pipelines";

/// A file that was read.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The path within the config repo.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What was read, and what could not be.
#[derive(Debug, Default)]
pub struct Files {
    /// The files, in order of their paths.
    pub list: Vec<SourceFile>,
    pub(super) issues: Issues,
}

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Link,
    Other,
}

/// One name of a tree; its size is known without reading it.
struct Entry<H> {
    path: String,
    kind: Kind,
    size: u64,
    handle: H,
}

/// Reads the commit `id` of a repository. Blocking.
pub fn from_commit(repository: &Repository, id: Oid) -> Result<Files, ConfigRepoError> {
    let broken = |source| ConfigRepoError::Objects { commit: id.to_string(), source };
    let root = repository.find_commit(id).and_then(|commit| commit.tree()).map_err(broken)?;
    let mut entries = Vec::new();
    git_entries(repository, &root, "", &mut entries).map_err(broken)?;
    let folder = entries.iter().find(|entry| entry.path == PIPELINES && entry.kind == Kind::Folder);
    if let Some(folder) = folder {
        let tree = repository.find_tree(folder.handle).map_err(broken)?;
        git_entries(repository, &tree, PIPELINES, &mut entries).map_err(broken)?;
    }
    collect(entries, |id, _| repository.find_blob(*id).map(|blob| blob.content().to_vec()).map_err(broken))
}

fn git_entries(
    repository: &Repository,
    tree: &Tree<'_>,
    folder: &str,
    entries: &mut Vec<Entry<Oid>>,
) -> Result<(), git2::Error> {
    let odb = repository.odb()?;
    for entry in tree.iter().take(MAX_NAMES) {
        let path = join(folder, &String::from_utf8_lossy(entry.name_bytes()));
        let kind = match (entry.kind(), entry.filemode()) {
            (Some(ObjectType::Blob), 0o120_000) => Kind::Link,
            (Some(ObjectType::Blob), _) => Kind::File,
            (Some(ObjectType::Tree), _) => Kind::Folder,
            _ => Kind::Other,
        };
        let size = match kind {
            Kind::File if wanted(&path) => odb.read_header(entry.id())?.0 as u64,
            _ => 0,
        };
        entries.push(Entry { path, kind, size, handle: entry.id() });
    }
    Ok(())
}

/// Reads a folder on this machine, by the rules of `from_commit`. Blocking.
pub fn from_dir(root: &Path) -> Result<Files, ConfigRepoError> {
    let mut entries = Vec::new();
    dir_entries(root, "", &mut entries)?;
    if entries.iter().any(|entry| entry.path == PIPELINES && entry.kind == Kind::Folder) {
        dir_entries(&root.join(PIPELINES), PIPELINES, &mut entries)?;
    }
    collect(entries, |path: &std::path::PathBuf, size| {
        let unreadable = |source| ConfigRepoError::Folder { path: path.clone(), source };
        let mut bytes = Vec::new();
        // It may have grown since its size was read.
        File::open(path).and_then(|file| file.take(size).read_to_end(&mut bytes)).map_err(unreadable)?;
        Ok(bytes)
    })
}

fn dir_entries(dir: &Path, folder: &str, entries: &mut Vec<Entry<std::path::PathBuf>>) -> Result<(), ConfigRepoError> {
    let unreadable = |source| ConfigRepoError::Folder { path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(unreadable)?.take(MAX_NAMES) {
        let entry = entry.map_err(unreadable)?;
        let meta = fs::symlink_metadata(entry.path()).map_err(unreadable)?;
        let path = join(folder, &entry.file_name().to_string_lossy());
        entries.push(Entry { path, kind: kind_of(meta.file_type()), size: meta.len(), handle: entry.path() });
    }
    Ok(())
}

fn kind_of(kind: FileType) -> Kind {
    if kind.is_symlink() {
        Kind::Link
    } else if kind.is_dir() {
        Kind::Folder
    } else if kind.is_file() {
        Kind::File
    } else {
        Kind::Other
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn wanted(path: &str) -> bool {
    TOP.contains(&path) || path.strip_prefix("pipelines/").is_some_and(|name| name.ends_with(".yaml"))
}

/// A name that looks as if its author expects it to be read.
fn misplaced(path: &str, kind: Kind) -> bool {
    let stem = path.strip_suffix(".yml").map(|stem| format!("{stem}.yaml"));
    stem.is_some_and(|name| wanted(&name)) || (path.starts_with("pipelines/") && kind == Kind::Folder)
}

fn collect<H>(
    mut entries: Vec<Entry<H>>,
    read: impl Fn(&H, u64) -> Result<Vec<u8>, ConfigRepoError>,
) -> Result<Files, ConfigRepoError> {
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut files = Files::default();
    let mut total = 0;
    for entry in &entries {
        let path = entry.path.as_str();
        let issues = &mut files.issues;
        let mut refuse = |message: String, fix: &str| issues.add(path, Place::START, message, fix);
        if path == PIPELINES && entry.kind != Kind::Folder {
            refuse("'pipelines' is not a folder".into(), "make it a folder that holds the files themselves");
        } else if misplaced(path, entry.kind) {
            refuse(format!("'{path}' is not read"), "files of pipelines are pipelines/NAME.yaml, in no deeper folder");
        } else if !wanted(path) {
        } else if entry.kind != Kind::File {
            refuse(
                format!("'{path}' is not a plain file"),
                "put the file itself here: links and submodules are not followed",
            );
        } else if entry.size > MAX_FILE {
            let message = format!("the file has {} bytes; at most {MAX_FILE} are read", entry.size);
            refuse(message, "split it: documents may stand in several files of pipelines/");
        } else if files.list.len() >= MAX_FILES || total + entry.size > MAX_TOTAL {
            let message = format!("the config repo is too large: {MAX_FILES} files and {MAX_TOTAL} bytes are read");
            refuse(message, "put several documents into one file, parted by '---', or remove what is not used");
            break;
        } else {
            total += entry.size;
            match String::from_utf8(read(&entry.handle, entry.size)?) {
                Ok(text) => files.list.push(SourceFile { path: path.to_owned(), text }),
                Err(_) => refuse("the file is not UTF-8 text".into(), "save it as UTF-8"),
            }
        }
    }
    Ok(files)
}
