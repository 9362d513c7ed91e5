//! Histories written by hand: good ones, and for every rule one that breaks it.

use std::time::Duration;

use super::{Account, Check, End, Session, User, check, check_guesses, check_unlimited, story};
use crate::history::{Answer, Call, Does, Moment, Outcome, Record, Refusal, Role, Secret, Seen, Who};

mod answered;
mod broken;
mod good;
mod untold;

const ROOT: &str = "root1";
const OLD: Secret = Secret(1);
const NEW: Secret = Secret(2);

/// A history that is written call by call; each takes from one millisecond to another.
struct Script(Vec<Record>);

impl Script {
    /// There are a super admin with a session, and a user with two.
    fn new() -> Self {
        let mut script = Self(Vec::new());
        let bootstrap = Call::new(Does::Bootstrap, Who::Operator).on(ROOT).setting(Secret(0));
        script.then(0, 1, bootstrap, made("00"));
        script.log_in(1, 2, ROOT, Secret(0), "r");
        script.then(2, 3, Call::new(Does::SignUp, Who::Nobody).on("alice").setting(OLD), made("0a"));
        script.log_in(3, 4, "alice", OLD, "a1");
        script.log_in(4, 5, "alice", OLD, "a2");
        script
    }

    fn then(&mut self, start: u64, end: u64, call: Call, outcome: Outcome) -> &mut Self {
        self.0.push(Record { start: at(start), end: at(end), replica: 0, call, outcome });
        self
    }

    fn log_in(&mut self, start: u64, end: u64, user: &str, secret: Secret, session: &str) -> &mut Self {
        self.then(start, end, log_in(user, secret), opened(session))
    }

    /// Nothing was under way.
    fn rested(&mut self, start: u64, end: u64) -> &mut Self {
        self.then(start, end, Call::new(Does::Rest, Who::Operator), ok())
    }

    fn violations(&self) -> Vec<Check> {
        self.at_the_end(None)
    }

    fn at_the_end(&self, end: Option<&End>) -> Vec<Check> {
        let mut records = self.0.clone();
        records.sort_by_key(|record| record.start);
        let findings = check(&records, end);
        for violation in &findings.violations {
            let invariant = violation.check.invariant().to_string();
            assert!(story(violation, &records).starts_with(&invariant));
            assert!(findings.judged.contains_key(&violation.check), "found without a look: {violation:?}");
        }
        findings.violations.iter().map(|violation| violation.check).collect()
    }

    #[track_caller]
    fn is_good(&self) {
        assert_eq!(self.violations(), []);
    }

    #[track_caller]
    fn is_found_by(&self, check: Check) {
        let violations = self.violations();
        assert!(!violations.is_empty() && violations.iter().all(|one| *one == check), "{violations:?}");
    }
}

/// Nothing happens in the very first moment.
fn at(millisecond: u64) -> Moment {
    Moment::after(Duration::from_millis(millisecond + 1))
}

fn by(user: &str, session: &str, does: Does) -> Call {
    Call::new(does, Who::Session { id: session.into(), user: user.into() })
}

fn root(does: Does, on: &str) -> Call {
    by(ROOT, "r", does).on(on)
}

fn alice(does: Does) -> Call {
    by("alice", "a1", does)
}

fn log_in(user: &str, secret: Secret) -> Call {
    Call::new(Does::LogIn, Who::Nobody).on(user).showing(secret)
}

fn ok() -> Outcome {
    Outcome::Ok(Box::default())
}

fn made(id: &str) -> Outcome {
    Outcome::Ok(Box::new(Answer { id: Some(id.into()), ..Answer::default() }))
}

fn opened(session: &str) -> Outcome {
    Outcome::Ok(Box::new(Answer { session: Some(session.into()), ..Answer::default() }))
}

fn alice_as(role: Role, etag: &str) -> Seen {
    Seen { name: "alice".into(), id: "0a".into(), role, active: true, etag: etag.into() }
}

fn shows(role: Role, etag: &str) -> Outcome {
    Outcome::Ok(Box::new(Answer { user: Some(alice_as(role, etag)), ..Answer::default() }))
}

fn shows_as(active: bool, etag: &str) -> Outcome {
    let user = Seen { active, ..alice_as(Role::User, etag) };
    Outcome::Ok(Box::new(Answer { user: Some(user), ..Answer::default() }))
}

fn denied(reason: &str) -> Outcome {
    Outcome::Denied(Refusal { reason: reason.into(), caller_is_below: false })
}

fn unknown() -> Outcome {
    Outcome::Unknown("lost".into())
}

fn session(id: &str, account: &str) -> Session {
    Session { id: id.into(), account: account.into(), expires: 100 }
}

/// What is stored if nothing happened but what `Script::new` says.
fn stored() -> End {
    let account =
        |id: &str, name: &str| Account { id: id.into(), name: name.into(), is_active: true, version: 1 };
    let user = |id: &str, name: &str, role| User {
        id: id.into(),
        name: name.into(),
        role,
        is_active: true,
        version: 1,
    };
    End {
        at: at(1000),
        mended: at(900),
        accounts: vec![account("00", ROOT), account("0a", "alice")],
        users: vec![user("00", ROOT, Role::SuperAdmin), user("0a", "alice", Role::User)],
        sessions: vec![session("r", "00"), session("a1", "0a"), session("a2", "0a")],
    }
}
