//! Clients without a pause, and what they were told: each takes a new name, lives with it for a while, and writes down
//! what was acknowledged. What was not is neither expected nor excluded, unless the answer said that nothing was changed.

use std::collections::BTreeSet;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::auth::{GetCurrentSessionRequest, LogInRequest, LogOutRequest, RefreshSessionRequest};
use api::users::{
    CreateUserRequest, GetCurrentUserRequest, InactivateUserRequest, ListUsersRequest,
    RevokeUserSessionsRequest, UserRole, UserState,
};
use e2e::{Call, Caller, PASSWORD, Reply, by_id, eventually, sign_up};
use futures::{StreamExt as _, stream};
use tokio::time::sleep;

use super::tally::{AWAY, OK, OUTAGES, Tally};

/// A client that was refused takes a breath.
const PAUSE: Duration = Duration::from_millis(20);

/// Who makes the calls.
pub(super) struct Crew {
    pub(super) anonymous: Caller,
    pub(super) admin: Caller,
    pub(super) super_admin: Caller,
}

/// The clients, and what they know.
pub(super) struct Load {
    crew: Crew,
    /// Whether a process may be away, and not only what is behind it.
    processes_die: bool,
    /// How the calls ended.
    pub(super) tally: Tally,
    names: AtomicUsize,
    stopped: AtomicBool,
    last_error: Mutex<Option<Instant>>,
    facts: Mutex<Facts>,
}

/// What has to be.
#[derive(Default)]
struct Facts {
    signed_up: Vec<String>,
    not_signed_up: Vec<String>,
    created: Vec<(String, String, UserRole)>,
    not_created: Vec<String>,
    inactive: Vec<String>,
    alive: Vec<Caller>,
    dead: Vec<Caller>,
}

impl Load {
    /// One of no clients, on processes that stay.
    pub(super) fn new(crew: Crew) -> Self {
        Self {
            crew,
            processes_die: false,
            tally: Tally::default(),
            names: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            last_error: Mutex::default(),
            facts: Mutex::default(),
        }
    }

    /// The same on processes that do not.
    pub(super) fn on_mortals(crew: Crew) -> Self {
        Self { processes_die: true, ..Self::new(crew) }
    }

    /// Lets every client end what it is about.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// How many calls were not served.
    pub(super) fn errors(&self) -> usize {
        self.tally.count(|end| end != OK)
    }

    /// When a call ended that was not served.
    pub(super) fn last_error(&self) -> Option<Instant> {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many more calls are.
    pub(super) async fn are_served(&self, calls: usize) {
        let before = self.tally.count(|end| end == OK);
        eventually("calls to be served", async || {
            (self.tally.count(|end| end == OK) > before + calls).then_some(())
        })
        .await;
    }

    /// A client until it is all over.
    pub(super) async fn client(self: Arc<Self>) {
        while !self.stopped.load(Ordering::Relaxed) {
            self.life().await;
        }
    }

    /// What one user lives through.
    async fn life(&self) {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let username = format!("life{number}");
        let Some(signed_up) = self.sign_up(&username).await else { return };
        let (first, second) = (self.log_in(&username).await, self.log_in(&username).await);
        self.until_served(&first, RefreshSessionRequest {}).await;
        self.until_served(&second, GetCurrentUserRequest::default()).await;
        if self.once(&first, LogOutRequest {}).await.is_ok() {
            self.facts().dead.push(first);
        }
        self.create_user(number).await;
        self.until_served(&self.crew.admin, ListUsersRequest { include_total: true, ..Default::default() })
            .await;
        let super_admin = &self.crew.super_admin;
        match number % 3 {
            0 => self.facts().alive.push(second),
            1 => {
                let request =
                    RevokeUserSessionsRequest { user: by_id(&signed_up), session_id: String::new() };
                if self.once(super_admin, request).await.is_ok() {
                    self.facts().dead.push(second);
                }
            }
            _ => {
                let request = InactivateUserRequest { user: by_id(&signed_up), etag: String::new() };
                if self.once(super_admin, request).await.is_ok() {
                    let mut facts = self.facts();
                    facts.dead.push(second);
                    facts.inactive.push(username);
                }
            }
        }
    }

    async fn sign_up(&self, username: &str) -> Option<String> {
        match self.once(&self.crew.anonymous, sign_up(username)).await {
            Ok(signed_up) => {
                self.facts().signed_up.push(username.to_owned());
                Some(signed_up.message.user_id)
            }
            Err(reason) => {
                if reason == "STORAGE_UNAVAILABLE" {
                    self.facts().not_signed_up.push(username.to_owned());
                }
                None
            }
        }
    }

    async fn create_user(&self, number: usize) {
        let role = if number.is_multiple_of(2) { UserRole::User } else { UserRole::Admin };
        let username = format!("created{number}");
        let request = CreateUserRequest {
            username: username.clone(),
            password: PASSWORD.to_owned(),
            role: role.into(),
            request_id: String::new(),
        };
        match self.once(&self.crew.super_admin, request).await {
            Ok(created) => {
                let id = created.message.user.expect("a user").user_id;
                self.facts().created.push((id, username, role));
            }
            Err(reason) if reason == "STORAGE_UNAVAILABLE" => self.facts().not_created.push(username),
            Err(_) => {}
        }
    }

    async fn log_in(&self, username: &str) -> Caller {
        let request = LogInRequest { username: username.to_owned(), password: PASSWORD.to_owned() };
        let opened = self.until_served(&self.crew.anonymous, request).await;
        self.crew.anonymous.bearer(&opened.message.access_token)
    }

    async fn until_served<M: Call>(&self, caller: &Caller, message: M) -> Reply<M::Answer> {
        loop {
            if let Ok(reply) = self.once(caller, message.clone()).await {
                return reply;
            }
        }
    }

    /// Whoever is not served is told of the outage, and nothing else.
    async fn once<M: Call>(&self, caller: &Caller, message: M) -> Result<Reply<M::Answer>, String> {
        let outcome = self.tally.call(caller, message).await;
        if let Err(reason) = &outcome {
            let is_an_outage = OUTAGES.contains(&reason.as_str()) || self.processes_die && reason == AWAY;
            assert!(is_an_outage, "{reason} for {}", std::any::type_name::<M>());
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            sleep(PAUSE).await;
        }
        outcome
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everything is as it has to be; says how many things that were.
    pub(super) async fn check(&self) -> String {
        let Facts { signed_up, not_signed_up, created, not_created, inactive, alive, dead } =
            mem::take(&mut *self.facts());
        let facts = format!(
            "{} signed up, {} not, {} created, {} not, {} inactive, {} sessions alive, {} dead",
            signed_up.len(),
            not_signed_up.len(),
            created.len(),
            not_created.len(),
            inactive.len(),
            alive.len(),
            dead.len(),
        );
        let inactive: BTreeSet<_> = inactive.into_iter().collect();
        each(&signed_up, async |username: &String| {
            let expected =
                if inactive.contains(username) { Err("ACCOUNT_INACTIVE".to_owned()) } else { Ok(()) };
            // One whose inactivation was not acknowledged may be either.
            let found = self.log_in_once(username).await;
            let maybe = found == Err("ACCOUNT_INACTIVE".to_owned()) && self.tally.count(|end| end != OK) > 0;
            assert!(found == expected || (expected.is_ok() && maybe), "{username} signed up: {found:?}");
        })
        .await;
        each(&created, async |(id, username, role): &(String, String, UserRole)| {
            let request =
                ListUsersRequest { username_prefix: username.clone(), page_size: 1000, ..Default::default() };
            let listed = self.crew.super_admin.ok(request).await.message.users;
            let user = listed.iter().find(|user| user.user_id == *id);
            let user = user.unwrap_or_else(|| panic!("{username} was created and is not listed"));
            assert_eq!((user.role(), user.state()), (*role, UserState::Active), "{username}");
            assert_eq!(self.log_in_once(username).await, Ok(()), "{username} was created");
        })
        .await;
        each(&alive, async |session: &Caller| drop(session.ok(GetCurrentSessionRequest {}).await)).await;
        each(&dead, async |session: &Caller| {
            for replica in 0..2 {
                let session = session.of_replica(replica);
                session.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
                session.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
            }
        })
        .await;
        // They heard that nothing was changed.
        each(&not_signed_up, async |username: &String| {
            let refused = Err("INVALID_CREDENTIALS".to_owned());
            assert_eq!(self.log_in_once(username).await, refused, "{username} was not signed up");
        })
        .await;
        each(&not_created, async |username: &String| {
            let refused = Err("INVALID_CREDENTIALS".to_owned());
            assert_eq!(self.log_in_once(username).await, refused, "{username} was not created");
        })
        .await;
        facts
    }

    async fn log_in_once(&self, username: &str) -> Result<(), String> {
        let request = LogInRequest { username: username.to_owned(), password: PASSWORD.to_owned() };
        self.crew.anonymous.call(request).await.map(drop).map_err(|refusal| refusal.reason)
    }
}

async fn each<T>(facts: &[T], look: impl AsyncFn(&T)) {
    let look = &look;
    stream::iter(facts.iter().map(|fact| look(fact))).buffer_unordered(8).collect::<()>().await;
}
