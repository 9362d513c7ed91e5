use futures::FutureExt as _;
use grpc_kit::Call;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::time::advance;

use super::*;

const TURN: Duration = Duration::from_millis(100);
const QUEUE_WAIT: Duration = Duration::from_secs(1);

fn admission(permits: usize) -> Admission {
    Admission::new(permits, QUEUE_WAIT, TURN)
}

/// All turns of these, so that whoever comes has to wait.
async fn all_taken<const TURNS: usize>(admission: &Admission) -> Vec<Turn> {
    assert_eq!(admission.0.turns.available_permits(), TURNS);
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        turns.push(admission.admit().await.unwrap());
    }
    turns
}

fn call_until(deadline: Instant) -> Call {
    Call { deadline: Some(deadline), ..Call::new("/tandem.probe.v1.ProbeService/Get", "r-1") }
}

#[tokio::test(start_paused = true)]
async fn turns_come_in_the_order_of_arrival() {
    let admission = admission(1);
    let mut held = all_taken::<2>(&admission).await;
    let mut first = Box::pin(admission.admit());
    let mut second = Box::pin(admission.admit());
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    held.pop();
    assert!(admission.admit().now_or_never().is_none(), "nobody gets in ahead of those who wait");
    assert!(second.as_mut().now_or_never().is_none());
    drop(first.await.unwrap());
    second.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_too_long_is_refused_at_once_and_told_when_to_come_again() {
    let admission = admission(2);
    let _held = all_taken::<3>(&admission).await;
    // Two at a time, a tenth of a second each: twenty turns fit into the second that one may wait, the one ahead among them.
    let mut waiting: Vec<_> = (0..19).map(|_| Box::pin(admission.admit())).collect();
    for waiting in &mut waiting {
        assert!(waiting.as_mut().now_or_never().is_none());
    }
    assert_eq!(admission.expect().unwrap_err().reason, "queue");
    let refused = admission.admit().now_or_never().expect("at once").unwrap_err();
    assert_eq!(refused.reason, "queue");
    assert!((QUEUE_WAIT / 2..=QUEUE_WAIT * 2).contains(&refused.retry_after), "{refused:?}");
    drop(waiting.pop());
    assert!(admission.expect().is_ok(), "one who left makes room");
}

#[tokio::test(start_paused = true)]
async fn the_more_are_refused_for_each_turn_the_longer_they_are_sent_away() {
    let admission = admission(1);
    let _at_the_core = admission.admit().await.unwrap();
    let longest_of = async |turns, refused_a_turn| {
        let mut longest = Duration::ZERO;
        for _ in 0..turns {
            let _held = admission.admit().await.unwrap();
            let mut waiting: Vec<_> = (0..9).map(|_| Box::pin(admission.admit())).collect();
            for waiting in &mut waiting {
                assert!(waiting.as_mut().now_or_never().is_none());
            }
            for _ in 0..refused_a_turn {
                let refused = admission.admit().now_or_never().expect("at once").unwrap_err();
                longest = longest.max(refused.retry_after);
            }
        }
        longest
    };
    assert!(longest_of(1, 1).await <= QUEUE_WAIT * 3 / 2);
    let longest = longest_of(100, 1).await;
    assert!((QUEUE_WAIT * 2..=QUEUE_WAIT * 3).contains(&longest), "{longest:?}");
    let longest = longest_of(100, 30).await;
    assert!((QUEUE_WAIT * 5..=QUEUE_WAIT * 6).contains(&longest), "{longest:?}");
    longest_of(100, 0).await;
    assert!(longest_of(1, 1).await <= QUEUE_WAIT * 3 / 2, "the crowd has gone");
}

#[tokio::test(start_paused = true)]
async fn no_more_are_on_their_way_than_could_wait() {
    let admission = admission(2);
    // Two at a time, a tenth of a second each: twenty turns fit into the second that one may wait, and two need not.
    let mut coming: Vec<_> = (0..22).map(|_| admission.expect().unwrap()).collect();
    assert_eq!(admission.expect().unwrap_err().reason, "queue");
    coming.pop();
    assert!(admission.expect().is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_was_told_to_wait_is_not_sent_away_when_turns_become_slower() {
    let admission = admission(1);
    let held = all_taken::<2>(&admission).await;
    let mut waiting = Box::pin(admission.admit());
    assert!(waiting.as_mut().now_or_never().is_none());
    advance(QUEUE_WAIT).await;
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(held);
    waiting.await.unwrap();
    assert_eq!(admission.0.waiting.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_the_queue_does_not_keep_is_told_at_once() {
    let admission = admission(1);
    let within = |left| call::scope(call_until(Instant::now() + left), admission.admit()).now_or_never();
    let _at_the_core = admission.admit().await.unwrap();
    assert_eq!(within(TURN / 2).expect("at once").unwrap_err().reason, "deadline");
    let _next = within(TURN * 2).expect("at once").unwrap();
    assert_eq!(within(TURN * 3 / 2).expect("at once").unwrap_err().reason, "deadline");
    assert!(within(TURN * 5 / 2).is_none(), "it waits");
}

#[tokio::test(start_paused = true)]
async fn whom_the_last_turn_makes_wait_too_long_is_refused_before_anything_is_done_for_it() {
    let admission = Admission::new(1, TURN / 2, TURN);
    let _at_the_core = admission.admit().await.unwrap();
    assert_eq!(admission.expect().unwrap_err().reason, "queue");
    assert_eq!(admission.admit().await.unwrap_err().reason, "queue");
}

#[tokio::test(start_paused = true)]
async fn one_turn_is_ahead_of_the_cores_and_as_many_hash_as_there_are() {
    let admission = admission(1);
    let [first, next] = [admission.admit().await.unwrap(), admission.admit().await.unwrap()];
    let core = first.core().await.unwrap();
    let mut waiting = Box::pin(next.core());
    assert!(waiting.as_mut().now_or_never().is_none());
    assert!(admission.admit().now_or_never().is_none());
    drop(core);
    waiting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whose_caller_has_gone_does_not_hash() {
    let admission = admission(1);
    let first = admission.admit().await.unwrap();
    let _core = first.core().await.unwrap();
    let (queued, refused) = (admission.clone(), Arc::new(AtomicBool::new(false)));
    let says = Arc::clone(&refused);
    let mut caller = Box::pin(call::unit_of_work(async move {
        let turn = queued.admit().await.unwrap();
        says.store(turn.core().await.is_err_and(|refused| refused.reason == "abandoned"), Ordering::Relaxed);
    }));
    assert!(caller.as_mut().now_or_never().is_none(), "it waits for a core");
    drop(caller);
    call::units_of_work_done().await;
    assert!(refused.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn whose_caller_has_gone_leaves_the_queue() {
    let admission = Admission::new(1, Duration::from_hours(1), TURN);
    let held = all_taken::<2>(&admission).await;
    let queued = admission.clone();
    let mut caller = Box::pin(call::unit_of_work(async move { queued.admit().await.is_err() }));
    assert!(caller.as_mut().now_or_never().is_none(), "it waits for its turn");
    drop(caller);
    call::units_of_work_done().await;
    assert_eq!(admission.0.waiting.load(Ordering::Relaxed), 0);
    drop(held);
    admission.admit().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_turn_takes_is_learnt() {
    let admission = admission(1);
    for _ in 0..40 {
        let turn = admission.admit().await.unwrap();
        let core = turn.core().await.unwrap();
        advance(TURN / 10).await;
        drop((core, turn));
    }
    let learnt = admission.0.expected_wait(1);
    assert!((TURN / 10..TURN / 8).contains(&learnt), "{learnt:?}");
    for _ in 0..40 {
        drop(admission.admit().await.unwrap());
    }
    assert_eq!(admission.0.expected_wait(1), learnt, "a turn without a hash teaches nothing");
    for _ in 0..40 {
        let [first, next] = [admission.admit().await.unwrap(), admission.admit().await.unwrap()];
        let core = first.core().await.unwrap();
        let mut waiting = Box::pin(next.core());
        assert!(waiting.as_mut().now_or_never().is_none());
        advance(TURN / 10).await;
        drop((core, first));
        let core = waiting.await.unwrap();
        advance(TURN / 10).await;
        drop((core, next));
    }
    let learnt = admission.0.expected_wait(1);
    assert!((TURN / 10..TURN / 8).contains(&learnt), "to wait for a core is no part of it: {learnt:?}");
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_measured() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let admission = admission(1);
    let mut held = all_taken::<2>(&admission).await;
    let core = held[0].core().await.unwrap();
    let mut first = Box::pin(admission.admit());
    let mut second = Box::pin(admission.admit());
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    let within = call::scope(call_until(Instant::now()), admission.admit()).now_or_never();
    assert_eq!(within.expect("at once").unwrap_err().reason, "deadline");
    let said = |line: &str| {
        let page = recorder.handle().render();
        assert!(page.lines().any(|said| said == line), "{line} is not in:\n{page}");
    };
    said("tandem_hash_queue_length 2");
    said("tandem_hash_refusals_total{reason=\"deadline\"} 1");
    advance(TURN).await;
    held.pop();
    let first = first.await.unwrap();
    let mut waiting = Box::pin(first.core());
    assert!(waiting.as_mut().now_or_never().is_none());
    advance(TURN).await;
    drop(core);
    drop(waiting.await.unwrap());
    drop(second);
    said("tandem_hash_queue_length 0");
    said("tandem_hash_queue_wait_seconds_count 2");
    said("tandem_hash_queue_wait_seconds_sum 0.2");
}
