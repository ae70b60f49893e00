//! Networks of services: each its own, linked to that of its job, whose filter holds for it too.
use std::net::Ipv4Addr;
use std::sync::PoisonError;

use super::super::Local;
use super::super::job::io_error;
use super::address::service;
use super::{space, tools};
use crate::executor::{ExecutorError, ServiceNet, Space};
use crate::model::JobId;

impl Local {
    /// Makes the network of a job's service and its link to the job's own; well where both stand. The service is
    /// reached at its address by every step with a network, and asks for names at the other end of its link.
    pub fn attach_service(&self, job: JobId, number: u8) -> Result<ServiceNet, ExecutorError> {
        let lock = self.nets.lock_of(job);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((gateway, address)) = service(number).filter(|_| number < 100) else {
            return Err(ExecutorError::User("a job has at most 100 services".to_owned()));
        };
        let open = self.ensure_space(job, &Space::Open)?;
        let own = self.space(job, &Space::Service(number));
        let what = "make the network of a service";
        if !space::stands(&own) {
            let made = space::make(&own, || {
                tools::quiet_ipv6()?;
                // A server finds its usual port free, whoever it runs as: nothing of ours listens here.
                std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")?;
                tools::ip("link set lo up\n")
            });
            made.map_err(|e| io_error(what, &e))?;
        }
        self.link_service(number, (gateway, address), &open, &own).map_err(|e| io_error(what, &e))?;
        Ok(ServiceNet { address, dns: gateway })
    }

    fn link_service(
        &self,
        number: u8,
        (gateway, address): (Ipv4Addr, Ipv4Addr),
        open: &std::path::Path,
        own: &std::path::Path,
    ) -> std::io::Result<()> {
        let name = format!("sv{number}");
        space::inside(open, || {
            let links = tools::ip_show()?;
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
            if !links.contains(&format!(" {name}@")) && !links.contains(&format!(" {name}:")) {
                tools::ip(&format!("link add {name} type veth peer name eth0 netns {}\n", own.display()))?;
            }
            // Whoever made the link may have been killed before it was whole.
            tools::ip(&format!("address replace {gateway}/31 dev {name}\nlink set {name} up\n"))
        })?;
        space::inside(own, || {
            tools::ip(&format!(
                "address replace {address}/31 dev eth0\nlink set eth0 up\nroute replace default via {gateway}\n"
            ))
        })
    }

    /// Removes the network of a service that has ended.
    pub fn detach_service(&self, job: JobId, number: u8) -> Result<(), ExecutorError> {
        let lock = self.nets.lock_of(job);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let removed = self.netns(job, &Space::Open).map_or(Ok(()), |open| {
            space::inside(&open, || {
                // Gone where it was never made.
                let _absent = tools::ip(&format!("link delete sv{number}\n"));
                Ok(())
            })
        });
        removed
            .and_then(|()| space::remove(&self.space(job, &Space::Service(number))))
            .map_err(|e| io_error("remove the network of a service", &e))
    }
}
