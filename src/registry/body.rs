//! Bytes on their way into the registry, counted against the pipeline's quota while they pass.
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use futures::StreamExt as _;
use hyper::body::Incoming;

use super::Registry;
use super::quota::UnderWay;

/// Bytes that are still read where there is no room for them, so that their sender hears why.
const MANNERS: u64 = 64 << 20;

/// A body on its way.
struct Way {
    pieces: BodyDataStream,
    registry: Arc<Registry>,
    count: Arc<UnderWay>,
    full: Arc<AtomicBool>,
}

/// Passes a body on until there is no room for more of it; `full` says that this is why it broke off.
pub(super) fn counted(body: Incoming, registry: Arc<Registry>, count: Arc<UnderWay>, full: Arc<AtomicBool>) -> Body {
    let way = Way { pieces: Body::new(body).into_data_stream(), registry, count, full };
    Body::from_stream(futures::stream::unfold(Some(way), |way| async move {
        let mut way = way?;
        let piece = way.pieces.next().await?.map_err(io::Error::other);
        match piece {
            Ok(piece) if !way.registry.quota.take(&way.count, piece.len() as u64) => {
                way.full.store(true, Ordering::Relaxed);
                drain(way.pieces).await;
                Some((Err(io::Error::other("the quota is used up")), None))
            }
            piece => Some((piece, Some(way))),
        }
    }))
}

/// Reads on for a while: many clients hear nothing before they have said everything.
pub(super) async fn drain(mut pieces: BodyDataStream) {
    let mut bytes = 0;
    while let Some(Ok(piece)) = pieces.next().await {
        bytes += piece.len() as u64;
        if bytes > MANNERS {
            return;
        }
    }
}

/// Reads a body of at most `limit` bytes; none where it is larger.
pub(super) async fn whole(body: Incoming, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    if body.size_hint().lower() > limit as u64 {
        return Ok(None);
    }
    let mut pieces = Body::new(body).into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if bytes.len() + piece.len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Some(bytes.into()))
}
