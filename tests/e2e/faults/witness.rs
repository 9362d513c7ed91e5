//! Calls of everybody: of who has a right, of who never had it, of who has it no more.

use std::sync::Mutex;

use api::auth::{GetCurrentSessionRequest, LogInRequest, LogOutRequest, SignUpRequest};
use api::users::{GetCurrentUserRequest, GrantAdminRequest, ListUsersRequest, RevokeAdminRequest};
use e2e::{Call, Caller, PASSWORD, Person, Processes, Settings, by_name, eventually, sign_up};
use futures::future::{BoxFuture, join_all};

use crate::postgres::tally::{AWAY, CANCELLED, OUTAGES, Tally};

/// How long each gives a call.
const DEADLINE: &str = "2S";
/// The calls of a look that are good when all is well.
const RIGHTS: usize = 6;
/// Those of them that are auth-service's alone.
pub(crate) const OF_AUTH: usize = 3;
/// How those who sign up are called, before their number.
const PREFIX: &str = "newcomer";

/// Who calls, and what they were told.
pub(crate) struct Witness {
    anonymous: Caller,
    user: Caller,
    super_admin: Caller,
    without_right: [Caller; 2],
    newcomers: Mutex<Vec<Newcomer>>,
    tally: Tally,
}

/// Somebody who signed up, or tried to.
#[derive(Clone)]
struct Newcomer {
    request: SignUpRequest,
    /// Who it is, if that was answered.
    id: Option<String>,
}

/// Settings that do not stand in the way of so many calls, under which callers hear soon that somebody is away.
pub(crate) fn impatient(settings: Settings) -> Settings {
    settings.unlimited().users("IDENTITY_PROVIDER__TIMEOUT", "1s").auth("PASSWORD__QUEUE_WAIT", "1s")
}

impl Witness {
    pub(crate) async fn of(pair: &Processes) -> Self {
        let super_admin = pair.super_admin().await;
        for username in ["witness", "visitor"] {
            pair.anonymous.ok(sign_up(username)).await;
        }
        let user = Person::log_in(&pair.anonymous, "witness").await;
        let gone = Person::log_in(&pair.anonymous, "witness").await;
        gone.ok(LogOutRequest {}).await;
        let hurried = |caller: &Caller| caller.with("grpc-timeout", DEADLINE);
        Self {
            anonymous: hurried(&pair.anonymous),
            user: hurried(&user),
            super_admin: hurried(&super_admin),
            without_right: [hurried(&gone), hurried(&pair.anonymous.bearer("nonsense"))],
            newcomers: Mutex::default(),
            tally: Tally::default(),
        }
    }

    /// A call of everybody, side by side; returns how many of those who have a right got what they asked for.
    pub(crate) fn look(&self) -> BoxFuture<'_, usize> {
        Box::pin(self.all_look())
    }

    async fn all_look(&self) -> usize {
        let list = ListUsersRequest { username_prefix: "witness".into(), ..Default::default() };
        let wrong = LogInRequest { username: "witness".into(), password: "not the password at all".into() };
        // Of whom no session is looked at: each log-in may end another.
        let right = LogInRequest { username: "visitor".into(), password: PASSWORD.into() };
        let [gone, impostor] = &self.without_right;
        let (session, user, listed, promoted, logged_in, signed_up, ..) = tokio::join!(
            self.with_right(&self.user, GetCurrentSessionRequest {}),
            self.with_right(&self.user, GetCurrentUserRequest::default()),
            self.with_right(&self.super_admin, list),
            self.promotes_and_demotes(),
            self.with_right(&self.anonymous, right),
            self.signs_up(),
            self.without_right(gone, GetCurrentSessionRequest {}),
            self.without_right(gone, GetCurrentUserRequest::default()),
            self.without_right(impostor, GetCurrentSessionRequest {}),
            self.without_right(impostor, GetCurrentUserRequest::default()),
            self.without_right(&self.anonymous, wrong),
        );
        [session, user, listed, promoted, logged_in, signed_up].into_iter().filter(|good| *good).count()
    }

    /// Looks, and it hurts everybody or not.
    pub(crate) async fn nobody_is_served(&self) {
        assert_eq!(self.look().await, 0, "it does not hurt:\n{}", self.tally);
    }

    /// Looks, and all is well.
    pub(crate) async fn everybody_is_served(&self) {
        assert_eq!(self.look().await, RIGHTS, "{}", self.tally);
    }

    /// Looks, and says whether all is well.
    pub(crate) async fn is_everybody_served(&self) -> bool {
        self.look().await == RIGHTS
    }

    /// Looks until all is well again, by itself; and whatever was acknowledged has happened, whatever was not has happened once
    /// when it is repeated.
    pub(crate) async fn goes_on(&self) {
        eventually("all to be well", async || (self.look().await == RIGHTS).then_some(())).await;
        let newcomers = self.newcomers.lock().expect("nobody panics with it").clone();
        for newcomer in &newcomers {
            let name = &newcomer.request.username;
            let repeated = self.anonymous.ok(newcomer.request.clone()).await.message.user_id;
            assert_eq!(newcomer.id.as_ref().unwrap_or(&repeated), &repeated, "{name} is somebody else");
            let person = Person::log_in(&self.anonymous, name).await;
            assert_eq!(person.id, repeated, "{name} is somebody else");
            person.ok(GetCurrentUserRequest::default()).await;
        }
        let all =
            ListUsersRequest { username_prefix: PREFIX.into(), include_total: true, ..Default::default() };
        let listed = self.super_admin.ok(all).await.message.total_size;
        assert_eq!(usize::try_from(listed), Ok(newcomers.len()), "everybody is there once");
        println!("{}", self.tally);
    }

    /// Whether it was good. If not, that is an outage and nothing else.
    async fn with_right<M: Call>(&self, caller: &Caller, message: M) -> bool {
        let outcome = self.tally.call(caller, message).await;
        outcome
            .map_err(|reason| assert!(is_outage(&reason), "{reason} is no outage:\n{}", self.tally))
            .is_ok()
    }

    /// It is a denial or an outage.
    async fn without_right<M: Call>(&self, caller: &Caller, message: M) {
        let Err(reason) = self.tally.call(caller, message).await else {
            panic!("whoever has no right is let in:\n{}", self.tally)
        };
        let is_denial = ["UNAUTHENTICATED", "INVALID_CREDENTIALS"].contains(&reason.as_str());
        assert!(is_denial || is_outage(&reason), "{reason}:\n{}", self.tally);
    }

    /// One of the two writes, whatever was before.
    async fn promotes_and_demotes(&self) -> bool {
        let grant = GrantAdminRequest { user: by_name("visitor"), etag: String::new() };
        let revoke = RevokeAdminRequest { user: by_name("visitor"), etag: String::new() };
        self.with_right(&self.super_admin, grant).await && self.with_right(&self.super_admin, revoke).await
    }

    async fn signs_up(&self) -> bool {
        let number = {
            let mut newcomers = self.newcomers.lock().expect("nobody panics with it");
            let number = newcomers.len();
            let request_id = format!("0198f0c2-7d1e-4cc3-98a4-{number:012}");
            let request = SignUpRequest { request_id, ..sign_up(&format!("{PREFIX}{number}")) };
            newcomers.push(Newcomer { request, id: None });
            number
        };
        let request = self.newcomers.lock().expect("nobody panics with it")[number].request.clone();
        match self.tally.call(&self.anonymous, request).await {
            Ok(reply) => {
                let id = Some(reply.message.user_id);
                self.newcomers.lock().expect("nobody panics with it")[number].id = id;
                true
            }
            Err(reason) => {
                assert!(is_outage(&reason), "{reason} is no outage:\n{}", self.tally);
                false
            }
        }
    }

    /// So many looks side by side; returns how much of it was good.
    pub(crate) async fn crowd(&self, looks: usize) -> usize {
        join_all((0..looks).map(|_| self.look())).await.into_iter().sum()
    }
}

fn is_outage(reason: &str) -> bool {
    OUTAGES.contains(&reason) || [AWAY, CANCELLED].contains(&reason)
}
