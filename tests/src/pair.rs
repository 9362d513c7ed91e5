//! Both services in this process, on ports and databases of their own, over a clock that the test moves, with somebody of
//! each kind to call them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use api::auth::{SignUpRequest, SignUpResponse};
use api::identity::Account;
use api::users::{CreateUserRequest, GetUserRequest, User, UserRole};
use clock::SystemClock;
use identity::{AccountVersion, ConsistencyToken, Epoch, UserId};
use users_service::Administration;

use crate::services::Services;
use crate::{Caller, Data, Endpoints, PASSWORD, Person, Settings, by_id};

/// auth-service and users-service, and who calls them.
pub struct Pair {
    /// The clock of both services.
    pub clock: SystemClock,
    /// Nobody.
    pub anonymous: Caller,
    /// The workload that may do everything.
    pub full: Caller,
    /// The workload that may only verify.
    pub verify: Caller,
    /// A user.
    pub user: Person,
    /// An admin.
    pub admin: Person,
    /// A super admin.
    pub super_admin: Person,
    services: Services,
    people: AtomicU32,
}

impl Pair {
    /// Starts a pair with one caller of each kind.
    pub async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    /// Starts a pair that is told something else.
    pub async fn start_with(settings: Settings) -> Self {
        // Boxed, because the starting of two services is larger than most tests.
        Box::pin(Self::set_up(settings)).await
    }

    async fn set_up(settings: Settings) -> Self {
        let clock = SystemClock::default();
        let services = Services::start(settings, clock.clone()).await;
        let anonymous = Caller::anonymous(services.endpoints().cloned());
        let secrets = &services.home.folder;
        let (full, verify) = (anonymous.bearer(&secrets.full), anonymous.bearer(&secrets.verify));
        services.bootstrap("superadmin").await;
        let super_admin = Person::log_in(&anonymous, "superadmin").await;
        let admin = new_person(&super_admin, &anonymous, "admin", UserRole::Admin).await;
        let user = new_person(&super_admin, &anonymous, "alice", UserRole::User).await;
        Self { clock, anonymous, full, verify, user, admin, super_admin, services, people: AtomicU32::new(0) }
    }

    /// A new user with a role, logged in.
    pub async fn somebody(&self, role: UserRole) -> Person {
        let number = self.people.fetch_add(1, Ordering::Relaxed);
        match role {
            UserRole::Unspecified => panic!("nobody has no role"),
            UserRole::User => self.created(&format!("user{number}"), role).await,
            UserRole::Admin => self.created(&format!("admin{number}"), role).await,
            UserRole::SuperAdmin => {
                let name = format!("super{number}");
                self.services.bootstrap(&name).await;
                Person::log_in(&self.anonymous, &name).await
            }
        }
    }

    /// A new user with this name, logged in.
    pub async fn created(&self, username: &str, role: UserRole) -> Person {
        new_person(&self.super_admin, &self.anonymous, username, role).await
    }

    /// Signs up, and no more.
    pub async fn signed_up(&self, username: &str) -> SignUpResponse {
        self.anonymous.ok(sign_up(username)).await.message
    }

    /// Another session of somebody.
    pub async fn log_in(&self, username: &str) -> Person {
        Person::log_in(&self.anonymous, username).await
    }

    /// The user of an id, as it is once a write is visible.
    pub async fn visible(&self, user_id: &str, consistency_token: &str) -> User {
        let consistency_token = consistency_token.to_owned();
        let found = self.super_admin.ok(GetUserRequest { user: by_id(user_id), consistency_token }).await;
        found.message.user.expect("a user")
    }

    /// The user of an account, as it is once users-service knows what the port has just answered.
    pub async fn shows(&self, account: &Account) -> User {
        let user_id = UserId::parse(&account.account_id).expect("an id");
        let epoch = Epoch::parse(&account.epoch).expect("an epoch");
        let version = AccountVersion { epoch, number: account.version };
        let token = ConsistencyToken::Account { user_id, version };
        self.visible(&account.account_id, &token.encode()).await
    }

    /// What an operator may do: there is no rpc for it.
    #[must_use]
    pub fn administration(&self) -> &Administration {
        self.services.administration()
    }

    /// Makes a super admin with [`PASSWORD`], which only an operator can.
    pub async fn bootstrap(&self, username: &str) {
        self.services.bootstrap(username).await;
    }

    /// Where operators look at auth-service, at one replica of it.
    #[must_use]
    pub fn auth_ops(&self) -> SocketAddr {
        self.services.first().addresses.auth[2]
    }

    /// Where operators look at users-service, at one replica of it.
    #[must_use]
    pub fn users_ops(&self) -> SocketAddr {
        self.services.first().addresses.users[1]
    }

    /// The listeners of gRPC of one replica: public, internal, users.
    #[must_use]
    pub fn listeners(&self) -> [SocketAddr; 3] {
        self.services.first().addresses.listeners()
    }

    /// The connections to one replica that every caller shares.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.services.first().endpoints
    }

    /// Stops auth-service.
    pub async fn stop_auth(&mut self) {
        self.services.stop_auth().await;
    }

    /// Starts auth-service again, on the same data and addresses.
    pub async fn start_auth(&mut self) {
        self.services.start_auth().await;
    }

    /// Stops users-service.
    pub async fn stop_users(&mut self) {
        self.services.stop_users().await;
    }

    /// Starts users-service again, on the same data and addresses.
    pub async fn start_users(&mut self) {
        self.services.start_users().await;
    }

    /// Tells auth-service something else when it starts the next time.
    pub fn tell_auth(&mut self, key: &str, value: &str) {
        self.services.settings = self.services.settings.clone().auth(key, value);
    }

    /// Tells users-service something else when it starts the next time.
    pub fn tell_users(&mut self, key: &str, value: &str) {
        self.services.settings = self.services.settings.clone().users(key, value);
    }

    /// Writes a file for its owner's eyes only into the home of the pair.
    #[must_use]
    pub fn write(&self, name: &str, content: &str) -> String {
        self.services.home.folder.write(name, content).display().to_string()
    }

    /// The folder with the secrets.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.services.home.folder.path()
    }

    /// What the services have stored.
    #[must_use]
    pub const fn data(&self) -> &Data {
        &self.services.home.data
    }

    /// Does to auth-service's data, which is not served meanwhile, what an operator does after restoring a backup.
    pub async fn after_restore(&self) {
        let config = self.services.auth_config(self.services.first());
        Box::pin(auth_service::after_restore(&config, self.clock.clone())).await.expect("a new epoch");
    }
}

async fn new_person(super_admin: &Person, anonymous: &Caller, username: &str, role: UserRole) -> Person {
    let request = CreateUserRequest {
        username: username.to_owned(),
        password: PASSWORD.to_owned(),
        role: role.into(),
        request_id: String::new(),
    };
    super_admin.ok(request).await;
    Person::log_in(anonymous, username).await
}

/// A sign-up with [`PASSWORD`].
#[must_use]
pub fn sign_up(username: &str) -> SignUpRequest {
    SignUpRequest { username: username.to_owned(), password: PASSWORD.to_owned(), request_id: String::new() }
}
