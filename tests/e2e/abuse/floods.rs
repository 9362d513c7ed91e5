//! Frames that cost the sender next to nothing.

use e2e::{Frames, Service};

use super::attack::{Answers, Outcome, flood};
use super::witness::Target;

/// A call that anybody may make, and that nobody is let in by.
const fn call(service: Service) -> &'static str {
    match service {
        Service::Auth => "/tandem.auth.v1.AuthService/GetCurrentSession",
        Service::Users => "/tandem.users.v1.UsersService/GetCurrentUser",
    }
}

/// RFC 9113, section 7.
const ENHANCE_YOUR_CALM: u32 = 0xb;
const FLOW_CONTROL_ERROR: u32 = 0x3;
const REFUSED_STREAM: u32 = 0x7;

async fn withstood(service: Service, name: &str, more: impl Fn(&mut Frames) -> bool + Copy) -> Outcome {
    withstood_from(service, name, Answers::Read, more).await
}

async fn withstood_from(
    service: Service,
    name: &str,
    answers: Answers,
    more: impl Fn(&mut Frames) -> bool + Copy,
) -> Outcome {
    let target = Target::start(service).await;
    let outcome = target.withstands(name, flood(target.public(), answers, more)).await;
    outcome.print(name);
    assert!(outcome.frames > 1000, "{name}: it was no flood: {outcome:?}");
    outcome
}

for_each_service!(
    calls_that_are_given_up_at_once,
    whole_calls_that_are_given_up_at_once,
    calls_that_the_server_is_made_to_give_up,
    a_head_that_never_ends,
    messages_of_nothing_that_never_end,
    pings,
    settings_that_change_nothing,
    questions_whose_answers_nobody_reads,
);

/// The server has closed what attacked it, for this reason, and again when it came back.
fn assert_sent_away(outcome: &Outcome, reason: u32) {
    assert!(outcome.connections > 10, "it had to come again and again: {outcome:?}");
    assert!(outcome.goaways.contains_key(&reason), "{outcome:?}");
    assert!(outcome.goaways.keys().all(|other| *other == reason), "{outcome:?}");
}

async fn calls_that_are_given_up_at_once(service: Service) {
    let outcome = withstood(service, "rapid reset", |frames| {
        let stream = frames.call(call(service));
        stream.inspect(|stream| frames.cancel(*stream)).is_some()
    })
    .await;
    assert_sent_away(&outcome, ENHANCE_YOUR_CALM);
}

async fn whole_calls_that_are_given_up_at_once(service: Service) {
    let outcome = withstood(service, "rapid reset of whole calls", |frames| {
        let stream = frames.whole_call(call(service));
        stream.inspect(|stream| frames.cancel(*stream)).is_some()
    })
    .await;
    assert_sent_away(&outcome, ENHANCE_YOUR_CALM);
}

async fn calls_that_the_server_is_made_to_give_up(service: Service) {
    let outcome = withstood(service, "reset after error", |frames| {
        let stream = frames.call(call(service));
        stream.inspect(|stream| frames.boundless_window(*stream)).is_some()
    })
    .await;
    assert_sent_away(&outcome, ENHANCE_YOUR_CALM);
    // Who finds more to read again and again says only that there are too many streams: that is written before the next frame
    // is read, all else after the last one.
    assert!(
        outcome.resets.keys().all(|reason| [FLOW_CONTROL_ERROR, REFUSED_STREAM].contains(reason)),
        "{outcome:?}"
    );
    // What the server has to give up counts, for whatever reason.
    let resets = outcome.resets.values().sum::<usize>() / outcome.connections;
    assert!((128..=1024).contains(&resets), "{resets} a connection: {outcome:?}");
}

async fn a_head_that_never_ends(service: Service) {
    let outcome = withstood(service, "CONTINUATION flood", |frames| {
        let Some(stream) = frames.endless_head(call(service)) else { return false };
        (0..2000).for_each(|_| frames.continuation(stream));
        true
    })
    .await;
    assert_sent_away(&outcome, ENHANCE_YOUR_CALM);
}

async fn messages_of_nothing_that_never_end(service: Service) {
    let outcome = withstood(service, "empty DATA", |frames| {
        let Some(stream) = frames.call(call(service)) else { return false };
        (0..2000).for_each(|_| frames.empty_data(stream));
        true
    })
    .await;
    assert_sent_away(&outcome, ENHANCE_YOUR_CALM);
}

async fn pings(service: Service) {
    let outcome = withstood(service, "PING flood", |frames| {
        frames.ping();
        true
    })
    .await;
    assert!(outcome.others > 0, "{outcome:?}");
}

async fn settings_that_change_nothing(service: Service) {
    let outcome = withstood(service, "SETTINGS flood", |frames| {
        frames.settings();
        true
    })
    .await;
    assert!(outcome.others > 0, "{outcome:?}");
}

/// The server must not read on while its answers pile up.
async fn questions_whose_answers_nobody_reads(service: Service) {
    withstood_from(service, "PING flood, unread", Answers::Left, |frames| {
        frames.ping();
        true
    })
    .await;
    withstood_from(service, "calls, unread", Answers::Left, |frames| {
        frames.whole_call(call(service)).is_some()
    })
    .await;
}
