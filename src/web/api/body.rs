//! JSON bodies of requests.
use serde::de::DeserializeOwned;

use crate::web::error::{Answer, WebError};

/// Reads an object. A list would pass for one whose fields have defaults, so it is refused first.
pub(super) fn object<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(WebError::bad_request("the body is to be a JSON object, {\"field\": …}"));
    }
    serde_json::from_slice(bytes).map_err(|e| WebError::bad_request(format!("the body is not as expected: {e}")))
}
