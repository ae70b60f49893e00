//! Lists that the server gives page by page.
use serde_json::Value;

use super::error::ClientError;
use super::job_name::segment;
use super::request::{Client, Request};

/// Rows of a page where all of a list is wanted.
const MOST: u16 = 200;

/// A list, read page by page.
#[derive(Debug)]
pub struct Pages<'a> {
    client: &'a Client,
    /// What every page is asked for by.
    request: Request,
    /// The member of an answer that has the rows.
    rows: &'static str,
    cursor: Option<String>,
    over: bool,
}

impl<'a> Pages<'a> {
    /// All of a list; the address has a query, without limit and cursor.
    pub const fn of(client: &'a Client, request: Request, rows: &'static str) -> Self {
        Self { client, request, rows, cursor: None, over: false }
    }

    /// The rows of the next page; none: that was all.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>, ClientError> {
        if self.over {
            return Ok(None);
        }
        let mut request = self.request.clone();
        request.path.push_str(&format!("&limit={MOST}"));
        if let Some(cursor) = &self.cursor {
            request.path.push_str(&format!("&cursor={}", segment(cursor)));
        }
        let mut page: Value = self.client.fetch(request).await?;
        let next = page["next"].as_str().map(str::to_owned);
        // A cursor that comes again would go on for ever.
        self.over = next.is_none() || next == self.cursor;
        self.cursor = next;
        match page[self.rows].take() {
            Value::Array(rows) => Ok(Some(rows)),
            _ => Err(ClientError::Strange {
                place: self.client.place(),
                why: format!("a page of the list has no {}", self.rows),
            }),
        }
    }

    /// All of it as one JSON document, written as it comes.
    pub async fn json(mut self, mut put: impl FnMut(&str) -> Result<(), ClientError>) -> Result<(), ClientError> {
        put(&format!("{{\n  \"{}\": [", self.rows))?;
        let mut first = true;
        while let Some(rows) = self.next().await? {
            for row in rows {
                put(&format!("{}\n    {row}", if first { "" } else { "," }))?;
                first = false;
            }
        }
        put("\n  ],\n  \"next\": null\n}\n")
    }
}
