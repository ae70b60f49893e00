//! Where a repository can be looked at, if its host is one whose pages are known.
use url::Url;

/// How a host names its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    GitHub,
    GitLab,
    Gitea,
    Bitbucket,
}

/// The pages of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) struct Host {
    base: String,
    style: Style,
}

impl Host {
    /// The pages of the repository at an address; none where the host is not known.
    pub(in crate::web) fn of(repository: &str) -> Option<Self> {
        let (host, path) = place(repository)?;
        let style = style(&host)?;
        let path = path.trim_matches('/').trim_end_matches(".git");
        let parts: Vec<&str> = path.split('/').collect();
        let plain = |part: &&str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~".contains(c))
                && !part.starts_with('.')
        };
        let well = parts.len() >= 2 && parts.iter().all(plain);
        well.then(|| Self { base: format!("https://{host}/{path}"), style })
    }

    /// The page of a commit.
    pub(in crate::web) fn commit(&self, sha: &str) -> String {
        let base = &self.base;
        match self.style {
            Style::GitHub | Style::Gitea => format!("{base}/commit/{sha}"),
            Style::GitLab => format!("{base}/-/commit/{sha}"),
            Style::Bitbucket => format!("{base}/commits/{sha}"),
        }
    }

    /// What changed between two commits.
    pub(in crate::web) fn compare(&self, older: &str, newer: &str) -> String {
        let base = &self.base;
        match self.style {
            Style::GitHub | Style::Gitea => format!("{base}/compare/{older}...{newer}"),
            Style::GitLab => format!("{base}/-/compare/{older}...{newer}"),
            Style::Bitbucket => format!("{base}/branches/compare/{newer}..{older}"),
        }
    }
}

/// Host and path of an address.
fn place(repository: &str) -> Option<(String, String)> {
    if repository.contains("://") {
        let url = Url::parse(repository).ok()?;
        // The pages of a host are where its HTTPS is; another port of HTTPS is kept.
        let port = url.port().filter(|_| url.scheme() == "https").map(|port| format!(":{port}")).unwrap_or_default();
        let known = matches!(url.scheme(), "https" | "ssh");
        return known.then(|| Some((format!("{}{port}", url.host_str()?), url.path().to_owned())))?;
    }
    let (host, path) = repository.split_once(':')?;
    let host = host.rsplit('@').next()?;
    let well = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    well.then(|| (host.to_lowercase(), path.to_owned()))
}

fn style(host: &str) -> Option<Style> {
    let name = host.split(':').next().unwrap_or_default();
    let first = name.split('.').next().unwrap_or_default();
    match (name, first) {
        ("codeberg.org", _) | (_, "gitea" | "forgejo") => Some(Style::Gitea),
        ("bitbucket.org", _) => Some(Style::Bitbucket),
        (_, "github") => Some(Style::GitHub),
        (_, "gitlab") => Some(Style::GitLab),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hosts_have_pages_and_others_none() {
        let commit = |address: &str| Host::of(address).map(|host| host.commit("abc"));
        let github = Some("https://github.com/team/app/commit/abc".to_owned());
        for address in
            ["https://github.com/team/app.git", "git@github.com:team/app.git", "ssh://git@github.com:22/team/app"]
        {
            assert_eq!(commit(address), github, "{address}");
        }
        let gitlab = Some("https://gitlab.example.com:8443/a/b/c/-/commit/abc".to_owned());
        assert_eq!(commit("https://gitlab.example.com:8443/a/b/c.git"), gitlab);
        assert_eq!(
            Host::of("git@gitea.example.com:a/b").unwrap().compare("1", "2"),
            "https://gitea.example.com/a/b/compare/1...2"
        );
        for address in
            ["https://git.example.com/a/b.git", "file:///srv/github/a/b", "/srv/a/b", "", "http://github.com/a/b"]
        {
            assert_eq!(commit(address), None, "{address}");
        }
    }

    #[test]
    fn an_address_adds_nothing_of_its_own_to_a_link() {
        for address in [
            "https://github.com/a/b?x=\"><script>",
            "git@github.com:a/../b",
            "https://github.com/a/%22",
            "git@github.com:a/b c",
            "https://github.com/a",
        ] {
            let link = Host::of(address).map(|host| host.commit("abc"));
            assert!(
                link.as_deref().is_none_or(|link| link == "https://github.com/a/b/commit/abc"),
                "{address}: {link:?}"
            );
        }
    }
}
