//! Every call of the run, when it began, when it was answered and when it could have no effect any more.

use crate::effect::End;

/// A call, by its place in the list of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallId(pub(super) usize);

/// What its caller knows of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is under way.
    Running,
    /// It was answered OK.
    Acknowledged,
    /// It was refused, and has changed nothing.
    Refused,
    /// It may have taken effect or not, or may yet.
    Unknown,
}

#[derive(Debug)]
struct Call {
    what: String,
    begin: u64,
    answer: Option<u64>,
    outcome: Outcome,
    ends: Vec<End>,
}

/// All calls.
#[derive(Debug, Default)]
pub(crate) struct Calls(Vec<Call>);

/// From when to when something was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

impl Calls {
    pub(crate) fn begin(&mut self, what: String, tick: u64, end: End) -> CallId {
        let call = Call { what, begin: tick, answer: None, outcome: Outcome::Running, ends: vec![end] };
        self.0.push(call);
        CallId(self.0.len() - 1)
    }

    /// The call is made again.
    pub(crate) fn repeat(&mut self, call: CallId, end: End) {
        self.0[call.0].ends.push(end);
    }

    pub(crate) fn answered(&mut self, call: CallId, outcome: Outcome, tick: u64) {
        let call = &mut self.0[call.0];
        // Also where both are refused for the same: calls that were made once are looked at for that.
        let other_may_be_done = outcome == Outcome::Refused && call.ends.iter().any(End::was_doubled);
        call.outcome = if other_may_be_done { Outcome::Unknown } else { outcome };
        call.answer = Some(tick);
    }

    pub(crate) fn outcome(&self, call: CallId) -> Outcome {
        self.0[call.0].outcome
    }

    pub(crate) fn began(&self, call: CallId) -> u64 {
        self.0[call.0].begin
    }

    /// When it, or the first time that it was made, can have no effect any more.
    pub(crate) fn end_of(&self, call: CallId) -> End {
        self.0[call.0].ends[0].clone()
    }

    /// From its beginning to its answer, or to the end of time.
    pub(crate) fn span(&self, call: CallId) -> Span {
        let call = &self.0[call.0];
        Span { begin: call.begin, end: call.answer.unwrap_or(u64::MAX) }
    }

    /// Whether it was acknowledged before this moment.
    pub(crate) fn is_acknowledged_before(&self, call: CallId, tick: u64) -> bool {
        let call = &self.0[call.0];
        call.outcome == Outcome::Acknowledged && call.answer.is_some_and(|answer| answer < tick)
    }

    /// Whether it may have had an effect by this moment.
    pub(crate) fn may_act_by(&self, call: CallId, tick: u64) -> bool {
        let call = &self.0[call.0];
        call.outcome != Outcome::Refused && call.begin <= tick
    }

    /// Whether it can have had no effect from this moment on.
    pub(crate) fn is_over_before(&self, call: CallId, tick: u64) -> bool {
        self.0[call.0].ends.iter().all(|end| end.is_before(tick))
    }

    /// Whether it was asked for twice, and the other one may have had its effect from this moment on.
    pub(crate) fn may_act_again_after(&self, call: CallId, tick: u64) -> bool {
        self.0[call.0].ends.iter().any(|end| end.was_doubled() && !end.is_before(tick))
    }

    /// Whether everything that the first did came before everything that the second did.
    pub(crate) fn precedes(&self, first: CallId, second: CallId) -> bool {
        self.is_over_before(first, self.began(second))
    }

    pub(crate) fn tell(&self, call: CallId) -> String {
        let Call { what, begin, answer, outcome, .. } = &self.0[call.0];
        let answer = answer.map_or_else(|| "…".to_owned(), |tick| tick.to_string());
        format!("[{begin}..{answer}] {what} ({outcome:?})")
    }
}
