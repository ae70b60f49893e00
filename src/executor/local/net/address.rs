//! Which addresses the links of jobs have, and which addresses no name may lead a job to. Pure.
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// What every link of every instance begins with on the machine.
pub(super) const LINKS: &str = "dnb";

/// The addresses of services within their job; the same in every job, for they never leave it.
const SERVICES: [u8; 3] = [198, 19, 127];

/// Addresses with the same first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    first: u32,
    bits: u8,
}

impl Pool {
    /// Whether an address is in it.
    pub(in crate::executor::local) fn holds(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.bits) == self.first
    }

    /// Whether the two have addresses in common.
    pub(super) fn overlaps(self, other: Self) -> bool {
        let bits = self.bits.min(other.bits);
        self.first & mask(bits) == other.first & mask(bits)
    }

    /// The two ends of the link of the job with this number: the machine's, then the job's.
    pub(super) fn link(self, number: u32) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let end = |address: u32| Some(Ipv4Addr::from_bits(address)).filter(|address| self.holds(*address));
        let first = self.first.checked_add(number.checked_mul(2)?)?;
        Some((end(first)?, end(first + 1)?))
    }

    /// Whether every job of the machine finds a link in it.
    pub fn is_large_enough(self) -> bool {
        self.bits <= 19
    }
}

fn mask(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

/// 198.19.64.0/19, where links get their addresses unless root says otherwise: in the range for benchmarks of RFC 2544,
/// which is routed nowhere and, unlike 10/8, 172.16/12 and 100.64/10, used by next to no company, cloud or VPN.
impl Default for Pool {
    fn default() -> Self {
        Self { first: 0xC613_4000, bits: 19 }
    }
}

impl FromStr for Pool {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a network such as 10.0.0.0/8");
        let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let bits: u8 = bits.parse().ok().filter(|bits| *bits <= 32).ok_or_else(wrong)?;
        if address.to_bits() & !mask(bits) != 0 {
            return Err(format!("'{text}' has bits behind its /{bits}"));
        }
        Ok(Self { first: address.to_bits(), bits })
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.first), self.bits)
    }
}

/// The machine's end of a job's link.
pub(super) fn link_name(instance: &str, number: u32) -> String {
    format!("{LINKS}{instance}{number:03x}")
}

/// The ends of a service's link: the job's, then the service's.
pub(super) fn service(number: u8) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let [a, b, c] = SERVICES;
    let low = number.checked_mul(2)?;
    Some((Ipv4Addr::new(a, b, c, low), Ipv4Addr::new(a, b, c, low + 1)))
}

/// Why a name may not lead to an address, unless root lists its network: it is not an address of the internet.
pub(in crate::executor::local) fn not_public(address: Ipv4Addr) -> Option<&'static str> {
    crate::platform::not_public(address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_of_the_machine_has_a_link_of_its_own() {
        let pool = Pool::default();
        assert_eq!(pool.to_string(), "198.19.64.0/19");
        assert!(pool.is_large_enough());
        let ends = |n| pool.link(n).map(|(a, b)| (a.to_string(), b.to_string()));
        assert_eq!(ends(1), Some(("198.19.64.2".to_owned(), "198.19.64.3".to_owned())));
        assert_eq!(ends(4095), Some(("198.19.95.254".to_owned(), "198.19.95.255".to_owned())));
        assert_eq!(ends(4096), None);
        assert!(!"10.0.0.0/20".parse::<Pool>().unwrap().is_large_enough());
        assert_eq!(link_name("0123abcd", 4095), "dnb0123abcdfff");
    }

    #[test]
    fn networks_are_written_with_their_length() {
        assert_eq!("10.0.0.0/8".parse::<Pool>().unwrap().to_string(), "10.0.0.0/8");
        assert!("0.0.0.0/0".parse::<Pool>().unwrap().holds(Ipv4Addr::new(8, 8, 8, 8)));
        assert!("10.1.2.3".parse::<Pool>().unwrap().holds(Ipv4Addr::new(10, 1, 2, 3)));
        for wrong in ["10.0.0.1/8", "10.0.0.0/33", "::/0", "x", ""] {
            assert!(wrong.parse::<Pool>().is_err(), "{wrong}");
        }
    }
}
