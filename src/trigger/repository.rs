//! One repository has many spellings; this is where they meet.

/// The part of a repository's address that its spellings share: `host[:port]/path` or `/path`.
///
/// Scheme, user, default port, case of the host, trailing `/` and `.git` do not matter.
pub fn key(address: &str) -> String {
    let address = address.trim();
    if let Some((scheme, rest)) = address.split_once("://") {
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "file" {
            // `file://localhost/path` is `file:///path`.
            return path(rest.strip_prefix("localhost").unwrap_or(rest), true);
        }
        let (authority, rest) = rest.split_once('/').unwrap_or((rest, ""));
        return format!("{}/{}", host(authority, &scheme), path(rest, false));
    }
    match address.split_once(':') {
        // `user@host:path`, as ssh and scp read it; a `/` before the colon makes it a path.
        Some((before, rest)) if !before.is_empty() && !before.contains('/') => {
            format!("{}/{}", host(before, "ssh"), path(rest, false))
        }
        _ => path(address, true),
    }
}

/// Two addresses name the same repository.
pub fn same(one: &str, other: &str) -> bool {
    key(one) == key(other)
}

fn host(authority: &str, scheme: &str) -> String {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
    let default = match scheme {
        "ssh" | "git+ssh" => ":22",
        "https" => ":443",
        "http" => ":80",
        _ => return host,
    };
    host.strip_suffix(default).unwrap_or(&host).to_owned()
}

fn path(text: &str, absolute: bool) -> String {
    // Names are joined anew, so that doubled slashes and `.` vanish; `..` is kept, it may cross a link.
    let names: Vec<&str> = text.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    let joined = names.join("/");
    let short = joined.strip_suffix(".git").filter(|s| !s.is_empty() && !s.ends_with('/')).unwrap_or(&joined);
    if absolute { format!("/{short}") } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_repository_meet() {
        for spelling in [
            "https://git.example.com/web/shop.git",
            "https://git.example.com/web/shop",
            "https://git.example.com/web/shop/",
            "https://token@git.example.com:443/web/shop.git",
            "http://Git.Example.COM:80//web/shop.git",
            "ssh://git@git.example.com/web/shop.git",
            "ssh://git@git.example.com:22/web/shop",
            "git@git.example.com:web/shop.git",
            "git.example.com:web/shop",
            "git@GIT.example.com:/web/shop.git",
        ] {
            assert_eq!(key(spelling), "git.example.com/web/shop", "{spelling}");
        }
        for spelling in
            ["/srv/git/shop.git", "file:///srv/git/shop", "file://localhost/srv/git/shop.git", "/srv/git/shop/"]
        {
            assert_eq!(key(spelling), "/srv/git/shop", "{spelling}");
        }
    }

    #[test]
    fn different_repositories_stay_apart() {
        let all = [
            "https://git.example.com/web/shop",
            "https://git.example.com/web/shop2",
            "https://git.example.com/web/Shop",
            "https://git.example.com:8443/web/shop",
            "https://git.example.org/web/shop",
            "https://example.com/git.example.com/web/shop",
            "/git.example.com/web/shop",
            "/web/shop",
        ];
        for (i, one) in all.iter().enumerate() {
            for (j, other) in all.iter().enumerate() {
                assert_eq!(same(one, other), i == j, "{one} {other}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_suffix_never_matters(text in "\\PC{0,60}", path in "[a-z]{1,8}/[a-z]{1,8}") {
            let _key = key(&text);
            let plain = format!("https://git.example.com/{path}");
            let (suffixed, scp) = (format!("{plain}.git"), format!("git@git.example.com:{path}.git"));
            prop_assert!(same(&plain, &suffixed) && same(&plain, &scp));
        }
    }
}
