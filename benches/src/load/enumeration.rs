//! Whether log-in tells who exists: the time it takes to say no, and what it says.

use std::time::{Duration, Instant};

use api::auth::LogInRequest;
use tonic::{Request, Status};

use super::Bench;
use super::figures::{Figure, Section, Unit, median};
use super::home::{Home, INACTIVE, PASSWORD, PROBER};
use crate::drive::Connection;

/// Of each kind.
const LOG_INS: u32 = 500;
const WRONG: &str = "a stone in the mud of time";
/// The same in every call, so that what tells calls apart does not tell answers apart.
const REQUEST_ID: &str = "benchmark";
const KINDS: [&str; 3] = ["an unknown username", "a wrong password", "an inactive account, a wrong password"];

/// Measures.
pub(crate) async fn run(bench: &Bench, home: &Home) -> Section {
    let auth = home.auth().await;
    let connection = auth.connection().await;
    for _ in 0..10 {
        refused(&connection, PROBER).await;
    }
    let mut millis: [Vec<f64>; 3] = Default::default();
    let mut ratios = Vec::new();
    let mut answers: Vec<Answer> = Vec::new();
    for round in 0..bench.rounds {
        bench.progress("no enumeration", round);
        let mut here: [Vec<f64>; 3] = Default::default();
        for number in 0..LOG_INS.div_ceil(bench.rounds) {
            let nobody = format!("nobody-{round}-{number}");
            let names = [nobody.as_str(), PROBER, INACTIVE];
            // Each kind is as often the first as the last of the three.
            for turn in 0..3 {
                let kind = (turn + number as usize) % 3;
                let (answer, time) = refused(&connection, names[kind]).await;
                here[kind].push(time.as_secs_f64() * 1e3);
                if !answers.contains(&answer) {
                    answers.push(answer);
                }
            }
        }
        ratios.push(apart(&here));
        for (all, here) in millis.iter_mut().zip(here) {
            all.extend(here);
        }
    }
    auth.process.end().await;
    let apart = apart(&millis);
    let mut figures: Vec<_> = KINDS
        .into_iter()
        .zip(&millis)
        .map(|(kind, millis)| {
            Figure::of(format!("{kind}: the median of all"), Unit::Millis, median(millis), Vec::new())
        })
        .collect();
    let different = crate::drive::as_f64(answers.len());
    figures.extend([
        Figure::of("the longest median to the shortest", Unit::FineRatio, apart, ratios).at_most(1.05),
        Figure::of("different answers", Unit::Count, different, Vec::new()).at_most(1.0),
    ]);
    let note = format!(
        "{} log-ins of each kind in turn, one at a time. Answers are compared byte by byte: code, message, details, \
         and all metadata but `date`; every call has the same request id.",
        millis[0].len()
    );
    let mut notes = vec![note];
    if answers.len() > 1 {
        notes.extend(answers.iter().map(|answer| format!("An answer: {answer:?}")));
    }
    Section { title: "No enumeration", figures, notes }
}

/// What is sent to the caller, but for the time of day.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: i32,
    message: String,
    details: Vec<u8>,
    metadata: Vec<(String, Vec<u8>)>,
}

impl Answer {
    fn of(status: &Status) -> Self {
        let metadata = status.metadata().clone().into_headers();
        let metadata = metadata.iter().filter(|(key, _)| *key != "date");
        let mut metadata: Vec<_> =
            metadata.map(|(key, value)| (key.to_string(), value.as_bytes().to_vec())).collect();
        metadata.sort();
        Self {
            code: status.code().into(),
            message: status.message().to_owned(),
            details: status.details().to_vec(),
            metadata,
        }
    }
}

async fn refused(connection: &Connection, username: &str) -> (Answer, Duration) {
    let mut request =
        Request::new(LogInRequest { username: username.to_owned(), password: WRONG.to_owned() });
    request.metadata_mut().insert("x-request-id", REQUEST_ID.parse().expect("visible characters"));
    let sent = Instant::now();
    let outcome = connection.auth().log_in(request).await;
    let time = sent.elapsed();
    (Answer::of(&outcome.expect_err("the password is wrong")), time)
}

/// How far the medians are apart.
fn apart(millis: &[Vec<f64>; 3]) -> f64 {
    let medians = millis.each_ref().map(|millis| median(millis));
    medians.into_iter().fold(0.0, f64::max) / medians.into_iter().fold(f64::INFINITY, f64::min)
}

const _: () = assert!(PASSWORD.len() == WRONG.len(), "a hash of the wrong one is no shorter");
