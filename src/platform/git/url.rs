//! Which addresses of repositories are let through to git.
use std::net::IpAddr;

use url::{Host, Url};

const MAX_LENGTH: usize = 2048;

/// How git will reach an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `ssh://` or `user@host:path`.
    Ssh,
    /// `https://` or `http://`.
    Http,
    /// `file://` or an absolute path.
    Local,
}

/// Why an address is refused. The text completes the sentence "the address …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Longer than any real one.
    #[error("is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// Spaces, control characters, backslashes.
    #[error("contains white space, a backslash or a control character")]
    BadCharacter,
    /// git or ssh would read it as an option.
    #[error("has a part that starts with '-', which git or ssh would read as an option")]
    Option,
    /// `ext::` and its like, which run commands.
    #[error("names a transport ('{0}::') that may run commands")]
    Helper(String),
    /// A scheme that is not served.
    #[error("has the scheme '{0}'; use https, ssh, file or an absolute path")]
    Scheme(String),
    /// A password in the open.
    #[error("contains a password; store it as a secret and name it in git_authentication")]
    Password,
    /// An address where no repository is: link-local (the metadata of clouds), unspecified, multicast.
    #[error("names the address {0}, where no repository can be")]
    NoHost(IpAddr),
    /// `..` in a local path.
    #[error("contains '..'")]
    Parent,
    /// A relative path or noise.
    #[error(
        "is not a repository address such as git@git.example.com:team/app.git or https://git.example.com/team/app.git"
    )]
    Unknown,
}

/// Lets an address through to git, or says why not.
pub fn check_url(address: &str) -> Result<Transport, BadUrl> {
    if address.is_empty() {
        return Err(BadUrl::Empty);
    }
    if address.len() > MAX_LENGTH {
        return Err(BadUrl::TooLong);
    }
    if address.starts_with('-') {
        return Err(BadUrl::Option);
    }
    if let Some((helper, _)) = address.split_once("::")
        && helper.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b))
    {
        return Err(BadUrl::Helper(helper.to_owned()));
    }
    if has_bad_character(address) {
        return Err(BadUrl::BadCharacter);
    }
    if address.starts_with('/') {
        return check_path(address);
    }
    match address.split_once("://") {
        Some((scheme, rest)) => check_with_scheme(address, scheme, rest),
        None => check_scp(address),
    }
}

/// Whether a text can be a branch that git takes for nothing else.
pub fn check_branch(name: &str) -> bool {
    name.len() <= 255
        && !name.starts_with('-')
        && name != "HEAD"
        && git2::Reference::is_valid_name(&format!("refs/heads/{name}"))
}

/// Also in percent form: git decodes it before it talks to a server.
fn has_bad_character(address: &str) -> bool {
    let bad = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    let encoded = address.as_bytes().windows(3).any(|w| {
        w[0] == b'%'
            && (matches!(w[1], b'0' | b'1') || w.eq_ignore_ascii_case(b"%7f") || w.eq_ignore_ascii_case(b"%5c"))
    });
    address.chars().any(bad) || encoded
}

fn check_path(path: &str) -> Result<Transport, BadUrl> {
    if path.split('/').any(|part| part == ".." || part.eq_ignore_ascii_case("%2e%2e")) {
        return Err(BadUrl::Parent);
    }
    Ok(Transport::Local)
}

fn check_with_scheme(address: &str, scheme: &str, rest: &str) -> Result<Transport, BadUrl> {
    let transport = match scheme {
        "https" | "http" => Transport::Http,
        "ssh" => Transport::Ssh,
        "file" if rest.starts_with('/') => return check_path(rest),
        "file" => return Err(BadUrl::Unknown),
        other => return Err(BadUrl::Scheme(other.chars().take(32).collect())),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return Err(BadUrl::Password);
    }
    if user.starts_with('-') || host.starts_with('-') {
        return Err(BadUrl::Option);
    }
    let parsed = Url::parse(address).map_err(|_| BadUrl::Unknown)?;
    let has_path = rest.split_once('/').is_some_and(|(_, path)| !path.is_empty());
    let plain = !authority.contains('%') && parsed.query().is_none() && parsed.fragment().is_none();
    if host.is_empty() || parsed.host_str().is_none_or(str::is_empty) || !has_path || !plain {
        return Err(BadUrl::Unknown);
    }
    match no_repository_there(&parsed) {
        Some(address) => Err(BadUrl::NoHost(address)),
        None => Ok(transport),
    }
}

/// Loopback and private networks are let through: that is where on-premise forges are.
fn no_repository_there(url: &Url) -> Option<IpAddr> {
    let address = match url.host()? {
        Host::Ipv4(address) => IpAddr::V4(address),
        Host::Ipv6(address) => IpAddr::V6(address).to_canonical(),
        // The host of ssh:// stays text.
        Host::Domain(name) => name.parse().ok()?,
    };
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    (link_local || address.is_unspecified() || address.is_multicast()).then_some(address)
}

/// `[user@]host:path`.
fn check_scp(address: &str) -> Result<Transport, BadUrl> {
    let (user, rest) = match address.split_once('@') {
        Some((user, rest)) if !user.contains([':', '/']) => (Some(user), rest),
        _ => (None, address),
    };
    let (host, path) = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once("]:").ok_or(BadUrl::Unknown)?,
        None => rest.split_once(':').ok_or(BadUrl::Unknown)?,
    };
    if [user.unwrap_or_default(), host, path].iter().any(|part| part.starts_with('-')) {
        return Err(BadUrl::Option);
    }
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:".contains(&b));
    if !user.is_none_or(word) || !word(host) || path.is_empty() {
        return Err(BadUrl::Unknown);
    }
    Ok(Transport::Ssh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_addresses_pass() {
        for (address, transport) in [
            ("git@git.example.com:ops/danube-config.git", Transport::Ssh),
            ("git.example.com:app", Transport::Ssh),
            ("git@[2001:db8::1]:app.git", Transport::Ssh),
            ("ssh://git@git.example.com:2222/ops/config.git", Transport::Ssh),
            ("https://git.example.com/team/app.git", Transport::Http),
            ("https://bot@git.example.com/team/app", Transport::Http),
            ("http://127.0.0.1:3000/team/app.git", Transport::Http),
            ("file:///srv/git/app.git", Transport::Local),
            ("/srv/git/app.git", Transport::Local),
        ] {
            assert_eq!(check_url(address), Ok(transport), "{address}");
        }
    }

    #[test]
    fn hostile_addresses_are_refused() {
        for address in [
            "",
            "--upload-pack=touch /tmp/x",
            "-oProxyCommand=x",
            "ext::sh -c id",
            "ext::sh",
            "fd::17",
            "ssh://-oProxyCommand=x/app",
            "ssh://-x@host/app",
            "ssh://git@-x/app",
            "-x@host:app",
            "git@-oProxyCommand=x:app",
            "git@host:-app",
            "host:--upload-pack=x",
            "https://user:password@git.example.com/app",
            "https:///app",
            "http://169.254.169.254/latest/meta-data",
            "http://2852039166/latest",
            "http://0xa9.254.0251.254/latest",
            "http://[::ffff:169.254.169.254]/latest",
            "http://[fe80::1]/app",
            "http://0/app",
            "ssh://git@169.254.169.254/app",
            "https://git.example.com",
            "https://git.example.com/",
            "https://git.example.com/a?b",
            "https://git.example.com/a%0ahost=evil",
            "https://git.example.com/a%7Fb",
            "https://%2dx/app",
            "ssh://%2doProxyCommand=x/app",
            "git://git.example.com/app",
            "ftp://git.example.com/app",
            "javascript://x/y",
            "file://host/app",
            "file:///srv/../etc",
            "/srv/../etc",
            "../app",
            "app",
            "./a:b",
            "a b:c",
            "git@host:a\nb",
            "git@host:a\0b",
            "https://git.example.com/a\\b",
        ] {
            assert!(check_url(address).is_err(), "{address:?}");
        }
    }

    #[test]
    fn branches_that_are_options_or_no_refs_are_refused() {
        assert!(check_branch("main") && check_branch("feature/one"));
        for wrong in ["", "-x", "--all", "a..b", "a b", "a:b", "a\nb", "HEAD", "x.lock", "@{u}", "a~1"] {
            assert!(!check_branch(wrong), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_passes_holds_nothing_that_git_takes_apart(address in "[-a-z@:/.%0-9\\[\\] ?]{0,24}") {
            if check_url(&address).is_ok() {
                prop_assert!(!address.starts_with('-') && !address.contains(' ') && !address.starts_with("ext::"));
                prop_assert!(!address.contains("://-") && !address.contains("@-"));
            }
        }
    }
}
