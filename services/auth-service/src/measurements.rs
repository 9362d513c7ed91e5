//! What the service measures besides its calls. All of it is there from the start, at zero, and nothing of it is
//! labelled by a user, an address or anything else that callers choose.

use std::time::Duration;

use auth_core::Error;
use grpc_kit::Shutdown;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tokio::time::sleep;

use crate::engine::ServedStore;
use crate::security;

/// What the service's database is called in metrics.
pub(crate) const DATABASE: &str = "auth";

/// How often what can only be looked at is looked at.
const INTERVAL: Duration = Duration::from_secs(5);

const SESSIONS_OPENED: &str = "tandem_sessions_opened_total";
const SESSIONS_ENDED: &str = "tandem_sessions_ended_total";

/// Why somebody does not get to hash; see `argon2/admission.rs` and `turns.rs`.
const HASH_REFUSALS: [&str; 6] = ["queue", "deadline", "abandoned", "waited", "account", "address"];

/// A counter of what comes of something that people do with passwords.
pub(crate) struct Outcomes {
    name: &'static str,
    help: &'static str,
    /// Those that are there from the start, besides `ok` and what [`ALWAYS_POSSIBLE`] has.
    refusals: &'static [&'static str],
}

const ALWAYS_POSSIBLE: [&str; 6] =
    ["ok", "invalid_fields", "rate_limited", "hasher_busy", "store_failed", "internal_error"];

/// Log-ins.
pub(crate) const LOG_INS: Outcomes = Outcomes {
    name: "tandem_log_ins_total",
    help: "Log-ins, by what came of them.",
    refusals: &["invalid_credentials", "account_inactive"],
};

/// Sign-ups.
pub(crate) const SIGN_UPS: Outcomes = Outcomes {
    name: "tandem_sign_ups_total",
    help: "Sign-ups, by what came of them.",
    refusals: &["username_taken", "request_id_reused"],
};

/// Changes of one's own password.
pub(crate) const PASSWORD_CHANGES: Outcomes = Outcomes {
    name: "tandem_password_changes_total",
    help: "Changes of one's own password, by what came of them.",
    refusals: &["current_password_mismatch", "password_unchanged", "unauthenticated"],
};

impl Outcomes {
    /// Counts one.
    pub(crate) fn count<T>(&self, outcome: &Result<T, Error>) {
        let label = match outcome {
            Ok(_) => "ok".to_owned(),
            Err(error) => security::reason(error).replace(' ', "_"),
        };
        counter!(self.name, "outcome" => label).increment(1);
    }

    fn announce(&self) {
        describe_counter!(self.name, self.help);
        for outcome in ALWAYS_POSSIBLE.iter().chain(self.refusals) {
            counter!(self.name, "outcome" => *outcome).increment(0);
        }
    }
}

/// Sessions that a unit of work opens and ends, counted when it is committed.
///
/// Nothing counts the sessions that there are: that would read all of them. They are those that were opened less those
/// that were ended, and a rate of either says more.
#[derive(Debug, Default)]
pub(crate) struct SessionTally {
    pub(crate) opened: u32,
    /// By a log-out, a revocation, a new password or the end of an account.
    pub(crate) ended: u32,
    /// By a log-in that was one too many.
    pub(crate) displaced: u32,
    /// By time, found when they are cleared away.
    pub(crate) expired: u32,
}

impl SessionTally {
    /// To be called after the commit.
    pub(crate) fn count(&self) {
        if self.opened > 0 {
            counter!(SESSIONS_OPENED).increment(self.opened.into());
        }
        for (reason, ended) in self.ends() {
            if ended > 0 {
                counter!(SESSIONS_ENDED, "reason" => reason).increment(ended.into());
            }
        }
    }

    const fn ends(&self) -> [(&'static str, u32); 3] {
        [("ended", self.ended), ("displaced", self.displaced), ("expired", self.expired)]
    }
}

/// Describes everything, and makes it be there.
pub(crate) fn announce() {
    [LOG_INS, SIGN_UPS, PASSWORD_CHANGES].iter().for_each(Outcomes::announce);
    describe_counter!(SESSIONS_OPENED, "Sessions that were opened.");
    describe_counter!(
        SESSIONS_ENDED,
        "Sessions that ended: by somebody's will, by one log-in too many, or by time."
    );
    counter!(SESSIONS_OPENED).increment(0);
    for (reason, none) in SessionTally::default().ends() {
        counter!(SESSIONS_ENDED, "reason" => reason).increment(none.into());
    }
    describe_gauge!(
        "tandem_hash_queue_length",
        "Callers that wait for a turn to hash, or are on the way to it."
    );
    describe_histogram!(
        "tandem_hash_queue_wait_seconds",
        "How long those waited who got to hash, in seconds."
    );
    describe_histogram!("tandem_hash_duration_seconds", "How long a hash took, in seconds.");
    describe_counter!("tandem_hash_refusals_total", "Callers that were sent away without a hash, by reason.");
    gauge!("tandem_hash_queue_length").increment(0);
    let _ = histogram!("tandem_hash_queue_wait_seconds");
    let _ = histogram!("tandem_hash_duration_seconds");
    for reason in HASH_REFUSALS {
        counter!("tandem_hash_refusals_total", "reason" => reason).increment(0);
    }
    database::usage::announce(DATABASE);
}

/// Looks at what can only be looked at, until the shutdown is requested.
pub(crate) async fn run<S: ServedStore>(store: S, shutdown: Shutdown) {
    loop {
        telemetry::record_process();
        store.connections().iter().for_each(|pool| pool.record(DATABASE));
        tokio::select! {
            () = shutdown.requested() => return,
            () = sleep(INTERVAL) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn everything_is_there_from_the_start_and_moves() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = ::metrics::set_default_local_recorder(&recorder);
        announce();
        let said = |line: &str| {
            let page = recorder.handle().render();
            assert!(page.lines().any(|said| said == line), "{line} is not in:\n{page}");
        };
        said("tandem_log_ins_total{outcome=\"invalid_credentials\"} 0");
        said("tandem_sessions_ended_total{reason=\"expired\"} 0");
        said("tandem_hash_queue_length 0");
        said("tandem_hash_duration_seconds_count 0");
        said("tandem_hash_refusals_total{reason=\"account\"} 0");
        said("tandem_database_timeouts_total{database=\"auth\"} 0");
        LOG_INS.count(&Ok(()));
        LOG_INS.count::<()>(&Err(Error::InvalidCredentials));
        said("tandem_log_ins_total{outcome=\"ok\"} 1");
        said("tandem_log_ins_total{outcome=\"invalid_credentials\"} 1");
        SessionTally { opened: 1, ended: 2, displaced: 3, expired: 4 }.count();
        said("tandem_sessions_opened_total 1");
        said("tandem_sessions_ended_total{reason=\"ended\"} 2");
        said("tandem_sessions_ended_total{reason=\"displaced\"} 3");
        said("tandem_sessions_ended_total{reason=\"expired\"} 4");
    }
}
