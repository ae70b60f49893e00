//! What a question for a name comes to.
use std::net::Ipv4Addr;

use futures::future::BoxFuture;

use super::Upstream;
use super::message::{ADDRESSES, Code, Leads, Question, Response, Unreadable};
use crate::model::egress::is_covered;

/// Aliases that are followed.
const ALIASES: usize = 8;
/// For how long an answer holds, in seconds: less would need a new rule for every connection, more would hold a place
/// long after it was given to somebody else.
const LIFETIMES: (u32, u32) = (30, 3600);
/// The job may speak to an address so much longer than the answer holds: connections come a little later.
const GRACE: u32 = 60;

/// Why a name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// It is not in force.
    NotListed,
    /// It is an alias of this name, which is not in force.
    Alias(String),
    /// It leads to an address that no job may reach: a sentence of the executor.
    Address(String),
}

/// Whom the answers are for.
pub trait Desk: Send + Sync + 'static {
    /// The entries in force.
    fn names(&self) -> &[String];

    /// Where to ask.
    fn upstream(&self) -> &Upstream;

    /// Whether one more question may be asked of others now.
    fn may_ask(&self) -> bool;

    /// Lets the job speak to what a name leads to, in force when this answers; an error is a sentence.
    fn allow(&self, name: String, addresses: Vec<Ipv4Addr>, seconds: u32) -> BoxFuture<'_, Result<(), Denied>>;

    /// A name was denied; told before the answer goes out.
    fn deny(&self, name: String, why: Denial) -> BoxFuture<'_, ()>;
}

/// Why addresses were not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// No job may reach one of them.
    Refused(String),
    /// It could not be done now.
    Failed(String),
}

/// The answer to the bytes of a question; none where nothing is to be said.
pub(super) async fn answer(desk: &dyn Desk, bytes: &[u8]) -> Option<Vec<u8>> {
    let question = match Question::read(bytes) {
        Ok(question) => question,
        Err(Unreadable(complaint)) => return complaint,
    };
    let name = question.name.clone();
    if !is_covered(desk.names(), &name) {
        desk.deny(name, Denial::NotListed).await;
        return Some(question.answer(Code::Refused, &[], 0));
    }
    if !question.wants_addresses() {
        // The name is there, and has nothing of this kind.
        return Some(question.answer(Code::Ok, &[], 0));
    }
    // Said nothing, the step asks again a little later.
    if !desk.may_ask() {
        return None;
    }
    let Some(response) = desk.upstream().ask(&name).await else {
        return Some(question.answer(Code::Failed, &[], 0));
    };
    if response.code == 3 {
        return Some(question.answer(Code::NoSuchName, &[], 0));
    }
    let (addresses, seconds) = match follow(&response, &name, desk.names()) {
        Ok(found) => found,
        Err(target) => {
            desk.deny(name, Denial::Alias(target)).await;
            return Some(question.answer(Code::Refused, &[], 0));
        }
    };
    if addresses.is_empty() {
        return Some(question.answer(Code::Ok, &[], 0));
    }
    match desk.allow(name.clone(), addresses.clone(), seconds + GRACE).await {
        Ok(()) => Some(question.answer(Code::Ok, &addresses, seconds)),
        Err(Denied::Refused(why)) => {
            desk.deny(name, Denial::Address(why)).await;
            Some(question.answer(Code::Refused, &[], 0))
        }
        Err(Denied::Failed(error)) => {
            tracing::warn!(name, error, "the addresses of a name could not be allowed");
            Some(question.answer(Code::Failed, &[], 0))
        }
    }
}

/// The addresses of a name and their lifetime, by way of aliases that are in force; else the first that is not.
fn follow(response: &Response, name: &str, in_force: &[String]) -> Result<(Vec<Ipv4Addr>, u32), String> {
    let mut current = name;
    let mut lifetime = LIFETIMES.1;
    for _ in 0..ALIASES {
        let mut alias = None;
        let mut addresses = Vec::new();
        for (_, seconds, leads) in response.records.iter().filter(|(owner, ..)| owner == current) {
            lifetime = lifetime.min(*seconds);
            match leads {
                Leads::To(address) if !addresses.contains(address) => addresses.push(*address),
                Leads::To(_) => {}
                Leads::Alias(target) => alias = Some(target),
            }
        }
        match alias {
            Some(target) if !is_covered(in_force, target) => return Err(target.clone()),
            Some(target) => current = target,
            None => {
                addresses.truncate(ADDRESSES);
                return Ok((addresses, lifetime.max(LIFETIMES.0)));
            }
        }
    }
    Ok((Vec::new(), LIFETIMES.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(records: &[(&str, u32, Leads)]) -> Response {
        let records = records.iter().map(|(name, ttl, leads)| ((*name).to_owned(), *ttl, leads.clone())).collect();
        Response { truncated: false, code: 0, records }
    }

    fn alias(name: &str) -> Leads {
        Leads::Alias(name.to_owned())
    }

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

    #[test]
    fn an_alias_is_followed_where_it_is_in_force_too() {
        let answer = response(&[("a.test", 60, alias("b.cdn.test")), ("b.cdn.test", 5, Leads::To(ADDRESS))]);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(follow(&answer, "a.test", &names(&["a.test"])), Err("b.cdn.test".to_owned()));
        assert_eq!(follow(&answer, "a.test", &names(&["a.test", "*.cdn.test"])), Ok((vec![ADDRESS], 30)));
    }

    #[test]
    fn lifetimes_stay_within_bounds() {
        let of = |ttl| follow(&response(&[("a.test", ttl, Leads::To(ADDRESS))]), "a.test", &[]).unwrap().1;
        assert_eq!((of(0), of(300), of(u32::MAX)), (30, 300, 3600));
    }

    #[test]
    fn records_of_other_names_and_circles_lead_nowhere() {
        let stray = response(&[("evil.test", 60, Leads::To(ADDRESS))]);
        assert!(follow(&stray, "a.test", &[]).unwrap().0.is_empty());
        let circle = response(&[("a.test", 60, alias("b.test")), ("b.test", 60, alias("a.test"))]);
        let names = ["*.test".to_owned()];
        assert!(follow(&circle, "a.test", &names).unwrap().0.is_empty());
    }

    #[test]
    fn repeated_addresses_count_once_and_too_many_are_left_out() {
        let many: Vec<_> = (0..100).map(|n| ("a.test", 60, Leads::To(Ipv4Addr::new(198, 51, 100, n / 2)))).collect();
        assert_eq!(follow(&response(&many), "a.test", &[]).unwrap().0.len(), ADDRESSES);
    }
}
