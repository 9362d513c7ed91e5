//! Some of everything: calls of every kind, to be made side by side.

use std::sync::atomic::{AtomicUsize, Ordering};

use api::auth::{
    GetCurrentSessionRequest, ListSessionsRequest, LogInRequest, LogOutRequest, RefreshSessionRequest,
};
use api::users::{
    CreateUserRequest, GetCurrentUserRequest, GrantAdminRequest, InactivateUserRequest,
    ListUserSessionsRequest, ListUsersRequest, ReactivateUserRequest, RevokeAdminRequest,
    SetUserPasswordRequest, UserRole,
};
use e2e::{Call, Caller, PASSWORD, Pair, Person, Reply, by_id, sign_up};

use super::tally::Tally;

/// How many kinds there are.
pub(super) const KINDS: usize = 12;

/// The calls and whom they are about.
pub(super) struct Mix<'a> {
    app: &'a Pair,
    target: Person,
    /// What every call carries besides.
    dress: Box<dyn Fn(&Caller) -> Caller + Send + Sync + 'a>,
    /// How the calls ended.
    pub(super) tally: Tally,
}

impl<'a> Mix<'a> {
    /// Of calls that carry no more than they have to.
    pub(super) async fn new(app: &'a Pair) -> Self {
        let target = app.somebody(UserRole::User).await;
        Self { app, target, dress: Box::new(Caller::clone), tally: Tally::default() }
    }

    /// The same calls, changed by this, counted anew.
    pub(super) fn dressed(self, dress: impl Fn(&Caller) -> Caller + Send + Sync + 'a) -> Self {
        Self { dress: Box::new(dress), tally: Tally::default(), ..self }
    }

    /// Makes a call of the kind of this number and says how it ended.
    pub(super) async fn call(&self, number: usize) -> Result<(), String> {
        let (user, super_admin) = (&*self.app.user, &*self.app.super_admin);
        let id = &self.target.id;
        let etag = String::new;
        match number % KINDS {
            0 => self.make(&self.app.anonymous, sign_up(&new_name())).await.map(drop),
            1 => {
                let password = PASSWORD.to_owned();
                let request = LogInRequest { username: self.app.user.username.clone(), password };
                let opened = self.make(&self.app.anonymous, request).await?.message;
                self.make(&self.app.anonymous.bearer(&opened.access_token), LogOutRequest {}).await.map(drop)
            }
            2 => self.make(user, GetCurrentSessionRequest {}).await.map(drop),
            3 => self.make(user, RefreshSessionRequest {}).await.map(drop),
            4 => self.make(user, ListSessionsRequest::default()).await.map(drop),
            5 => self.make(user, GetCurrentUserRequest::default()).await.map(drop),
            6 => {
                let request = ListUsersRequest { include_total: true, ..Default::default() };
                self.make(&self.app.admin, request).await.map(drop)
            }
            7 => {
                let request = CreateUserRequest {
                    username: new_name(),
                    password: PASSWORD.to_owned(),
                    role: UserRole::Admin.into(),
                    request_id: String::new(),
                };
                self.make(super_admin, request).await.map(drop)
            }
            8 => {
                self.make(super_admin, GrantAdminRequest { user: by_id(id), etag: etag() }).await?;
                let request = RevokeAdminRequest { user: by_id(id), etag: etag() };
                self.make(super_admin, request).await.map(drop)
            }
            9 => {
                self.make(super_admin, InactivateUserRequest { user: by_id(id), etag: etag() }).await?;
                let request = ReactivateUserRequest { user: by_id(id), etag: etag() };
                self.make(super_admin, request).await.map(drop)
            }
            10 => {
                let request = SetUserPasswordRequest { user: by_id(id), password: PASSWORD.to_owned() };
                self.make(super_admin, request).await.map(drop)
            }
            _ => {
                let request = ListUserSessionsRequest { user: by_id(id), ..Default::default() };
                self.make(super_admin, request).await.map(drop)
            }
        }
    }

    async fn make<M: Call>(&self, caller: &Caller, message: M) -> Result<Reply<M::Answer>, String> {
        self.tally.call(&(self.dress)(caller), message).await
    }
}

/// One that nobody has, whichever mix it is for.
fn new_name() -> String {
    static NAMES: AtomicUsize = AtomicUsize::new(0);
    format!("mixed{}", NAMES.fetch_add(1, Ordering::Relaxed))
}
