//! How often somebody may try a password.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// The time over which failures count.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Failures for one account, from anywhere.
const PER_ACCOUNT: u32 = 10;
/// Failures from one address, for any account.
const PER_ADDRESS: u32 = 30;
/// Keys that are remembered; beyond, the one with the fewest failures is forgotten.
const KEYS: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Account(String),
    Address(Option<IpAddr>),
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    since: Timestamp,
}

/// Counts failed logins by account and by address.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<Key, Count>>);

impl Attempts {
    /// Counts a try as failed before it is checked, so that tries side by side count too.
    /// `Err` says how long to wait; nothing was counted then.
    pub fn begin(&self, account: &str, address: Option<IpAddr>, now: Timestamp) -> Result<(), Duration> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = keys(account, address);
        let waits = keys.iter().filter_map(|(key, limit)| {
            let count = counts.get(key)?;
            let ends = count.since + WINDOW;
            (count.failures >= *limit && now < ends)
                .then(|| Duration::try_from(now.duration_until(ends)).unwrap_or(WINDOW))
        });
        if let Some(wait) = waits.max() {
            return Err(wait);
        }
        for (key, _) in keys {
            make_room(&mut counts, &key, now);
            let count = counts.entry(key).or_insert(Count { failures: 0, since: now });
            if now >= count.since + WINDOW {
                *count = Count { failures: 0, since: now };
            }
            count.failures += 1;
        }
        Ok(())
    }

    /// The try was right: its account starts afresh, and its address is not charged for it.
    pub fn succeeded(&self, account: &str, address: Option<IpAddr>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [(account, _), (address, _)] = keys(account, address);
        counts.remove(&account);
        if let Some(count) = counts.get_mut(&address) {
            count.failures = count.failures.saturating_sub(1);
        }
    }
}

fn keys(account: &str, address: Option<IpAddr>) -> [(Key, u32); 2] {
    let account = account.trim().to_lowercase().chars().take(254).collect();
    // One household of IPv6 has 2^64 addresses: its network counts as one.
    let address = address.map(|ip| match ip {
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) & !u128::from(u64::MAX)).to_be_bytes()),
        v4 => v4,
    });
    [(Key::Account(account), PER_ACCOUNT), (Key::Address(address), PER_ADDRESS)]
}

fn make_room(counts: &mut HashMap<Key, Count>, key: &Key, now: Timestamp) {
    if counts.len() < KEYS || counts.contains_key(key) {
        return;
    }
    counts.retain(|_, count| now < count.since + WINDOW);
    if counts.len() >= KEYS
        && let Some(least) = counts.iter().min_by_key(|(_, count)| count.failures).map(|(key, _)| key.clone())
    {
        counts.remove(&least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn ip(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn an_account_is_closed_after_ten_failures_from_anywhere() {
        let attempts = Attempts::default();
        for n in 0..10 {
            attempts.begin("Alice@example.com", ip(n), at(0)).unwrap();
        }
        assert!(attempts.begin("alice@example.com ", ip(99), at(1)).is_err());
        assert!(attempts.begin("bob@example.com", ip(99), at(1)).is_ok());
        assert!(attempts.begin("alice@example.com", ip(99), at(15 * 60)).is_ok());
    }

    #[test]
    fn an_address_is_closed_whatever_account_it_tries() {
        let attempts = Attempts::default();
        for n in 0..30 {
            attempts.begin(&format!("u{n}@example.com"), ip(1), at(0)).unwrap();
        }
        assert!(attempts.begin("u99@example.com", ip(1), at(1)).is_err());
        assert!(attempts.begin("u99@example.com", ip(2), at(1)).is_ok());
    }

    #[test]
    fn a_right_password_opens_the_account_again() {
        let attempts = Attempts::default();
        for _ in 0..9 {
            attempts.begin("a@example.com", ip(1), at(0)).unwrap();
        }
        attempts.succeeded("a@example.com", ip(1));
        for _ in 0..10 {
            attempts.begin("a@example.com", ip(1), at(0)).unwrap();
        }
        assert!(attempts.begin("a@example.com", ip(1), at(0)).is_err());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::default();
        for n in 0..5_200u32 {
            let address = Some(IpAddr::from(n.to_be_bytes()));
            attempts.begin(&format!("u{n}"), address, at(0)).unwrap();
        }
        assert!(attempts.0.lock().unwrap().len() <= KEYS);
    }
}
