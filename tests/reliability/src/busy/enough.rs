//! Whether a round did what it was to do: one in which nothing failed, or nobody was served, shows nothing.

use std::collections::BTreeMap;

use crate::checker::{Check, Invariant};
use crate::history::{Does, Record};
use crate::nemesis::Injected;
use crate::round::Plan;

/// So many calls of each kind are answered OK in a round, and so many guesses are looked at.
const LEAST: usize = 3;

/// What clients do of everything.
const KINDS: [Does; 22] = [
    Does::SignUp,
    Does::LogIn,
    Does::LogOut,
    Does::RefreshSession,
    Does::GetCurrentSession,
    Does::ListSessions,
    Does::RevokeSession,
    Does::RevokeAllSessions,
    Does::ChangePassword,
    Does::CreateUser,
    Does::GetUser,
    Does::GetCurrentUser,
    Does::ListUsers,
    Does::InactivateUser,
    Does::ReactivateUser,
    Does::GrantAdmin,
    Does::RevokeAdmin,
    Does::SetUserPassword,
    Does::ListUserSessions,
    Does::RevokeUserSessions,
    Does::Bootstrap,
    Does::Demote,
];

/// The invariants that a round of everything did not look at: nothing that could have broken them was seen.
#[must_use]
pub fn unjudged(plan: &Plan, judged: &BTreeMap<Check, usize>) -> Vec<String> {
    // Guesses are all that is done in the round that limits them.
    let expected = Invariant::ALL.into_iter().filter(|_| !plan.limits_guesses);
    let is_judged = |invariant: &Invariant| judged.keys().any(|check| check.invariant() == *invariant);
    let unjudged = expected.filter(|invariant| !is_judged(invariant));
    unjudged
        .map(|invariant| format!("nothing was seen by which {invariant} could have been broken"))
        .collect()
}

/// What a round without a deliberate defect did too little of.
#[must_use]
pub fn missed(plan: &Plan, history: &[Record], injected: &[Injected]) -> Vec<String> {
    let planned = if plan.kinds.is_empty() { 0 } else { plan.faults };
    let mut missed = Vec::new();
    if injected.len() != planned {
        missed.push(format!("{} of {planned} faults were injected", injected.len()));
    }
    for Injected { fault, .. } in injected.iter().filter(|one| !one.is_met) {
        missed.push(format!("\"{fault}\" met nothing that it could break"));
    }
    missed.extend(too_seldom(plan, history));
    missed
}

/// What was answered too seldom so far.
#[must_use]
pub fn too_seldom(plan: &Plan, history: &[Record]) -> Vec<String> {
    let mut missed = Vec::new();
    if plan.limits_guesses {
        let guesses = history.iter().filter(|record| record.denial() == Some("INVALID_CREDENTIALS"));
        missed.extend(too_few(guesses.count(), "INVALID_CREDENTIALS"));
    } else {
        for kind in KINDS {
            let done = history.iter().filter(|record| record.call.does == kind && record.answer().is_some());
            missed.extend(too_few(done.count(), &format!("OK to {kind:?}")));
        }
    }
    missed
}

fn too_few(answers: usize, what: &str) -> Option<String> {
    (answers < LEAST).then(|| format!("{answers} calls were answered {what}, and {LEAST} at least are to be"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use e2e::{Binaries, Service};

    use super::*;
    use crate::history::{Call, Moment, Outcome, Who};
    use crate::nemesis::Fault;
    use crate::site::Store;
    use crate::workload::EVERYTHING;

    fn plan() -> Plan {
        Plan {
            binaries: Binaries { auth: "", users: "" },
            store: Store::Sqlite,
            seed: 1,
            clients: 8,
            mix: EVERYTHING,
            lasts: Duration::ZERO,
            faults: 1,
            kinds: vec![Fault::Kill(Service::Auth)],
            limits_guesses: false,
            defect: None,
        }
    }

    fn answered(kinds: &[Does]) -> Vec<Record> {
        let call = |does| Record {
            start: Moment::FIRST,
            end: Moment::FIRST,
            replica: 0,
            call: Call::new(does, Who::Operator),
            outcome: Outcome::Ok(Box::default()),
        };
        kinds.iter().flat_map(|does| (0..LEAST).map(|_| call(*does))).collect()
    }

    #[test]
    fn a_round_in_which_nothing_fails_or_nobody_is_served_shows_nothing() {
        let met = |is_met| Injected {
            fault: Fault::Kill(Service::Auth),
            overlaps: None,
            is_met,
            recovered: Vec::new(),
        };
        let all = answered(&KINDS);
        assert_eq!(missed(&plan(), &all, &[met(true)]), [""; 0]);
        assert_eq!(missed(&plan(), &all, &[]), ["0 of 1 faults were injected"]);
        assert_eq!(missed(&plan(), &all, &[met(false)]).len(), 1);
        assert_eq!(missed(&plan(), &all[1..], &[met(true)]).len(), 1);
        assert_eq!(missed(&plan(), &[], &[met(true)]).len(), KINDS.len());
    }

    #[test]
    fn a_round_in_which_an_invariant_was_not_looked_at_shows_nothing_of_it() {
        let all: BTreeMap<Check, usize> = Check::ALL.iter().map(|check| (*check, 1)).collect();
        assert_eq!(unjudged(&plan(), &all), [""; 0]);
        let mut but_one = all;
        but_one.retain(|check, _| check.invariant() != Invariant::I7);
        assert_eq!(unjudged(&plan(), &but_one).len(), 1);
        assert_eq!(unjudged(&Plan { limits_guesses: true, ..plan() }, &but_one), [""; 0]);
    }
}
