//! Cookies: the session's, and the one that guards the login form.
use axum::http::{HeaderMap, HeaderValue, header};

/// The session.
pub(super) const SESSION: &str = "danube_session";
/// Ties a login form to the browser that was given it.
pub(super) const DOOR: &str = "danube_door";

/// The value of a cookie; of two with one name neither is taken: one of them was planted.
pub(super) fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The header that sets a cookie for this browser session; `secure` behind TLS.
pub(super) fn set(name: &str, value: &str, secure: bool) -> HeaderValue {
    line(name, value, secure, "")
}

/// The header that removes a cookie.
pub(super) fn clear(name: &str, secure: bool) -> HeaderValue {
    line(name, "", secure, "; Max-Age=0")
}

fn line(name: &str, value: &str, secure: bool, rest: &str) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    HeaderValue::try_from(format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{rest}"))
        .expect("cookie values are URL-safe base64")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (header::COOKIE, HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        assert_eq!(get(&headers(&["a=1; danube_session=x; b=2"]), SESSION), Some("x"));
        assert_eq!(get(&headers(&["a=1", "danube_session=x"]), SESSION), Some("x"));
        assert_eq!(get(&headers(&["xdanube_session=x"]), SESSION), None);
    }

    #[test]
    fn a_doubled_cookie_is_none() {
        assert_eq!(get(&headers(&["danube_session=x; danube_session=y"]), SESSION), None);
    }

    #[test]
    fn cookies_are_hidden_from_scripts_and_other_sites() {
        let line = set(SESSION, "v", true);
        assert_eq!(line, "danube_session=v; Path=/; HttpOnly; SameSite=Lax; Secure");
        assert!(!set(SESSION, "v", false).to_str().unwrap().contains("Secure"));
    }
}
