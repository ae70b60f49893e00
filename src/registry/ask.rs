//! What a request asks of a registry, read from its method, path and query. Pure.
use axum::http::Method;

/// The longest name of a repository, as the distribution specification has it.
const NAME: usize = 255;
/// The longest tag.
const TAG: usize = 128;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// Is this a registry?
    Base,
    /// Its repositories, of whomever.
    Catalog,
    /// Reading from a repository.
    Pull(Pull),
    /// Writing to one.
    Push(Push),
    /// Removing what was pushed.
    Delete,
}

/// Reading from a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pull {
    pub(super) repository: String,
    /// A manifest, which is what counts as a use of the image.
    pub(super) manifest: bool,
}

/// Writing to a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Push {
    pub(super) repository: String,
    pub(super) what: Pushed,
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pushed {
    /// An image's manifest under a tag or its digest.
    Manifest(Reference),
    /// Bytes, or words about bytes that are under way.
    Upload {
        /// A repository that the blob is to be taken from, where the client names one.
        from: Option<String>,
        /// Bytes come with these words; to begin an upload, most clients send none.
        bytes: bool,
    },
}

/// How a manifest is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// By a name that can move.
    Tag(String),
    /// By its bytes.
    Digest(String),
}

/// Reads a request; none where a registry knows no such address.
pub(super) fn read(method: &Method, path: &str, query: &str) -> Option<Ask> {
    let rest = path.strip_prefix("/v2")?;
    if rest.is_empty() || rest == "/" {
        return reads(method).then_some(Ask::Base);
    }
    let rest = rest.strip_prefix('/')?;
    if rest == "_catalog" {
        return Some(Ask::Catalog);
    }
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return pull(method, name, false);
    }
    if let Some((name, id)) = rest.rsplit_once("/blobs/uploads") {
        return upload(method, name, id, query);
    }
    if let Some((name, digest)) = rest.rsplit_once("/blobs/") {
        if !is_digest(digest) {
            return None;
        }
        return if method == Method::DELETE { Some(Ask::Delete) } else { pull(method, name, false) };
    }
    let (name, reference) = rest.rsplit_once("/manifests/")?;
    let reference = parse_reference(reference)?;
    match *method {
        Method::PUT => push(name, Pushed::Manifest(reference)),
        Method::DELETE => Some(Ask::Delete),
        _ => pull(method, name, true),
    }
}

fn reads(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

fn pull(method: &Method, name: &str, manifest: bool) -> Option<Ask> {
    let good = reads(method) && is_name(name);
    good.then(|| Ask::Pull(Pull { repository: name.to_owned(), manifest }))
}

fn push(name: &str, what: Pushed) -> Option<Ask> {
    is_name(name).then(|| Ask::Push(Push { repository: name.to_owned(), what }))
}

/// Everything about bytes that are under way; ending an upload is the one removal that a client may ask for.
fn upload(method: &Method, name: &str, id: &str, query: &str) -> Option<Ask> {
    let begins = matches!(id, "" | "/");
    let id = id.strip_prefix('/').unwrap_or(id);
    let fits = match *method {
        Method::POST => begins,
        Method::GET | Method::HEAD | Method::PATCH | Method::PUT | Method::DELETE => !begins,
        _ => false,
    };
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !fits || !plain {
        return None;
    }
    let asked = |wanted: &str| {
        let mut words = url::form_urlencoded::parse(query.as_bytes());
        words.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    // A blob of another repository may be named without saying which: the registry then looks for none.
    let from = asked("from");
    let bytes = !begins || (asked("digest").is_some() && asked("mount").is_none());
    push(name, Pushed::Upload { from, bytes })
}

fn parse_reference(text: &str) -> Option<Reference> {
    if is_digest(text) {
        return Some(Reference::Digest(text.to_owned()));
    }
    is_tag(text).then(|| Reference::Tag(text.to_owned()))
}

/// A tag.
pub(super) fn is_tag(text: &str) -> bool {
    (1..=TAG).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// `sha256:` and its digits. Other algorithms are not spoken here.
pub(super) fn is_digest(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && digits.bytes().all(hex))
}

/// The name of a repository: lower case, parts between slashes, none of them `.` or `..`.
pub(super) fn is_name(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(byte);
        edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
    };
    text.len() <= NAME && text.split('/').all(part)
}

/// The pipeline whose room a repository is in.
pub(super) fn owner(repository: &str) -> &str {
    repository.split_once('/').map_or(repository, |(owner, _)| owner)
}

/// Whether a repository is below the name of a pipeline.
pub(super) fn is_below(repository: &str, pipeline: &str) -> bool {
    repository.split_once('/').is_some_and(|(owner, _)| owner == pipeline)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn ask(method: &str, path: &str) -> Option<Ask> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        read(&Method::from_bytes(method.as_bytes()).unwrap(), path, query)
    }

    fn pull_of(repository: &str, manifest: bool) -> Option<Ask> {
        Some(Ask::Pull(Pull { repository: repository.to_owned(), manifest }))
    }

    fn push_to(repository: &str, what: Pushed) -> Option<Ask> {
        Some(Ask::Push(Push { repository: repository.to_owned(), what }))
    }

    #[test]
    fn what_clients_ask_is_understood() {
        let digest = format!("sha256:{HEX}");
        assert_eq!(ask("GET", "/v2/"), Some(Ask::Base));
        assert_eq!(ask("GET", "/v2/_catalog?n=10"), Some(Ask::Catalog));
        assert_eq!(ask("GET", "/v2/a/b/tags/list"), pull_of("a/b", false));
        assert_eq!(ask("HEAD", "/v2/a/b/manifests/1.0"), pull_of("a/b", true));
        assert_eq!(ask("GET", &format!("/v2/a/b/blobs/{digest}")), pull_of("a/b", false));
        let tag = Pushed::Manifest(Reference::Tag("1.0".to_owned()));
        assert_eq!(ask("PUT", "/v2/a/b/manifests/1.0"), push_to("a/b", tag));
        let by_digest = Pushed::Manifest(Reference::Digest(digest.clone()));
        assert_eq!(ask("PUT", &format!("/v2/a/b/manifests/{digest}")), push_to("a/b", by_digest));
        for (method, path, from, bytes) in [
            ("POST", "/v2/a/b/blobs/uploads/".to_owned(), None, false),
            ("POST", format!("/v2/a/b/blobs/uploads/?digest={digest}"), None, true),
            ("POST", format!("/v2/a/b/blobs/uploads/?mount={digest}&from=c%2Fd"), Some("c/d".to_owned()), false),
            ("POST", format!("/v2/a/b/blobs/uploads/?mount=x&from=c&digest={digest}"), Some("c".to_owned()), false),
            ("PATCH", "/v2/a/b/blobs/uploads/0f-9?_state=x".to_owned(), None, true),
            ("DELETE", "/v2/a/b/blobs/uploads/0f-9".to_owned(), None, true),
        ] {
            assert_eq!(ask(method, &path), push_to("a/b", Pushed::Upload { from, bytes }), "{method} {path}");
        }
        assert_eq!(ask("DELETE", "/v2/a/b/manifests/1.0"), Some(Ask::Delete));
        assert_eq!(ask("DELETE", &format!("/v2/a/b/blobs/{digest}")), Some(Ask::Delete));
    }

    #[test]
    fn names_that_would_lead_elsewhere_are_unknown() {
        for (method, path) in [
            ("GET", "/v2/a/../b/manifests/1"),
            ("GET", "/v2/a%2f..%2fb/manifests/1"),
            ("GET", "/v2//a/manifests/1"),
            ("GET", "/v2/A/b/manifests/1"),
            ("PUT", "/v2/a/b/manifests/.."),
            ("PUT", "/v2/a/b/manifests/1/2"),
            ("GET", "/v2/a/b/blobs/sha256:short"),
            ("PATCH", "/v2/a/b/blobs/uploads/../x"),
            ("PATCH", "/v2/a/b/blobs/uploads/"),
            ("POST", "/v2/a/b/blobs/uploads/id"),
            ("BREW", "/v2/a/b/tags/list"),
            ("GET", "/debug/vars"),
            ("GET", "/v3/"),
        ] {
            assert_eq!(ask(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn a_repository_is_below_one_pipeline() {
        assert!(is_below("web/app", "web") && is_below("web/app/x", "web"));
        assert!(!is_below("web", "web") && !is_below("website/app", "web") && !is_below("x/web/app", "web"));
    }
}
