//! The filter as text for `nft`. Pure.
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::address::{LINKS, Pool};

/// What holds all of ours inside a job's network.
pub const TABLE: &str = "danube";

/// The addresses that a job may speak to. More than this at once, and further names are refused.
const ADDRESSES: u32 = 16_384;

/// The rules inside a job's network, whole before it has a link.
///
/// What is not allowed is refused at once, so that nobody waits: TCP by a reset, all else by a message. A question for a
/// name goes to our own sockets alone, even where another host is allowed. While nobody answers there (the master
/// is restarted), the kernel's "nobody listens" is kept back, so that a question is asked again. Services of a job are of
/// one trust and reach each other at any port.
pub(super) fn inside() -> String {
    format!(
        r#"table inet {TABLE} {{
	set allow4 {{
		type ipv4_addr
		size {ADDRESSES}
		flags timeout
	}}
	chain refuse {{
		meta l4proto tcp reject with tcp reset
		reject with icmpx type admin-prohibited
	}}
	chain output {{
		type filter hook output priority filter; policy drop;
		ip saddr 127.1.0.0/16 icmp type destination-unreachable drop
		oifname "lo" accept
		ct state established,related accept
		oifname "sv*" accept
		meta l4proto {{ tcp, udp }} th dport 53 goto refuse
		ip daddr @allow4 meta l4proto {{ tcp, udp }} accept
		goto refuse
	}}
	chain input {{
		type filter hook input priority filter; policy drop;
		iifname "lo" accept
		ct state established,related accept
		iifname "sv*" meta l4proto {{ tcp, udp }} th dport 53 accept
		goto refuse
	}}
	chain forward {{
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		iifname "sv*" oifname "sv*" accept
		meta l4proto {{ tcp, udp }} th dport 53 goto refuse
		iifname "sv*" oifname "eth0" ip daddr @allow4 meta l4proto {{ tcp, udp }} accept
		goto refuse
	}}
	chain outwards {{
		type nat hook postrouting priority srcnat; policy accept;
		oifname "eth0" masquerade
	}}
}}
"#
    )
}

/// Lets a job speak to addresses for a time. An element that stands keeps its old time when it is added again, so it is
/// taken out first, in the same transaction.
pub(super) fn allow(addresses: &[Ipv4Addr], seconds: u32) -> String {
    let mut text = String::new();
    for address in addresses {
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "add element inet {TABLE} allow4 {{ {address} }}\n\
             delete element inet {TABLE} allow4 {{ {address} }}\n\
             add element inet {TABLE} allow4 {{ {address} timeout {seconds}s }}\n"
        );
    }
    text
}

/// The machine's side of an instance: nothing from a job into the machine, to another job, or under another address.
pub(super) fn host(instance: &str, pool: Pool) -> String {
    let (table, links) = (host_table(instance), format!("{LINKS}{instance}*"));
    format!(
        r#"table inet {table} {{
	set links {{
		type ifname . ipv4_addr
	}}
	chain refuse {{
		meta l4proto tcp reject with tcp reset
		reject with icmpx type admin-prohibited
	}}
	chain input {{
		type filter hook input priority filter - 5; policy accept;
		iifname "{links}" goto refuse
	}}
	chain forward {{
		type filter hook forward priority filter - 5; policy accept;
		iifname "{links}" oifname "{LINKS}*" goto refuse
		iifname "{links}" iifname . ip saddr @links accept
		iifname "{links}" drop
		oifname "{links}" ct state established,related accept
		oifname "{links}" drop
	}}
	chain outwards {{
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr {pool} oifname != "{LINKS}*" masquerade
	}}
}}
"#
    )
}

/// The machine's table of an instance.
pub(super) fn host_table(instance: &str) -> String {
    format!("danube_{instance}")
}

/// Binds a link to the address that may come from it; `verb` is `add` or `delete`.
pub(super) fn link(verb: &str, instance: &str, link: &str, address: Ipv4Addr) -> String {
    format!("{verb} element inet {} links {{ \"{link}\" . {address} }}\n", host_table(instance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_as_agreed() {
        let pool = Pool::default();
        let text = format!("{}{}", inside(), host("0000abcd", pool));
        crate::golden::check("src/executor/local/net/rules.golden", &text);
    }

    #[test]
    fn an_address_that_stands_gets_a_new_time() {
        let text = allow(&[Ipv4Addr::new(198, 51, 100, 7)], 90);
        let verbs: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(verbs, ["add", "delete", "add"]);
        assert!(text.ends_with("timeout 90s }\n"));
    }
}
