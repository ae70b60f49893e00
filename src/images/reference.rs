//! Names of images: `alpine:3.20`, `registry.example.com/team/app@sha256:…`, `oci:./dir`, `oci-archive:./file.tar`.
use super::ImageError;
use super::error::shown;

/// Whose short names are meant where no registry is named, and where it answers.
const HUB: &str = "docker.io";
const HUB_ADDRESS: &str = "registry-1.docker.io";
/// The longest name.
const LONGEST: usize = 512;

/// An image by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// In a registry.
    Registry(Place),
    /// An OCI layout: a directory, or a tar of one.
    Layout {
        /// Absolute, or below the workspace.
        path: String,
        /// A file, not a directory.
        archive: bool,
        /// The name of the image in it, where it holds several.
        name: Option<String>,
    },
}

/// Where a registry keeps an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The registry as the name has it: `docker.io`, `registry.example.com:5000`.
    pub host: String,
    /// The path there.
    pub repository: String,
    /// The tag; `latest` where neither tag nor digest is given.
    pub tag: Option<String>,
    /// `sha256:…`; comes before the tag.
    pub digest: Option<String>,
}

impl Place {
    /// Where its registry answers.
    pub fn address(&self) -> &str {
        address_of(&self.host)
    }
}

/// Where the registry of that name answers.
pub(super) fn address_of(host: &str) -> &str {
    if host == HUB { HUB_ADDRESS } else { host }
}

impl Reference {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        let wrong = |why: &str| Err(ImageError::Name(format!("'{}' is no name of an image: {why}", shown(text))));
        if text.is_empty() {
            return wrong("it is empty");
        }
        if text.len() > LONGEST {
            return wrong("it is too long");
        }
        if text.starts_with('-') {
            return wrong("it begins with '-', as options do");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return wrong("it holds spaces or control characters");
        }
        for (prefix, archive) in [("oci:", false), ("oci-archive:", true)] {
            if let Some(rest) = text.strip_prefix(prefix) {
                return layout(rest, archive).or_else(|why| wrong(&why));
            }
        }
        if let Some((_, rest)) = text.split_once("://") {
            return match rest.split('/').next().unwrap_or_default().contains('@') {
                // Not repeated: it holds a password.
                true => Err(ImageError::Name(password())),
                false => wrong("leave the scheme out, as in registry.example.com/team/app:1"),
            };
        }
        if text.split_once('@').is_some_and(|(_, rest)| !rest.starts_with("sha256:") && rest.contains(['/', '.'])) {
            return Err(ImageError::Name(password()));
        }
        place(text).map(Self::Registry).or_else(|why| wrong(&why))
    }
}

/// A name as it may be shown and kept: some write a password into it.
pub fn without_password(name: &str) -> String {
    // The '@' of a digest parts it from no password.
    let (named, digest) = match name.rfind('@') {
        Some(at) if name[at..].starts_with("@sha256:") => name.split_at(at),
        _ => (name, ""),
    };
    match named.rsplit_once('@') {
        Some((before, after)) => {
            let scheme = before.find("://").map_or("", |end| &before[..end + 3]);
            format!("{scheme}***@{after}{digest}")
        }
        None => name.to_owned(),
    }
}

fn password() -> String {
    "the name of an image holds no user and password: the Config document's `registries` names a secret for them"
        .to_owned()
}

fn place(text: &str) -> Result<Place, String> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(checked_digest(digest)?)),
        None => (text, None),
    };
    let (host, path) = match rest.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (host(first)?, path),
        _ => (HUB.to_owned(), rest),
    };
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path, None),
    };
    if let Some(tag) = tag {
        let first = tag.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        let rest = tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if !first || !rest || tag.len() > 128 {
            return Err("a tag is made of letters, digits, '_', '.' and '-', at most 128".to_owned());
        }
    }
    let good = |part: &str| {
        let inner =
            part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'));
        let ends = [part.bytes().next(), part.bytes().last()];
        inner && ends.iter().all(|b| b.is_some_and(|b| b.is_ascii_alphanumeric())) && !part.contains("..")
    };
    if path.len() > 255 || !path.split('/').all(good) {
        return Err("its path is made of small letters and digits, with '.', '_' and '-' between them and '/' between the parts".to_owned());
    }
    let repository = if host == HUB && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
    let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
    Ok(Place { host, repository, tag, digest })
}

fn host(text: &str) -> Result<String, String> {
    let wrong = || format!("'{}' is no registry's host and port", shown(text));
    let url = url::Url::parse(&format!("https://{text}/")).map_err(|_| wrong())?;
    let plain = url.path() == "/" && url.query().is_none() && url.username().is_empty() && url.password().is_none();
    let named = url.host_str().filter(|host| !host.is_empty() && plain).ok_or_else(wrong)?;
    if matches!(text.to_ascii_lowercase().as_str(), "index.docker.io" | "registry-1.docker.io") {
        return Ok(HUB.to_owned());
    }
    Ok(match text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((_, port)) => format!("{named}:{}", port.parse::<u16>().map_err(|_| wrong())?),
        None => named.to_owned(),
    })
}

/// `sha256:` and 64 small hex digits.
pub(super) fn checked_digest(text: &str) -> Result<String, String> {
    let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64);
    match hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))) {
        true => Ok(text.to_owned()),
        false => Err(format!("'{}' is no digest: sha256: and 64 hex digits", shown(text))),
    }
}

fn layout(text: &str, archive: bool) -> Result<Reference, String> {
    let (path, name) = match text.rsplit_once(':') {
        Some((path, name)) if !name.contains('/') => (path, Some(name.to_owned())),
        _ => (text, None),
    };
    let path = path.strip_prefix("./").unwrap_or(path);
    if path.is_empty() || path.split('/').any(|part| part == "..") {
        return Err("its path leads nowhere, or out of the workspace".to_owned());
    }
    Ok(Reference::Layout { path: path.to_owned(), archive, name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place_of(text: &str) -> (String, String, Option<String>, bool) {
        match Reference::parse(text) {
            Ok(Reference::Registry(place)) => (place.host, place.repository, place.tag, place.digest.is_some()),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn names_are_read_as_people_write_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, host, repository, tag) in [
            ("alpine", "docker.io", "library/alpine", Some("latest")),
            ("node:22", "docker.io", "library/node", Some("22")),
            ("team/app", "docker.io", "team/app", Some("latest")),
            ("index.docker.io/library/node:1", "docker.io", "library/node", Some("1")),
            ("registry.example.com/app:v1.2", "registry.example.com", "app", Some("v1.2")),
            ("127.0.0.1:5000/a/b/c:1", "127.0.0.1:5000", "a/b/c", Some("1")),
            ("localhost/a", "localhost", "a", Some("latest")),
            ("[::1]:5000/a", "[::1]:5000", "a", Some("latest")),
        ] {
            assert_eq!(place_of(text), (host.into(), repository.into(), tag.map(Into::into), false), "{text}");
        }
        assert_eq!(place_of(&format!("a@{digest}")), ("docker.io".into(), "library/a".into(), None, true));
        assert_eq!(
            place_of(&format!("a:1@{digest}")),
            ("docker.io".into(), "library/a".into(), Some("1".into()), true)
        );
    }

    #[test]
    fn layouts_are_read() {
        let read = |text: &str| Reference::parse(text).unwrap();
        let layout = |path: &str, archive, name: Option<&str>| Reference::Layout {
            path: path.into(),
            archive,
            name: name.map(Into::into),
        };
        assert_eq!(read("oci:./dir"), layout("dir", false, None));
        assert_eq!(read("oci:dir:1.2"), layout("dir", false, Some("1.2")));
        assert_eq!(read("oci-archive:/srv/a.tar"), layout("/srv/a.tar", true, None));
        assert!(Reference::parse("oci:../x").is_err() && Reference::parse("oci:a/../../x").is_err());
    }

    #[test]
    fn what_is_no_name_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("--privileged", "options"),
            ("a b", "spaces"),
            ("a\x1b[2J", "control"),
            ("https://registry.example.com/app", "scheme"),
            ("UPPER/case", "small letters"),
            ("registry.example.com:99999/a", "host and port"),
            ("a:b:c", "small letters"),
            ("a@sha256:short", "no digest"),
            ("a/../b", "small letters"),
            ("a//b", "small letters"),
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason) && !error.contains('\x1b'), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_in_a_name_is_not_repeated() {
        for text in ["https://me:hunter22@registry.example.com/app", "me:hunter22@registry.example.com/app"] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(error.contains("password") && !error.contains("hunter22"), "{error}");
            assert!(without_password(text).ends_with("***@registry.example.com/app"), "{}", without_password(text));
            let pinned = format!("{text}@sha256:{}", "a".repeat(64));
            let error = Reference::parse(&pinned).unwrap_err().to_string();
            assert!(error.contains("password") && !error.contains("hunter22"), "{error}");
            assert_eq!(without_password(&pinned), format!("{}@sha256:{}", without_password(text), "a".repeat(64)));
        }
        for plain in ["app", "team/app:1", &format!("registry.example.com/app@sha256:{}", "a".repeat(64))] {
            assert_eq!(without_password(plain), plain);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _read = Reference::parse(&text);
        }
    }
}
