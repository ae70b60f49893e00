//! The live events of a job, over as many connections as it takes: every log byte once.
//!
//! The server writes the follower's place into each event's id; after a break the newest id is handed
//! back. The offsets of log pieces are checked here as well: what comes again is dropped, a hole is an error.
use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::time::Instant;

use super::answer::Answer;
use super::error::ClientError;
use super::job::Job;
use super::job_name::JobName;
use super::request::Client;
use super::sse::{Message, Parser};
use crate::model::job::Status;

/// A server that stays away longer is given up: restarts and upgrades are shorter.
const PATIENCE: Duration = Duration::from_secs(300);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What happened to a job.
#[derive(Debug)]
pub enum JobEvent {
    /// It changed; the whole of it with its steps.
    State(Box<Job>),
    /// A step wrote something.
    Log(Piece),
    /// It has ended, and everything was told.
    End(Status),
    /// The connection broke. Whoever asks for more waits until it is made anew.
    Lost(ClientError),
}

/// Bytes of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The step; 0 is the danubefile itself.
    pub step: u32,
    /// The step's attempt.
    pub attempt: u32,
    /// The bytes as they were written.
    pub bytes: Vec<u8>,
}

#[derive(Deserialize)]
struct Log {
    step: u32,
    attempt: u32,
    offset: u64,
    text: Option<String>,
    base64: Option<String>,
}

#[derive(Deserialize)]
struct End {
    status: Status,
}

/// Follows a job.
#[derive(Debug)]
pub struct Events<'a> {
    client: &'a Client,
    job: JobName,
    link: Link,
    last: Option<String>,
    places: BTreeMap<(u32, u32), u64>,
    outage: Option<Outage>,
    over: bool,
}

enum Link {
    Down,
    Up(Box<Answer>, Parser),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Up(..)) { "Up" } else { "Down" })
    }
}

/// A time without events.
#[derive(Debug)]
struct Outage {
    since: Instant,
    pause: Duration,
    again_at: Instant,
}

impl<'a> Events<'a> {
    /// Follows from the beginning. Nothing is sent before the first `next`.
    pub fn of(client: &'a Client, job: &JobName) -> Self {
        Self {
            client,
            job: job.clone(),
            link: Link::Down,
            last: None,
            places: BTreeMap::new(),
            outage: None,
            over: false,
        }
    }

    /// The next event; none after `End`.
    pub async fn next(&mut self) -> Result<Option<JobEvent>, ClientError> {
        loop {
            if self.over {
                return Ok(None);
            }
            let (answer, parser) = match &mut self.link {
                Link::Up(answer, parser) => (answer, parser),
                Link::Down => {
                    if let Some(lost) = self.connect().await? {
                        return Ok(Some(JobEvent::Lost(lost)));
                    }
                    continue;
                }
            };
            if let Some(message) = parser.pop() {
                if let Some(event) = self.read(message)? {
                    return Ok(Some(event));
                }
                continue;
            }
            let read = answer.next().await;
            let lost = match read {
                Ok(Some(bytes)) => match parser.push(&bytes) {
                    Ok(()) => continue,
                    Err(error) => return Err(self.strange(error.to_string())),
                },
                Ok(None) => ClientError::Broken { place: self.client.place(), why: "the server ended it".to_owned() },
                Err(error) => error,
            };
            self.link = Link::Down;
            if let Some(lost) = self.pause(lost)? {
                return Ok(Some(JobEvent::Lost(lost)));
            }
        }
    }

    /// Makes the connection. The first failure of an outage is told, later ones are waited out.
    async fn connect(&mut self) -> Result<Option<ClientError>, ClientError> {
        if let Some(outage) = &self.outage {
            tokio::time::sleep_until(outage.again_at).await;
        }
        let mut request = self.job.get("/events").header("accept", "text/event-stream");
        if let Some(last) = &self.last {
            request = request.header("last-event-id", last);
        }
        match self.client.send(request).await {
            Ok(answer) => {
                self.link = Link::Up(Box::new(answer), Parser::default());
                Ok(None)
            }
            // A server that never answered is not waited for: the address may be wrong.
            Err(error) if self.last.is_none() && self.outage.is_none() => Err(error),
            Err(error) => self.pause(error),
        }
    }

    /// Notes that nothing comes; the error is for the caller when the outage is new, or over long.
    fn pause(&mut self, error: ClientError) -> Result<Option<ClientError>, ClientError> {
        let now = Instant::now();
        match &mut self.outage {
            _ if !error.is_passing() => Err(error),
            Some(outage) if now.duration_since(outage.since) > PATIENCE => Err(error),
            Some(outage) => {
                outage.pause = (outage.pause * 2).min(LONGEST_PAUSE);
                outage.again_at = now + outage.pause;
                Ok(None)
            }
            None => {
                self.outage = Some(Outage { since: now, pause: FIRST_PAUSE, again_at: now + FIRST_PAUSE });
                Ok(Some(error))
            }
        }
    }

    fn read(&mut self, message: Message) -> Result<Option<JobEvent>, ClientError> {
        self.outage = None;
        if message.id.is_some() {
            self.last = message.id;
        }
        let data = message.data.as_bytes();
        let event = match message.event.as_str() {
            "state" => Some(JobEvent::State(self.parse(data)?)),
            "log" => {
                let log: Log = self.parse(data)?;
                self.piece(log)?.map(JobEvent::Log)
            }
            "end" => {
                self.over = true;
                self.link = Link::Down;
                let end: End = self.parse(data)?;
                Some(JobEvent::End(end.status))
            }
            // Newer servers may tell more.
            _ => None,
        };
        Ok(event)
    }

    /// The bytes of a piece that were not given before.
    fn piece(&mut self, log: Log) -> Result<Option<Piece>, ClientError> {
        let mut bytes = match (log.text, log.base64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(text)) => {
                STANDARD.decode(text).map_err(|error| self.strange(format!("a log piece is damaged: {error}")))?
            }
            (None, None) => return Err(self.strange("a log piece has no bytes".to_owned())),
        };
        let place = self.places.entry((log.step, log.attempt)).or_insert(0);
        if log.offset > *place {
            let (step, missing) = (log.step, log.offset - *place);
            return Err(self.strange(format!("{missing} bytes of the log of step {step} are missing")));
        }
        let known = usize::try_from(*place - log.offset).unwrap_or(usize::MAX).min(bytes.len());
        bytes.drain(..known);
        *place += bytes.len() as u64;
        Ok((!bytes.is_empty()).then_some(Piece { step: log.step, attempt: log.attempt, bytes }))
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, data: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(data).map_err(|error| self.strange(format!("an event is not as expected: {error}")))
    }

    fn strange(&self, why: String) -> ClientError {
        ClientError::Strange { place: self.client.place(), why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(offset: u64, text: &str) -> Log {
        Log { step: 1, attempt: 1, offset, text: Some(text.to_owned()), base64: None }
    }

    #[test]
    fn bytes_that_come_again_are_dropped_and_a_hole_is_an_error() {
        let client = Client::over_socket("/nonexistent");
        let mut events = Events::of(&client, &"web#1".parse().unwrap());
        let mut got = Vec::new();
        for (offset, text) in [(0, "abc"), (0, "abc"), (1, "bcde"), (5, "f")] {
            got.extend(events.piece(log(offset, text)).unwrap().map(|piece| piece.bytes));
        }
        assert_eq!(got.concat(), b"abcdef");
        let error = events.piece(log(8, "x")).unwrap_err();
        assert!(error.to_string().contains("2 bytes of the log of step 1 are missing"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_was_never_there_is_not_waited_for() {
        let client = Client::over_socket("/nonexistent/api.sock");
        let mut events = Events::of(&client, &"web#1".parse().unwrap());
        assert_eq!(events.next().await.unwrap_err().code(), 3);
    }
}
