//! Frames that cost the sender next to nothing.

use e2e::Frames;

use super::attack::{Answers, Outcome, flood};
use super::witness::{Memory, Target};

const CALL: &str = "/tandem.auth.v1.AuthService/GetCurrentSession";

/// RFC 9113, section 7.
const ENHANCE_YOUR_CALM: u32 = 0xb;
const FLOW_CONTROL_ERROR: u32 = 0x3;

async fn withstood(name: &str, more: impl Fn(&mut Frames) -> bool + Copy) -> Outcome {
    withstood_from(name, Answers::Read, more).await
}

async fn withstood_from(name: &str, answers: Answers, more: impl Fn(&mut Frames) -> bool + Copy) -> Outcome {
    let target = Target::start().await;
    let [public, ..] = target.processes.listeners();
    let outcome = target.withstands(name, Memory::ComesBack, flood(public, answers, more)).await;
    outcome.print(name);
    assert!(outcome.frames > 1000, "{name}: it was no flood: {outcome:?}");
    outcome
}

/// The server has closed what attacked it, for this reason, and again when it came back.
fn assert_sent_away(outcome: &Outcome, reason: u32) {
    assert!(outcome.connections > 10, "it had to come again and again: {outcome:?}");
    assert!(outcome.goaways.contains_key(&reason), "{outcome:?}");
    assert!(outcome.goaways.keys().all(|other| *other == reason), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_given_up_at_once() {
    let outcome = withstood("rapid reset", |frames| {
        let stream = frames.call(CALL);
        stream.inspect(|stream| frames.cancel(*stream)).is_some()
    })
    .await;
    assert_sent_away(&outcome, ENHANCE_YOUR_CALM);
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_calls_that_are_given_up_at_once() {
    let outcome = withstood("rapid reset of whole calls", |frames| {
        let stream = frames.whole_call(CALL);
        stream.inspect(|stream| frames.cancel(*stream)).is_some()
    })
    .await;
    assert_sent_away(&outcome, ENHANCE_YOUR_CALM);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_the_server_is_made_to_give_up() {
    let outcome = withstood("reset after error", |frames| {
        let stream = frames.call(CALL);
        stream.inspect(|stream| frames.boundless_window(*stream)).is_some()
    })
    .await;
    assert_sent_away(&outcome, ENHANCE_YOUR_CALM);
    assert!(outcome.resets.contains_key(&FLOW_CONTROL_ERROR), "{outcome:?}");
    // What the server has to give up counts, for whatever reason.
    let resets = outcome.resets.values().sum::<usize>() / outcome.connections;
    assert!((128..=1024).contains(&resets), "{resets} a connection: {outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends() {
    let outcome = withstood("CONTINUATION flood", |frames| {
        let Some(stream) = frames.endless_head(CALL) else { return false };
        (0..2000).for_each(|_| frames.continuation(stream));
        true
    })
    .await;
    assert_sent_away(&outcome, ENHANCE_YOUR_CALM);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_nothing_that_never_end() {
    let outcome = withstood("empty DATA", |frames| {
        let Some(stream) = frames.call(CALL) else { return false };
        (0..2000).for_each(|_| frames.empty_data(stream));
        true
    })
    .await;
    assert_sent_away(&outcome, ENHANCE_YOUR_CALM);
}

#[tokio::test(flavor = "multi_thread")]
async fn pings() {
    let outcome = withstood("PING flood", |frames| {
        frames.ping();
        true
    })
    .await;
    assert!(outcome.others > 0, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_change_nothing() {
    let outcome = withstood("SETTINGS flood", |frames| {
        frames.settings();
        true
    })
    .await;
    assert!(outcome.others > 0, "{outcome:?}");
}

/// The server must not read on while its answers pile up.
#[tokio::test(flavor = "multi_thread")]
async fn questions_whose_answers_nobody_reads() {
    withstood_from("PING flood, unread", Answers::Left, |frames| {
        frames.ping();
        true
    })
    .await;
    withstood_from("calls, unread", Answers::Left, |frames| frames.whole_call(CALL).is_some()).await;
}
