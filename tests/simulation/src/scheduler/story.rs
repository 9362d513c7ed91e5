//! What is told and counted.

use super::{Node, Sim};
use crate::counts::Counts;

impl Sim {
    /// What happened, for whoever reads the story.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        let mut state = self.state();
        if state.story.is_none() {
            return;
        }
        let (node, name) = match &state.running {
            Some((_, part)) => (part.node, part.name),
            None => (Node::World, ""),
        };
        let line = format!("{:>10.6}  {node:<10}  {name:<24}  {}", state.now.as_secs_f64(), what());
        if let Some(story) = &mut state.story {
            story.push(line);
        }
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.state().counts);
    }

    /// What was counted, and the story.
    pub(crate) fn ending(&self) -> (Counts, Vec<String>) {
        let mut state = self.state();
        state.counts.moments = self.ticks.now();
        (state.counts.clone(), state.story.take().unwrap_or_default())
    }
}
