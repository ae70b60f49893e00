//! The parameters of an operation: those of its path by their names, those of its query by their type.
use schemars::SchemaGenerator;
use serde_json::{Value, json};

use super::operation::Operation;

/// The parameters of an operation.
pub(super) fn of(operation: &Operation, path: &str, types: &mut SchemaGenerator) -> Vec<Value> {
    let mut all: Vec<Value> = names(path).map(|name| in_path(path, name)).collect();
    if let Some(query) = operation.query {
        all.extend(in_query(&query(types).to_value()));
    }
    all
}

/// The names between braces.
pub(super) fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn in_path(path: &str, name: &str) -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    let (meaning, schema) = match name {
        "id" if path.contains("/jobs/") => ("The job: its id, or `pipeline#number` (encoded: `web%2342`).", text),
        "id" => ("The id.", json!({ "type": "string", "format": "uuid" })),
        "n" => ("The number of the step, from 1.", json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX })),
        "name" if path.contains("/artifacts/") => ("The name of the artifact.", text),
        "name" if path.contains("/webhooks/") => ("The name of the webhook in `config.yaml`.", text),
        "name" => ("The name of the pipeline.", text),
        "scope" => ("Whose secrets.", json!({ "type": "string", "enum": ["team", "pipeline"] })),
        "owner" => ("The name of the team or pipeline.", text),
        "key" => ("The name of the secret.", text),
        "forge" => ("The forge.", text),
        _ => ("The name.", text),
    };
    json!({ "name": name, "in": "path", "required": true, "description": meaning, "schema": schema })
}

/// Each field of an object as a parameter. Absent is what `null` would be.
fn in_query(object: &Value) -> Vec<Value> {
    let required = |name: &str| object["required"].as_array().is_some_and(|list| list.iter().any(|r| r == name));
    let fields = object["properties"].as_object().into_iter().flatten();
    fields
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            let meaning = schema.as_object_mut().and_then(|fields| fields.remove("description"));
            json!({
                "name": name, "in": "query", "required": required(name),
                "description": meaning.unwrap_or_default(), "schema": without_null(schema),
            })
        })
        .collect()
}

fn without_null(mut schema: Value) -> Value {
    if let Some(kinds) = schema["type"].as_array().cloned() {
        let mut rest: Vec<Value> = kinds.into_iter().filter(|kind| kind != "null").collect();
        schema["type"] = if rest.len() == 1 { rest.remove(0) } else { rest.into() };
    }
    if let Some(options) = schema["anyOf"].as_array().cloned() {
        let mut rest: Vec<Value> = options.into_iter().filter(|option| option["type"] != "null").collect();
        if rest.len() == 1 {
            return rest.remove(0);
        }
        schema["anyOf"] = rest.into();
    }
    // `default: null` would say no more than that it may be left out.
    if let Some(fields) = schema.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    schema
}
