//! Calls of `IdentityProviderService`, whole: a workload without a good token gets nothing and changes nothing, one that may verify
//! does nothing else, and no token is said to be somebody's that was not issued.

use api::Rpc;
use api::identity::AuthenticateResponse;
use api::identity::authenticate_response::Outcome;
use auth_core::testing::{PASSWORD, World};
use auth_service::Allowance;
use auth_service::fuzzing::workloads;
use prost::Message as _;

use crate::Target;
use crate::calls::Field::{Number, Text};
use crate::calls::{self, Answer, Attempt, answered, block_on};

pub(crate) const TARGET: Target = Target {
    name: "calls_of_workloads",
    run,
    seeds,
    words: &[
        "alice",
        "bobby",
        PASSWORD,
        "token-0",
        "\n\u{7}token-0",
        "\n\u{24}",
        "\u{12}\u{5}alice",
        "first.1",
    ],
    defect: "workloads.without_a_token",
};

const PACKAGE: &str = "tandem.identity.";
const FULL: &str = "the-token-of-a-workload-that-may-do-anything";
/// What each caller comes with: nothing, what is good for nothing, and good tokens.
const TOKENS: [Option<&str>; 4] = [None, Some("token-0"), Some(VERIFY), Some(FULL)];
const VERIFY: &str = "the-token-of-a-workload-that-may-verify";

fn run(input: &[u8]) {
    let Some(attempt) = Attempt::read(input, PACKAGE, TOKENS.len()) else { return };
    block_on(async {
        let world = World::new();
        let token = world.logged_in("alice").await.token;
        let known = [(VERIFY, Allowance::Verify), (FULL, Allowance::Full)];
        let service = workloads(&world, &known).await;
        let answer = answered(service, &attempt, TOKENS[attempt.caller]).await;
        is_as_it_must_be(&attempt, &answer);
        if attempt.caller < 3 {
            assert!(world.is_good(&token).await, "{:?} ended a session", attempt.rpc);
        }
    });
}

fn is_as_it_must_be(attempt: &Attempt, answer: &Answer) {
    let Attempt { rpc, caller, .. } = attempt;
    assert!(*caller > 1 || answer.is_refusal(), "nobody is answered {:?} by {rpc:?}", answer.code);
    let is_of_verifying = matches!(rpc, Rpc::IdentityProviderAuthenticate | Rpc::IdentityProviderGetAccount);
    assert!(*caller != 2 || is_of_verifying || !answer.is_ok(), "{rpc:?} by one that may only verify");
    if *rpc == Rpc::IdentityProviderAuthenticate && answer.is_ok() {
        let message = answer.message.get(5..).unwrap_or_default();
        let message = AuthenticateResponse::decode(message).expect("the answer of the rpc");
        let is_admitted = matches!(message.outcome, Some(Outcome::Principal(_)));
        assert!(!is_admitted || attempt.says("token-0"), "somebody without a token of ours");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    const ID: &str = "00000000-0000-0000-0000-000000000001";
    let messages: [&[_]; 6] = [
        &[],
        &[Text(1, "token-0"), Number(2, 1)],
        &[Text(2, "alice")],
        &[Text(1, ID), Text(2, "bobby"), Text(3, "another horse battery staple"), Text(4, ID)],
        &[Text(1, ID), Text(2, "another horse battery staple"), Number(3, 1)],
        &[Text(1, ID), Number(2, 1), Text(3, "")],
    ];
    calls::seeds(PACKAGE, &[0, 2, 3], &messages)
}
