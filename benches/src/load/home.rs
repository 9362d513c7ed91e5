//! What a measurement is made on: a pair of databases on one engine, the secrets of the services, and people who can
//! log in.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use api::auth::SignUpRequest;
use api::identity::DisableAccountRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use database::testing::TestDatabase;
use futures::{StreamExt as _, stream};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tonic::{Code, Request};

use super::process::{Process, counted, pinned};
use super::{Bench, Engine};
use crate::drive::{Call, Connection, Target};

/// Everybody's.
pub(crate) const PASSWORD: &str = "a stick in the mud of time";
/// Who never takes part in a crowd, so that the session stays.
pub(crate) const PROBER: &str = "prober";
/// Whose account is disabled.
pub(crate) const INACTIVE: &str = "inactive";

/// The programs of one home.
const PROGRAMS: [&str; 2] = ["auth-service", "users-service"];

/// The databases, the secrets and the people.
pub(crate) struct Home {
    folder: TempDir,
    programs: PathBuf,
    cores: String,
    urls: [String; 2],
    /// The token of the workload that may do everything.
    pub(crate) workload_token: String,
    people: Vec<String>,
    /// Gone with this.
    databases: Vec<TestDatabase>,
}

impl Home {
    /// A new one with so many people, and two more.
    pub(crate) async fn new(bench: &Bench, engine: Engine, people: usize) -> Self {
        eprintln!("signing {people} people up on {engine}");
        let folder = tempfile::tempdir().expect("a folder");
        let mut databases = Vec::new();
        let mut urls = Vec::new();
        for program in PROGRAMS {
            if engine == Engine::Postgres {
                let database = TestDatabase::create().await;
                urls.push(database.url());
                databases.push(database);
            } else {
                urls.push(format!("sqlite://{}", folder.path().join(program).with_extension("db").display()));
            }
        }
        let home = Self {
            folder,
            programs: bench.programs.clone(),
            cores: bench.cores.clone(),
            urls: urls.try_into().expect("one for each"),
            workload_token: random(),
            people: (0..people).map(|number| format!("caller-{number:04}")).collect(),
            databases,
        };
        home.write("peppers", &format!("p1:{}", random()));
        home.write("workload-token", &home.workload_token);
        let mut keys = home.program("auth-service");
        keys.args(["keys", "generate", "--out"]).arg(home.file("signing-key.pem"));
        succeeds(keys).await;
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        succeeds(home.auth_command("migrate")).await;
        succeeds(home.users_command("migrate", anywhere)).await;
        home.move_in().await;
        home
    }

    /// Starts auth-service.
    pub(crate) async fn auth(&self) -> Auth {
        let process = Process::start(self.auth_command("serve"), 3, &self.log("auth")).await;
        let [public, internal, operations] = process.addresses[..] else {
            unreachable!("as many as asked for")
        };
        Auth { process, public, internal, operations }
    }

    /// Starts users-service, which asks this auth-service.
    pub(crate) async fn users(&self, auth: &Auth) -> Process {
        let command = self.users_command("serve", auth.internal);
        Process::start(command, 2, &self.log("users")).await
    }

    /// A log-in of everybody in the crowd.
    pub(crate) fn log_ins(&self) -> Vec<Call> {
        self.people.iter().map(|name| Call::log_in(name, PASSWORD)).collect()
    }

    /// A new session of somebody who is not in the crowd.
    pub(crate) async fn token(&self, auth: &Auth) -> String {
        let connection = auth.connection().await;
        let request = api::auth::LogInRequest { username: PROBER.to_owned(), password: PASSWORD.to_owned() };
        connection.auth().log_in(request).await.expect("logs in").into_inner().access_token
    }

    /// Where its data is, on PostgreSQL.
    pub(crate) fn database(&self) -> Option<&TestDatabase> {
        self.databases.first()
    }

    async fn move_in(&self) {
        let auth = self.auth().await;
        let connection = &auth.connection().await;
        let names = self.people.iter().map(String::as_str).chain([PROBER]);
        stream::iter(names)
            .for_each_concurrent(4, async |name| {
                sign_up(connection, name).await;
            })
            .await;
        let account_id = sign_up(connection, INACTIVE).await;
        let mut disable = Request::new(DisableAccountRequest { account_id, ..Default::default() });
        let bearer = format!("Bearer {}", self.workload_token).parse().expect("a token");
        disable.metadata_mut().insert("authorization", bearer);
        let internal = Connection::open(auth.internal).await.expect("it listens");
        internal.identity().disable_account(disable).await.expect("is disabled");
        auth.process.end().await;
    }

    fn program(&self, name: &str) -> Command {
        pinned(&self.cores, &self.programs.join(name))
    }

    /// Starts the internal listener of auth-service with nothing around it.
    pub(crate) async fn bare_auth(&self, bench: &Bench) -> Process {
        let command = self.told_auth(pinned(&self.cores, &bench.this_program), "bare");
        Process::start(command, 1, &self.log("bare")).await
    }

    /// Starts auth-service with its instructions counted, which are written to the file.
    pub(crate) async fn counted_auth(&self, counts: &Path) -> Process {
        let program = self.programs.join("auth-service");
        let command = self.told_auth(counted(&self.cores, &program, counts), "serve");
        Process::start(command, 3, &self.log("auth")).await
    }

    /// The same of its internal listener with nothing around it.
    pub(crate) async fn counted_bare_auth(&self, bench: &Bench, counts: &Path) -> Process {
        let command = self.told_auth(counted(&self.cores, &bench.this_program, counts), "bare");
        Process::start(command, 1, &self.log("bare")).await
    }

    fn auth_command(&self, argument: &str) -> Command {
        self.told_auth(self.program("auth-service"), argument)
    }

    fn told_auth(&self, mut command: Command, argument: &str) -> Command {
        command.arg(argument).envs([
            ("AUTH__SERVER__LISTEN", "127.0.0.1:0"),
            ("AUTH__SERVER__INTERNAL_LISTEN", "127.0.0.1:0"),
            ("AUTH__SERVER__OPS_LISTEN", "127.0.0.1:0"),
            ("AUTH__DATABASE__URL", &self.urls[0]),
            ("AUTH__PASSWORD__PEPPERS_FILE", &self.file("peppers")),
            ("AUTH__TOKEN__SIGNING_KEY_FILE", &self.file("signing-key.pem")),
            ("AUTH__WORKLOAD__TOKEN_FILE", &self.file("workload-token")),
            ("AUTH__RATE_LIMIT__ENABLED", "false"),
        ]);
        command
    }

    fn users_command(&self, argument: &str, port: SocketAddr) -> Command {
        let mut command = self.program("users-service");
        command.arg(argument).envs([
            ("USERS__SERVER__LISTEN", "127.0.0.1:0"),
            ("USERS__SERVER__OPS_LISTEN", "127.0.0.1:0"),
            ("USERS__DATABASE__URL", &self.urls[1]),
            ("USERS__IDENTITY_PROVIDER__URL", &format!("http://{port}")),
            ("USERS__IDENTITY_PROVIDER__TOKEN_FILE", &self.file("workload-token")),
        ]);
        command
    }

    /// Where a server of this name logs.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).with_extension("log")
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// For its owner's eyes only, or the service refuses to read it.
    fn write(&self, name: &str, content: &str) {
        let path: &Path = &self.folder.path().join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.expect("a file").write_all(content.as_bytes()).expect("written");
    }
}

/// A process of auth-service.
#[derive(Debug)]
pub(crate) struct Auth {
    /// The process.
    pub(crate) process: Process,
    /// Where `AuthService` is.
    pub(crate) public: SocketAddr,
    /// Where `IdentityProviderService` is.
    pub(crate) internal: SocketAddr,
    operations: SocketAddr,
}

impl Auth {
    /// A connection to the public listener.
    pub(crate) async fn connection(&self) -> Connection {
        Connection::open(self.public).await.expect("it listens")
    }

    /// How many log-ins it has been asked for, by its own metrics.
    pub(crate) async fn log_ins_that_arrived(&self) -> f64 {
        let mut stream = TcpStream::connect(self.operations).await.expect("it listens");
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("it reads");
        let mut page = String::new();
        stream.read_to_string(&mut page).await.expect("it answers");
        let lines = page.lines().filter(|line| line.starts_with("grpc_server_started_total"));
        let line = lines.into_iter().find(|line| line.contains("\"LogIn\""));
        let count = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        count.expect("it counts its calls")
    }

    /// As many connections to it as these callers need.
    pub(crate) async fn target(&self, callers: usize) -> Target {
        connections(self.public, callers).await
    }
}

/// Sixteen callers share a connection: far fewer than one takes, so that nothing waits in the driver.
pub(crate) async fn connections(address: SocketAddr, callers: usize) -> Target {
    Target::connect(address, callers.div_ceil(16)).await.expect("it listens")
}

fn random() -> String {
    BASE64.encode(rand::random::<[u8; 32]>())
}

/// Until there is room for it; gives the id.
async fn sign_up(connection: &Connection, username: &str) -> String {
    loop {
        let request = SignUpRequest {
            username: username.to_owned(),
            password: PASSWORD.to_owned(),
            request_id: String::new(),
        };
        match connection.auth().sign_up(request).await {
            Ok(answer) => return answer.into_inner().user_id,
            Err(status) if status.code() == Code::Unavailable => tokio::task::yield_now().await,
            Err(status) => panic!("{username} cannot sign up: {status:?}"),
        }
    }
}

async fn succeeds(mut command: Command) {
    let output = command.output().await.expect("taskset is in the package util-linux");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
