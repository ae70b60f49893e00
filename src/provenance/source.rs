use std::str::FromStr;

use url::Url;

/// A source that somebody expects: `URL` or `URL@REF`.
///
/// The ref begins at the first `@` within the URL's path that does not open a path segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedSource {
    pub(super) repository: String,
    pub(super) git_ref: Option<String>,
}

/// The text names no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give the source as URL or URL@REF, such as https://git.example.com/team/app.git@refs/heads/main")]
pub struct BadSource;

impl FromStr for ExpectedSource {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, BadSource> {
        let path = path_start(text);
        let at = text.char_indices().find(|&(i, c)| c == '@' && i > path && !text[..i].ends_with('/')).map(|(i, _)| i);
        let (repository, git_ref) = match at {
            Some(at) => (&text[..at], Some(text[at + 1..].to_owned())),
            None => (text, None),
        };
        if repository.is_empty() || git_ref.as_deref() == Some("") {
            return Err(BadSource);
        }
        Ok(Self { repository: without_credentials(repository), git_ref })
    }
}

impl ExpectedSource {
    /// Whether the attested ref and commit are the expected ones.
    ///
    /// A full commit id means that commit and never a branch of that name; a short name means a
    /// branch and never a tag, because who may push a tag may not be who may push to the branch.
    pub(super) fn ref_matches(expected: &str, git_ref: Option<&str>, commit: &str) -> bool {
        if matches!(expected.len(), 40 | 64) && expected.bytes().all(|b| b.is_ascii_hexdigit()) {
            return expected.eq_ignore_ascii_case(commit);
        }
        git_ref.is_some_and(|git_ref| {
            git_ref == expected
                || (!expected.is_empty()
                    && !expected.starts_with("refs/")
                    && git_ref.strip_prefix("refs/heads/") == Some(expected))
        })
    }
}

fn path_start(text: &str) -> usize {
    if let Some(scheme) = text.find("://") {
        let host = scheme + "://".len();
        return text[host..].find('/').map_or(text.len(), |slash| host + slash);
    }
    // `user@host:path`, or a path on this machine.
    if text.starts_with(['/', '.']) { 0 } else { text.find(':').unwrap_or(0) }
}

/// The repository without user or password of HTTP, and without the password of anything else.
pub(super) fn without_credentials(repository: &str) -> String {
    let Ok(mut url) = Url::parse(repository) else {
        return repository.to_owned();
    };
    if url.username().is_empty() && url.password().is_none() {
        return repository.to_owned();
    }
    // Both only fail for URLs that cannot carry credentials, which was ruled out.
    let _ = url.set_password(None);
    if matches!(url.scheme(), "http" | "https") {
        let _ = url.set_username("");
    }
    url.into()
}

/// The URI of a source as SPDX writes it: `git+https://…@ref`.
pub(super) fn git_uri(repository: &str, git_ref: Option<&str>) -> String {
    let uri = if repository.contains("://") {
        format!("git+{repository}")
    } else if repository.starts_with('/') {
        format!("git+file://{repository}")
    } else if let Some((host, path)) = repository.split_once(':') {
        format!("git+ssh://{host}/{}", path.trim_start_matches('/'))
    } else {
        format!("git+{repository}")
    };
    match git_ref {
        Some(git_ref) => format!("{uri}@{git_ref}"),
        None => uri,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ref_is_told_from_users_and_scopes() {
        let cases = [
            ("https://git.example.com/a/b.git", "https://git.example.com/a/b.git", None),
            ("https://git.example.com/a/b.git@main", "https://git.example.com/a/b.git", Some("main")),
            ("https://git.example.com/a/b@refs/heads/x@y", "https://git.example.com/a/b", Some("refs/heads/x@y")),
            ("https://me:pw@git.example.com/a/b@main", "https://git.example.com/a/b", Some("main")),
            ("https://git.example.com/@scope/b@main", "https://git.example.com/@scope/b", Some("main")),
            ("ssh://git@git.example.com/a/b", "ssh://git@git.example.com/a/b", None),
            ("ssh://git@git.example.com:2222/a/b@v1", "ssh://git@git.example.com:2222/a/b", Some("v1")),
            ("git@git.example.com:a/b.git", "git@git.example.com:a/b.git", None),
            ("git@git.example.com:a/b.git@main", "git@git.example.com:a/b.git", Some("main")),
            ("/srv/git/b.git@main", "/srv/git/b.git", Some("main")),
            ("file:///srv/git/b.git@main", "file:///srv/git/b.git", Some("main")),
        ];
        for (text, repository, git_ref) in cases {
            let expected = ExpectedSource { repository: repository.to_owned(), git_ref: git_ref.map(str::to_owned) };
            assert_eq!(text.parse::<ExpectedSource>(), Ok(expected), "{text}");
        }
        for text in ["", "https://git.example.com/a@"] {
            assert_eq!(text.parse::<ExpectedSource>(), Err(BadSource), "{text}");
        }
    }

    #[test]
    fn a_name_that_could_mislead_does_not_match() {
        let commit = "a".repeat(40);
        let matches = |expected: &str, git_ref: &str| ExpectedSource::ref_matches(expected, Some(git_ref), &commit);
        assert!(matches("main", "refs/heads/main"));
        assert!(matches("refs/tags/v1", "refs/tags/v1"));
        assert!(matches(&commit, "refs/heads/main"));
        assert!(ExpectedSource::ref_matches(&commit, None, &commit));
        assert!(!matches("main", "refs/tags/main"), "a tag is not the branch of its name");
        assert!(!matches("refs/heads/main", "refs/heads/refs/heads/main"));
        assert!(
            !matches(&"b".repeat(40), &format!("refs/heads/{}", "b".repeat(40))),
            "a branch is not the commit of its name"
        );
        assert!(!matches("aaaaaaa", "refs/heads/main"), "a short commit id is not enough");
        assert!(!matches("", "refs/heads/"));
    }

    #[test]
    fn uris_name_the_transport() {
        assert_eq!(
            git_uri("https://git.example.com/a", Some("refs/heads/main")),
            "git+https://git.example.com/a@refs/heads/main"
        );
        assert_eq!(git_uri("git@git.example.com:a/b.git", None), "git+ssh://git@git.example.com/a/b.git");
        assert_eq!(git_uri("/srv/git/b.git", None), "git+file:///srv/git/b.git");
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in ".*") {
            let _ = text.parse::<ExpectedSource>();
        }

        #[test]
        fn a_ref_is_found_whatever_it_holds(git_ref in "[a-z@/.]{1,20}") {
            let source: ExpectedSource = format!("https://git.example.com/a/b@{git_ref}").parse().unwrap();
            prop_assert_eq!(source.git_ref, Some(git_ref));
        }
    }
}
