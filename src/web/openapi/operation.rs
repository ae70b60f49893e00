//! What a route says about itself.
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// Makes the schema of a type, and of what it refers to.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What a body is.
#[derive(Clone, Copy)]
pub(super) enum Content {
    /// None.
    Empty,
    /// JSON of that shape.
    Json(Shape),
    /// Bytes of that media type.
    Bytes(&'static str),
}

/// What one address does for one method.
pub(in crate::web) struct Operation {
    pub(super) summary: &'static str,
    pub(super) query: Option<Shape>,
    pub(super) takes: Content,
    pub(super) body_required: bool,
    pub(super) answers: Vec<(u16, Content)>,
    pub(super) refuses: Vec<u16>,
}

/// Begins a description.
pub(in crate::web) fn doc(summary: &'static str) -> Operation {
    Operation {
        summary,
        query: None,
        takes: Content::Empty,
        body_required: false,
        answers: Vec::new(),
        refuses: Vec::new(),
    }
}

impl Operation {
    /// Reads these query parameters: the fields of `T`.
    pub(in crate::web) fn query<T: JsonSchema>(self) -> Self {
        Self { query: Some(T::json_schema), ..self }
    }

    /// Takes JSON.
    pub(in crate::web) fn takes<T: JsonSchema>(self) -> Self {
        Self { takes: Content::Json(shape::<T>), body_required: true, ..self }
    }

    /// May take JSON.
    pub(in crate::web) fn may_take<T: JsonSchema>(self) -> Self {
        Self { body_required: false, ..self.takes::<T>() }
    }

    /// Takes a body as it is.
    pub(in crate::web) fn takes_bytes(self) -> Self {
        Self { takes: Content::Bytes("application/octet-stream"), body_required: true, ..self }
    }

    /// Answers 200 with JSON.
    pub(in crate::web) fn json<T: JsonSchema>(self) -> Self {
        self.json_as::<T>(200)
    }

    /// Answers a status with JSON.
    pub(in crate::web) fn json_as<T: JsonSchema>(self, status: u16) -> Self {
        self.answers(status, Content::Json(shape::<T>))
    }

    /// Answers 200 with bytes of a media type.
    pub(in crate::web) fn bytes(self, kind: &'static str) -> Self {
        self.answers(200, Content::Bytes(kind))
    }

    /// Answers with bytes of a media type, whole or the part that `Range` asks for.
    pub(in crate::web) fn ranges(self, kind: &'static str) -> Self {
        self.bytes(kind).answers(206, Content::Bytes(kind)).refuses(&[416])
    }

    /// Answers 204.
    pub(in crate::web) fn empty(self) -> Self {
        self.answers(204, Content::Empty)
    }

    /// May refuse with these statuses, beside those of every operation.
    pub(in crate::web) fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refuses.extend(statuses);
        self
    }

    /// Answers 200 with JSON.
    pub(in crate::web) fn answers_json(&self) -> bool {
        self.answers.iter().any(|(status, content)| *status == 200 && matches!(content, Content::Json(_)))
    }

    fn answers(mut self, status: u16, content: Content) -> Self {
        self.answers.push((status, content));
        self
    }
}

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}
