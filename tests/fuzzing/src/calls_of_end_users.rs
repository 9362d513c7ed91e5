//! Calls of `AuthService`, whole: whoever has no token gets nothing and changes nothing, and whoever is let in knew the password.

use api::Rpc;
use auth_core::testing::{PASSWORD, World};
use auth_service::fuzzing::end_users;

use crate::Target;
use crate::calls::Field::{Number, Text};
use crate::calls::{self, Answer, Attempt, answered, block_on};

pub(crate) const TARGET: Target = Target {
    name: "calls_of_end_users",
    run,
    seeds,
    words: &[
        "alice",
        "Alice",
        "bobby",
        PASSWORD,
        "\n\u{5}alice",
        "\u{12}\u{1c}",
        "0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c",
    ],
    defect: "log_in.any_password",
};

const PACKAGE: &str = "tandem.auth.";
const NOBODY: u8 = 0;
const BEARER: u8 = 1;

fn run(input: &[u8]) {
    let Some(attempt) = Attempt::read(input, PACKAGE, 2) else { return };
    let is_bearer = attempt.caller == usize::from(BEARER);
    block_on(async {
        let world = World::new();
        let token = world.logged_in("alice").await.token;
        let answer = answered(end_users(&world), &attempt, is_bearer.then(|| token.expose())).await;
        let is_good = world.is_good(&token).await;
        is_as_it_must_be(&attempt, &answer, is_bearer, is_good);
    });
}

/// `is_good`: the token of the one who is logged in, after the call.
fn is_as_it_must_be(attempt: &Attempt, answer: &Answer, is_bearer: bool, is_good: bool) {
    let Attempt { rpc, .. } = attempt;
    let is_open = matches!(rpc, Rpc::AuthSignUp | Rpc::AuthLogIn);
    assert!(is_bearer || is_open || answer.is_refusal(), "nobody is answered {:?} by {rpc:?}", answer.code);
    assert!(!(is_bearer && is_open && answer.is_ok()), "{rpc:?} by somebody who is logged in");
    let ends = match rpc {
        Rpc::AuthLogIn | Rpc::AuthChangePassword if answer.is_ok() => {
            let is_known = attempt.says(PASSWORD) && (is_bearer || attempt.says("alice"));
            assert!(is_known, "{rpc:?} without the password");
            *rpc == Rpc::AuthChangePassword
        }
        Rpc::AuthLogOut => answer.is_ok(),
        // Whether it was this session that ended stands in the message.
        Rpc::AuthRevokeSession | Rpc::AuthRevokeAllSessions if answer.is_ok() => return,
        _ => false,
    };
    assert_eq!(is_good, !ends, "the session after {rpc:?} was answered {:?}", answer.code);
}

fn seeds() -> Vec<Vec<u8>> {
    let messages: [&[_]; 4] = [
        &[],
        &[Text(1, "alice"), Text(2, PASSWORD)],
        &[
            Text(1, PASSWORD),
            Text(2, "another horse battery staple"),
            Text(3, "0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c"),
        ],
        &[Number(1, 1), Text(2, "AQ")],
    ];
    calls::seeds(PACKAGE, &[NOBODY, BEARER], &messages)
}
