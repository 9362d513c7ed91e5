//! The sessions that clients were told of, and what ends them.

use chrono::TimeDelta;
use identity::Timestamp;
use users_core::domain::State;

use super::calls::{CallId, Outcome, Span};
use super::{Invariant, Model};
use crate::weather::MAX_SKEW;

/// A session that somebody was given a token of.
#[derive(Debug)]
pub(crate) struct KnownSession {
    pub(crate) id: String,
    pub(crate) person: usize,
    pub(crate) opened_by: CallId,
    /// The password that opened it.
    pub(crate) password: String,
    /// When it ends by itself, or later.
    pub(crate) expire_time: Timestamp,
}

/// A token that somebody was given.
#[derive(Clone, Debug)]
pub(crate) struct KnownToken {
    pub(crate) token: String,
    pub(crate) session: usize,
    pub(crate) expire_time: Timestamp,
}

/// Which sessions a call ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    All,
    AllBut(String),
    One(String),
}

/// A call that ends sessions of somebody.
#[derive(Debug)]
pub(crate) struct Ender {
    pub(crate) call: CallId,
    pub(crate) ends: Ends,
    /// Which invariant a session breaks that outlives it.
    pub(crate) invariant: Invariant,
    /// The password that it sets.
    pub(crate) password: Option<String>,
}

/// The time when a token was presented, by the clock of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presented {
    pub(crate) call: CallId,
    pub(crate) begin: Timestamp,
    pub(crate) end: Timestamp,
}

impl Model {
    /// The session of a token, and when the token expires.
    pub(crate) fn session_of(&self, token: &str) -> Option<(usize, Timestamp)> {
        let known = self.tokens.iter().find(|known| known.token == token);
        known.map(|known| (known.session, known.expire_time))
    }

    /// Somebody was given a token.
    pub(crate) fn learn_token(&mut self, token: &str, session: usize, expire_time: Timestamp) {
        self.tokens.push(KnownToken { token: token.to_owned(), session, expire_time });
        let known = &mut self.sessions[session].expire_time;
        *known = (*known).max(expire_time);
    }

    fn may_end(ender: &Ender, session: &KnownSession) -> bool {
        ender.call != session.opened_by
            && match &ender.ends {
                Ends::All => true,
                Ends::AllBut(kept) => *kept != session.id,
                Ends::One(one) => *one == session.id,
            }
    }

    /// Whether the session was opened before this call took effect, if it did.
    fn certainly_ends(&self, ender: &Ender, session: &KnownSession) -> bool {
        if !Self::may_end(ender, session) {
            return false;
        }
        let began = self.calls.began(ender.call);
        if matches!(ender.ends, Ends::One(_)) || self.calls.is_acknowledged_before(session.opened_by, began) {
            return true;
        }
        let person = &self.people[session.person];
        match (&ender.password, ender.invariant) {
            // It was opened by the password of before, so it was before.
            (Some(password), _) if *password != session.password => {
                person.password.writers(&session.password).all(|by| self.calls.precedes(by, ender.call))
            }
            // It was opened while the account was active, so it was before, unless the account was made active since.
            (None, Invariant::I3) => {
                let answer = self.calls.span(session.opened_by).end;
                person
                    .state
                    .writers(&State::Active)
                    .all(|by| self.calls.precedes(by, ender.call) || !self.calls.may_act_by(by, answer))
            }
            _ => false,
        }
    }

    /// A call with this token was let through.
    pub(crate) fn let_in(&mut self, token: &str, presented: Presented) {
        let Presented { call, begin, .. } = presented;
        let told = self.calls.tell(call);
        let Some((index, expire_time)) = self.session_of(token) else {
            return self.check(Invariant::I9, false, || format!("{told}: a token of nobody was accepted"));
        };
        let holds = expire_time > begin;
        self.check(Invariant::I9, holds, || format!("{told}: accepted after {expire_time}, at {begin}"));
        let span = self.calls.span(call);
        let session = &self.sessions[index];
        let person = &self.people[session.person];
        let ended: Vec<_> = (person.enders.iter())
            .filter(|ender| self.calls.is_acknowledged_before(ender.call, span.begin))
            .map(|ender| (ender.invariant, self.calls.tell(ender.call), self.certainly_ends(ender, session)))
            .collect();
        let (opened, name) = (self.calls.tell(session.opened_by), person.name.clone());
        let may_be_active = person.state.may_be(&self.calls, &State::Active, span);
        let state = person.state.tell(&self.calls);
        let any_ended = ended.iter().any(|(.., certainly)| *certainly);
        for (invariant, ender, certainly) in ended {
            self.check(invariant, !certainly, || {
                format!("{told}: the session of {name} opened by {opened} was accepted after {ender}")
            });
        }
        self.check(Invariant::I3, may_be_active, || format!("{told}: {name} was let in, but {state}"));
        self.check(Invariant::I9, !any_ended, || format!("{told}: {name} was let in with an ended session"));
    }

    /// A call with this token was refused as one of nobody's.
    pub(crate) fn denied(&mut self, token: &str, presented: Presented) {
        let Presented { call, .. } = presented;
        let Some((index, expire_time)) = self.session_of(token) else { return };
        let is_expired = expire_time <= presented.end + TimeDelta::from_std(MAX_SKEW).unwrap_or_default();
        let is_explained = is_expired || self.may_have_ended(index, self.calls.span(call));
        let told = self.calls.tell(call);
        let opened = self.calls.tell(self.sessions[index].opened_by);
        self.check(Invariant::I10, is_explained, || {
            format!("{told}: a good token was denied, of the session opened by {opened}")
        });
    }

    /// Whether the session may have been ended by a call.
    pub(crate) fn may_have_ended(&self, session: usize, span: Span) -> bool {
        let session = &self.sessions[session];
        let began = self.calls.began(session.opened_by);
        self.people[session.person].enders.iter().any(|ender| {
            Self::may_end(ender, session)
                && self.calls.may_act_by(ender.call, span.end)
                && !self.calls.is_over_before(ender.call, began)
        })
    }

    /// Somebody was let in by this password.
    pub(crate) fn logged_in(&mut self, person: usize, password: &str, call: CallId) {
        let span = self.calls.span(call);
        let told = self.calls.tell(call);
        let subject = &self.people[person];
        let passwords = subject.password.possible(&self.calls, span);
        let is_possible = passwords.iter().any(|possible| possible == password);
        let was_once = subject.password.candidates(&self.calls).iter().any(|known| known == password);
        let is_active = subject.state.may_be(&self.calls, &State::Active, span);
        let (known, state) = (subject.password.tell(&self.calls), subject.state.tell(&self.calls));
        self.check(Invariant::I9, was_once, || {
            format!("{told}: with a password that nobody ever set; {known}")
        });
        self.check(Invariant::I5, is_possible, || format!("{told}: with a former password; {known}"));
        self.check(Invariant::I3, is_active, || format!("{told}: into an inactive account; {state}"));
    }

    /// Somebody was told that the password is wrong.
    pub(crate) fn wrong_password(&mut self, person: usize, password: &str, call: CallId) {
        let span = self.calls.span(call);
        let told = self.calls.tell(call);
        let subject = &self.people[person];
        let presented = password.to_owned();
        // Set once more while it was looked at, by the other one of two: what it was compared with is then of before.
        let is_set_again =
            subject.password.writers(&presented).any(|by| self.calls.may_act_again_after(by, span.begin));
        let is_explained = is_set_again || subject.password.may_differ_from(&self.calls, &presented, span);
        let known = subject.password.tell(&self.calls);
        let holds = is_explained || self.calls.outcome(subject.made_by) != Outcome::Acknowledged;
        self.check(Invariant::I10, holds, || {
            format!("{told}: the right password is said to be wrong; {known}")
        });
    }

    /// Somebody was told that the password is right, but the account inactive.
    pub(crate) fn is_inactive(&mut self, person: usize, password: &str, call: CallId) {
        let span = self.calls.span(call);
        let told = self.calls.tell(call);
        let subject = &self.people[person];
        let is_right = subject.password.may_be(&self.calls, &password.to_owned(), span);
        let is_explained = subject.state.may_be(&self.calls, &State::Inactive, span);
        let known = subject.state.tell(&self.calls);
        self.check(Invariant::I5, is_right, || format!("{told}: a former password is said to be right"));
        self.check(Invariant::I10, is_explained, || {
            format!("{told}: an active account is said to be inactive; {known}")
        });
    }
}
