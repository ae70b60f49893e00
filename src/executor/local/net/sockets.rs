//! Sockets inside a job's network at which others answer: made here, passed on, and a copy kept, so that who asks
//! while the master restarts is answered by the next one.
use std::collections::HashMap;
use std::net::{SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use super::super::Local;
use super::super::job::io_error;
use super::space;
use crate::executor::{ExecutorError, Space, Transport};
use crate::model::JobId;

/// The most sockets in the networks of one job.
const SOCKETS: usize = 512;

type Key = (Space, Transport, SocketAddrV4);

/// The copies.
#[derive(Default)]
pub(super) struct Kept(Mutex<HashMap<JobId, HashMap<Key, OwnedFd>>>);

impl Kept {
    pub(super) fn forget(&self, job: JobId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }
}

impl Local {
    /// A socket that listens in a network of the job, made where it is missing; the same one when asked again.
    pub fn listen(
        &self,
        job: JobId,
        space: Space,
        transport: Transport,
        at: SocketAddrV4,
    ) -> Result<OwnedFd, ExecutorError> {
        let lock = self.nets.lock_of(job);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.ensure_space(job, &space)?;
        let mut kept = self.nets.sockets.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_job = kept.entry(job).or_default();
        let what = "listen in the job's network";
        let key = (space, transport, at);
        if let Some(socket) = of_job.get(&key) {
            return socket.try_clone().map_err(|e| io_error(what, &e));
        }
        if of_job.len() >= SOCKETS {
            return Err(ExecutorError::PolicyDenied(format!("more than {SOCKETS} sockets in a job's network")));
        }
        let made = space::inside(&name, || match transport {
            Transport::Udp => UdpSocket::bind(at).map(OwnedFd::from),
            Transport::Tcp => TcpListener::bind(at).map(OwnedFd::from),
        });
        let socket = made.map_err(|e| io_error(what, &e))?;
        let copy = socket.try_clone().map_err(|e| io_error(what, &e))?;
        of_job.insert(key, copy);
        Ok(socket)
    }

    /// Closes the executor's copy of a socket; well where there is none.
    pub fn unlisten(&self, job: JobId, space: Space, transport: Transport, at: SocketAddrV4) {
        let mut kept = self.nets.sockets.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_job) = kept.get_mut(&job) {
            of_job.remove(&(space, transport, at));
        }
    }
}
