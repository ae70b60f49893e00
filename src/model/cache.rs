//! Caches of steps: which paths one may have, who may write it, and whose content a job sees.
use std::fmt;

/// Which jobs store a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriteRule {
    /// Those of protected branches.
    #[default]
    Protected,
    /// All, each within its own scope.
    Always,
    /// None.
    Never,
}

impl WriteRule {
    /// The word of the SDK.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// Reads a word of the SDK; empty: the default.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" => Some(Self::default()),
            text => [Self::Protected, Self::Always, Self::Never].into_iter().find(|rule| rule.as_str() == text),
        }
    }
}

/// Whose content it is. A job reads its own scope and the protected one, and writes its own alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The protected branches of the pipeline, together.
    Protected,
    /// Another branch.
    Branch(String),
    /// A pull request, whatever its branch is called.
    PullRequest(u64),
    /// A tag.
    Tag(String),
}

impl Scope {
    /// The stored word, which is never reused for another scope.
    pub fn stored(&self) -> String {
        match self {
            Self::Protected => "protected".to_owned(),
            Self::Branch(name) => format!("branch:{name}"),
            Self::PullRequest(number) => format!("pull_request:{number}"),
            Self::Tag(name) => format!("tag:{name}"),
        }
    }

    /// Reads a stored word.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None => (text == "protected").then_some(Self::Protected),
            Some(("branch", name)) => Some(Self::Branch(name.to_owned())),
            Some(("pull_request", number)) => number.parse().ok().map(Self::PullRequest),
            Some(("tag", name)) => Some(Self::Tag(name.to_owned())),
            Some(_) => None,
        }
    }
}

/// For people.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected => f.write_str("protected branches"),
            Self::Branch(name) => write!(f, "branch {name}"),
            Self::PullRequest(number) => write!(f, "pull request {number}"),
            Self::Tag(name) => write!(f, "tag {name}"),
        }
    }
}

/// Where a path of a cache lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CachePath {
    /// Below the workspace, relative to it.
    Workspace(String),
    /// Anywhere else in the step's root: absolute and plain.
    Absolute(String),
}

/// Where the workspace is in a step.
const WORKSPACE: &str = "/workspace";

/// What a cache would take away from a step: these, and all below them.
const WHOLE: [&str; 15] = [
    "/proc",
    "/sys",
    "/dev",
    "/danube",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/boot",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
];

/// These alone; a cache below them is well.
const TOPS: [&str; 12] =
    ["/usr", "/usr/local", "/usr/share", "/var", "/var/lib", "/home", "/root", "/opt", "/srv", "/mnt", "/run", "/tmp"];

impl CachePath {
    /// Reads a path as a danubefile writes it, in a step whose home is `home`; why it can't be one otherwise.
    pub fn parse(text: &str, home: &str) -> Result<Self, String> {
        let refused = |why: &str| Err(format!("'{}' can't be a path of a cache: {why}", shown(text)));
        if text.is_empty() || text.len() > 1024 || text.chars().any(char::is_control) {
            return refused("it is empty, longer than 1024 bytes or has control characters");
        }
        let whole = match text.split_once('/') {
            Some(("~", below)) => format!("{}/{below}", home.trim_end_matches('/')),
            _ if text.starts_with('~') => return refused("write '~/' and a path below the home"),
            _ => text.to_owned(),
        };
        let absolute = whole.starts_with('/');
        let parts: Vec<&str> = whole.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") {
            return refused("a path with '..' may lead out of where the cache belongs");
        }
        let plain = parts.join("/");
        if !absolute {
            return if plain.is_empty() {
                refused("name a directory of the workspace")
            } else {
                Ok(Self::Workspace(plain))
            };
        }
        let path = format!("/{plain}");
        if path == WORKSPACE || path == "/" {
            return refused("name a directory below it");
        }
        if let Some(below) = path.strip_prefix("/workspace/") {
            return Ok(Self::Workspace(below.to_owned()));
        }
        if path == home.trim_end_matches('/') || TOPS.contains(&path.as_str()) {
            return refused("name a directory below it");
        }
        if WHOLE.iter().any(|top| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))) {
            return refused("the step needs what lies there");
        }
        Ok(Self::Absolute(path))
    }
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lie_in_the_workspace_or_in_the_steps_own_root() {
        let parsed = |text: &str| CachePath::parse(text, "/root");
        let workspace = |path: &str| Ok(CachePath::Workspace(path.to_owned()));
        let absolute = |path: &str| Ok(CachePath::Absolute(path.to_owned()));
        assert_eq!(parsed("node_modules"), workspace("node_modules"));
        assert_eq!(parsed("./web//node_modules/"), workspace("web/node_modules"));
        assert_eq!(parsed("/workspace/target"), workspace("target"));
        assert_eq!(parsed("~/.cargo/registry"), absolute("/root/.cargo/registry"));
        assert_eq!(CachePath::parse("~/x", "/workspace/home"), workspace("home/x"));
        assert_eq!(CachePath::parse("~/x", "/"), absolute("/x"));
        assert_eq!(parsed("/usr/local/cargo/registry/"), absolute("/usr/local/cargo/registry"));
        assert_eq!(parsed("/var/cache/apt"), absolute("/var/cache/apt"));
        assert_eq!(parsed("/etcetera"), absolute("/etcetera"));
    }

    #[test]
    fn what_a_step_needs_is_no_cache() {
        for wrong in [
            "",
            ".",
            "/",
            "..",
            "a/../b",
            "~",
            "~root/x",
            "~/..",
            "/workspace",
            "/workspace/",
            "/workspace/../etc",
            "/proc/self",
            "/sys",
            "/dev/shm",
            "/danube/files",
            "/bin",
            "/lib64/x",
            "/etc/ssl",
            "/usr",
            "/usr/lib/x",
            "/root",
            "/tmp",
            "a\nb",
            "a\0b",
        ] {
            assert!(CachePath::parse(wrong, "/root").is_err(), "{wrong:?}");
        }
        assert!(CachePath::parse("~/bin", "/usr").is_err(), "a home is where somebody says it is");
        assert!(CachePath::parse("/home/me", "/home/me/").is_err());
    }

    #[test]
    fn stored_scopes_do_not_change() {
        for (scope, stored) in [
            (Scope::Protected, "protected"),
            (Scope::Branch("feature/x:1".to_owned()), "branch:feature/x:1"),
            (Scope::PullRequest(7), "pull_request:7"),
            (Scope::Tag("v1".to_owned()), "tag:v1"),
        ] {
            assert_eq!(scope.stored(), stored);
            assert_eq!(Scope::parse(stored), Some(scope));
        }
        // A branch that somebody calls so is not the protected one.
        assert_ne!(Scope::Branch("protected".to_owned()).stored(), Scope::Protected.stored());
        assert_eq!(Scope::parse("other:x"), None);
    }
}
