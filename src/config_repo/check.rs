//! From files to settings, or to every mistake in them.
use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::files::Files;
use super::issue::{ConfigIssue, Issues, MAX_QUOTED, Place, line_of, shown};
use super::node::{Node, Step, way};
use super::raw::{ConfigDocument, PipelineDocument, TeamDocument, UserDocument};
use super::schema::{Kind, schema};
use super::shape::Shape;
use super::suggest::Suggest;
use super::yaml::{self, Budget};
use crate::model::settings::{Global, Settings};

mod cron;
mod egress;
mod git_auth;
mod registries;
mod global;
mod params;
mod people;
mod pipeline;
mod words;

/// One document that has a kind.
struct Document {
    file: usize,
    kind: Kind,
    node: Node,
    fitting: Json,
}

/// What documents may refer to.
#[derive(Debug, Default)]
struct World {
    /// Names of teams.
    teams: BTreeMap<String, Declared>,
    /// Addresses of users.
    emails: BTreeMap<String, Declared>,
    /// What jobs may reach at most.
    ceiling: Vec<String>,
    /// Part of the config repo cannot be read, so that what seems unknown may stand there.
    partial: bool,
}

/// Where a name was declared first.
#[derive(Debug, Clone)]
struct Declared {
    file: String,
    line: u32,
}

/// A document under check.
struct Checking<'a> {
    file: &'a str,
    node: &'a Node,
    issues: &'a mut Issues,
    suggest: &'a mut Suggest,
}

impl Checking<'_> {
    fn wrong(&mut self, path: &[Step<'_>], message: impl Into<String>, fix: impl Into<String>) {
        self.issues.add(self.file, self.node.place_of(path), message, fix);
    }

    /// Notes a name; a second one of the same is a mistake.
    fn declare(&mut self, names: &mut BTreeMap<String, Declared>, name: &str, what: &str, path: &[Step<'_>]) {
        if name.is_empty() {
            return;
        }
        if let Some(first) = names.get(name) {
            let fix = format!("rename or remove one of them; the first is in {}, line {}", first.file, first.line);
            self.wrong(path, format!("{what} '{}' is declared twice", shown(name)), fix);
            return;
        }
        let line = self.node.place_of(path).line;
        names.insert(name.to_owned(), Declared { file: self.file.to_owned(), line });
    }
}

/// Checks everything that was read: settings, or all mistakes at once.
pub fn check(files: Files) -> Result<Settings, Vec<ConfigIssue>> {
    let Files { list: sources, mut issues } = files;
    let mut suggest = Suggest::default();
    let mut world = World { partial: !issues.is_empty(), ..World::default() };
    let mut documents = Vec::new();
    let mut budget = Budget::default();
    for (file, source) in sources.iter().enumerate() {
        let (nodes, broken) = yaml::parse(&source.text, &mut budget);
        for node in nodes.into_iter().filter(|node| !node.is_null()) {
            match document(file, &source.path, node, &mut issues, &mut suggest) {
                Some(document) => documents.push(document),
                None => world.partial = true,
            }
        }
        if let Some(broken) = broken {
            world.partial = true;
            issues.add(&source.path, broken.place, broken.message, broken.fix);
            if budget.is_spent() {
                break;
            }
        }
    }
    // Users before teams before pipelines: each refers to what stands before it.
    documents.sort_by_key(|document| document.kind as usize);
    let settings = settings(&sources, documents, &mut world, &mut issues, &mut suggest);
    if issues.is_empty() {
        return Ok(settings);
    }
    let mut list = issues.into_list();
    for issue in list.iter_mut().take(MAX_QUOTED) {
        if let Some(source) = sources.iter().find(|source| source.path == issue.file) {
            issue.text = line_of(&source.text, issue.line);
        }
    }
    Err(list)
}

fn settings(
    sources: &[super::SourceFile],
    documents: Vec<Document>,
    world: &mut World,
    issues: &mut Issues,
    suggest: &mut Suggest,
) -> Settings {
    let mut settings = Settings::default();
    let mut global: Option<Global> = None;
    let (mut user_names, mut pipeline_names) = (BTreeMap::new(), BTreeMap::new());
    for Document { file, kind, node, fitting } in documents {
        let file = sources[file].path.as_str();
        let mut at = Checking { file, node: &node, issues: &mut *issues, suggest: &mut *suggest };
        match kind {
            Kind::Config => {
                let checked = global::check(&mut at, typed::<ConfigDocument>(fitting));
                if global.is_some() {
                    at.wrong(&[], "there is a second Config document", "keep one, in config.yaml");
                    continue;
                }
                world.ceiling.clone_from(&checked.egress_allowlist);
                global = Some(checked);
            }
            Kind::User => {
                let checked = people::user(&mut at, typed::<UserDocument>(fitting));
                world.partial |= checked.email.is_empty();
                at.declare(&mut user_names, &checked.name, "user", way!["metadata", "name"]);
                at.declare(&mut world.emails, &checked.email, "the user with the address", way!["spec", "email"]);
                settings.users.push(checked);
            }
            Kind::Team => {
                let checked = people::team(&mut at, world, typed::<TeamDocument>(fitting));
                world.partial |= checked.name.is_empty();
                at.declare(&mut world.teams, &checked.name, "team", way!["metadata", "name"]);
                settings.teams.push(checked);
            }
            Kind::Pipeline => {
                let checked = pipeline::check(&mut at, world, typed::<PipelineDocument>(fitting));
                at.declare(&mut pipeline_names, &checked.name, "pipeline", way!["metadata", "name"]);
                settings.pipelines.push(checked);
            }
        }
    }
    if global.is_none() && !world.partial {
        let fix = "add config.yaml with 'kind: Config' and 'metadata: {name: global}'; `danube init` writes one";
        issues.add("config.yaml", Place::START, "there is no Config document", fix);
    }
    settings.global = global.unwrap_or_default();
    settings.users.sort_by(|a, b| a.email.cmp(&b.email));
    settings.teams.sort_by(|a, b| a.name.cmp(&b.name));
    settings.pipelines.sort_by(|a, b| a.name.cmp(&b.name));
    settings
}

/// Finds the kind of a document and fits it to its schema.
fn document(file: usize, path: &str, node: Node, issues: &mut Issues, suggest: &mut Suggest) -> Option<Document> {
    let words = Kind::ALL.map(Kind::as_str);
    let list = words.join(", ");
    let Some(word) = node.field("kind").and_then(Node::text) else {
        let message = "the document does not say what it is: 'kind' is missing";
        issues.add(path, node.place, message, format!("add 'kind: …', one of: {list}"));
        return None;
    };
    let Some(kind) = Kind::parse(word) else {
        let place = node.place_of(way!["kind"]);
        let fix = match suggest.nearest(word, words) {
            Some(near) => format!("did you mean '{near}'? Valid are: {list}"),
            None => format!("write one of: {list}"),
        };
        issues.add(path, place, format!("'{}' is not a valid kind", shown(word)), fix);
        return None;
    };
    let name = format!("the {} document", kind.as_str());
    let fitting = Shape { file: path, issues, suggest }.fit(schema(kind), &node, &name)?;
    Some(Document { file, kind, node, fitting })
}

/// What fits the schema fits the type it was made from.
fn typed<T: DeserializeOwned>(fitting: Json) -> T {
    serde_json::from_value(fitting)
        .expect("the schema was generated from this type, and only what fits it is passed on")
}
