//! Who asks and what they may: login, sessions, tokens, login links, and the one decision.
//!
//! Owns: `authorize`, the only maker of `Authorized`; the rules of passwords, cookies and tokens.
//! May use: store, model, platform. Must not touch: pages, routes, job state.

mod attempts;
mod audit;
mod authorize;
mod caller;
pub mod csrf;
mod error;
mod grants;
pub mod links;
pub mod login;
mod password;
mod return_to;
mod secret_text;
pub mod sessions;
pub mod tokens;

pub use attempts::Attempts;
pub use audit::{noted, refused};
pub use authorize::{Authorized, Denied, Grants, authorize};
pub use caller::{Caller, Scope};
pub use error::AuthError;
pub use password::Passwords;
pub use return_to::local_path;
