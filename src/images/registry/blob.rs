//! A blob piece by piece: where the stream breaks, it is asked for again from there.
use bytes::Bytes;
use reqwest::Response;

use super::super::settings::Endpoint;
use super::super::{ImageError, Place};
use super::http::{Ask, Trouble, causes};
use super::pace::Pace;
use super::{Fetcher, Pull};

/// A blob while it is fetched.
pub struct Blob<'a> {
    fetcher: &'a Fetcher,
    pull: &'a Pull,
    endpoint: Endpoint,
    place: Place,
    path: String,
    response: Response,
    read: u64,
    tries: u32,
    pace: Pace,
}

impl<'a> Blob<'a> {
    pub(super) async fn open(
        fetcher: &'a Fetcher,
        pull: &'a Pull,
        endpoint: Endpoint,
        place: Place,
        digest: &str,
    ) -> Result<Blob<'a>, ImageError> {
        let path = format!("blobs/{digest}");
        let mut tries = 0;
        let ask = Ask::new(pull, &endpoint, &place, &path);
        let response = answer(fetcher, &ask, &mut tries).await?;
        let pace = Pace::new(fetcher.patience);
        Ok(Self { fetcher, pull, endpoint, place, path, response, read: 0, tries, pace })
    }

    /// The next bytes; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ImageError> {
        loop {
            match self.pace.of(self.response.chunk()).await {
                Ok(Some(piece)) => {
                    self.pace.keep(piece.len())?;
                    self.read += piece.len() as u64;
                    return Ok(Some(piece));
                }
                Ok(None) => return Ok(None),
                Err(error) => self.again(&causes(&error)).await?,
            }
        }
    }

    async fn again(&mut self, why: &str) -> Result<(), ImageError> {
        self.tries += 1;
        let short = format!("{} sent {} bytes of it and broke off: {why}", self.endpoint.base, self.read);
        if self.tries >= self.fetcher.patience.tries {
            return Err(ImageError::Unavailable(short));
        }
        self.fetcher.pause(self.tries, None).await;
        let ask = Ask { from: self.read, ..Ask::new(self.pull, &self.endpoint, &self.place, &self.path) };
        self.response = answer(self.fetcher, &ask, &mut self.tries)
            .await
            .map_err(|error| ImageError::Unavailable(format!("{short}; {error}")))?;
        Ok(())
    }
}

async fn answer(fetcher: &Fetcher, ask: &Ask<'_>, tries: &mut u32) -> Result<Response, ImageError> {
    loop {
        match fetcher.ask(ask).await {
            Ok(answer) if answer.continues => return Ok(answer.response),
            Ok(_) => {
                return Err(ImageError::Unavailable(format!("{} does not go on in the middle", ask.endpoint.base)));
            }
            Err(Trouble::Never(error)) => return Err(error),
            Err(later) => {
                *tries += 1;
                if *tries >= fetcher.patience.tries {
                    return Err(later.into_error());
                }
                fetcher.pause(*tries, Some(&later)).await;
            }
        }
    }
}
