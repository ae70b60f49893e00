//! Which addresses are those of hosts of the internet. Pure.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not one of a host of the internet; none: it is one.
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b) {
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_link_local() => Some("a link-local address, where clouds answer for the machine"),
        _ if address.is_private() => Some("a private address"),
        _ if address.is_multicast() || a >= 240 => Some("no address of a host"),
        (0, _) => Some("no address of a host"),
        (100, 64..=127) => Some("a shared address of providers"),
        (192, 0) if c == 0 => Some("an address of a protocol"),
        (198, 18..=19) => Some("an address for benchmarks"),
        _ => None,
    }
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let word = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match word {
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_unicast_link_local() => Some("a link-local address"),
        _ if address.is_unique_local() => Some("a private address"),
        // A gateway leads on to the IPv4 address in it (RFC 6052, RFC 3056).
        [0x64, 0xFF9B, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => not_public_v4(v4(high, low)),
        // The same through a server that the address names (RFC 4380).
        [0x2001, 0, ..] => Some("an address of a tunnel"),
        [0x2000..=0x3FFF, ..] => None,
        _ => Some("no address of a host"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for inner in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.19.64.3",
            "192.0.0.1",
            "::1",
            "::",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001:0:1::",
            "::7f00:1",
        ] {
            assert!(not_public(inner.parse().unwrap()).is_some(), "{inner}");
        }
        for outer in [
            "8.8.8.8",
            "198.51.100.7",
            "203.0.113.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
            "::ffff:8.8.8.8",
        ] {
            assert!(not_public(outer.parse().unwrap()).is_none(), "{outer}");
        }
    }
}
