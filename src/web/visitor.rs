//! Who a request comes from.
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::error::WebError;
use super::limits::Who;
use crate::auth::{Caller, csrf};
use crate::model::trigger::Trigger;
use crate::model::{Principal, SessionId};

/// How somebody came in.
#[derive(Debug, Clone)]
pub(super) enum How {
    /// Over the machine's own socket.
    Machine,
    /// With an API token.
    Token,
    /// With a browser's session.
    Session {
        /// Its row.
        id: SessionId,
        /// Its cookie's value.
        cookie: String,
    },
}

/// Somebody who is known. Only the guard makes one, so a handler that takes it cannot be reached without.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// Who, with what rights.
    pub(super) caller: Caller,
    /// How.
    pub(super) how: How,
}

impl Visitor {
    /// The token for the visitor's forms.
    pub(super) fn csrf(&self) -> String {
        match &self.how {
            How::Session { cookie, .. } => csrf::token(cookie),
            How::Machine | How::Token => String::new(),
        }
    }

    /// Whose bucket the visitor takes from; none: the machine's own.
    pub(super) fn counted(&self) -> Option<Who> {
        let id = match &self.caller.principal {
            Principal::User { id, .. } => id.to_string(),
            Principal::Token { id, .. } => id.to_string(),
            other => other.label(),
        };
        (!matches!(self.how, How::Machine)).then_some(Who::Known(id))
    }

    /// How a job that the visitor starts was triggered.
    pub(super) fn trigger(&self) -> Trigger {
        match self.how {
            How::Token => Trigger::Api,
            How::Machine | How::Session { .. } => Trigger::Manual,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, WebError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(WebError::unauthorised)
    }
}
