//! A blob piece by piece: where the stream breaks, it is asked for again from there.
use bytes::Bytes;
use reqwest::Response;

use super::super::settings::Endpoint;
use super::super::{ImageError, Place};
use super::Fetcher;
use super::http::{Ask, Trouble, causes};

/// A blob while it is fetched.
pub struct Blob<'a> {
    fetcher: &'a Fetcher,
    endpoint: Endpoint,
    place: Place,
    path: String,
    response: Response,
    read: u64,
    tries: u32,
}

impl<'a> Blob<'a> {
    pub(super) async fn open(
        fetcher: &'a Fetcher,
        endpoint: Endpoint,
        place: Place,
        digest: &str,
    ) -> Result<Blob<'a>, ImageError> {
        let path = format!("blobs/{digest}");
        let mut tries = 0;
        let response = answer(fetcher, &endpoint, &place, &path, 0, &mut tries).await?;
        Ok(Self { fetcher, endpoint, place, path, response, read: 0, tries })
    }

    /// The next bytes; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ImageError> {
        loop {
            match self.response.chunk().await {
                Ok(Some(piece)) => {
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
        let (endpoint, place, path) = (&self.endpoint, &self.place, &self.path);
        self.response = answer(self.fetcher, endpoint, place, path, self.read, &mut self.tries)
            .await
            .map_err(|error| ImageError::Unavailable(format!("{short}; {error}")))?;
        Ok(())
    }
}

async fn answer(
    fetcher: &Fetcher,
    endpoint: &Endpoint,
    place: &Place,
    path: &str,
    from: u64,
    tries: &mut u32,
) -> Result<Response, ImageError> {
    let ask = Ask { endpoint, place, path, accept: None, from };
    loop {
        match fetcher.ask(&ask).await {
            Ok(answer) if answer.continues => return Ok(answer.response),
            Ok(_) => return Err(ImageError::Unavailable(format!("{} does not go on in the middle", endpoint.base))),
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
