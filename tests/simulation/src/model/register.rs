//! A fact that calls write: whose state, role or password it is now.

use super::calls::{CallId, Calls, Span};

/// Who wrote what.
#[derive(Debug)]
pub(crate) struct Register<T>(Vec<(CallId, T)>);

impl<T: Clone + PartialEq + std::fmt::Debug> Register<T> {
    pub(crate) fn new(by: CallId, value: T) -> Self {
        Self(vec![(by, value)])
    }

    /// A call begins that writes this, if it succeeds.
    pub(crate) fn write(&mut self, by: CallId, value: T) {
        self.0.push((by, value));
    }

    /// What may have been there at some moment of this span.
    pub(crate) fn possible(&self, calls: &Calls, span: Span) -> Vec<T> {
        let acts = self.0.iter().filter(|(by, _)| calls.may_act_by(*by, span.end));
        acts.filter(|(by, _)| !self.is_overwritten(calls, *by, span.begin))
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// Whether a call that comes wholly after this one was acknowledged before this moment.
    fn is_overwritten(&self, calls: &Calls, by: CallId, tick: u64) -> bool {
        self.0.iter().any(|(later, _)| {
            *later != by && calls.is_acknowledged_before(*later, tick) && calls.precedes(by, *later)
        })
    }

    pub(crate) fn may_be(&self, calls: &Calls, seen: &T, span: Span) -> bool {
        self.possible(calls, span).contains(seen)
    }

    /// Whether it may have been anything else.
    pub(crate) fn may_differ_from(&self, calls: &Calls, value: &T, span: Span) -> bool {
        self.possible(calls, span).iter().any(|possible| possible != value)
    }

    /// The calls that write this value, of which one was the first.
    pub(crate) fn writers<'a>(&'a self, value: &'a T) -> impl Iterator<Item = CallId> + 'a {
        self.0.iter().filter(move |(_, written)| written == value).map(|(by, _)| *by)
    }

    /// All that were written and not refused.
    pub(crate) fn candidates(&self, calls: &Calls) -> Vec<T> {
        let acts = self.0.iter().filter(|(by, _)| calls.may_act_by(*by, u64::MAX));
        acts.map(|(_, value)| value.clone()).collect()
    }

    /// Whether another value was certainly written between these moments, and not this one again.
    pub(crate) fn is_changed_between(&self, calls: &Calls, seen: &T, from: u64, to: u64) -> bool {
        let is_between = |by: CallId| calls.began(by) > from && calls.is_acknowledged_before(by, to);
        let changed = self.0.iter().any(|(by, value)| value != seen && is_between(*by));
        changed && !self.0.iter().any(|(by, value)| value == seen && !calls.is_over_before(*by, from))
    }

    pub(crate) fn is_written_once(&self) -> bool {
        self.0.len() == 1
    }

    pub(crate) fn tell(&self, calls: &Calls) -> String {
        let written: Vec<_> =
            self.0.iter().map(|(by, value)| format!("{value:?} by {}", calls.tell(*by))).collect();
        format!("what was written is {}", written.join("; "))
    }
}
