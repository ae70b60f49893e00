//! A job's way to the registry: it opens where the executor makes networks for steps.
use super::call::StepRequest;
use super::{CallError, LiveJob};
use crate::executor::StepSpec;
use crate::registry::HOST;

impl LiveJob {
    /// Says to a step that names the registry why it can't be reached.
    pub(super) async fn reach_registry(&self, request: &StepRequest, spec: &mut StepSpec) -> Result<(), CallError> {
        let Some(registry) = self.engine.registry.as_ref().filter(|_| request.command.contains(HOST)) else {
            return Ok(());
        };
        let why = registry.absent().unwrap_or("this executor makes no networks for steps yet");
        spec.notes.push(format!("danube: {HOST} leads nowhere: {why}"));
        Ok(())
    }
}
