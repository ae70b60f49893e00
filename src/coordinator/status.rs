//! Errors of the orchestrator as gRPC statuses: the only place that maps them.
use tonic::Status;

use crate::orchestrator::CallError;

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Invalid(text) => Self::invalid_argument(text),
            CallError::NotFound(text) => Self::not_found(text),
            CallError::Denied(text) => Self::permission_denied(text),
            CallError::Nondeterministic(text) => Self::failed_precondition(text),
            CallError::Exhausted(text) => Self::resource_exhausted(text),
            CallError::Cancelled => Self::cancelled("the job is being stopped"),
            CallError::Unavailable(text) => Self::unavailable(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn only_what_may_pass_is_sent_again_by_the_sdk() {
        let code = |error: CallError| Status::from(error).code();
        assert_eq!(code(CallError::Unavailable(String::new())), Code::Unavailable);
        assert_eq!(code(CallError::Cancelled), Code::Cancelled);
        assert_eq!(code(CallError::Nondeterministic(String::new())), Code::FailedPrecondition);
        assert_eq!(code(CallError::NotFound(String::new())), Code::NotFound);
        assert_eq!(code(CallError::Invalid(String::new())), Code::InvalidArgument);
        assert_eq!(code(CallError::Denied(String::new())), Code::PermissionDenied);
        assert_eq!(code(CallError::Exhausted(String::new())), Code::ResourceExhausted);
    }
}
