//! Calls of `UsersService`, whole: nobody does what its role does not let it do, whatever the message says.

use api::Rpc;
use users_core::domain::{AccessToken, Role};
use users_core::testing::World;
use users_service::fuzzing::listener;

use crate::Target;
use crate::calls::Field::{Number, Text};
use crate::calls::{self, Answer, Attempt, answered, block_on, contains};

pub(crate) const TARGET: Target = Target {
    name: "calls_to_users",
    run,
    seeds,
    words: &[
        "alice",
        "bobby",
        "carol",
        "\u{12}\u{5}bobby",
        "0198f0c2-7d1e-7cc3-98a4-000000000000",
        "username desc",
        "create_time",
        "role",
        "AAAAAAAAAAEAAAAAAAAAAWVwb2NoMQ",
        "correct horse battery staple",
        "\u{18}\u{1}",
        "\u{2a}\u{1}\u{2}",
    ],
    defect: "callers.of_any_role",
};

const PACKAGE: &str = "tandem.users.";
/// Who calls: nobody, or alice, with this role.
const ROLES: [Option<Role>; 4] = [None, Some(Role::User), Some(Role::Admin), Some(Role::SuperAdmin)];

fn run(input: &[u8]) {
    let Some(attempt) = Attempt::read(input, PACKAGE, ROLES.len()) else { return };
    let role = ROLES[attempt.caller];
    block_on(async {
        let world = World::new();
        // The first of all has the first id, which is in the seeds.
        let bobby = world.user("bobby", Role::User).await;
        let carol = world.user("carol", Role::SuperAdmin).await;
        let token = match role {
            Some(role) => Some(world.provider.token_of(world.user("alice", role).await.id)),
            None => None,
        };
        let answer = answered(listener(&world), &attempt, token.as_ref().map(AccessToken::expose)).await;
        is_as_it_must_be(&attempt, &answer, role);
        assert_eq!(world.find(carol.id).await, Some(carol), "nobody outranks a super admin");
        if matches!(role, None | Some(Role::User)) {
            assert_eq!(world.find(bobby.id).await, Some(bobby), "changed by {role:?}");
        }
    });
}

fn is_as_it_must_be(attempt: &Attempt, answer: &Answer, role: Option<Role>) {
    let Attempt { rpc, .. } = attempt;
    match role {
        None => assert!(answer.is_refusal(), "nobody is answered {:?} by {rpc:?}", answer.code),
        Some(Role::User) => {
            let is_of_oneself = matches!(rpc, Rpc::UsersGetCurrentUser | Rpc::UsersGetUser);
            assert!(is_of_oneself || !answer.is_ok(), "a user may {rpc:?}");
            assert!(!contains(&answer.message, "bobby"), "a user sees another one");
        }
        Some(Role::Admin) => {
            let is_of_super_admins = matches!(rpc, Rpc::UsersGrantAdmin | Rpc::UsersRevokeAdmin);
            assert!(!(is_of_super_admins && answer.is_ok()), "an admin may {rpc:?}");
        }
        Some(Role::SuperAdmin) => {}
    }
}

fn seeds() -> Vec<Vec<u8>> {
    const BOBBY: &str = "0198f0c2-7d1e-7cc3-98a4-000000000000";
    let messages: [&[_]; 6] = [
        &[],
        &[Text(1, BOBBY)],
        &[Text(2, "bobby"), Text(3, "AAAAAAAAAAEAAAAAAAAAAWVwb2NoMQ")],
        &[Text(2, "carol")],
        &[Text(1, "david"), Text(2, "correct horse battery staple"), Number(3, 1), Text(4, BOBBY)],
        &[
            Number(1, 2),
            Number(3, 1),
            Text(4, "username desc"),
            Number(5, 1),
            Number(6, 1),
            Text(7, "b"),
            Number(8, 1),
        ],
    ];
    calls::seeds(PACKAGE, &[0, 1, 2, 3], &messages)
}
