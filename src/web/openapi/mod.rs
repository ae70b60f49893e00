//! The OpenAPI document, made from the list of routes: what is served is what is described.
//!
//! A route of the API carries its `Operation`: `read(path, handler).says(doc("…").json::<Answer>())`.
//! Types are described by `schemars`; what every operation may answer is added here.
mod any;
mod document;
mod operation;
mod parameters;
mod refusals;

pub(super) use any::AnyJson;
pub(super) use document::show;
pub(super) use operation::{Operation, doc};

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod validate;
