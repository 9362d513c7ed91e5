//! People who use the pair while it is worked on, and what became of their calls.
//!
//! They are clients as everybody should have: a call that found nobody there, and of which nothing was done therefore, is made
//! again, at the next replica if there is one. Nothing else is. So where replicas are restarted in turn nobody has to
//! wait; where there is one process, for as long as it is away.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::auth::{GetCurrentSessionRequest, LogInRequest, LogOutRequest};
use api::identity::{AuthenticateRequest, authenticate_response::Outcome};
use api::users::GetCurrentUserRequest;
use e2e::{Call, Caller, Failure, PASSWORD, Person, Processes, Reply, eventually, sign_up};
use grpc_kit::client::was_not_processed;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tonic::Status;

/// They log in, look around, and log out, again and again.
const VISITORS: usize = 4;
/// They log in once, and go on with whatever token they are given.
const STAYERS: usize = 2;
const PAUSE: Duration = Duration::from_millis(10);
/// Whoever finds nobody there for longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much has to be served before the next step is taken.
const ROUNDS: usize = 30;

/// Whether a process may be away meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restarts {
    /// Nothing is restarted: every call must be served at the first try.
    None,
    /// auth-service is restarted: it may not be there for a moment, and users-service may say that it reaches nobody.
    OfAuthService,
}

/// People, until they are asked to stop.
pub(super) struct Load {
    work: Arc<Work>,
    people: Vec<JoinHandle<()>>,
}

/// What came of it all.
pub(super) struct Served {
    /// Log-ins that were answered with a session.
    log_ins: usize,
    /// All calls that were served.
    calls: usize,
    /// How often somebody found nobody there.
    pub(super) repeats: usize,
    /// The longest that anybody waited, repeats included.
    longest: Duration,
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log_ins, calls, repeats, longest } = self;
        write!(
            f,
            "{calls} calls, {log_ins} log-ins, none failed; {repeats} times nobody was there, {longest:?} at most"
        )
    }
}

struct Work {
    anonymous: Caller,
    verify: Caller,
    restarts: Restarts,
    over: AtomicBool,
    rounds: AtomicUsize,
    log_ins: AtomicUsize,
    calls: AtomicUsize,
    repeats: AtomicUsize,
    longest: Mutex<Duration>,
    failures: Mutex<Vec<String>>,
}

impl Load {
    /// Lets people sign up and begin.
    pub(super) async fn begin(pair: &Processes, restarts: Restarts) -> Self {
        let work = Arc::new(Work {
            anonymous: pair.anonymous.clone(),
            verify: pair.verify(),
            restarts,
            over: AtomicBool::new(false),
            rounds: AtomicUsize::new(0),
            log_ins: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            repeats: AtomicUsize::new(0),
            longest: Mutex::default(),
            failures: Mutex::default(),
        });
        let mut people = Vec::new();
        for number in 0..VISITORS {
            let username = format!("visitor{number}");
            pair.anonymous.ok(sign_up(&username)).await;
            people.push(tokio::spawn(Arc::clone(&work).visits(username)));
        }
        for number in 0..STAYERS {
            let username = format!("stayer{number}");
            pair.anonymous.ok(sign_up(&username)).await;
            let person = Person::log_in(&pair.anonymous, &username).await;
            people.push(tokio::spawn(Arc::clone(&work).stays(person)));
        }
        let load = Self { work, people };
        load.goes_on().await;
        load
    }

    /// Waits until people have got a good deal further, which they have not when a call of theirs has failed.
    pub(super) async fn goes_on(&self) {
        let before = self.work.rounds.load(Ordering::Relaxed);
        eventually("people to be served", async || {
            (self.work.rounds.load(Ordering::Relaxed) > before + ROUNDS).then_some(())
        })
        .await;
        self.work.nobody_failed();
    }

    /// Lets everybody end what they are about. Nobody may have failed.
    pub(super) async fn end(self) -> Served {
        self.work.over.store(true, Ordering::Relaxed);
        for person in self.people {
            person.await.expect("nobody panics");
        }
        self.work.nobody_failed();
        let work = &self.work;
        Served {
            log_ins: work.log_ins.load(Ordering::Relaxed),
            calls: work.calls.load(Ordering::Relaxed),
            repeats: work.repeats.load(Ordering::Relaxed),
            longest: *work.longest.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Work {
    async fn visits(self: Arc<Self>, username: String) {
        while !self.is_over() {
            let request = LogInRequest { username: username.clone(), password: PASSWORD.to_owned() };
            let Some(opened) = self.served(&self.anonymous, request).await else { return };
            self.log_ins.fetch_add(1, Ordering::Relaxed);
            let token = opened.message.access_token;
            let person = self.anonymous.bearer(&token);
            self.served(&person, GetCurrentSessionRequest {}).await;
            self.is_known(&token).await;
            self.served(&person, GetCurrentUserRequest::default()).await;
            self.served(&person, LogOutRequest {}).await;
            self.rounds.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
    }

    async fn stays(self: Arc<Self>, person: Person) {
        let mut caller = self.anonymous.bearer(&person.token);
        while !self.is_over() {
            let Some(session) = self.served(&caller, GetCurrentSessionRequest {}).await else { return };
            if let Some((token, _)) = session.renewed() {
                caller = self.anonymous.bearer(&token);
            }
            let Some(user) = self.served(&caller, GetCurrentUserRequest::default()).await else { return };
            if let Some((token, _)) = user.renewed() {
                caller = self.anonymous.bearer(&token);
            }
            self.rounds.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
    }

    /// As another back end asks who somebody is.
    async fn is_known(&self, token: &str) {
        let request = AuthenticateRequest { access_token: token.to_owned(), skip_renewal: true };
        let Some(answer) = self.served(&self.verify, request).await else { return };
        if !matches!(answer.message.outcome, Some(Outcome::Principal(_))) {
            self.failed(format!("Authenticate: {:?}", answer.message.outcome));
        }
    }

    async fn served<M: Call>(&self, caller: &Caller, message: M) -> Option<Reply<M::Answer>> {
        let began = Instant::now();
        loop {
            match caller.raw(message.clone()).await {
                Ok(reply) => {
                    self.calls.fetch_add(1, Ordering::Relaxed);
                    let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
                    *longest = began.elapsed().max(*longest);
                    return Some(reply);
                }
                Err(status) if self.is_away::<M>(&status) && began.elapsed() < PATIENCE => {
                    self.repeats.fetch_add(1, Ordering::Relaxed);
                    sleep(PAUSE).await;
                }
                Err(status) => {
                    self.failed(format!("{}: {status:?}", std::any::type_name::<M>()));
                    return None;
                }
            }
        }
    }

    fn is_away<M: Call>(&self, status: &Status) -> bool {
        self.restarts == Restarts::OfAuthService
            && (was_not_processed(status)
                || !status.details().is_empty()
                    && Failure::of(status, M::DOMAIN).reason == "IDENTITY_PROVIDER_UNAVAILABLE")
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn failed(&self, what: String) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    fn nobody_failed(&self) {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(failures.is_empty(), "{} calls failed: {failures:#?}", failures.len());
    }
}
