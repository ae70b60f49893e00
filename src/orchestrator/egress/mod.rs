//! What a job may reach: the names in force, its network, and who answers the questions of its steps.
//!
//! The names in force are those of the pipeline, or the config repo's default, narrowed by the danubefile; they are
//! fixed in a row before the first step, so a later change of the config repo changes no job that runs.

mod desk;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use tokio::sync::OnceCell;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::watching::persist;
use super::{CallError, LiveJob};
use crate::egress as names;
use crate::executor::{ExecutorError, Space, StepAt, Transport};
use crate::store::{Durability, config_commits, egress};
use desk::{Bucket, StepDesk};

/// Where nameservers listen.
const DNS: u16 = 53;

/// What of a job's network lives in this process.
#[derive(Default)]
pub(super) struct Network {
    offered: OnceCell<bool>,
    in_force: OnceCell<Arc<Vec<String>>>,
    bucket: Arc<Mutex<Bucket>>,
}

/// A nameserver of one attempt; it answers until this is dropped.
pub(super) struct Nameserver {
    /// Where it listens.
    pub(super) address: Ipv4Addr,
    _stop: DropGuard,
}

impl LiveJob {
    /// Fixes the names in force; the first who does counts.
    pub(super) async fn fix_names(&self, narrowed: Option<Vec<String>>) -> Result<Vec<String>, CallError> {
        let names = match (narrowed, &self.pipeline.egress_allowlist) {
            (Some(own), _) => own.iter().map(|name| name.to_ascii_lowercase()).collect(),
            (None, Some(of_pipeline)) => of_pipeline.clone(),
            (None, None) => self.default_egress().await?,
        };
        let (lease, job) = (self.lease.id, self.row.id);
        let fixed = self.engine.store.write("orchestrator.egress_names", Durability::Progress, move |tx| {
            egress::fix_names(tx, lease, job, &names)
        });
        Ok(fixed.await?)
    }

    /// The names that the config repo gives to pipelines without a list of their own.
    pub(super) async fn default_egress(&self) -> Result<Vec<String>, CallError> {
        Ok(self.engine.store.read(config_commits::global_in_force).await?.egress_allowlist)
    }

    async fn names_in_force(&self) -> Result<Arc<Vec<String>>, CallError> {
        let fixed = self.network.in_force.get_or_try_init(|| async {
            let job = self.row.id;
            let known = self.engine.store.read(move |view| egress::names_of(view, job)).await?;
            Ok::<_, CallError>(Arc::new(match known {
                Some(names) => names,
                None => self.fix_names(None).await?,
            }))
        });
        Ok(Arc::clone(fixed.await?))
    }

    /// Whether the executor makes networks for steps.
    pub(super) async fn has_networks(&self) -> bool {
        let offered = self
            .network
            .offered
            .get_or_try_init(|| async { self.engine.executor.probe().await.map(|probe| probe.networks) });
        // Where it gives no answer, starting the step says why.
        offered.await.is_ok_and(|offered| *offered)
    }

    /// Makes the network before the first step asks for it, while the danubefile is still being read. What goes wrong
    /// here, that step meets again.
    pub(super) async fn prepare_network(&self) {
        if !self.has_networks().await {
            return;
        }
        let names = match &self.pipeline.egress_allowlist {
            Some(own) => own.clone(),
            None => self.default_egress().await.unwrap_or_default(),
        };
        if let Err(error) = self.engine.executor.connect(self.row.id, !names.is_empty()).await {
            tracing::debug!(%error, "the network of a job could not be made ahead");
        }
    }

    /// The nameserver of a step with a network; none where the executor makes no networks.
    pub(super) async fn step_names(self: &Arc<Self>, at: StepAt) -> Result<Option<Nameserver>, Offline> {
        if !self.has_networks().await {
            return Ok(None);
        }
        let linked = !self.names_in_force().await.map_err(Offline::Call)?.is_empty();
        persist(&self.engine, || self.engine.executor.connect(at.job, linked)).await.map_err(Offline::Executor)?;
        // An address for each step: what it asks for is told in its own log.
        let [.., high, low] = at.step.to_be_bytes();
        self.names_at(at, Ipv4Addr::new(127, 1, high, low)).await.map(Some)
    }

    /// The same for a service, which asks at its own end of the link.
    pub(super) async fn service_names(self: &Arc<Self>, at: StepAt, address: Ipv4Addr) -> Result<Nameserver, Offline> {
        let linked = !self.names_in_force().await.map_err(Offline::Call)?.is_empty();
        persist(&self.engine, || self.engine.executor.connect(at.job, linked)).await.map_err(Offline::Executor)?;
        self.names_at(at, address).await
    }

    /// Answers questions at an address in the job's open network; what is denied is told in the log of `at`.
    pub(super) async fn names_at(self: &Arc<Self>, at: StepAt, address: Ipv4Addr) -> Result<Nameserver, Offline> {
        let in_force = self.names_in_force().await.map_err(Offline::Call)?;
        let place = SocketAddrV4::new(address, DNS);
        let listen = |transport| {
            persist(&self.engine, move || self.engine.executor.listen(at.job, Space::Open, transport, place))
        };
        let udp = listen(Transport::Udp).await.map_err(Offline::Executor)?;
        let tcp = listen(Transport::Tcp).await.map_err(Offline::Executor)?;
        let (udp, tcp) = sockets(udp, tcp).map_err(|error| {
            Offline::Executor(ExecutorError::Start(format!("a socket of the job can't be used: {error}")))
        })?;
        let stop = CancellationToken::new();
        let desk = Arc::new(StepDesk::new(Arc::clone(self), at, in_force, Arc::clone(&self.network.bucket)));
        tokio::spawn(names::serve(udp, tcp, desk, stop.clone()));
        Ok(Nameserver { address, _stop: stop.drop_guard() })
    }

    /// Nobody asks at this address any more.
    pub(super) async fn close_names(&self, at: StepAt, nameserver: Nameserver) {
        let place = SocketAddrV4::new(nameserver.address, DNS);
        drop(nameserver);
        for transport in [Transport::Udp, Transport::Tcp] {
            // The job's end closes what stays.
            if let Err(error) = self.engine.executor.unlisten(at.job, Space::Open, transport, place).await {
                tracing::debug!(%error, "a socket of a job could not be closed");
            }
        }
    }

    /// The names that a step was denied, for the reason of its failure.
    pub(super) async fn denied_names(&self, step: u32) -> Option<String> {
        const SHOWN: usize = 5;
        let job = self.row.id;
        let rows = self.engine.store.read(move |view| egress::denied(view, job, step)).await.ok()?;
        let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        names.dedup();
        let more = names.len().saturating_sub(SHOWN);
        names.truncate(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!names.is_empty()).then(|| format!("; egress denied to {}{more}", names.join(", ")))
    }
}

/// Why a step has no network.
pub(super) enum Offline {
    Call(CallError),
    Executor(ExecutorError),
}

fn sockets(udp: OwnedFd, tcp: OwnedFd) -> std::io::Result<(tokio::net::UdpSocket, tokio::net::TcpListener)> {
    let (udp, tcp) = (std::net::UdpSocket::from(udp), std::net::TcpListener::from(tcp));
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    Ok((tokio::net::UdpSocket::from_std(udp)?, tokio::net::TcpListener::from_std(tcp)?))
}
