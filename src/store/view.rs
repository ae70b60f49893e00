//! What the functions of the tables are handed: a consistent view, or a transaction.
use std::ops::Deref;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params};
use uuid::Uuid;

use super::StoreError;
use super::error::Tried;
use super::sql::FromRow;
use crate::platform::Ids;

/// A consistent view of the database: everything read through one belongs to one moment.
pub struct View<'a> {
    conn: &'a Connection,
}

impl<'a> View<'a> {
    pub(super) const fn new(conn: &'a Connection) -> Self {
        Self { conn }
    }

    /// Every row that a query yields.
    pub(super) fn all<T: FromRow>(&self, what: &str, sql: &str, params: impl Params) -> Result<Vec<T>, StoreError> {
        let mut query = self.conn.prepare_cached(sql).tried(what)?;
        let rows = query.query_map(params, |row| T::from_row(row)).tried(what)?;
        rows.collect::<rusqlite::Result<Vec<T>>>().tried(what)
    }

    /// The first row, if there is one.
    pub(super) fn first<T: FromRow>(
        &self,
        what: &str,
        sql: &str,
        params: impl Params,
    ) -> Result<Option<T>, StoreError> {
        let mut query = self.conn.prepare_cached(sql).tried(what)?;
        query.query_row(params, |row| T::from_row(row)).optional().tried(what)
    }

    /// The first column of the first row, if there is one.
    pub(super) fn value<T: rusqlite::types::FromSql>(
        &self,
        what: &str,
        sql: &str,
        params: impl Params,
    ) -> Result<Option<T>, StoreError> {
        let mut query = self.conn.prepare_cached(sql).tried(what)?;
        query.query_row(params, |row| row.get(0)).optional().tried(what)
    }

    /// The first column of every row.
    pub(super) fn values<T: rusqlite::types::FromSql>(
        &self,
        what: &str,
        sql: &str,
        params: impl Params,
    ) -> Result<Vec<T>, StoreError> {
        let mut query = self.conn.prepare_cached(sql).tried(what)?;
        let rows = query.query_map(params, |row| row.get(0)).tried(what)?;
        rows.collect::<rusqlite::Result<Vec<T>>>().tried(what)
    }
}

/// One write: all of it is committed together, or nothing. Reads like a `View`.
pub struct Tx<'a> {
    view: View<'a>,
    now: Timestamp,
    ids: &'a dyn Ids,
}

impl<'a> Tx<'a> {
    pub(super) fn new(conn: &'a Connection, now: Timestamp, ids: &'a dyn Ids) -> Self {
        Self { view: View::new(conn), now, ids }
    }

    /// The moment of this write.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// A new id.
    pub fn uuid(&self) -> Uuid {
        self.ids.uuid()
    }

    /// Random bytes fit for nonces.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.ids.fill(bytes);
    }

    /// Runs a statement; the number of rows it changed.
    pub(super) fn run(&self, what: &str, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.view.conn.prepare_cached(sql).tried(what)?.execute(params).tried(what)
    }
}

impl<'a> Deref for Tx<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.view
    }
}
