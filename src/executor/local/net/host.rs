//! The machine's side: a link for each job that may speak to somebody, and one table for all of an instance.
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::super::Local;
use super::address::{LINKS, Pool, link_name};
use super::{rules, space, tools};
use crate::model::JobId;
use crate::platform::fault;

impl Local {
    fn link_mark(&self, job: JobId, kind: &str) -> PathBuf {
        self.layout.nets().join(format!("{job}.{kind}"))
    }

    /// Makes the link between a job's network and the machine, once.
    pub(super) fn link(&self, job: JobId, number: u32, space: &Path) -> io::Result<()> {
        let up = self.link_mark(job, "up");
        if up.exists() {
            return Ok(());
        }
        let (ours, theirs) = self.ends(number)?;
        let _one = self.nets.host.lock().unwrap_or_else(PoisonError::into_inner);
        self.forward_begin()?;
        // The number is on disk before the link stands: whoever comes next can remove it.
        fs::write(self.link_mark(job, "link"), number.to_string())?;
        let (name, path) = (link_name(&self.layout.instance, number), space.display());
        // What stands under this name was cut short.
        let _absent = tools::ip(&format!("link delete {name}\n"));
        let make = format!(
            "link add {name} type veth peer name eth0 netns {path}\n\
             address add {ours}/31 dev {name}\n\
             link set {name} up\n"
        );
        fault::around("executor.link", || tools::ip(&make))?;
        space::inside(space, || {
            tools::ip(&format!("address add {theirs}/31 dev eth0\nlink set eth0 up\nroute add default via {ours}\n"))
        })?;
        let element = rules::link("add", &self.layout.instance, &name, theirs);
        if tools::nft(&element).is_err() {
            // The first link, or somebody has flushed the machine's rules.
            tools::nft(&self.host_table())?;
            tools::nft(&element)?;
        }
        fs::write(up, "")
    }

    /// The machine's table with every link that stands.
    fn host_table(&self) -> String {
        let instance = &self.layout.instance;
        let mut text = format!("add table inet {0}\ndelete table inet {0}\n", rules::host_table(instance));
        text += &rules::host(instance, self.policy.egress_pool);
        for number in self.connected().into_iter().filter_map(|job| self.number_of_link(job)) {
            if let Ok((_, theirs)) = self.ends(number) {
                text += &rules::link("add", instance, &link_name(instance, number), theirs);
            }
        }
        text
    }

    fn ends(&self, number: u32) -> io::Result<(Ipv4Addr, Ipv4Addr)> {
        let pool = self.policy.egress_pool;
        pool.link(number).ok_or_else(|| io::Error::other(format!("egress_pool {pool} is too small: take a /19")))
    }

    fn number_of_link(&self, job: JobId) -> Option<u32> {
        fs::read_to_string(self.link_mark(job, "link")).ok()?.parse().ok()
    }

    /// Removes a job's link; with the last one, all that the machine had for this instance.
    pub(super) fn unlink(&self, job: JobId) -> io::Result<()> {
        let Some(number) = self.number_of_link(job) else { return Ok(()) };
        let _one = self.nets.host.lock().unwrap_or_else(PoisonError::into_inner);
        let name = link_name(&self.layout.instance, number);
        // Its other end goes with it, at once; with the namespace it would go some time later.
        // Not by /sys/class/net, which shows the network of whoever mounted /sys.
        if fs::read_to_string("/proc/thread-self/net/dev")?.contains(&format!("{name}:")) {
            tools::ip(&format!("link delete {name}\n"))?;
        }
        fs::remove_file(self.link_mark(job, "link"))?;
        let last = self.connected().into_iter().all(|job| self.number_of_link(job).is_none());
        if last {
            return self.leave_host();
        }
        if let Ok((_, theirs)) = self.ends(number) {
            // Gone where somebody has flushed the machine's rules.
            let _absent = tools::nft(&rules::link("delete", &self.layout.instance, &name, theirs));
        }
        Ok(())
    }

    /// The same where no link stands and one was begun: by an executor that died before the link had its number.
    pub(in crate::executor::local) fn leave_host_unused(&self) -> io::Result<()> {
        let _one = self.nets.host.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = self.connected().into_iter().all(|job| self.number_of_link(job).is_none());
        if unused && self.is_forwarding() { self.leave_host() } else { Ok(()) }
    }

    /// Removes the machine's table and gives back what was switched on for it.
    fn leave_host(&self) -> io::Result<()> {
        let table = rules::host_table(&self.layout.instance);
        tools::nft(&format!("add table inet {table}\ndelete table inet {table}\n"))?;
        self.forward_end()
    }
}

/// What says that links of jobs would get addresses that the machine reaches elsewhere.
pub(super) fn collision(pool: Pool) -> Option<String> {
    let routes = fs::read_to_string("/proc/net/route").ok()?;
    let route = overlapping(&routes, pool)?;
    Some(format!(
        "links of jobs get addresses of {pool}, and this machine has a route to {route}: choose another egress_pool in \
         the table [executor] of danube.toml"
    ))
}

/// The first route, but for the default one, that has addresses in common with the pool; links of jobs are no others.
fn overlapping(routes: &str, pool: Pool) -> Option<Pool> {
    routes.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok().map(u32::swap_bytes);
        let (first, mask) = (number(1)?, number(7)?);
        let bits = u8::try_from(mask.leading_ones()).ok().filter(|bits| *bits > 0)?;
        let route: Pool = format!("{}/{bits}", Ipv4Addr::from_bits(first)).parse().ok()?;
        (!fields[0].starts_with(LINKS) && route.overlaps(pool)).then_some(route)
    })
}

/// The addresses of this machine: a name that leads here leads to the machine itself.
pub(super) fn addresses() -> io::Result<Vec<Ipv4Addr>> {
    Ok(local_addresses(&fs::read_to_string("/proc/net/fib_trie")?))
}

/// Of the kernel's table, the addresses that stand right before a line that calls them local.
fn local_addresses(table: &str) -> Vec<Ipv4Addr> {
    let mut last: Option<Ipv4Addr> = None;
    let mut found = Vec::new();
    for line in table.lines() {
        if let Some(address) = line.trim_start().strip_prefix("|-- ") {
            last = address.trim().parse().ok();
        } else if line.contains("host LOCAL") {
            found.extend(last);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_into_the_pool_is_named() {
        let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
        let default = "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
        let inner = "tun0\t000013C6\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let pool = Pool::default();
        assert_eq!(overlapping(&format!("{head}{default}"), pool), None);
        let route = overlapping(&format!("{head}{default}{inner}"), pool).unwrap();
        assert_eq!(route.to_string(), "198.19.0.0/16");
        assert_eq!(overlapping(&format!("{head}{}", inner.replace("tun0", "dnb0")), pool), None);
    }

    #[test]
    fn the_machines_addresses_are_read_from_the_kernels_table() {
        let table = "Local:\n  +-- 203.0.113.0/24 2 0 2\n     |-- 203.0.113.9\n        /32 host LOCAL\n     |-- 203.0.113.255\n        /32 link BROADCAST\n";
        assert_eq!(local_addresses(table), [Ipv4Addr::new(203, 0, 113, 9)]);
        assert!(addresses().unwrap().contains(&Ipv4Addr::LOCALHOST));
    }
}
