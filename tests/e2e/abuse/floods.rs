//! Frames that cost the sender next to nothing.

use e2e::{Engine, Frames, Service, Settings};

use super::attack::{Answers, Listener, Outcome, flood};
use super::witness::Target;
use crate::tls::Files;

/// What each of its listeners is asked.
const fn calls(service: Service) -> &'static [&'static str] {
    match service {
        Service::Auth => &[
            "/tandem.auth.v1.AuthService/GetCurrentSession",
            "/tandem.identity.v1.IdentityProviderService/Authenticate",
        ],
        Service::Users => &["/tandem.users.v1.UsersService/GetCurrentUser"],
    }
}

/// RFC 9113, section 7.
const ENHANCE_YOUR_CALM: u32 = 0xb;
const FLOW_CONTROL_ERROR: u32 = 0x3;
const REFUSED_STREAM: u32 = 0x7;

async fn withstood(
    service: Service,
    name: &str,
    more: impl Fn(&mut Frames, &str) -> bool + Copy,
) -> Vec<Outcome> {
    withstood_from(service, name, Answers::Read, more).await
}

async fn withstood_from(
    service: Service,
    name: &str,
    answers: Answers,
    more: impl Fn(&mut Frames, &str) -> bool + Copy,
) -> Vec<Outcome> {
    let target = Target::start(service).await;
    flooded(&target, None, service, name, answers, more).await
}

/// Floods every listener of a service at once.
async fn flooded(
    target: &Target,
    tls: Option<&Files>,
    service: Service,
    name: &str,
    answers: Answers,
    more: impl Fn(&mut Frames, &str) -> bool + Copy,
) -> Vec<Outcome> {
    let listeners = target.listeners().into_iter().zip(calls(service));
    let listeners: Vec<_> =
        listeners.map(|(address, call)| Listener { address, call, tls: tls.map(Files::connector) }).collect();
    assert_eq!(listeners.len(), calls(service).len(), "one is left out");
    let outcomes = target.withstands(name, flood(&listeners, answers, more)).await;
    for outcome in &outcomes {
        outcome.print(name);
        assert!(outcome.frames > 1000, "{name}: it was no flood: {outcome:?}");
    }
    outcomes
}

for_each_service!(
    calls_that_are_given_up_at_once,
    calls_that_are_given_up_at_once_over_tls,
    whole_calls_that_are_given_up_at_once,
    calls_that_the_server_is_made_to_give_up,
    a_head_that_never_ends,
    messages_of_nothing_that_never_end,
    pings,
    settings_that_change_nothing,
    questions_whose_answers_nobody_reads,
);

/// Every listener has closed what attacked it, for this reason, and again when it came back.
fn assert_sent_away(outcomes: &[Outcome], reason: u32) {
    for outcome in outcomes {
        assert!(outcome.connections > 10, "it had to come again and again: {outcome:?}");
        assert!(outcome.goaways.contains_key(&reason), "{outcome:?}");
        assert!(outcome.goaways.keys().all(|other| *other == reason), "{outcome:?}");
    }
}

fn rapid_reset(frames: &mut Frames, call: &str) -> bool {
    let stream = frames.call(call);
    stream.inspect(|stream| frames.cancel(*stream)).is_some()
}

async fn calls_that_are_given_up_at_once(service: Service) {
    let outcomes = withstood(service, "rapid reset", rapid_reset).await;
    assert_sent_away(&outcomes, ENHANCE_YOUR_CALM);
}

async fn calls_that_are_given_up_at_once_over_tls(service: Service) {
    let files = Files::new();
    let target = Target::start_with(service, files.added_to(Settings::on(Engine::Sqlite))).await;
    let name = "rapid reset over TLS";
    let outcomes = flooded(&target, Some(&files), service, name, Answers::Read, rapid_reset).await;
    assert_sent_away(&outcomes, ENHANCE_YOUR_CALM);
}

async fn whole_calls_that_are_given_up_at_once(service: Service) {
    let outcomes = withstood(service, "rapid reset of whole calls", |frames, call| {
        let stream = frames.whole_call(call);
        stream.inspect(|stream| frames.cancel(*stream)).is_some()
    })
    .await;
    assert_sent_away(&outcomes, ENHANCE_YOUR_CALM);
}

async fn calls_that_the_server_is_made_to_give_up(service: Service) {
    let outcomes = withstood(service, "reset after error", |frames, call| {
        let stream = frames.call(call);
        stream.inspect(|stream| frames.boundless_window(*stream)).is_some()
    })
    .await;
    assert_sent_away(&outcomes, ENHANCE_YOUR_CALM);
    for outcome in outcomes {
        // Who finds more to read again and again says only that there are too many streams: that is written before the next
        // frame is read, all else after the last one.
        assert!(
            outcome.resets.keys().all(|reason| [FLOW_CONTROL_ERROR, REFUSED_STREAM].contains(reason)),
            "{outcome:?}"
        );
        // What the server has to give up counts, for whatever reason.
        let resets = outcome.resets.values().sum::<usize>() / outcome.connections;
        assert!((128..=1024).contains(&resets), "{resets} a connection: {outcome:?}");
    }
}

async fn a_head_that_never_ends(service: Service) {
    let outcomes = withstood(service, "CONTINUATION flood", |frames, call| {
        let Some(stream) = frames.endless_head(call) else { return false };
        (0..2000).for_each(|_| frames.continuation(stream));
        true
    })
    .await;
    assert_sent_away(&outcomes, ENHANCE_YOUR_CALM);
}

async fn messages_of_nothing_that_never_end(service: Service) {
    let outcomes = withstood(service, "empty DATA", |frames, call| {
        let Some(stream) = frames.call(call) else { return false };
        (0..2000).for_each(|_| frames.empty_data(stream));
        true
    })
    .await;
    assert_sent_away(&outcomes, ENHANCE_YOUR_CALM);
}

async fn pings(service: Service) {
    let outcomes = withstood(service, "PING flood", |frames, _| {
        frames.ping();
        true
    })
    .await;
    assert!(outcomes.iter().all(|outcome| outcome.others > 0), "{outcomes:?}");
}

async fn settings_that_change_nothing(service: Service) {
    let outcomes = withstood(service, "SETTINGS flood", |frames, _| {
        frames.settings();
        true
    })
    .await;
    assert!(outcomes.iter().all(|outcome| outcome.others > 0), "{outcomes:?}");
}

/// The server must not read on while its answers pile up.
async fn questions_whose_answers_nobody_reads(service: Service) {
    withstood_from(service, "PING flood, unread", Answers::Left, |frames, _| {
        frames.ping();
        true
    })
    .await;
    withstood_from(service, "calls, unread", Answers::Left, |frames, call| frames.whole_call(call).is_some())
        .await;
}
