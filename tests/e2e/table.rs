//! Who may call what on whom: every rpc, every kind of caller, every kind of target, from one table.

mod attempt;
mod callers;
mod rows;
mod state;

use api::Rpc;
use e2e::Failure;

use self::callers::{Cast, Kind};
use self::rows::{Cell, Expected, row};
use self::state::State;

/// A user who does not exist, by id and by name.
const UNKNOWN: [&str; 2] = ["0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c", "nobody.at.all"];

#[tokio::test(flavor = "multi_thread")]
async fn auth_service_answers_every_caller_as_the_table_says() {
    every_cell_of("tandem.auth.v1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_service_answers_every_caller_as_the_table_says() {
    every_cell_of("tandem.users.v1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_answers_every_workload_as_the_table_says() {
    every_cell_of("tandem.identity.v1").await;
}

async fn every_cell_of(package: &str) {
    // Boxed, like the calls: all of them in one future are too large for a stack.
    let cast = Box::new(Box::pin(Cast::assemble()).await);
    let rpcs: Vec<_> = Rpc::ALL.into_iter().filter(|rpc| rpc.path().contains(package)).collect();
    assert!(!rpcs.is_empty());
    for rpc in rpcs {
        for cell in row(rpc) {
            Box::pin(check(&cast, rpc, cell)).await;
        }
    }
}

/// Makes the calls of one cell, and looks whether those that are refused change anything.
async fn check(cast: &Cast, rpc: Rpc, cell: Cell) {
    let fresh = cell.expected == Expected::Ok;
    let caller = cast.caller(cell.kind, fresh).await;
    for target in cast.targets(&caller, cell.target, fresh).await {
        for name in attempt::names(rpc, &target) {
            let place = format!("{rpc:?} by {:?} on {:?} ({name})", cell.kind, cell.target);
            let unchanged = if fresh { None } else { Some(State::of(cast, [&caller.id, &target.id]).await) };
            let outcome = attempt::call(rpc, cast, &caller, &target, name).await;
            hold_against(&place, cell.expected, name, outcome);
            if let Some(before) = unchanged {
                assert_eq!(
                    State::of(cast, [&caller.id, &target.id]).await,
                    before,
                    "{place} changed something"
                );
            }
        }
    }
}

fn hold_against(place: &str, expected: Expected, name: &str, outcome: Result<(), Failure>) {
    let failure = match (expected, outcome) {
        (Expected::Ok, Ok(())) => return,
        (Expected::Ok, Err(failure)) => panic!("{place}: {failure:?}"),
        (expected, Ok(())) => panic!("{place}: OK in place of {expected:?}"),
        (_, Err(failure)) => failure,
    };
    let required_role = failure.info.get("required_role").map(String::as_str);
    let resource = failure.resource.as_ref().map(|(kind, name)| (kind.as_str(), name.as_str()));
    let found = (failure.reason.as_str(), required_role, resource, failure.broken());
    let named = |kind| Some((kind, name));
    let right = match expected {
        Expected::Ok => unreachable!("looked at above"),
        Expected::Unauthenticated => ("UNAUTHENTICATED", None, None, vec![]),
        Expected::AlreadyAuthenticated => ("ALREADY_AUTHENTICATED", None, None, vec![]),
        Expected::NeedsAdmin => ("ROLE_TOO_LOW", Some("USER_ROLE_ADMIN"), None, vec![]),
        Expected::NeedsSuperAdmin => ("ROLE_TOO_LOW", Some("USER_ROLE_SUPER_ADMIN"), None, vec![]),
        Expected::NotOutranked => ("ROLE_TOO_LOW", None, None, vec![]),
        Expected::UserNotFound => ("USER_NOT_FOUND", None, named("tandem.users.v1.User"), vec![]),
        Expected::SessionNotFound => {
            assert_eq!(found.0, "SESSION_NOT_FOUND", "{place}");
            return;
        }
        Expected::InvalidRole => {
            assert_eq!((found.0, found.3[0].0), ("INVALID_FIELD", "role"), "{place}");
            return;
        }
        Expected::WorkloadUnauthenticated => ("WORKLOAD_UNAUTHENTICATED", None, None, vec![]),
        Expected::WorkloadNotAllowed => ("WORKLOAD_NOT_ALLOWED", None, None, vec![]),
    };
    assert_eq!(found, right, "{place}");
    assert!(failure.info.is_empty() || required_role.is_some(), "{place} tells too much: {failure:?}");
}

/// The kinds in the order of the table's columns.
const DENIED: [Kind; 5] = [Kind::NoToken, Kind::Malformed, Kind::Expired, Kind::Revoked, Kind::Inactive];
const ADMITTED: [Kind; 3] = [Kind::User, Kind::Admin, Kind::SuperAdmin];
const WORKLOADS: [Kind; 4] = [Kind::NoCredential, Kind::WrongCredential, Kind::Verify, Kind::Full];
