//! Forms and scripts of other sites change nothing.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

const CONTEXT: &[u8] = b"danube form v1";

/// The token that every form of a session carries. It is made of the session's cookie, so it needs
/// no row and ends with the session; the cookie cannot be found from it.
pub fn token(cookie: &str) -> String {
    URL_SAFE_NO_PAD.encode(hmac::sign(&key(cookie), CONTEXT))
}

/// Is `given` the token of this cookie? In constant time.
pub fn matches(cookie: &str, given: &str) -> bool {
    URL_SAFE_NO_PAD.decode(given).is_ok_and(|tag| hmac::verify(&key(cookie), CONTEXT, &tag).is_ok())
}

fn key(cookie: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, cookie.as_bytes())
}

/// What a browser says about where a request comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// The header `Origin`.
    pub origin: Option<&'a str>,
    /// The header `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
}

/// Can the request come from our own pages, which live at one of `ours` (`https://host[:port]`)?
/// A header that is missing proves nothing; one that is there must agree.
pub fn same_site(said: Origin<'_>, ours: &[String]) -> bool {
    let site_ok = said.fetch_site.is_none_or(|site| site == "same-origin" || site == "none");
    let origin_ok = said.origin.is_none_or(|origin| ours.iter().any(|own| own.eq_ignore_ascii_case(origin)));
    site_ok && origin_ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_one_cookie() {
        let given = token("one");
        assert!(matches("one", &given));
        assert!(!matches("two", &given));
        assert!(!matches("one", ""));
        assert!(!matches("one", &given[1..]));
    }

    #[test]
    fn other_sites_are_told_by_either_header() {
        let ours = ["https://danube.example.com".to_owned()];
        let from = |origin, fetch_site| same_site(Origin { origin, fetch_site }, &ours);
        assert!(from(None, None));
        assert!(from(Some("https://danube.example.com"), Some("same-origin")));
        assert!(!from(Some("https://evil.example.com"), None));
        assert!(!from(Some("http://danube.example.com"), None));
        assert!(!from(Some("null"), None));
        assert!(!from(None, Some("cross-site")));
        assert!(!from(None, Some("same-site")));
    }
}
