//! The query of a request, read strictly: a condition that is not known, or wrong, is refused rather
//! than left out, for an answer to another question would look like one to this.
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{Answer, WebError};

/// Bytes of a value, where nothing else is said.
const VALUE: usize = 1024;
/// Parameters in a query.
const PARAMETERS: usize = 32;
/// Rows of a page, where nothing is said, and at most.
const USUAL: u32 = 50;
const MOST: u32 = 200;
/// Entries of a list that few are longer than, where nothing is said, and at most.
const MANY: u32 = 1000;

/// The query as a `T`; no value longer than `LONGEST` bytes.
pub(super) struct Query<T, const LONGEST: usize = VALUE>(pub(super) T);

impl<T: DeserializeOwned, S: Sync, const LONGEST: usize> FromRequestParts<S> for Query<T, LONGEST> {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, WebError> {
        check(parts.uri.query().unwrap_or_default(), LONGEST)?;
        let read = axum::extract::Query::try_from_uri(&parts.uri);
        let axum::extract::Query(value) = read.map_err(|error| {
            let source = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            WebError::bad_request(format!("The query of the address cannot be read: {source}."))
        })?;
        Ok(Self(value))
    }
}

fn check(query: &str, longest: usize) -> Answer<()> {
    for (n, (name, value)) in url::form_urlencoded::parse(query.as_bytes()).enumerate() {
        let name: String = name.chars().take(64).collect();
        if n >= PARAMETERS {
            return Err(WebError::bad_request(format!("A query has at most {PARAMETERS} parameters.")));
        }
        if value.len() > longest {
            return Err(WebError::bad_request(format!("`{name}` has {} bytes; at most {longest}.", value.len())));
        }
        if value.contains('\0') {
            return Err(WebError::bad_request(format!("`{name}` holds a zero byte.")));
        }
    }
    Ok(())
}

/// A text that is given; an empty field of a form is none.
pub(super) fn text(value: Option<String>) -> Option<String> {
    value.filter(|text| !text.is_empty())
}

/// A text that is given, as a `T`.
pub(super) fn word<T>(value: Option<String>) -> Answer<Option<T>>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text(value).map(|text| text.parse().map_err(|e: T::Err| WebError::bad_request(e.to_string()))).transpose()
}

/// The rows of a page.
pub(super) fn page_limit(wanted: Option<u32>) -> Answer<u32> {
    within(wanted.unwrap_or(USUAL), MOST)
}

fn within(limit: u32, most: u32) -> Answer<u32> {
    let fits = (1..=most).contains(&limit);
    fits.then_some(limit).ok_or_else(|| WebError::bad_request(format!("`limit` is 1 to {most}.")))
}

/// Which part of a list that has no conditions.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// Entries in an answer at most (1000).
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Where to go on: `next` of the answer before.
    pub(super) cursor: Option<String>,
}

impl PageQuery {
    /// The entries of the page.
    pub(super) fn limit(&self) -> Answer<u32> {
        within(self.limit.unwrap_or(MANY), MANY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_1_to_200_rows() {
        assert_eq!(page_limit(None).unwrap(), 50);
        assert_eq!(page_limit(Some(200)).unwrap(), 200);
        assert!(page_limit(Some(0)).is_err() && page_limit(Some(201)).is_err());
    }

    #[test]
    fn a_long_value_names_its_parameter() {
        assert!(check(&format!("branch={}", "x".repeat(1024)), VALUE).is_ok());
        assert!(check(&format!("a=b&branch={}", "x".repeat(10_000)), VALUE).is_err());
        assert!(check("branch=%00", VALUE).is_err());
    }
}
