//! What the clients know of the run: every call with its beginning and its answer, and what must hold because of them.
//!
//! A call takes effect at some moment between its beginning and its end, or never if it was not acknowledged. So what may be
//! seen at a moment is what any call wrote that is not certainly overwritten by an acknowledged one. That is all that the
//! checks here rely on; none knows how the services do it.

mod calls;
mod register;
mod sessions;

use std::collections::BTreeMap;
use std::fmt;

use identity::UserId;
pub(crate) use test_kit::Invariant;
use users_core::domain::{Role, State};

pub(crate) use calls::{CallId, Calls, Outcome, Span};
pub(crate) use register::Register;
pub(crate) use sessions::{Ender, Ends, KnownSession, KnownToken, Presented};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// That an invariant holds. I11 is none of them: neither core says anything of its own accord.
    Of(Invariant),
    /// Nobody changes what somebody else has changed since it was read. A part of I8, which has a defect of its own.
    Etags,
    /// Nobody guesses faster than allowed. A part of I9, which has a defect of its own.
    Guesses,
    /// Everything comes to an end.
    Progress,
}

impl Check {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let invariants = Invariant::ALL.into_iter().filter(|one| *one != Invariant::I11);
        invariants.map(Self::Of).chain([Self::Etags, Self::Guesses, Self::Progress])
    }
}

impl From<Invariant> for Check {
    fn from(invariant: Invariant) -> Self {
        Self::Of(invariant)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(invariant) => invariant.fmt(f),
            other => fmt::Debug::fmt(other, f),
        }
    }
}

/// Something that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was looked at.
    pub check: Check,
    /// What was seen, and what forbids it.
    pub what: String,
}

/// Somebody who has an account, or may have one.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    /// Once it is known.
    pub(crate) id: Option<UserId>,
    /// The call by which there is such a person.
    pub(crate) made_by: CallId,
    pub(crate) state: Register<State>,
    pub(crate) role: Register<Role>,
    pub(crate) password: Register<String>,
    pub(crate) enders: Vec<Ender>,
}

/// All that is known, and what was found to be wrong.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) calls: Calls,
    pub(crate) people: Vec<Person>,
    pub(crate) sessions: Vec<KnownSession>,
    pub(crate) tokens: Vec<KnownToken>,
    /// Accounts whose password is guessed at.
    pub(crate) guessed_at: Vec<UserId>,
    pub(crate) violations: Vec<Violation>,
    /// How often each was looked at.
    pub(crate) looks: BTreeMap<Check, u64>,
}

impl Model {
    /// Looks whether something holds.
    pub(crate) fn check(&mut self, check: impl Into<Check>, holds: bool, what: impl FnOnce() -> String) {
        let check = check.into();
        *self.looks.entry(check).or_default() += 1;
        if !holds {
            self.violations.push(Violation { check, what: what() });
        }
    }

    /// Somebody who will be there if this call succeeds.
    pub(crate) fn expect_person(&mut self, name: &str, password: &str, role: Role, made_by: CallId) -> usize {
        self.people.push(Person {
            name: name.to_owned(),
            id: None,
            made_by,
            state: Register::new(made_by, State::Active),
            role: Register::new(made_by, role),
            password: Register::new(made_by, password.to_owned()),
            enders: Vec::new(),
        });
        self.people.len() - 1
    }

    /// Whether several clients wanted this name.
    pub(crate) fn is_wanted(&self, name: &str) -> bool {
        self.people.iter().filter(|person| person.name.eq_ignore_ascii_case(name)).count() > 1
    }

    /// The people of whom it is known that they are there.
    pub(crate) fn known_people(&self) -> Vec<usize> {
        (0..self.people.len()).filter(|person| self.people[*person].id.is_some()).collect()
    }

    /// The role was seen, in an answer to a call.
    pub(crate) fn saw_role(&mut self, person: usize, seen: Role, call: CallId, invariant: Invariant) {
        let role = &self.people[person].role;
        let holds = role.may_be(&self.calls, &seen, self.calls.span(call));
        let what = format!("{}: {} has the role {seen:?}", self.calls.tell(call), self.people[person].name);
        let known = self.people[person].role.tell(&self.calls);
        self.check(invariant, holds, || format!("{what}, but {known}"));
    }

    /// The caller was let act as somebody of one of these roles.
    pub(crate) fn acted_as(&mut self, person: usize, least: Role, call: CallId) {
        let role = &self.people[person].role;
        let span = self.calls.span(call);
        let possible = role.possible(&self.calls, span);
        let holds = possible.iter().any(|role| *role >= least);
        let what = format!("{}: {} acted as {least:?}", self.calls.tell(call), self.people[person].name);
        let known = self.people[person].role.tell(&self.calls);
        self.check(Invariant::I3, holds, || format!("{what}, but {known}"));
    }

    /// The caller was told that its role does not suffice.
    pub(crate) fn refused_by_role(
        &mut self,
        person: usize,
        target: Option<usize>,
        least: Role,
        call: CallId,
    ) {
        let span = self.calls.span(call);
        let own = self.people[person].role.possible(&self.calls, span);
        let of_target = target.map(|target| self.people[target].role.possible(&self.calls, span));
        let outranks_all = |role: &Role| of_target.iter().flatten().all(|target| role > target);
        let is_explained = own.iter().any(|role| *role < least || !outranks_all(role));
        let what =
            format!("{}: {} was refused for its role", self.calls.tell(call), self.people[person].name);
        let known = self.people[person].role.tell(&self.calls);
        self.check(Invariant::I10, is_explained, || format!("{what}, but {known}"));
    }
}
