//! One thread on which everything runs, in virtual time and in an order that the dice decide.
//!
//! Whatever can go on is in one set, and which of it goes on next is chance: so every interleaving of steps can come, not
//! only the one of a queue. Nothing here reads a clock; time moves to the next timer when nothing else can go on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use fail_point::mutant;

use crate::counts::Counts;
use crate::dice::Dice;
use crate::effect::{Effect, End, Ticks};
use crate::weather::{Fault, Weather};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type Clock = Box<dyn Fn(Duration) + Send>;
type Boot = Arc<dyn Fn() + Send + Sync>;

/// Who does something: what dies together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    /// The run itself; it never dies, nor do the next three.
    World,
    /// What carries messages.
    Network,
    /// What keeps a commit that is under way.
    Disk,
    /// Those who call.
    Client,
    /// A process of auth-service.
    Auth(u8),
    /// A process of users-service.
    Users(u8),
    /// A command that an operator runs.
    Operator(u8),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => f.write_str("world"),
            Self::Network => f.write_str("network"),
            Self::Disk => f.write_str("disk"),
            Self::Client => f.write_str("client"),
            Self::Auth(number) => write!(f, "auth-{number}"),
            Self::Users(number) => write!(f, "users-{number}"),
            Self::Operator(number) => write!(f, "operator-{number}"),
        }
    }
}

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
        let effect = self.state().running.as_ref().and_then(|(_, part)| part.effect.clone());
        self.start(node, name, effect, Box::pin(work));
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

    // ------------------------------------------------------------------------------------------------- life and death

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

    async fn pause(&self) {
        let micros = {
            let State { dice, weather, .. } = &mut *self.state();
            match dice.below(2) {
                _ if dice.in_a_million(weather.stall) => dice.below(60_000),
                0 => 0,
                _ => dice.below(2_500),
            }
        };
        if micros == 0 { self.yield_now().await } else { self.sleep(Duration::from_micros(micros)).await }
    }

    async fn yield_now(&self) {
        let mut yielded = false;
        std::future::poll_fn(move |cx| {
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    // -------------------------------------------------------------------------------------------------- time and dice

    /// Since the beginning of the run.
    pub(crate) fn now(&self) -> Duration {
        self.state().now
    }

    /// Tells a clock how much time has passed, whenever some has.
    pub(crate) fn drives(&self, clock: impl Fn(Duration) + Send + 'static) {
        self.state().clocks.push(Box::new(clock));
    }

    pub(crate) fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        let sim = self.clone();
        let mut until = None;
        std::future::poll_fn(move |cx| {
            let mut state = sim.state();
            let at = *until.get_or_insert(state.now + duration);
            if state.now >= at {
                return Poll::Ready(());
            }
            state.next += 1;
            let key = (at, state.next);
            state.timers.insert(key, cx.waker().clone());
            Poll::Pending
        })
    }

    /// What comes of some work, if it does in time.
    pub(crate) async fn within<T>(&self, time: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let mut end = std::pin::pin!(self.sleep(time));
        std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => end.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    pub(crate) fn below(&self, limit: u64) -> u64 {
        self.state().dice.below(limit)
    }

    /// One of several.
    pub(crate) fn one_of<T: Clone>(&self, several: &[T]) -> Option<T> {
        if several.is_empty() {
            return None;
        }
        let index = self.below(several.len() as u64);
        several.get(usize::try_from(index).ok()?).cloned()
    }

    /// Whether this goes wrong now; it is counted when it does.
    pub(crate) fn suffers(&self, fault: Fault) -> bool {
        let mut state = self.state();
        let chance = state.weather.chance(fault);
        let suffers = state.dice.in_a_million(chance);
        if suffers {
            state.counts.fault(fault);
        }
        suffers
    }

    pub(crate) fn in_a_million(&self, times: u32) -> bool {
        self.state().dice.in_a_million(times)
    }

    pub(crate) fn weather(&self) -> Weather {
        self.state().weather.clone()
    }

    pub(crate) fn clear_up(&self) {
        self.state().weather.clear_up();
    }

    // ------------------------------------------------------------------------------------------------------ the story

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
