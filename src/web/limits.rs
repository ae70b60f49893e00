//! How often one caller may ask: a bucket of tokens for each, refilled by time.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use jiff::Timestamp;

use super::error::WebError;

/// Callers that are remembered; those beyond share one bucket.
const CALLERS: usize = 10_000;

/// A caller that has a bucket of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// A user or token.
    Known(String),
    /// Somebody on the network who said nothing, or nothing that counts.
    Address(Option<IpAddr>),
    /// A forge that delivers.
    Forge(Option<IpAddr>),
    /// Everybody beyond the callers that are remembered.
    Rest,
}

/// Requests at once, and requests a second in the long run.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: f64,
    second: f64,
}

impl Who {
    /// Generous: it holds off loops and scanners, not people or scripts.
    const fn rate(&self) -> Rate {
        match self {
            Self::Known(_) => Rate { burst: 1000.0, second: 100.0 },
            Self::Address(_) => Rate { burst: 1000.0, second: 50.0 },
            Self::Forge(_) => Rate { burst: 20_000.0, second: 5000.0 },
            Self::Rest => Rate { burst: 1000.0, second: 100.0 },
        }
    }
}

/// What is left in a bucket, at a time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Bucket {
    /// With what has flowed in since; a clock that was put back adds nothing.
    fn refilled(self, rate: Rate, now: Timestamp) -> Self {
        let elapsed = (now.as_millisecond() - self.at.as_millisecond()).max(0);
        #[expect(clippy::cast_precision_loss, reason = "far fewer milliseconds than 2^52")]
        let left = (elapsed as f64 / 1000.0).mul_add(rate.second, self.left).min(rate.burst);
        Self { left, at: now }
    }
}

/// The buckets of all callers.
#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<HashMap<Who, Bucket>>);

/// What a caller may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    limit: u64,
    remaining: u64,
    /// Seconds until everything is back.
    reset: u64,
    /// Seconds until one more request is taken; none: this one is.
    wait: Option<u64>,
}

impl Limits {
    /// Takes one request out of a caller's bucket.
    pub(super) fn take(&self, who: Who, now: Timestamp) -> Left {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CALLERS && !buckets.contains_key(&who) {
            // Who has not asked for a while has a full bucket, as a stranger has.
            buckets.retain(|who, bucket| bucket.refilled(who.rate(), now).left < who.rate().burst);
        }
        let who = if buckets.len() >= CALLERS && !buckets.contains_key(&who) { Who::Rest } else { who };
        let rate = who.rate();
        let full = Bucket { left: rate.burst, at: now };
        let bucket = buckets.entry(who).or_insert(full);
        *bucket = bucket.refilled(rate, now);
        let taken = bucket.left >= 1.0;
        if taken {
            bucket.left -= 1.0;
        }
        Left {
            limit: whole(rate.burst),
            remaining: whole(bucket.left),
            reset: whole(((rate.burst - bucket.left) / rate.second).ceil()),
            wait: (!taken).then(|| whole(((1.0 - bucket.left) / rate.second).ceil()).max(1)),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the burst")]
const fn whole(number: f64) -> u64 {
    number as u64
}

impl Left {
    /// The refusal, where nothing was left.
    pub(super) fn refusal(self) -> Option<WebError> {
        self.wait.map(|seconds| {
            WebError::too_many(
                seconds,
                format!("More than {} requests at once. Go on in {seconds} s, and slower.", self.limit),
            )
        })
    }

    /// Says on an answer what is left.
    pub(super) fn tell(self, response: &mut Response) {
        let headers: &mut HeaderMap = response.headers_mut();
        for (name, number) in
            [("ratelimit-limit", self.limit), ("ratelimit-remaining", self.remaining), ("ratelimit-reset", self.reset)]
        {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn start() -> Timestamp {
        "2026-05-04T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_caller_that_asks_too_often_waits_and_others_do_not() {
        let (limits, now) = (Limits::default(), start());
        let alice = || Who::Known("alice".to_owned());
        for _ in 0..1000 {
            assert!(limits.take(alice(), now).refusal().is_none());
        }
        let left = limits.take(alice(), now);
        assert_eq!((left.remaining, left.wait), (0, Some(1)));
        assert!(limits.take(Who::Known("bob".to_owned()), now).refusal().is_none());
        let later = now + Duration::from_secs(2);
        assert_eq!(limits.take(alice(), later).remaining, 199);
        assert_eq!(limits.take(alice(), now).remaining, 198, "a clock put back gives nothing");
    }

    #[test]
    fn more_callers_than_are_remembered_share_a_bucket() {
        let (limits, now) = (Limits::default(), start());
        for n in 0..CALLERS + 10 {
            limits.take(Who::Known(n.to_string()), now);
        }
        assert_eq!(limits.0.lock().unwrap().len(), CALLERS + 1);
        let later = now + Duration::from_secs(60);
        limits.take(Who::Known("new".to_owned()), later);
        assert!(limits.0.lock().unwrap().len() < 10, "full buckets are forgotten");
    }
}
