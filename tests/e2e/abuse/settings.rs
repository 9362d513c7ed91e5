//! What the listeners of the real processes allow, as they say it themselves and as they keep it.

use std::time::Duration;

use e2e::{Frames, Processes, Sent, connect_and_write, next_sent};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::crashes::BINARIES;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// RFC 9113, section 6.5.2.
const MAX_CONCURRENT_STREAMS: u16 = 3;
const MAX_HEADER_LIST_SIZE: u16 = 6;
/// RFC 9113, section 7.
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 0xb;

const SOON: Duration = Duration::from_secs(30);

async fn next(connection: &mut BufReader<TcpStream>) -> Option<Sent> {
    timeout(SOON, next_sent(connection)).await.expect("it says something")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_listener_says_how_many_calls_and_how_much_metadata_it_takes() {
    let processes = Processes::start(BINARIES).await;
    for listener in processes.listeners() {
        let greeting = Frames::greeting().take().0;
        let mut connection =
            BufReader::new(connect_and_write(listener, &greeting).await.expect("it listens"));
        let Some(Sent::Settings(settings)) = next(&mut connection).await else {
            panic!("not what a server begins with")
        };
        assert!(settings.contains(&(MAX_CONCURRENT_STREAMS, 200)), "{settings:?}");
        assert!(settings.contains(&(MAX_HEADER_LIST_SIZE, 16 * 1024)), "{settings:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_listener_keeps_to_two_hundred_calls_at_a_time_and_to_1024_resets() {
    let processes = Processes::start(BINARIES).await;
    for listener in processes.listeners() {
        let mut frames = Frames::greeting();
        // Streams that stay open, and one more.
        let streams: Vec<_> = (0..201).map(|_| frames.whole_call(WATCH).expect("a stream")).collect();
        let stream = connect_and_write(listener, &frames.take().0).await.expect("it listens");
        let mut connection = BufReader::new(stream);
        let reset = loop {
            match next(&mut connection).await.expect("the connection goes on") {
                Sent::Reset { stream, reason } => break (stream, reason),
                Sent::GoAway(reason) => panic!("it ends the connection for {reason}"),
                _ => {}
            }
        };
        assert_eq!(reset, (streams[200], REFUSED_STREAM), "{listener}");

        let mut frames = Frames::greeting();
        for _ in 0..1100 {
            let stream = frames.call(CHECK).expect("a stream");
            frames.boundless_window(stream);
        }
        let stream = connect_and_write(listener, &frames.take().0).await.expect("it listens");
        let mut connection = BufReader::new(stream);
        let mut resets = 0;
        let reason = loop {
            match next(&mut connection).await.expect("a reason comes before the end") {
                Sent::Reset { .. } => resets += 1,
                Sent::GoAway(reason) => break reason,
                _ => {}
            }
        };
        assert_eq!(reason, ENHANCE_YOUR_CALM, "{listener}");
        assert!(resets <= 1024, "{listener}: {resets}");
    }
}
