//! Both services in this process, on ports and databases of their own, over a clock that the test moves.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use api::auth::{SignUpRequest, SignUpResponse};
use api::identity::Account;
use api::users::{CreateUserRequest, GetUserRequest, User, UserRole};
use auth_service::AuthService;
use clock::SystemClock;
use configuration::Layers;
use grpc_kit::{Shutdown, Trigger};
use identity::{AccountVersion, ConsistencyToken, Epoch, RawPassword, UserId, Username};
use tokio::task::JoinHandle;
use users_service::{Administration, UsersService};

use crate::settings::Home;
use crate::{Caller, Endpoints, Engine, PASSWORD, Person, Settings, by_id};

/// Any free port.
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

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

/// The services without anybody in them.
struct Services {
    settings: Settings,
    home: Home,
    clock: SystemClock,
    endpoints: Endpoints,
    auth: [SocketAddr; 3],
    users: [SocketAddr; 2],
    running_auth: Option<Running>,
    running_users: Option<Running>,
    administration: Option<Administration>,
}

/// A service that serves until it is stopped.
struct Running {
    stop: Trigger,
    serving: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.request();
        self.serving.await.expect("the service drains");
    }
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
        let anonymous = Caller::anonymous(&services.endpoints);
        let (full, verify) = (anonymous.bearer(&services.home.full), anonymous.bearer(&services.home.verify));
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
        self.services.administration.as_ref().expect("users-service runs")
    }

    /// Makes a super admin with [`PASSWORD`], which only an operator can.
    pub async fn bootstrap(&self, username: &str) {
        self.services.bootstrap(username).await;
    }

    /// Where operators look at auth-service.
    #[must_use]
    pub const fn auth_ops(&self) -> SocketAddr {
        self.services.auth[2]
    }

    /// Where operators look at users-service.
    #[must_use]
    pub const fn users_ops(&self) -> SocketAddr {
        self.services.users[1]
    }

    /// The listeners of gRPC: public, internal, users.
    #[must_use]
    pub const fn listeners(&self) -> [SocketAddr; 3] {
        let [public, internal, _] = self.services.auth;
        [public, internal, self.services.users[0]]
    }

    /// The connections that every caller shares.
    #[must_use]
    pub const fn endpoints(&self) -> &Endpoints {
        &self.services.endpoints
    }

    /// Stops auth-service.
    pub async fn stop_auth(&mut self) {
        self.services.running_auth.take().expect("auth-service runs").stop().await;
    }

    /// Starts auth-service again, on the same data and addresses.
    pub async fn start_auth(&mut self) {
        self.services.start_auth().await;
    }

    /// Stops users-service.
    pub async fn stop_users(&mut self) {
        self.services.administration = None;
        self.services.running_users.take().expect("users-service runs").stop().await;
    }

    /// Starts users-service again, on the same data and addresses.
    pub async fn start_users(&mut self) {
        self.services.start_users().await;
    }

    /// Tells auth-service something else when it starts the next time.
    pub fn tell_auth(&mut self, key: &str, value: &str) {
        self.services.settings = self.services.settings.clone().auth(key, value);
    }

    /// Writes a file for its owner's eyes only into the home of the pair.
    #[must_use]
    pub fn write(&self, name: &str, content: &str) -> String {
        self.services.home.write(name, content).display().to_string()
    }

    /// Where the data is, and on which engine.
    #[must_use]
    pub fn data(&self) -> (Engine, &Path) {
        (self.services.settings.engine(), self.services.home.path())
    }

    /// Does to auth-service's data, which is not served meanwhile, what an operator does after restoring a backup.
    pub async fn after_restore(&self) {
        let config = self.services.auth_config();
        auth_service::after_restore(&config, self.clock.clone()).await.expect("a new epoch");
    }
}

impl Services {
    async fn start(settings: Settings, clock: SystemClock) -> Self {
        let mut services = Self {
            settings,
            home: Home::new(),
            clock,
            endpoints: Endpoints::new(ANY, ANY, ANY),
            auth: [ANY; 3],
            users: [ANY; 2],
            running_auth: None,
            running_users: None,
            administration: None,
        };
        let auth = services.run_auth().await;
        let users = services.run_users().await;
        let [public, internal, _] = services.auth;
        services.endpoints = Endpoints::new(public, internal, services.users[0]);
        services.running_auth = Some(auth);
        services.running_users = Some(users);
        services.endpoints.auth_serves().await;
        services.endpoints.users_serve().await;
        services
    }

    async fn start_auth(&mut self) {
        self.running_auth = Some(self.run_auth().await);
        self.endpoints.auth_serves().await;
    }

    async fn start_users(&mut self) {
        self.running_users = Some(self.run_users().await);
        self.endpoints.users_serve().await;
    }

    fn auth_config(&self) -> auth_service::Config {
        let given = self.settings.of_auth(&self.home, self.auth);
        auth_service::Config::read(Layers::new("AUTH").variables(given)).expect("settings of auth-service").0
    }

    /// Keeps the addresses that it got, so that it has the same ones next time.
    async fn run_auth(&mut self) -> Running {
        let config = self.auth_config();
        let listeners = auth_service::Listeners::bind(&config.server).await.expect("free addresses");
        let sockets = [&listeners.public, &listeners.internal, &listeners.ops];
        self.auth = sockets.map(|socket| socket.local_addr().expect("an address"));
        let service = AuthService::open(config, self.clock.clone()).await.expect("auth-service opens");
        let (stop, shutdown) = Shutdown::new();
        let serving = tokio::spawn(async move {
            service.serve(listeners, None, shutdown).await.expect("auth-service serves");
        });
        Running { stop, serving }
    }

    async fn run_users(&mut self) -> Running {
        let given = self.settings.of_users(&self.home, self.users, self.auth[1]);
        let layers = Layers::new("USERS").variables(given);
        let config = users_service::Config::read(layers).expect("settings of users-service").0;
        let listeners = users_service::Listeners::bind(&config.server).await.expect("free addresses");
        let sockets = [&listeners.public, &listeners.ops];
        self.users = sockets.map(|socket| socket.local_addr().expect("an address"));
        let service = UsersService::open(config, self.clock.clone()).await.expect("users-service opens");
        self.administration = Some(service.administration());
        let (stop, shutdown) = Shutdown::new();
        let serving = tokio::spawn(async move {
            service.serve(listeners, None, shutdown).await.expect("users-service serves");
        });
        Running { stop, serving }
    }

    async fn bootstrap(&self, username: &str) {
        let username = Username::parse(username).expect("a username");
        let password = RawPassword::parse(PASSWORD.to_owned()).expect("a password");
        let administration = self.administration.as_ref().expect("users-service runs");
        administration.bootstrap_super_admin(username, &password, true).await.expect("a super admin");
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
