//! The settings of a pair, as environment variables: what tests give in process is what they give to real processes.

use std::net::SocketAddr;

use test_kit::Proxy;
use tonic::transport::ClientTlsConfig;

use crate::home::{Folder, Home};
use crate::{Authority, Cluster, Engine, Issued, Pooler, Service, engine};

/// What a pair is told. Begins with everything that a test needs: cheap hashes, much patience in the queue for them.
#[derive(Clone, Debug)]
pub struct Settings {
    engine: Engine,
    replicas: usize,
    servers: Servers,
    auth: Vec<(String, String)>,
    users: Vec<(String, String)>,
    client_tls: Option<ClientTlsConfig>,
    name: Option<String>,
    watched: bool,
    proxied: bool,
    open_to_faults: bool,
    database_password: Option<String>,
}

/// Where PostgreSQL is, if it is not where `DATABASE_URL` says.
#[derive(Clone, Debug, Default)]
struct Servers {
    primary: Option<String>,
    pooler: Option<String>,
    proxy: Option<SocketAddr>,
    replica: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let (engine, replicas) = engine::under_test();
        let pooler = engine::pooler_under_test().filter(|_| engine == Engine::Postgres);
        let servers = Servers { pooler, ..Servers::default() };
        Self { replicas, servers, ..Self::on(engine) }
    }
}

impl Settings {
    /// One process of each service on this engine, whatever the run is about: for what only one engine has.
    #[must_use]
    pub fn on(engine: Engine) -> Self {
        Self {
            engine,
            replicas: 1,
            servers: Servers::default(),
            auth: Vec::new(),
            users: Vec::new(),
            client_tls: None,
            name: None,
            watched: true,
            proxied: false,
            open_to_faults: false,
            database_password: None,
        }
    }

    /// As many processes of each service as this, sharing databases of PostgreSQL.
    #[must_use]
    pub fn replicated(replicas: usize) -> Self {
        Self { replicas, ..Self::on(Engine::Postgres) }
    }

    /// Keeps the data on this server of PostgreSQL.
    #[must_use]
    pub fn at(mut self, server: &Cluster) -> Self {
        self.servers.primary = Some(server.url());
        self
    }

    /// Gives the server of PostgreSQL this password, where its URL has none. Servers for tests do not ask for one.
    #[must_use]
    pub fn database_password(self, password: &str) -> Self {
        Self { database_password: Some(password.to_owned()), ..self }
    }

    /// Lets queries of users-service read this replica of the server.
    #[must_use]
    pub fn reading_from(mut self, replica: &Cluster) -> Self {
        self.servers.replica = Some(replica.url());
        self
    }

    /// Puts a pooler between the services and their databases.
    #[must_use]
    pub fn through(mut self, pooler: &Pooler) -> Self {
        self.servers.pooler = Some(pooler.url());
        self
    }

    /// Lets the services connect to a proxy where their server of PostgreSQL is; it has to lead there.
    #[must_use]
    pub fn by(mut self, proxy: &Proxy) -> Self {
        self.servers.proxy = Some(proxy.address());
        self
    }

    /// Puts a proxy of its own on each way from one real process to another or to PostgreSQL, and one before each process, by
    /// which clients may come.
    #[must_use]
    pub fn proxied(self) -> Self {
        Self { proxied: true, ..self }
    }

    /// Lets a test move the clocks of real processes and limit the size of their files while they run.
    #[must_use]
    pub fn open_to_faults(self) -> Self {
        Self { open_to_faults: true, ..self }
    }

    /// Lets passwords be tried and accounts be made as often as anybody likes: for throughput, timing and races.
    #[must_use]
    pub fn unlimited(self) -> Self {
        self.auth("RATE_LIMIT__ENABLED", "false")
    }

    /// Tells auth-service something else: `("SESSION__MAX_PER_USER", "3")`. With no value it is told nothing of it at all.
    #[must_use]
    pub fn auth(mut self, key: &str, value: &str) -> Self {
        self.auth.retain(|(known, _)| *known != format!("AUTH__{key}"));
        self.auth.push((format!("AUTH__{key}"), value.to_owned()));
        self
    }

    /// Tells users-service something else.
    #[must_use]
    pub fn users(mut self, key: &str, value: &str) -> Self {
        self.users.retain(|(known, _)| *known != format!("USERS__{key}"));
        self.users.push((format!("USERS__{key}"), value.to_owned()));
        self
    }

    /// Lets users-service call every replica of auth-service that is behind this name of the machine.
    #[must_use]
    pub fn behind(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Lets real processes log in this detail, where they would say all that they can.
    #[must_use]
    pub fn logging(self, level: &str) -> Self {
        self.auth("LOG__LEVEL", level).users("LOG__LEVEL", level)
    }

    /// Nobody looks for secrets in what real processes say: the run does so itself, and may have told them to say some.
    #[must_use]
    pub fn unwatched(self) -> Self {
        Self { watched: false, ..self }
    }

    /// Lets real processes send their spans to a collector, at once.
    #[must_use]
    pub fn traced_by(self, endpoint: &str) -> Self {
        self.variable("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).variable("OTEL_BSP_SCHEDULE_DELAY", "20")
    }

    /// Gives both a variable that is no setting of theirs.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        for variables in [&mut self.auth, &mut self.users] {
            variables.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Calls the pair over TLS, and takes this authority's word for who it is. What the services need for that they are to be
    /// told.
    #[must_use]
    pub fn trusting(self, authority: &Authority) -> Self {
        Self { client_tls: Some(authority.client()), ..self }
    }

    /// Shows a certificate of its own when it calls the pair over TLS.
    #[must_use]
    pub fn showing(self, issued: &Issued) -> Self {
        Self { client_tls: self.client_tls.map(|tls| tls.identity(issued.identity())), ..self }
    }

    /// How the pair is called.
    #[must_use]
    pub fn client_tls(&self) -> Option<ClientTlsConfig> {
        self.client_tls.clone()
    }

    /// Where data is kept.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    pub(crate) fn server(&self) -> Option<&str> {
        self.servers.primary.as_deref()
    }

    /// Whether a service was not told to log as text.
    pub(crate) fn logs_json(&self, service: Service) -> bool {
        let (told, key) = match service {
            Service::Auth => (&self.auth, "AUTH__LOG__FORMAT"),
            Service::Users => (&self.users, "USERS__LOG__FORMAT"),
        };
        !told.iter().any(|(name, value)| name == key && value == "text")
    }

    pub(crate) const fn is_watched(&self) -> bool {
        self.watched
    }

    pub(crate) const fn is_proxied(&self) -> bool {
        self.proxied
    }

    pub(crate) const fn is_open_to_faults(&self) -> bool {
        self.open_to_faults
    }

    /// How many processes of each service there are.
    pub(crate) const fn replicas(&self) -> usize {
        self.replicas
    }

    /// The environment of auth-service.
    pub(crate) fn of_auth(&self, home: &Home, listens: [SocketAddr; 3]) -> Vec<(String, String)> {
        self.auth_variables(&home.folder, self.database(&home.data.url(Service::Auth)), listens)
    }

    /// The environment of users-service.
    pub(crate) fn of_users(
        &self,
        home: &Home,
        listens: [SocketAddr; 2],
        port: SocketAddr,
    ) -> Vec<(String, String)> {
        let url = home.data.url(Service::Users);
        let mut database = self.database(&url);
        database.extend(self.servers.replica.as_ref().map(|replica| ("REPLICA_URL", same_at(replica, &url))));
        self.users_variables(&home.folder, database, listens, port)
    }

    /// The settings that say where a database is.
    fn database(&self, url: &str) -> Vec<(&'static str, String)> {
        let url = &self.with_password(url);
        match (&self.servers.pooler, self.servers.proxy) {
            (None, None) => vec![("URL", url.to_owned())],
            (None, Some(proxy)) => vec![("URL", by_way_of(proxy, url))],
            (Some(pooler), _) => vec![
                ("URL", same_at(pooler, url)),
                ("DIRECT_URL", url.to_owned()),
                ("PREPARED_STATEMENTS", "false".to_owned()),
            ],
        }
    }

    fn with_password(&self, url: &str) -> String {
        match (&self.database_password, url.split_once('@')) {
            (Some(password), Some((before, after))) if before.matches(':').count() == 1 => {
                format!("{before}:{password}@{after}")
            }
            _ => url.to_owned(),
        }
    }

    pub(crate) fn auth_variables(
        &self,
        folder: &Folder,
        database: Vec<(&str, String)>,
        listens: [SocketAddr; 3],
    ) -> Vec<(String, String)> {
        let [public, internal, ops] = listens;
        let variables = [
            ("SERVER__LISTEN", public.to_string()),
            ("SERVER__INTERNAL_LISTEN", internal.to_string()),
            ("SERVER__OPS_LISTEN", ops.to_string()),
            ("SERVER__DRAIN", "5s".to_owned()),
            ("DATABASE__AUTO_MIGRATE", "true".to_owned()),
            ("PASSWORD__ARGON2_MEMORY_KIB", "8".to_owned()),
            ("PASSWORD__ARGON2_ITERATIONS", "1".to_owned()),
            ("PASSWORD__QUEUE_WAIT", "30s".to_owned()),
            ("PASSWORD__PEPPERS_FILE", folder.file("peppers")),
            ("TOKEN__SIGNING_KEY_FILE", folder.file("signing-key.pem")),
            ("WORKLOAD__CLIENTS__0__NAME", "users-service".to_owned()),
            ("WORKLOAD__CLIENTS__0__TOKEN_FILE", folder.file("full-token")),
            ("WORKLOAD__CLIENTS__0__ALLOW", "full".to_owned()),
            ("WORKLOAD__CLIENTS__1__NAME", "shop".to_owned()),
            ("WORKLOAD__CLIENTS__1__TOKEN_FILE", folder.file("verify-token")),
            ("WORKLOAD__CLIENTS__1__ALLOW", "verify".to_owned()),
            ("LOG__LEVEL", "trace".to_owned()),
        ];
        layered("AUTH__", &variables, &database, &self.auth)
    }

    pub(crate) fn users_variables(
        &self,
        folder: &Folder,
        database: Vec<(&str, String)>,
        listens: [SocketAddr; 2],
        port: SocketAddr,
    ) -> Vec<(String, String)> {
        let [public, ops] = listens;
        let url = match (&self.name, &self.client_tls) {
            (Some(name), _) => format!("dns:///{name}:{}", port.port()),
            (None, Some(_)) => format!("https://{port}"),
            (None, None) => format!("http://{port}"),
        };
        let variables = [
            ("SERVER__LISTEN", public.to_string()),
            ("SERVER__OPS_LISTEN", ops.to_string()),
            ("SERVER__DRAIN", "5s".to_owned()),
            ("DATABASE__AUTO_MIGRATE", "true".to_owned()),
            ("IDENTITY_PROVIDER__URL", url),
            ("IDENTITY_PROVIDER__TOKEN_FILE", folder.file("full-token")),
            ("IDENTITY_PROVIDER__TIMEOUT", "20s".to_owned()),
            ("LOG__LEVEL", "trace".to_owned()),
        ];
        layered("USERS__", &variables, &database, &self.users)
    }
}

/// What a test asked for wins; nothing is given as if it had never been said.
fn layered(
    prefix: &str,
    variables: &[(&str, String)],
    database: &[(&str, String)],
    asked_for: &[(String, String)],
) -> Vec<(String, String)> {
    let variables = variables.iter().map(|(key, value)| (format!("{prefix}{key}"), value.clone()));
    let database = database.iter().map(|(key, value)| (format!("{prefix}DATABASE__{key}"), value.clone()));
    let mut all: Vec<(String, String)> = variables.chain(database).collect();
    all.retain(|(key, _)| asked_for.iter().all(|(asked, _)| asked != key));
    all.extend(asked_for.iter().filter(|(_, value)| !value.is_empty()).cloned());
    all
}

/// The same database, connected to by way of a proxy.
pub(crate) fn by_way_of(proxy: SocketAddr, url: &str) -> String {
    url.replacen(place(url), &proxy.to_string(), 1)
}

/// The host and the port of an URL.
pub(crate) fn place(url: &str) -> &str {
    let (_, rest) = url.split_once("://").expect("an URL");
    let authority = rest.split('/').next().unwrap_or(rest);
    authority.rsplit('@').next().unwrap_or(authority)
}

/// The database of an URL on another server.
#[must_use]
pub fn same_at(server: &str, url: &str) -> String {
    let (server, _) = server.rsplit_once('/').expect("an URL");
    let (_, database) = url.rsplit_once('/').expect("an URL");
    format!("{server}/{database}")
}
