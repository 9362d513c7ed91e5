//! How nodes begin, and where they die.

use std::sync::Arc;
use std::time::Duration;

use fail_point::mutant;

use super::{Node, Sim};

impl Sim {
    /// How a node begins a life.
    pub(crate) fn boots_by(&self, node: Node, boot: impl Fn() + Send + Sync + 'static) {
        self.state().boots.insert(node, Arc::new(boot));
    }

    /// Begins a life of a node that is dead.
    pub(crate) fn boot(&self, node: Node) {
        let mut state = self.state();
        state.alive.insert(node);
        let boot = state.boots.get(&node).cloned();
        drop(state);
        if let Some(boot) = boot {
            boot();
        }
    }

    pub(crate) fn is_up(&self, node: Node) -> bool {
        self.state().alive.contains(&node)
    }

    /// Ends the life of a node, and all that it was doing; what can be booted is, after a while.
    pub(crate) fn kill(&self, node: Node) {
        let mut state = self.state();
        state.alive.remove(&node);
        let ids: Vec<u64> =
            state.tasks.iter().filter(|(_, task)| task.part.node == node).map(|(id, _)| *id).collect();
        let dead: Vec<_> = ids.iter().filter_map(|id| state.tasks.remove(id)).collect();
        // The defect of the mutant: nobody starts it again.
        let comes_back = state.boots.contains_key(&node) && !mutant("boots.never");
        let pause = Duration::from_millis(state.dice.below(4_000));
        drop(state);
        drop(dead);
        if comes_back {
            let sim = self.clone();
            self.spawn_apart(Node::World, "boot", async move {
                sim.sleep(pause).await;
                sim.tell(|| format!("{node} is started again"));
                sim.boot(node);
            });
        }
    }

    /// A step of the running work: others go on meanwhile, and its node may die before it is done.
    pub(crate) async fn step(&self, at: &'static str) {
        self.pause().await;
        if self.dies(at) {
            std::future::pending::<()>().await;
        }
    }

    fn dies(&self, at: &'static str) -> bool {
        let mut state = self.state();
        let Some((_, part)) = state.running.clone() else { return false };
        let visits = state.counts.visit(part.name, at);
        if !matches!(part.node, Node::Auth(_) | Node::Users(_) | Node::Operator(_)) {
            return false;
        }
        let chance = if visits <= 2 { state.weather.first_crash } else { state.weather.crash };
        let dies = state.dice.in_a_million(chance);
        if dies {
            state.counts.crash(part.name, at);
            drop(state);
            self.tell(|| format!("dies before {at}"));
            self.kill(part.node);
        } else {
            drop(state);
            self.tell(|| at.to_owned());
        }
        dies
    }
}
