//! Holds answers of the tests against the document. It knows the keywords that the document uses, and
//! fails on one that it does not know: nothing is checked by being skipped.
use std::sync::OnceLock;

use axum::http::Method;
use serde_json::Value;

use super::document::document;
use crate::web::routes::routes;

/// Keywords that say nothing about whether a value is right, or no more than our types hold anyway.
const SILENT: &[&str] = &["description", "title", "default", "format", "examples", "$ref"];

fn whole() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| document(&routes()))
}

/// Fails where the document does not describe an answer of the API.
#[track_caller]
pub(in crate::web) fn answer(method: &Method, path: &str, status: u16, kind: &str, body: &[u8]) {
    let document = whole();
    let paths = document["paths"].as_object().unwrap();
    // A path without braces is meant before one with.
    let fitting =
        paths.iter().filter(|(pattern, _)| fits(pattern, path)).min_by_key(|(pattern, _)| pattern.matches('{').count());
    let verb = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
    let Some((pattern, operation)) = fitting.and_then(|(pattern, item)| Some((pattern, item.get(&verb)?))) else {
        return;
    };
    let told =
        |what: &str| format!("{method} {pattern} answered {status} {kind}: {what}\n{}", String::from_utf8_lossy(body));
    let mut described = &operation["responses"][status.to_string()];
    assert!(described.is_object(), "{}", told("the document does not say so"));
    if let Some(name) = described["$ref"].as_str() {
        described = document.pointer(name.trim_start_matches('#')).unwrap();
    }
    let Some(content) = described["content"].as_object() else {
        assert!(body.is_empty(), "{}", told("the document knows of no body"));
        return;
    };
    let essence = kind.split(';').next().unwrap_or_default();
    let media = content.get(essence).unwrap_or_else(|| panic!("{}", told("the document knows other media types")));
    if media["schema"].is_object() && method != Method::HEAD {
        let value: Value = serde_json::from_slice(body).unwrap();
        check(&value, &media["schema"], "").unwrap_or_else(|why| panic!("{}", told(&why)));
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some(p), Some(given)) if p == given || (p.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

fn check(value: &Value, schema: &Value, at: &str) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else {
        return if schema == &Value::Bool(false) { Err(format!("{at} may not be there")) } else { Ok(()) };
    };
    if let Some(name) = schema["$ref"].as_str() {
        check(value, whole().pointer(name.trim_start_matches('#')).unwrap(), at)?;
    }
    for (keyword, wanted) in keywords {
        let wrong = || Err(format!("{at}: {value} against {keyword} {wanted}"));
        let held = match keyword.as_str() {
            "type" => {
                wanted.as_array().map_or_else(|| is(value, wanted), |kinds| kinds.iter().any(|kind| is(value, kind)))
            }
            "enum" => wanted.as_array().unwrap().contains(value),
            "const" => wanted == value,
            "anyOf" | "oneOf" => wanted.as_array().unwrap().iter().any(|option| check(value, option, at).is_ok()),
            "allOf" => wanted.as_array().unwrap().iter().all(|option| check(value, option, at).is_ok()),
            "required" => {
                let missing = |name: &&Value| value.get(name.as_str().unwrap()).is_none();
                !value.is_object() || !wanted.as_array().unwrap().iter().any(|name| missing(&name))
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= wanted.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= wanted.as_u64().unwrap()),
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(item, wanted, &format!("{at}[{n}]"))?;
                }
                true
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        check(value, schema, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = |name: &str| schema["properties"].get(name).is_some();
                for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| !known(name)) {
                    check(value, wanted, &format!("{at}.{name}"))?;
                }
                true
            }
            other if SILENT.contains(&other) => true,
            other => return Err(format!("{at}: the test does not know the keyword {other}")),
        };
        if !held {
            return wrong();
        }
    }
    // More than the schema says is a field that the type does not know of.
    if let (Some(known), Some(fields)) = (schema["properties"].as_object(), value.as_object())
        && !keywords.contains_key("additionalProperties")
        && let Some(name) = fields.keys().find(|name| !known.contains_key(*name))
    {
        return Err(format!("{at}.{name} is in no schema"));
    }
    Ok(())
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
