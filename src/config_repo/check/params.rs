//! `params` of a pipeline: names, types, choices, defaults.
use std::collections::BTreeSet;

use super::Checking;
use crate::config_repo::issue::shown;
use crate::config_repo::node::way;
use crate::config_repo::raw::{EventName, Items, ParamEntry, PipelineSpec};
use crate::model::param::MAX_PARAMS;
use crate::model::settings::{Param, ParamType};

/// The most choices of one param.
const MAX_CHOICES: usize = 100;
/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 500;

/// The params of a pipeline.
pub(super) fn check(at: &mut Checking<'_>, spec: &PipelineSpec) -> Vec<Param> {
    let mut seen = BTreeSet::new();
    let mut params = Vec::new();
    for (index, entry) in spec.params.iter().flat_map(Items::iter) {
        if index == MAX_PARAMS {
            let message = format!("the pipeline has more than {MAX_PARAMS} params");
            at.wrong(way!["spec", "params", index], message, "use fewer");
        }
        let Some(name) = &entry.name else { continue };
        let place = way!["spec", "params", index, "name"];
        if !is_name(name) {
            let fix = "use letters, digits, '_' and '-', starting with a letter or '_', at most 64";
            at.wrong(place, format!("'{}' is not a valid name of a param", shown(name)), fix);
        }
        if !seen.insert(name.as_str()) {
            at.wrong(place, format!("param '{}' is declared twice", shown(name)), "rename or remove one of them");
        }
        if entry.required == Some(true) {
            required(at, index, name, entry, spec);
        }
        params.push(param(at, index, name, entry));
    }
    params
}

fn param(at: &mut Checking<'_>, index: usize, name: &str, entry: &ParamEntry) -> Param {
    let kind = entry.kind.unwrap_or_default();
    let description = entry.description.clone().unwrap_or_default();
    if description.chars().nth(MAX_DESCRIPTION).is_some() {
        let message = format!("the description has more than {MAX_DESCRIPTION} characters");
        at.wrong(way!["spec", "params", index, "description"], message, "say it in a sentence");
    }
    let mut param =
        Param { name: name.to_owned(), kind, choices: choices(at, index, kind, entry), default: None, description };
    param.default = match &entry.default {
        // Checked with a default in place: a text may then be empty.
        Some(default) => Some(checked(at, index, Param { default: Some(default.clone()), ..param.clone() }, default)),
        None if entry.required == Some(true) => None,
        None => match kind {
            ParamType::String => Some(String::new()),
            ParamType::Boolean => Some("false".to_owned()),
            ParamType::Choice => param.choices.first().cloned(),
            ParamType::Integer => {
                let message = format!("the integer '{}' has no value where none is given", shown(name));
                at.wrong(way!["spec", "params", index], message, "add 'default: …' or 'required: true'");
                None
            }
        },
    };
    param
}

fn checked(at: &mut Checking<'_>, index: usize, param: Param, default: &str) -> String {
    // Without choices the list itself is the mistake.
    if param.kind == ParamType::Choice && param.choices.is_empty() {
        return default.to_owned();
    }
    match param.value(default) {
        Ok(value) => value,
        Err(reason) => {
            let near = at.suggest.nearest(default, param.choices.iter().map(String::as_str));
            let fix = match (near, param.kind) {
                (Some(near), _) => format!("did you mean '{near}'?"),
                (None, ParamType::Choice) => "use one of its choices, or add it to them".to_owned(),
                (None, kind) => format!("write a value of its type, {}", kind.as_str()),
            };
            let message = format!("the default of '{}' does not fit: {}", shown(&param.name), shown_reason(&reason));
            at.wrong(way!["spec", "params", index, "default"], message, fix);
            default.to_owned()
        }
    }
}

fn choices(at: &mut Checking<'_>, index: usize, kind: ParamType, entry: &ParamEntry) -> Vec<String> {
    let place = way!["spec", "params", index, "choices"];
    if kind != ParamType::Choice {
        if entry.choices.is_some() {
            at.wrong(place, "'choices' belongs to 'type: choice'", "remove it, or write 'type: choice'");
        }
        return Vec::new();
    }
    let mut list: Vec<String> = Vec::new();
    for (nth, choice) in entry.choices.iter().flat_map(Items::iter) {
        let place = way!["spec", "params", index, "choices", nth];
        if choice.is_empty() || choice.chars().nth(100).is_some() || choice.contains('\n') {
            at.wrong(place, "a choice has 1 to 100 characters on one line", "write a short word");
        }
        if nth == MAX_CHOICES {
            at.wrong(place, format!("there are more than {MAX_CHOICES} choices"), "use 'type: string' for so many");
        }
        if list.contains(choice) {
            at.wrong(place, format!("the choice '{}' stands twice", shown(choice)), "remove one of them");
        }
        list.push(choice.clone());
    }
    if list.is_empty() {
        let fix = "add 'choices: [ …, … ]'";
        at.wrong(way!["spec", "params", index], "'type: choice' needs the field 'choices'", fix);
    }
    list
}

/// A value that only a person can give, where something else starts the pipeline too.
fn required(at: &mut Checking<'_>, index: usize, name: &str, entry: &ParamEntry, spec: &PipelineSpec) {
    let place = way!["spec", "params", index, "required"];
    if entry.default.is_some() {
        let message = format!("'{}' is required and has a default", shown(name));
        at.wrong(place, message, "remove 'required' or 'default': what has a default is never missing");
        return;
    }
    let alone = spec.triggers.iter().flat_map(Items::iter).find_map(|(_, trigger)| match trigger.on? {
        EventName::Manual => None,
        EventName::Push => Some("push"),
        EventName::Tag => Some("tag"),
        EventName::PullRequest => Some("pull_request"),
        EventName::Cron => Some("cron"),
    });
    if let Some(event) = alone {
        let message = format!("'{}' is required, but 'on: {event}' starts the pipeline without params", shown(name));
        at.wrong(place, message, "give it a default, or move it to a pipeline of its own that only people start");
    }
}

/// A reason holds values of the document, which may be long.
fn shown_reason(reason: &str) -> String {
    reason.chars().take(300).collect()
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && name.len() <= 64 && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
