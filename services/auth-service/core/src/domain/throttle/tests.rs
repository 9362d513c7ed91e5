use chrono::DateTime;

use super::*;

const POLICY: ThrottlePolicy = ThrottlePolicy {
    free_failures: 5,
    max_delay: TimeDelta::minutes(15),
    address_failures: 300,
    sign_ups_per_hour: 2,
};

fn start() -> Timestamp {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn nothing() -> Standing {
    Standing { pair: None, account: None, address: None, undecided: Undecided::default(), now: start() }
}

fn failed(times: u32) -> Standing {
    (0..times).fold(nothing(), |standing, _| standing.failed())
}

fn too_many(seconds: u64) -> Decision {
    Decision::TooMany { retry_after: Duration::from_secs(seconds) }
}

#[test]
fn five_failures_are_free_then_the_delay_doubles_up_to_its_maximum() {
    for free in 0..5 {
        assert_eq!(failed(free).decide(&POLICY), Decision::Admitted, "{free}");
    }
    for (failures, seconds) in [(5, 1), (6, 2), (7, 4), (8, 8), (14, 512), (15, 900), (90, 900)] {
        assert_eq!(failed(failures).decide(&POLICY), too_many(seconds), "{failures}");
    }
}

#[test]
fn a_delay_ends_by_itself_and_then_there_is_one_attempt_at_a_time() {
    let mut standing = failed(6);
    standing.now += TimeDelta::seconds(2);
    assert_eq!(standing.decide(&POLICY), Decision::Admitted);
    standing.undecided = Undecided { of_account: 1, of_pair: 1, of_address: 1 };
    assert_eq!(standing.decide(&POLICY), Decision::NotYet);
}

#[test]
fn what_is_undecided_may_become_a_failure_and_is_none() {
    for (failures, undecided, decision) in [
        (0, 3, Decision::Admitted),
        (0, 4, Decision::NotYet),
        (3, 1, Decision::Admitted),
        (3, 2, Decision::NotYet),
        (4, 0, Decision::Admitted),
        (4, 1, Decision::NotYet),
    ] {
        let mut standing = failed(failures);
        standing.undecided = Undecided { of_account: undecided, of_pair: undecided, of_address: undecided };
        assert_eq!(standing.decide(&POLICY), decision, "{failures} {undecided}");
    }
}

#[test]
fn at_most_five_attempts_on_an_account_are_looked_at_at_once_wherever_they_come_from() {
    let mut standing = nothing();
    standing.undecided = Undecided { of_account: 4, of_pair: 0, of_address: 0 };
    assert_eq!(standing.decide(&POLICY), Decision::Admitted);
    standing.undecided.of_account = 5;
    assert_eq!(standing.decide(&POLICY), Decision::NotYet);
}

#[test]
fn from_one_address_come_all_but_one_of_them_so_that_there_is_room_for_the_owner() {
    for (free_failures, share) in [(1, 1), (2, 1), (3, 2), (5, 4), (6, 5)] {
        let policy = ThrottlePolicy { free_failures, ..POLICY };
        for (undecided, decision) in [(share - 1, Decision::Admitted), (share, Decision::NotYet)] {
            let mut standing = nothing();
            standing.undecided =
                Undecided { of_account: undecided, of_pair: undecided, of_address: undecided };
            assert_eq!(standing.decide(&policy), decision, "{undecided} of {free_failures}");
        }
    }
    let mut elsewhere = nothing();
    elsewhere.undecided.of_account = 4;
    assert_eq!(elsewhere.decide(&POLICY), Decision::Admitted);
}

#[test]
fn an_account_as_a_whole_is_delayed_after_a_hundred_failures() {
    let elsewhere = |count| Standing { account: Some(Failures { count, last_time: start() }), ..nothing() };
    assert_eq!(elsewhere(99).decide(&POLICY), Decision::Admitted);
    assert_eq!(elsewhere(100).decide(&POLICY), too_many(1));
    assert_eq!(elsewhere(102).decide(&POLICY), too_many(4));
    let mut nearly = elsewhere(98);
    nearly.undecided.of_account = 2;
    assert_eq!(nearly.decide(&POLICY), Decision::NotYet, "a hundred, and not more");
}

#[test]
fn an_address_has_its_failures_for_a_quarter_of_an_hour() {
    let end_time = start() + TimeDelta::minutes(10);
    let mut standing = Standing { address: Some(AddressCount { count: 300, end_time }), ..nothing() };
    assert_eq!(standing.decide(&POLICY), too_many(600));
    standing.address = Some(AddressCount { count: 299, end_time });
    assert_eq!(standing.decide(&POLICY), Decision::Admitted);
    standing.undecided.of_address = 1;
    assert_eq!(standing.decide(&POLICY), Decision::AddressNotYet);
    let first = nothing().failed().address.unwrap();
    assert_eq!(first, AddressCount { count: 1, end_time: start() + TimeDelta::minutes(15) });
}

#[test]
fn a_right_password_forgets_the_failures_of_its_pair_only() {
    let before = Standing {
        pair: Some(Failures { count: 4, last_time: start() }),
        account: Some(Failures { count: 60, last_time: start() }),
        address: Some(AddressCount { count: 70, end_time: start() }),
        ..nothing()
    };
    let after = before.succeeded();
    assert_eq!(after.pair, None);
    assert_eq!(after.account.unwrap().count, 56);
    assert_eq!(after.address, before.address);
    assert_eq!(failed(3).succeeded().account, None);
}

#[test]
fn sign_ups_are_counted_by_the_hour() {
    let sign_ups = SignUps { count: None, now: start() };
    assert_eq!(sign_ups.decide(&POLICY), Decision::Admitted);
    let one = SignUps { count: Some(sign_ups.one_more()), ..sign_ups };
    let two = SignUps { count: Some(one.one_more()), ..one.clone() };
    assert_eq!(two.decide(&POLICY), too_many(3600));
    assert_eq!(two.one_less(), one.count);
    assert_eq!(one.one_less(), None);
}

#[test]
fn addresses_are_counted_by_what_one_customer_has() {
    let of = |text: &str| ClientAddress::of(Some(text.parse().unwrap())).as_str().to_owned();
    assert_eq!(of("192.0.2.7"), "192.0.2.7");
    assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
    assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    assert_eq!(of("2001:db8:1:2::9"), "2001:db8:1:2::/64");
    assert_ne!(of("2001:db8:1:3::9"), of("2001:db8:1:2::9"));
    assert_eq!(of("64:ff9b::192.0.2.1"), "192.0.2.1");
    assert_eq!(ClientAddress::of(None).as_str(), "unknown");
}
