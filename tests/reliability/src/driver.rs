//! Makes calls and writes down each of them.

use std::error::Error as _;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use api::users::{UserRole, UserState};
use e2e::{Call as Rpc, Caller, Reply};
use tokio::sync::{RwLock as Gate, RwLockWriteGuard};
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::heard::Heard;
use crate::history::{Answer, Call, Moment, Outcome, Record, Refusal, Role, Seen};
use crate::vault::Vault;
use crate::workload::Operators;

/// How long a caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as anybody would.
    Much,
    /// Until its deadline, of which the service knows.
    Deadline(Duration),
    /// Until it goes without a word.
    Leaves(Duration),
}

/// The deadline of those who wait.
const MUCH: Duration = Duration::from_secs(8);

/// Everything that callers share.
pub struct Driver {
    /// The passwords.
    pub vault: Vault,
    /// Who runs the commands.
    pub operators: Operators,
    /// What callers were told who were refused.
    pub heard: Heard,
    began: Instant,
    nobody: RwLock<Caller>,
    /// Held by every call; shut while nobody is to call.
    gate: Gate<()>,
    replicas: usize,
    records: Mutex<Vec<Record>>,
}

/// How a call is made.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// To which process; from their number on by way of the proxy that stands before one.
    pub replica: usize,
    /// With which token.
    pub token: Option<&'a str>,
    /// For how long.
    pub patience: Patience,
}

impl Driver {
    /// Calls that begin with nobody's.
    #[must_use]
    pub fn new(nobody: Caller, operators: Operators, replicas: usize) -> Self {
        Self {
            vault: Vault::new(),
            operators,
            heard: Heard::default(),
            began: Instant::now(),
            nobody: RwLock::new(nobody),
            gate: Gate::new(()),
            replicas,
            records: Mutex::default(),
        }
    }

    /// How many processes of each service there are.
    #[must_use]
    pub const fn replicas(&self) -> usize {
        self.replicas
    }

    /// How many ways there are to the processes of a service: one to each, and one by its proxy.
    #[must_use]
    pub const fn ways(&self) -> usize {
        2 * self.replicas
    }

    /// Makes calls over these connections from now on.
    pub fn over(&self, nobody: Caller) {
        *self.nobody.write().unwrap_or_else(PoisonError::into_inner) = nobody;
    }

    /// The moment that it is.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::after(self.began.elapsed())
    }

    /// How many calls were made.
    #[must_use]
    pub fn count(&self) -> usize {
        self.records().len()
    }

    /// What was written down, in the order in which the calls began.
    #[must_use]
    pub fn history(&self) -> Vec<Record> {
        let mut records = self.records().clone();
        records.sort_by_key(|record| record.start);
        records
    }

    /// Writes down what was done without an rpc.
    pub fn note(&self, start: Moment, call: Call, outcome: Outcome) {
        let record = Record { start, end: self.now(), replica: 0, call, outcome };
        self.records().push(record);
    }

    /// Lets nobody call while what this answers lives; answers nothing if calls that are under way are not over by then.
    pub async fn nobody_calls(&self, patience: Duration) -> Option<RwLockWriteGuard<'_, ()>> {
        timeout(patience, self.gate.write()).await.ok()
    }

    /// Makes a call. What is answered is read twice: for the history, and by whoever made the call.
    pub async fn make<M: Rpc>(
        &self,
        by: By<'_>,
        call: Call,
        message: M,
        read: impl FnOnce(&M::Answer) -> Answer + Send,
    ) -> Result<Reply<M::Answer>, Outcome> {
        let _calls = self.gate.read().await;
        let caller = self.caller(by);
        let start = self.now();
        let limit = match by.patience {
            Patience::Leaves(limit) => limit,
            Patience::Much | Patience::Deadline(_) => MUCH + Duration::from_secs(2),
        };
        // Boxed: a call is large, and clients hold one at a time.
        let answered = timeout(limit, Box::pin(caller.raw(message))).await;
        let end = self.now();
        let (outcome, result) = match answered {
            Ok(Ok(reply)) => (Outcome::Ok(Box::new(read(&reply.message))), Ok(reply)),
            Ok(Err(status)) => {
                self.heard.hear_status(&status);
                let outcome = outcome(&status);
                (outcome.clone(), Err(outcome))
            }
            Err(_) => {
                let outcome = Outcome::Unknown("the caller left".into());
                (outcome.clone(), Err(outcome))
            }
        };
        let replica = by.replica % self.replicas;
        self.records().push(Record { start, end, replica, call, outcome });
        result
    }

    fn caller(&self, by: By<'_>) -> Caller {
        let nobody = self.nobody.read().unwrap_or_else(PoisonError::into_inner).of_replica(by.replica);
        let caller = match by.token {
            Some(token) => nobody.bearer(token),
            None => nobody,
        };
        let deadline = match by.patience {
            Patience::Deadline(limit) => limit,
            Patience::Much | Patience::Leaves(_) => MUCH,
        };
        caller.with("grpc-timeout", &format!("{}m", deadline.as_millis()))
    }

    fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an error says of the call. One without a reason did not come from a service, which gives one always: the client made it,
/// of a connection that ended or of its time that ran out, and has that for its source. It must not say anything of the
/// caller's rights.
fn outcome(status: &Status) -> Outcome {
    let details = status.get_error_details();
    let Some(info) = details.error_info() else {
        return match (status.code(), status.source()) {
            (
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal,
                Some(_),
            ) => Outcome::Unknown(format!("{:?}", status.code())),
            (code, _) => Outcome::Broken(format!("{code:?} without a reason: {}", status.message())),
        };
    };
    let reason = info.reason.strip_prefix("ERROR_REASON_").unwrap_or(&info.reason).to_owned();
    let Some(expected) = code_of(&reason) else {
        return Outcome::Broken(format!("{reason}: {}", status.message()));
    };
    if status.code() != expected {
        return Outcome::Broken(format!("{reason} as {:?}", status.code()));
    }
    match reason.as_str() {
        "HASHER_BUSY" | "STORAGE_UNAVAILABLE" => Outcome::NotDone(reason),
        _ if matches!(expected, Code::Unavailable | Code::DeadlineExceeded) => Outcome::Unknown(reason),
        _ => {
            let caller_is_below = info.metadata.contains_key("required_role");
            Outcome::Denied(Refusal { reason, caller_is_below })
        }
    }
}

/// The code that belongs to a reason that this workload can be given. `INTERNAL` is none of them, nor are `INVALID_FIELD` and
/// `INVALID_PAGE_TOKEN`, for nothing that it sends is invalid.
fn code_of(reason: &str) -> Option<Code> {
    Some(match reason {
        "UNAUTHENTICATED" | "INVALID_CREDENTIALS" | "ACCOUNT_INACTIVE" => Code::Unauthenticated,
        "ROLE_TOO_LOW" | "CURRENT_PASSWORD_MISMATCH" => Code::PermissionDenied,
        "USERNAME_TAKEN" => Code::AlreadyExists,
        "USER_NOT_FOUND" | "SESSION_NOT_FOUND" => Code::NotFound,
        "ETAG_MISMATCH" => Code::Aborted,
        "REQUEST_ID_REUSED" => Code::InvalidArgument,
        "RATE_LIMITED" => Code::ResourceExhausted,
        "HASHER_BUSY"
        | "STORAGE_UNAVAILABLE"
        | "OUTCOME_UNKNOWN"
        | "IDENTITY_PROVIDER_UNAVAILABLE"
        | "NOT_YET_CONSISTENT" => Code::Unavailable,
        "DEADLINE_EXCEEDED" => Code::DeadlineExceeded,
        _ => return None,
    })
}

/// A user as an answer has it.
#[must_use]
pub fn seen(user: &api::users::User) -> Seen {
    Seen {
        name: user.username.to_lowercase(),
        id: user.user_id.clone(),
        role: match user.role() {
            UserRole::SuperAdmin => Role::SuperAdmin,
            UserRole::Admin => Role::Admin,
            UserRole::User | UserRole::Unspecified => Role::User,
        },
        active: user.state() == UserState::Active,
        etag: user.etag.clone(),
    }
}

/// An answer that is about a user.
#[must_use]
pub fn about(user: Option<&api::users::User>) -> Answer {
    let user = user.map(seen);
    Answer { id: user.as_ref().map(|user| user.id.clone()), user, ..Answer::default() }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn of(code: Code, reason: &str) -> Outcome {
        let mut details = ErrorDetails::new();
        details.set_error_info(format!("ERROR_REASON_{reason}"), "auth.tandem", []);
        outcome(&Status::with_error_details(code, "a sentence", details))
    }

    #[test]
    fn an_outage_says_nothing_of_a_right_and_a_denial_must_have_its_reason() {
        assert!(matches!(of(Code::Unauthenticated, "UNAUTHENTICATED"), Outcome::Denied(_)));
        assert!(matches!(of(Code::Unavailable, "OUTCOME_UNKNOWN"), Outcome::Unknown(_)));
        assert!(matches!(of(Code::Unavailable, "STORAGE_UNAVAILABLE"), Outcome::NotDone(_)));
        assert!(matches!(of(Code::Unauthenticated, "IDENTITY_PROVIDER_UNAVAILABLE"), Outcome::Broken(_)));
        assert!(matches!(of(Code::Internal, "INTERNAL"), Outcome::Broken(_)));
        assert!(matches!(of(Code::InvalidArgument, "INVALID_PAGE_TOKEN"), Outcome::Broken(_)));
        assert!(matches!(outcome(&Status::unauthenticated("no")), Outcome::Broken(_)));
        assert!(matches!(outcome(&Status::permission_denied("no")), Outcome::Broken(_)));
    }

    #[test]
    fn without_a_reason_it_is_the_clients_own_or_none() {
        for code in
            [Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled, Code::Unknown, Code::Internal]
        {
            let lost = Status::from_error(Box::new(std::io::Error::other("the connection is lost")));
            let mut own = Status::new(code, "lost");
            own.set_source(std::sync::Arc::new(lost));
            assert!(matches!(outcome(&own), Outcome::Unknown(_)));
            assert!(matches!(outcome(&Status::new(code, "said by a server")), Outcome::Broken(_)));
        }
    }
}
