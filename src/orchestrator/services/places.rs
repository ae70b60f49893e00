//! Numbers and networks of services: both are the next one's when nothing of a service lives.
use std::sync::{Arc, OnceLock, PoisonError};

use tokio_util::sync::CancellationToken;

use super::super::egress::{Nameserver, Offline};
use super::super::watching::persist;
use super::super::{CallError, LiveJob};
use super::Service;
use crate::executor::StepAt;
use crate::store::StepRow;

/// Services of one job at once.
const MOST: u32 = 100;

impl LiveJob {
    /// Its network, and who answers its questions for names; the same when asked again.
    pub(super) async fn place_service(
        self: &Arc<Self>,
        name: &str,
        branch: &str,
        row: &StepRow,
    ) -> Result<(StepAt, Arc<Service>, Nameserver), Offline> {
        let number = row.service.unwrap_or(0);
        let number = u8::try_from(number).ok().filter(|number| u32::from(*number) < MOST);
        let too_many = || Offline::Call(CallError::Invalid(format!("a job has at most {MOST} services at once")));
        let number = number.ok_or_else(too_many)?;
        let job = self.row.id;
        // What an earlier one of this number left there is none of this one's.
        let left = self.services_left.lock().unwrap_or_else(PoisonError::into_inner).contains(&number);
        if left && row.started_at.is_none() {
            let gone = persist(&self.engine, || self.engine.executor.detach_service(job, number)).await;
            gone.map_err(Offline::Executor)?;
            self.services_left.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        }
        let net = persist(&self.engine, || self.engine.executor.attach_service(job, number)).await;
        let net = net.map_err(Offline::Executor)?;
        let at = self.at(row.seq, row.attempt);
        let nameserver = self.service_names(at, net.dns).await.inspect_err(|_| {
            self.services_left.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        })?;
        let service = Arc::new(Service {
            name: name.to_owned(),
            branch: branch.to_owned(),
            address: net.address,
            number,
            failed: OnceLock::new(),
            dead: CancellationToken::new(),
            stop: CancellationToken::new(),
            done: CancellationToken::new(),
        });
        Ok((at, service, nameserver))
    }

    /// Takes the network of a service away that does not run.
    pub(super) async fn leave_network(&self, at: StepAt, number: u8, nameserver: Nameserver) {
        self.close_names(at, nameserver).await;
        if let Err(error) = persist(&self.engine, || self.engine.executor.detach_service(at.job, number)).await {
            tracing::debug!(%at, %error, "the network of a service goes with its job, or with the next of its number");
            self.services_left.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        }
    }
}
