//! Connections that are there and do nothing, or never come about.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use e2e::{
    Engine, Frames, HALF_A_HELLO, PREFACE, Service, Settings, connect_and_write, eventually, get,
    need_open_files,
};
use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::witness::Target;
use crate::tls::Files;

const CROWD: usize = 5000;

/// For how long the crowd is there.
const STAYS: Duration = Duration::from_secs(3);

for_each_service!(
    five_thousand_connections_that_do_nothing,
    half_a_preface_and_nothing_more,
    half_a_tls_handshake_and_nothing_more,
    more_connections_than_the_process_may_open,
    descriptors_that_are_all_in_use,
);

/// Connections on which this was said and nothing else.
async fn crowd(address: SocketAddr, size: usize, words: &[u8]) -> Vec<TcpStream> {
    let connections = stream::iter(0..size)
        .map(|_| async { connect_and_write(address, words).await.expect("there is room for it") });
    connections.buffer_unordered(64).collect().await
}

/// Waits until the server has closed all of them.
async fn closed(crowd: Vec<TcpStream>) {
    join_all(crowd.into_iter().map(async |mut connection| {
        let mut rest = Vec::new();
        // A reset is as good as an end.
        let _ = connection.read_to_end(&mut rest).await;
    }))
    .await;
}

/// A crowd that comes in parts, between which the well-behaved client makes its calls: whoever makes them is to stay, and is
/// known by that.
async fn crowd_beside(target: &Target, parts: usize, size: usize, words: &[u8]) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for _ in 0..parts {
        all.extend(crowd(target.public(), size, words).await);
        target.well_behaved_call().await;
    }
    all
}

/// Whether the server has closed it, whatever it said before.
fn is_closed(connection: &TcpStream) -> bool {
    let mut said = [0; 1024];
    loop {
        match connection.try_read(&mut said) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

/// Whoever has left holds no descriptor.
async fn all_are_gone(target: &Target, open_before: usize) {
    eventually("that descriptors are given back", async || {
        (target.process.open_files() <= open_before + 16).then_some(())
    })
    .await;
}

async fn five_thousand_connections_that_do_nothing(service: Service) {
    need_open_files(CROWD as u64 + 1000);
    let target = Target::start(service).await;
    let open_before = target.process.open_files();
    let mut greeting = Frames::greeting();
    greeting.settings_seen();
    let (greeting, _) = greeting.take();
    target
        .withstands("5000 idle connections", async {
            let crowd = crowd(target.public(), CROWD, &greeting).await;
            eventually("that they are all served", async || {
                (target.process.open_files() >= open_before + CROWD).then_some(())
            })
            .await;
            sleep(STAYS).await;
            drop(crowd);
            all_are_gone(&target, open_before).await;
        })
        .await;
}

async fn half_a_preface_and_nothing_more(service: Service) {
    need_open_files(CROWD as u64 + 1000);
    let target = Target::start(service).await;
    let open_before = target.process.open_files();
    target
        .withstands("5000 slow prefaces", async {
            closed(crowd(target.public(), CROWD, &PREFACE[..10]).await).await;
            all_are_gone(&target, open_before).await;
        })
        .await;
}

async fn half_a_tls_handshake_and_nothing_more(service: Service) {
    need_open_files(CROWD as u64 + 1000);
    let files = Files::new();
    let target = Target::start_with(service, files.added_to(Settings::on(Engine::Sqlite))).await;
    let open_before = target.process.open_files();
    target
        .withstands("5000 half-done TLS handshakes", async {
            let listeners = target.listeners();
            let each = CROWD / listeners.len();
            join_all(listeners.into_iter().map(async |listener| {
                closed(crowd(listener, each, HALF_A_HELLO).await).await;
            }))
            .await;
            all_are_gone(&target, open_before).await;
        })
        .await;
}

/// One listener has no more places than descriptors allow; whoever does nothing makes room, and whoever makes calls stays.
async fn more_connections_than_the_process_may_open(service: Service) {
    // The service takes over what this process may.
    e2e::limit_open_files(700);
    let target = Target::start(service).await;
    let (greeting, _) = Frames::greeting().take();
    target
        .withstands("more connections than there are places", async {
            let all = crowd_beside(&target, 10, 50, &greeting).await;
            // There is room for whoever comes next.
            target.calls_over_a_new_connection().await;
            // It has been accepted after all of them.
            eventually("that some had to make room", async || {
                (target.process.open_files() < 450).then_some(())
            })
            .await;
            sleep(STAYS).await;
            drop(all);
        })
        .await;
}

async fn descriptors_that_are_all_in_use(service: Service) {
    // All connections to the database are there from the start: one that is opened later needs descriptors.
    let settings = Settings::on(Engine::Sqlite)
        .auth("DATABASE__MAX_CONNECTIONS", "2")
        .users("DATABASE__MAX_CONNECTIONS", "2");
    let target = Target::start_with(service, settings).await;
    let open_before = target.process.open_files();
    // Fewer than it counted on when it started.
    target.process.limit_open_files(open_before + 100);
    target
        .withstands("no descriptor left", async {
            let greeting = Frames::greeting().take().0;
            let mut all = crowd(target.public(), 80, &greeting).await;
            eventually("that they are all served", async || {
                (target.process.open_files() >= open_before + 80).then_some(())
            })
            .await;
            // As if something else of the process had taken the rest: nobody waits at that listener, for whom it would make room.
            sleep(Duration::from_millis(500)).await;
            target.process.limit_open_files_to_these();
            if service == Service::Auth {
                target.a_back_end_calls_over_a_new_connection().await;
            }
            let probe = timeout(Duration::from_secs(10), get(target.operations(), "/livez"));
            assert_eq!(probe.await.expect("whoever is not answered ends the process").0, 200);
            // Those of the crowd that came first make room for the others, which are there still.
            all.extend(crowd_beside(&target, 10, 30, &greeting).await);
            target.calls_over_a_new_connection().await;
            eventually("that these have gone", async || {
                (all.iter().filter(|connection| is_closed(connection)).count() >= 280).then_some(())
            })
            .await;
            sleep(STAYS).await;
            drop(all);
            all_are_gone(&target, open_before).await;
        })
        .await;
}
