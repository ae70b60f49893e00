//! Reads hostile YAML: bounded depth, bounded size after aliases, no tags, no duplicate keys.
use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::issue::{Place, shown};
use super::node::{Key, Node, Value};

/// How deep mappings and lists may stand in each other.
const MAX_DEPTH: usize = 32;

/// What a whole config repo may hold once aliases are written out.
#[derive(Debug)]
pub(super) struct Budget {
    nodes: usize,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { nodes: 200_000, bytes: 16 << 20 }
    }
}

impl Budget {
    /// Nothing more can be read.
    pub(super) fn is_spent(&self) -> bool {
        self.nodes == 0 || self.bytes == 0
    }

    fn spend(&mut self, size: Size) -> bool {
        let enough = self.nodes >= size.nodes && self.bytes >= size.bytes;
        self.nodes = self.nodes.saturating_sub(size.nodes);
        self.bytes = self.bytes.saturating_sub(size.bytes);
        enough
    }
}

/// Why a file cannot be read any further.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) place: Place,
    pub(super) message: String,
    pub(super) fix: String,
}

/// The documents of a file, up to the first that cannot be read.
pub(super) fn parse(text: &str, budget: &mut Budget) -> (Vec<Node>, Option<Broken>) {
    let mut reader = Reader { budget, documents: Vec::new(), open: Vec::new(), anchors: HashMap::new() };
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_comments: false,
        flow_nesting_limit: 2 * MAX_DEPTH,
        block_nesting_limit: 2 * MAX_DEPTH,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => reader.take(event, span),
            Err(error) => Err(Broken {
                place: place(error.marker().line(), error.marker().col()),
                message: format!("this is not valid YAML: {}", shown(&error.info())),
                fix: "check the indentation, quotes and brackets here and on the line before".to_owned(),
            }),
        };
        if let Err(broken) = step {
            return (reader.documents, Some(broken));
        }
    }
    (reader.documents, None)
}

fn place(line: usize, column: usize) -> Place {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: small(line.max(1)), column: small(column + 1) }
}

#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    height: usize,
}

/// A mapping or list whose end was not seen yet.
struct Open {
    place: Place,
    anchor: usize,
    size: Size,
    body: Body,
}

enum Body {
    List(Vec<Node>),
    Map { fields: Vec<(Key, Node)>, names: HashSet<String>, key: Option<Key> },
}

struct Reader<'b> {
    budget: &'b mut Budget,
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Size)>,
}

impl Reader<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Broken> {
        let here = place(span.start.line(), span.start.col());
        match event {
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), &span)?;
                let size = Size { nodes: 1, bytes: text.len(), height: 0 };
                self.spend(size, here)?;
                let value = Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.finish(Node { place: here, value }, size, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_tag(tag.is_some(), &span)?;
                self.begin(here, anchor, Body::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_tag(tag.is_some(), &span)?;
                self.begin(here, anchor, Body::Map { fields: Vec::new(), names: HashSet::new(), key: None })?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let value = match open.body {
                        Body::List(items) => Value::List(items),
                        Body::Map { fields, .. } => Value::Map(fields),
                    };
                    self.finish(Node { place: open.place, value }, open.size, open.anchor)?;
                }
            }
            Event::Alias(anchor) => self.alias(anchor, here)?,
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, here: Place, anchor: usize, body: Body) -> Result<(), Broken> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(here));
        }
        let size = Size { nodes: 1, bytes: 0, height: 0 };
        self.spend(size, here)?;
        self.open.push(Open { place: here, anchor, size, body });
        Ok(())
    }

    /// An alias is a copy with the place of the alias: that is what a person must change.
    fn alias(&mut self, anchor: usize, here: Place) -> Result<(), Broken> {
        let Some((_, size)) = self.anchors.get(&anchor) else {
            return Err(Broken {
                place: here,
                message: "this alias stands inside its own anchor".to_owned(),
                fix: "write the value out".to_owned(),
            });
        };
        let size = *size;
        self.spend(size, here)?;
        if self.open.len() + size.height > MAX_DEPTH {
            return Err(too_deep(here));
        }
        let copy = self.anchors.get(&anchor).map(|(node, _)| Node { place: here, value: node.value.clone() });
        copy.map_or(Ok(()), |node| self.finish(node, size, 0))
    }

    fn spend(&mut self, size: Size, here: Place) -> Result<(), Broken> {
        if self.budget.spend(size) {
            return Ok(());
        }
        Err(Broken {
            place: here,
            message: "the config repo holds too much once its aliases are written out".to_owned(),
            fix: "write less, with fewer aliases: 200000 values and 16 MiB of text are read".to_owned(),
        })
    }

    /// Puts a finished value where it belongs.
    fn finish(&mut self, node: Node, size: Size, anchor: usize) -> Result<(), Broken> {
        if anchor != 0 {
            // The kept copy costs memory as the value itself does.
            self.spend(size, node.place)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        open.size.nodes += size.nodes;
        open.size.bytes += size.bytes;
        open.size.height = open.size.height.max(size.height + 1);
        match &mut open.body {
            Body::List(items) => items.push(node),
            Body::Map { fields, names, key } => match key.take() {
                Some(name) => fields.push((name, node)),
                None => *key = Some(as_key(node, names, fields)?),
            },
        }
        Ok(())
    }
}

fn as_key(node: Node, names: &mut HashSet<String>, fields: &[(Key, Node)]) -> Result<Key, Broken> {
    let place = node.place;
    let Value::Scalar { text, .. } = node.value else {
        return Err(Broken {
            place,
            message: "a name is expected before the colon, not a list or mapping".to_owned(),
            fix: "write 'name: value'".to_owned(),
        });
    };
    if text == "<<" {
        return Err(Broken {
            place,
            message: "merge keys ('<<') are not read".to_owned(),
            fix: "write the fields out".to_owned(),
        });
    }
    if !names.insert(text.clone()) {
        let first = fields.iter().find(|(key, _)| key.text == text).map_or(0, |(key, _)| key.place.line);
        return Err(Broken {
            place,
            message: format!("'{}' is written twice in one mapping", shown(&text)),
            fix: format!("remove one of them; the first is on line {first}"),
        });
    }
    Ok(Key { place, text })
}

fn refuse_tag(has_tag: bool, span: &Span) -> Result<(), Broken> {
    if !has_tag {
        return Ok(());
    }
    let start = span.tag_start().unwrap_or(span.start);
    Err(Broken {
        place: place(start.line(), start.col()),
        message: "tags ('!…') are not read".to_owned(),
        fix: "remove the tag; the schema decides the type".to_owned(),
    })
}

fn too_deep(place: Place) -> Broken {
    Broken {
        place,
        message: format!("lists and mappings stand deeper than {MAX_DEPTH} in each other"),
        fix: "nothing in a config repo is that deep: check brackets and aliases".to_owned(),
    }
}
