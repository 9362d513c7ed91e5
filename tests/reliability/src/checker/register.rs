//! What can be true of one value over time, from what is known to have been written and seen.
//!
//! Each write and each sight happened at some moment of a span. A sight can be true if a write of such a value may have
//! come before it, and nothing that certainly lies between the two says that the value was another one by then. That is
//! all that real time has to say about a single value, so nothing true is called a violation.

use crate::history::Span;

/// Which values a sight allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Allows<V> {
    Only(Vec<V>),
    AllBut(Vec<V>),
}

impl<V: PartialEq> Allows<V> {
    fn has(&self, value: &V) -> bool {
        match self {
            Self::Only(values) => values.contains(value),
            Self::AllBut(values) => !values.contains(value),
        }
    }
}

/// What kind of thing showed a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// It was written.
    Write,
    /// Somebody was let in.
    LetIn,
    /// Somebody was refused.
    Denial,
    /// An answer said so.
    Answer,
    /// It is so in the end.
    End,
}

#[derive(Clone, Debug)]
struct Write<V> {
    value: V,
    span: Span,
    record: Option<usize>,
}

#[derive(Clone, Debug)]
struct Sight<V> {
    allows: Allows<V>,
    span: Span,
    record: Option<usize>,
    by: By,
}

/// A sight that cannot be true, and the records that say so.
#[derive(Clone, Debug)]
pub(super) struct Contradiction {
    pub(super) record: Option<usize>,
    pub(super) by: By,
    pub(super) against: Vec<usize>,
}

/// One value over time.
#[derive(Clone, Debug)]
pub(super) struct Register<V> {
    writes: Vec<Write<V>>,
    sights: Vec<Sight<V>>,
}

impl<V: Clone + PartialEq> Register<V> {
    /// It has this value at first.
    pub(super) fn new(value: V) -> Self {
        use crate::history::Moment;
        let span = Span { from: Moment::FIRST, until: Moment::FIRST };
        Self { writes: vec![Write { value, span, record: None }], sights: Vec::new() }
    }

    /// A write that happened.
    pub(super) fn written(&mut self, record: usize, value: V, span: Span) {
        self.sights.push(Sight {
            allows: Allows::Only(vec![value.clone()]),
            span,
            record: Some(record),
            by: By::Write,
        });
        self.perhaps_written(record, value, span);
    }

    /// A write that may have happened, or may happen yet.
    pub(super) fn perhaps_written(&mut self, record: usize, value: V, span: Span) {
        self.writes.push(Write { value, span, record: Some(record) });
    }

    /// Somebody saw it.
    pub(super) fn seen(&mut self, record: Option<usize>, allows: Allows<V>, span: Span, by: By) {
        self.sights.push(Sight { allows, span, record, by });
    }

    /// By what it was seen, each time.
    pub(super) fn seen_by(&self) -> impl Iterator<Item = By> {
        self.sights.iter().map(|sight| sight.by).filter(|by| *by != By::Write)
    }

    /// Whether it may have had more than one value, besides that of its beginning.
    pub(super) fn was_changed(&self) -> bool {
        self.writes.iter().skip(1).any(|write| write.value != self.writes[1].value)
    }

    /// Everything that was seen and cannot have been.
    pub(super) fn contradictions(&self) -> Vec<Contradiction> {
        let sights = self.sights.iter().filter(|sight| sight.by != By::Write);
        let contradictions = sights.filter_map(|sight| {
            let against = self.impossible(&sight.allows, sight.span)?;
            Some(Contradiction { record: sight.record, by: sight.by, against })
        });
        contradictions.collect()
    }

    /// Whether the register cannot have had any of these values during the span; if so, the records that say it.
    pub(super) fn impossible(&self, allows: &Allows<V>, span: Span) -> Option<Vec<usize>> {
        let mut against = None;
        for write in self.writes.iter().filter(|write| allows.has(&write.value)) {
            if write.span.from >= span.until {
                continue;
            }
            let overwritten = self.sights.iter().find(|sight| {
                write.span.is_before(sight.span)
                    && sight.span.is_before(span)
                    && !sight.allows.has(&write.value)
            });
            // Without one, this write may be the one.
            against = Some(write.record.into_iter().chain(overwritten?.record).collect());
        }
        // No write of such a value at all: what the value was instead is the story.
        Some(against.unwrap_or_else(|| {
            let before = self.writes.iter().filter(|write| write.span.from < span.until);
            before.filter_map(|write| write.record).next_back().into_iter().collect()
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::Moment;

    fn span(from: u64, until: u64) -> Span {
        let at = |ms| Moment::after(Duration::from_millis(ms));
        Span { from: at(from), until: if until == 0 { Moment::NEVER } else { at(until) } }
    }

    fn sees(register: &Register<u8>, value: u8, from: u64, until: u64) -> bool {
        register.impossible(&Allows::Only(vec![value]), span(from, until)).is_none()
    }

    #[test]
    fn what_was_overwritten_before_a_sight_cannot_be_seen() {
        let mut register = Register::new(0);
        register.written(1, 1, span(10, 20));
        assert!(sees(&register, 0, 5, 8) && !sees(&register, 1, 5, 8), "before");
        assert!(sees(&register, 0, 15, 16) && sees(&register, 1, 15, 16), "meanwhile");
        assert!(sees(&register, 0, 20, 30), "it may have begun before the write was over");
        assert!(!sees(&register, 0, 21, 30) && sees(&register, 1, 21, 30), "after");
    }

    #[test]
    fn what_may_have_been_written_may_be_seen_and_may_not_be() {
        let mut register = Register::new(0);
        register.perhaps_written(1, 1, span(10, 0));
        assert!(sees(&register, 0, 100, 101) && sees(&register, 1, 100, 101));
        register.seen(Some(2), Allows::Only(vec![1]), span(110, 111), By::Answer);
        assert!(!sees(&register, 0, 120, 121), "it has happened, and nobody wrote it back");
    }

    #[test]
    fn a_value_goes_back_only_when_somebody_may_have_written_it_back() {
        let mut register = Register::new(0);
        register.written(1, 1, span(10, 20));
        register.written(2, 0, span(30, 40));
        assert!(!sees(&register, 0, 25, 29) && sees(&register, 0, 35, 36) && !sees(&register, 1, 41, 50));
        assert_eq!(register.impossible(&Allows::Only(vec![1]), span(41, 50)), Some(vec![1, 2]));
    }

    #[test]
    fn what_nobody_wrote_cannot_be_seen() {
        let register = Register::new(0);
        assert!(!sees(&register, 7, 1, 2));
    }
}
