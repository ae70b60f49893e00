//! DNS names that jobs may reach: `example.com` is that name, `*.example.com` all names below it.
use std::net::IpAddr;

/// Why a text is no name of an allowlist.
pub fn bad_name(name: &str) -> Option<&'static str> {
    let plain = name.strip_prefix("*.").unwrap_or(name);
    if plain.is_empty() {
        return Some("it is empty");
    }
    if plain.contains('*') {
        return Some("'*' may stand only once, as '*.' at the start");
    }
    if plain.parse::<IpAddr>().is_ok() {
        return Some("it is an IP address");
    }
    if plain.contains(['/', ':', '@']) {
        return Some("it has a scheme, port or path");
    }
    if !plain.is_ascii() {
        return Some("it is not ASCII: write an international name in its xn-- form");
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let numbers = plain.split('.').all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    if name.len() > 253 || numbers || !plain.split('.').all(label) {
        return Some("it is not a DNS name");
    }
    None
}

/// Whether an entry allows all that `name` stands for, a name or a wildcard; letters count in either case.
///
/// `*.example.com` covers `a.example.com`, `a.b.example.com` and `*.a.example.com`, not `example.com`.
pub fn covers(entry: &str, name: &str) -> bool {
    if entry.eq_ignore_ascii_case(name) {
        return true;
    }
    let Some(domain) = entry.strip_prefix("*.") else { return false };
    // A domain, the dot before it, and something before that.
    let Some(at) = name.len().checked_sub(domain.len()).filter(|at| *at > 1) else { return false };
    name.as_bytes()[at..].eq_ignore_ascii_case(domain.as_bytes()) && name.as_bytes()[at - 1] == b'.'
}

/// Whether some entry covers a name.
pub fn is_covered(entries: &[String], name: &str) -> bool {
    entries.iter().any(|entry| covers(entry, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_what_is_below_it_and_nothing_beside_it() {
        for (allowed, name, expected) in [
            ("example.com", "example.com", true),
            ("example.com", "EXAMPLE.com", true),
            ("example.com", "www.example.com", false),
            ("*.example.com", "www.example.com", true),
            ("*.example.com", "a.B.eXample.com", true),
            ("*.example.com", "*.example.com", true),
            ("*.example.com", "*.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "badexample.com", false),
            ("*.example.com", "é.example.com", true),
            ("*.b.example.com", "*.example.com", false),
            ("www.example.com", "*.example.com", false),
            ("*.com", "m", false),
        ] {
            assert_eq!(covers(allowed, name), expected, "{allowed} {name}");
        }
    }

    #[test]
    fn only_dns_names_pass() {
        for good in ["example.com", "*.example.com", "registry", "x-1.example.com", "_x.example.com"] {
            assert_eq!(bad_name(good), None, "{good}");
        }
        for bad in [
            "",
            "*",
            "*.",
            "*.*.com",
            "a.*.com",
            "10.0.0.1",
            "::1",
            "https://x.com",
            "x.com:443",
            "x.com/y",
            "x..com",
            "-x.com",
            "x.com.",
            "b\u{fc}cher.example.com",
            "0x7f.1\u{e9}",
            "2130706433",
            "a b.com",
            "a\u{0}.com",
        ] {
            assert!(bad_name(bad).is_some(), "{bad}");
        }
    }
}
