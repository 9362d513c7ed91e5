//! Use cases over PostgreSQL whose connection is lost while they commit: what they answer is what is the case.
//!
//! A relay between store and server cuts the connection at the commit: before the server hears of it, while it commits,
//! or when it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use auth_core::commands::{self, DisableAccount, LogIn, LogOut, RegisterAccount, RevokeAllSessions, SignUp};
use auth_core::domain::{AccountKey, Client, PasswordPolicy};
use auth_core::ports::{Ports, Reader as _, Store as _};
use auth_core::testing::{FakeClock, FakeHasher, FakeSigner, PASSWORD};
use auth_core::{Error, StoreError};
use auth_service::PgStore;
use chrono::TimeDelta;
use clock::SystemClock;
use database::testing::TestDatabase;
use database::{Postgres, PostgresOptions};
use identity::{Epoch, RawPassword, UserId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::store_contract::engines::migrated;
use crate::store_contract::{POLICY, name};

/// When the next commit's connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Cut {
    Never,
    Before,
    During,
    After,
}

const CUTS: [Cut; 3] = [Cut::Before, Cut::During, Cut::After];

/// A place to connect to instead of the server's.
struct Relay {
    port: u16,
    next: Arc<AtomicU8>,
}

impl Relay {
    async fn to(host: String, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self { port: listener.local_addr().unwrap().port(), next: Arc::default() };
        let next = Arc::clone(&relay.next);
        tokio::spawn(async move {
            while let Ok((client, _)) = grpc_kit::listen::accept(&listener).await {
                let server = TcpStream::connect((host.as_str(), port)).await.unwrap();
                tokio::spawn(relayed(client, server, Arc::clone(&next)));
            }
        });
        relay
    }

    fn cut(&self, cut: Cut) {
        self.next.store(cut as u8, Ordering::SeqCst);
    }
}

/// A commit is a message of its own. Both connections end with this.
async fn relayed(mut client: TcpStream, mut server: TcpStream, next: Arc<AtomicU8>) {
    let (mut asked, mut answered) = ([0; 8192], [0; 8192]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let message = &asked[..length];
                let is_commit = message == b"Q\0\0\0\x0bCOMMIT\0";
                let cut = if is_commit { next.swap(Cut::Never as u8, Ordering::SeqCst) } else { Cut::Never as u8 };
                if cut == Cut::Before as u8 {
                    return;
                }
                if server.write_all(message).await.is_err() || cut == Cut::During as u8 {
                    return;
                }
                if cut == Cut::After as u8 {
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The ports, with a real store.
struct OverPostgres;

impl Ports for OverPostgres {
    type Store = PgStore;
    type Hasher = FakeHasher;
    type Signer = FakeSigner;
    type Clock = RealTime;
    type Ids = RandomIds;
}

/// Stands still but for waiting, which takes real time too.
struct RealTime(FakeClock);

impl auth_core::ports::Clock for RealTime {
    fn now(&self) -> identity::Timestamp {
        self.0.now()
    }

    async fn sleep(&self, duration: std::time::Duration) {
        tokio::time::sleep(duration).await;
        self.0.advance(TimeDelta::from_std(duration).unwrap());
    }
}

struct RandomIds;

impl auth_core::ports::Ids for RandomIds {
    fn account_id(&self) -> UserId {
        UserId::new(Uuid::from_u128(rand::random()))
    }

    fn session_id(&self) -> auth_core::domain::SessionId {
        auth_core::domain::SessionId::from_random(rand::random())
    }

    fn epoch(&self) -> Epoch {
        Epoch::parse("another").unwrap()
    }
}

struct Scene {
    cx: commands::Context<OverPostgres>,
    relay: Relay,
    _place: TestDatabase,
}

impl Scene {
    async fn new() -> Self {
        let (place, _database) = migrated(1).await;
        let direct = place.connect_options();
        let relay = Relay::to(direct.get_host().to_owned(), direct.get_port()).await;
        let connect = direct.clone().host("127.0.0.1").port(relay.port);
        let options = PostgresOptions { connect, ..place.options(1) };
        let store = PgStore::new(Postgres::open(&options).await.unwrap(), SystemClock::default());
        let cx = commands::Context {
            store,
            hasher: FakeHasher::default(),
            signer: FakeSigner::default(),
            clock: RealTime(FakeClock::default()),
            ids: RandomIds,
            sessions: POLICY,
            passwords: PasswordPolicy::new(15),
        };
        Self { cx, relay, _place: place }
    }

    async fn sign_up(&self, username: &str) -> Result<UserId, Error> {
        let command = SignUp::parse(&self.cx.passwords, username, PASSWORD.to_owned(), "").unwrap();
        command.execute(&self.cx).await.map(|account| account.id)
    }

    async fn register(&self, id: UserId) -> Result<UserId, Error> {
        let (id, password) = (id.to_string(), PASSWORD.to_owned());
        let command = RegisterAccount::parse(&self.cx.passwords, &id, "bobby", password).unwrap();
        command.execute(&self.cx).await.map(|account| account.id)
    }

    async fn log_in(&self, username: &str) -> Result<commands::Opened, Error> {
        let password = RawPassword::parse(PASSWORD.to_owned()).unwrap();
        LogIn { username: name(username), password, client: Client::default() }.execute(&self.cx).await
    }

    async fn exists(&self, key: AccountKey) -> bool {
        self.cx.store.reader().account(&key).await.unwrap().is_some()
    }

    async fn lives(&self, opened: &commands::Opened) -> bool {
        self.cx.store.reader().live_session(&opened.session.id).await.unwrap().is_some()
    }
}

/// Whether it was done, as the answer says. That it is not known would be an answer too, but not with a server that is
/// there all the time.
fn done<T: std::fmt::Debug>(cut: Cut, outcome: Result<T, Error>) -> Option<T> {
    match outcome {
        Ok(done) => {
            assert_ne!(cut, Cut::Before, "the server never heard of it");
            Some(done)
        }
        Err(Error::Store(StoreError::Unavailable(_))) => {
            assert_ne!(cut, Cut::After, "the server did it");
            None
        }
        Err(other) => panic!("{cut:?}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_there_if_the_answer_says_so() {
    for cut in CUTS {
        let scene = Scene::new().await;
        scene.relay.cut(cut);
        let added = done(cut, scene.sign_up("alice").await);
        assert_eq!(scene.exists(AccountKey::Username(name("alice"))).await, added.is_some(), "{cut:?}");

        let id = UserId::new(Uuid::from_u128(7));
        scene.relay.cut(cut);
        let added = done(cut, scene.register(id).await);
        assert_eq!(scene.exists(AccountKey::Id(id)).await, added.is_some(), "{cut:?}");
        assert_eq!(scene.register(id).await.unwrap(), id, "a repeat succeeds");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_there_if_the_answer_says_so() {
    for cut in CUTS {
        let scene = Scene::new().await;
        let id = scene.sign_up("alice").await.unwrap();
        scene.relay.cut(cut);
        let opened = done(cut, scene.log_in("alice").await);
        let live = scene.cx.store.reader().live_sessions(id, None, 10).await.unwrap();
        assert_eq!(live.first().map(|session| &session.id), opened.as_ref().map(|opened| &opened.session.id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_end_has_ended_when_it_is_answered() {
    for cut in CUTS {
        let scene = Scene::new().await;
        let user_id = scene.sign_up("alice").await.unwrap();
        let opened = scene.log_in("alice").await.unwrap();
        scene.relay.cut(cut);
        let log_out = LogOut { user_id, session_id: opened.session.id.clone() };
        log_out.execute(&scene.cx).await.unwrap();
        assert!(!scene.lives(&opened).await, "{cut:?}");

        let opened = scene.log_in("alice").await.unwrap();
        scene.relay.cut(cut);
        let all = RevokeAllSessions { user_id, keep: None };
        assert_eq!(all.execute(&scene.cx).await.unwrap(), 1);
        assert!(!scene.lives(&opened).await, "{cut:?}");

        let opened = scene.log_in("alice").await.unwrap();
        scene.relay.cut(cut);
        let disabled = done(cut, DisableAccount::any_version(user_id).execute(&scene.cx).await);
        assert_eq!(scene.lives(&opened).await, disabled.is_none(), "{cut:?}");
    }
}
