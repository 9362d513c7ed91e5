//! One thread on which everything runs, in virtual time and in an order that the dice decide.
//!
//! Whatever can go on is in one set, and which of it goes on next is chance: so every interleaving of steps can come, not
//! only the one of a queue. Nothing here reads a clock; time moves to the next timer when nothing else can go on.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::counts::Counts;
use crate::dice::Dice;
use crate::effect::{Effect, End, Ticks};
use crate::weather::Weather;

mod dice;
mod life;
mod node;
mod story;
mod time;

pub(crate) use node::Node;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type Clock = Box<dyn Fn(Duration) + Send>;
type Boot = Arc<dyn Fn() + Send + Sync>;

/// What a piece of work is part of.
#[derive(Clone)]
struct Part {
    node: Node,
    /// The use case or the rpc.
    name: &'static str,
    effect: Option<Effect>,
}

struct Task {
    part: Part,
    /// Not here while it runs.
    work: Option<Work>,
    waker: Waker,
}

/// The tasks that can go on.
type Ready = Arc<Mutex<BTreeSet<u64>>>;

struct Wakes {
    task: u64,
    ready: Ready,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        lock(&self.ready).insert(self.task);
    }
}

struct State {
    now: Duration,
    dice: Dice,
    weather: Weather,
    next: u64,
    tasks: BTreeMap<u64, Task>,
    timers: BTreeMap<(Duration, u64), Waker>,
    alive: BTreeSet<Node>,
    boots: BTreeMap<Node, Boot>,
    clocks: Vec<Clock>,
    running: Option<(u64, Part)>,
    counts: Counts,
    story: Option<Vec<String>>,
}

/// The run. Clones are the same run.
#[derive(Clone)]
pub(crate) struct Sim {
    state: Arc<Mutex<State>>,
    ready: Ready,
    pub(crate) ticks: Ticks,
}

/// Nothing can go on, though something should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stuck;

/// A run has fewer moments than this, or it goes round in circles.
const ENDLESS: u64 = 3_000_000;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sim {
    /// The run of a seed. It tells its story if that is wanted, which takes time.
    #[must_use]
    pub(crate) fn new(seed: u64, tells: bool) -> Self {
        let mut dice = Dice::new(seed);
        let state = State {
            now: Duration::ZERO,
            weather: Weather::of(&mut dice),
            dice,
            next: 0,
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            alive: BTreeSet::new(),
            boots: BTreeMap::new(),
            clocks: Vec::new(),
            running: None,
            counts: Counts::default(),
            story: tells.then(Vec::new),
        };
        let immortal = [Node::World, Node::Network, Node::Disk, Node::Client];
        let sim =
            Self { state: Arc::new(Mutex::new(state)), ready: Ready::default(), ticks: Ticks::default() };
        sim.state().alive.extend(immortal);
        sim
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Runs until this is done.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        all: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Stuck> {
        let result = Arc::new(Mutex::new(None));
        let place = Arc::clone(&result);
        self.spawn(Node::World, "run", async move {
            let done = all.await;
            *lock(&place) = Some(done);
        });
        while lock(&result).is_none() {
            if !self.go_on() || self.ticks.now() > ENDLESS {
                return Err(Stuck);
            }
        }
        let done = lock(&result).take();
        done.ok_or(Stuck)
    }

    /// Lets one of all that can go on do so, or lets time pass until something can.
    fn go_on(&self) -> bool {
        let chosen = {
            let mut ready = lock(&self.ready);
            let count = ready.len() as u64;
            let chosen = (count > 0).then(|| self.state().dice.below(count));
            let chosen = chosen.and_then(|index| ready.iter().nth(usize::try_from(index).ok()?).copied());
            chosen.inspect(|task| {
                ready.remove(task);
            })
        };
        match chosen {
            Some(task) => {
                self.poll(task);
                true
            }
            None => self.let_time_pass(),
        }
    }

    fn let_time_pass(&self) -> bool {
        let mut state = self.state();
        let Some(((at, _), waker)) = state.timers.pop_first() else { return false };
        let passed = at.saturating_sub(state.now);
        state.now += passed;
        for clock in &state.clocks {
            clock(passed);
        }
        drop(state);
        waker.wake();
        true
    }

    fn poll(&self, id: u64) {
        let mut state = self.state();
        let Some(task) = state.tasks.get_mut(&id) else { return };
        let (Some(mut work), part, waker) = (task.work.take(), task.part.clone(), task.waker.clone()) else {
            return;
        };
        state.running = Some((id, part));
        drop(state);
        self.ticks.next();
        let is_done = work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut state = self.state();
        state.running = None;
        // It may have died meanwhile, and then it is not there any more.
        let gone = match state.tasks.get_mut(&id) {
            Some(task) if !is_done => {
                task.work = Some(work);
                None
            }
            _ => Some((state.tasks.remove(&id), work)),
        };
        // What goes may wake others: not under the lock.
        drop(state);
        drop(gone);
    }

    /// Starts a piece of work of a node, if that lives. It belongs to the call that whoever starts it belongs to.
    pub(crate) fn spawn(
        &self,
        node: Node,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.start(node, name, self.effect(), Box::pin(work));
    }

    /// Of the call that the running work belongs to.
    pub(crate) fn effect(&self) -> Option<Effect> {
        self.state().running.as_ref().and_then(|(_, part)| part.effect.clone())
    }

    /// Starts work that belongs to no call.
    pub(crate) fn spawn_apart(
        &self,
        node: Node,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.start(node, name, None, Box::pin(work));
    }

    /// Starts work of the running node that belongs to no call.
    pub(crate) fn spawn_here(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let node = self.state().running.as_ref().map_or(Node::World, |(_, part)| part.node);
        self.start(node, name, None, Box::pin(work));
    }

    fn start(&self, node: Node, name: &'static str, effect: Option<Effect>, work: Work) {
        let mut state = self.state();
        if !state.alive.contains(&node) {
            drop(state);
            drop(work);
            return;
        }
        state.next += 1;
        let id = state.next;
        let waker = Waker::from(Arc::new(Wakes { task: id, ready: Arc::clone(&self.ready) }));
        let part = Part { node, name, effect };
        state.tasks.insert(id, Task { part, work: Some(work), waker });
        drop(state);
        lock(&self.ready).insert(id);
    }

    /// From here on, everything that the running work does or starts belongs to a new call.
    pub(crate) fn begin_call(&self) -> End {
        let (effect, end) = Effect::begin(&self.ticks);
        self.mark(Some(effect));
        end
    }

    /// From here on it belongs to none.
    pub(crate) fn end_call(&self) {
        self.mark(None);
    }

    fn mark(&self, effect: Option<Effect>) {
        let mut state = self.state();
        let mut before = Vec::new();
        if let Some((id, part)) = &mut state.running {
            let id = *id;
            before.push(std::mem::replace(&mut part.effect, effect.clone()));
            if let Some(task) = state.tasks.get_mut(&id) {
                before.push(std::mem::replace(&mut task.part.effect, effect));
            }
        }
        drop(state);
        drop(before);
    }

    /// Ends everything that is still under way: pieces of work hold the run, and the run holds them.
    pub(crate) fn end(&self) {
        let (tasks, clocks, boots) = {
            let mut state = self.state();
            state.timers.clear();
            (
                std::mem::take(&mut state.tasks),
                std::mem::take(&mut state.clocks),
                std::mem::take(&mut state.boots),
            )
        };
        drop((tasks, clocks, boots));
    }
}
