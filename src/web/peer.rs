//! The other end of a connection, told by the listener and never by a header.
use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::config::Network;

/// Who is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// A process of root or of the service user, by the credentials of the Unix socket.
    Machine,
    /// Somebody on the network.
    Network(SocketAddr),
}

/// The address of the client. A trusted proxy's word counts for the address before it, and so on
/// from the right: what a client writes into the header itself stands to the left.
pub(super) fn client(peer: Option<Peer>, headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let Some(Peer::Network(address)) = peer else { return None };
    let mut client = address.ip().to_canonical();
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .collect();
    for hop in forwarded.iter().rev() {
        if !trusted.iter().any(|network| network.contains(client)) {
            break;
        }
        let Ok(before) = hop.trim().parse::<IpAddr>() else { break };
        client = before.to_canonical();
    }
    Some(client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn seen(peer: [u8; 4], forwarded: &'static str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static(forwarded));
        let peer = Peer::Network(SocketAddr::from((peer, 1)));
        client(Some(peer), &headers, &["10.0.0.1".parse().unwrap()]).unwrap().to_string()
    }

    #[test]
    fn only_a_trusted_proxy_names_the_client() {
        assert_eq!(seen([192, 0, 2, 9], "198.51.100.1"), "192.0.2.9");
        assert_eq!(seen([10, 0, 0, 1], "203.0.113.5, 198.51.100.1"), "198.51.100.1");
        assert_eq!(seen([10, 0, 0, 1], "203.0.113.5, 10.0.0.1"), "203.0.113.5");
        assert_eq!(seen([10, 0, 0, 1], "nonsense"), "10.0.0.1");
    }
}
