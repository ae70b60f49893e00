//! How things look on a terminal: colours, states, times, tables, and the taming of hostile text.
//!
//! Owns: everything that decides what bytes a person's terminal gets. May use: model. Must not touch: the
//! network, the server's rooms.

mod colour;
mod filter;
mod plain;
mod screen;
mod shape;
mod table;
mod time;

pub use colour::{Colour, Look};
pub use filter::Filter;
pub use plain::{plain, without_colours};
pub use screen::Screen;
pub use shape::{Shape, state, step_state};
pub use table::{Cell, table};
pub use time::{ago, exact, size, took};
