//! The table. One row for each rpc; an rpc without one does not compile.
//!
//! | cell | answer |
//! |---|---|
//! | `ok` | `OK` |
//! | `401` | `UNAUTHENTICATED` |
//! | `pre` | `ALREADY_AUTHENTICATED` |
//! | `adm`, `sup` | `ROLE_TOO_LOW`, and the method needs at least an admin, a super admin |
//! | `low` | `ROLE_TOO_LOW`, and no word about any role |
//! | `404` | the user is not found |
//! | `s404` | the session is not found |
//! | `fld` | `INVALID_FIELD`, and it is the role |
//! | `w401`, `w403` | the workload is not known, is not allowed |
//! | `.` | there is no such target: nobody is lower than a user, nobody higher than a super admin |
//!
//! Who is denied has the token of an admin that is no good; every kind of target is tried with it, and the answer is
//! the same. Of `CreateUser` the target is the role given.

use api::Rpc;

use super::callers::{Kind, Target};
use super::{ADMITTED, DENIED, WORKLOADS};

/// What a cell says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Ok,
    Unauthenticated,
    AlreadyAuthenticated,
    NeedsAdmin,
    NeedsSuperAdmin,
    NotOutranked,
    UserNotFound,
    SessionNotFound,
    InvalidRole,
    WorkloadUnauthenticated,
    WorkloadNotAllowed,
}

/// A cell with its place in the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) kind: Kind,
    pub(super) target: Target,
    pub(super) expected: Expected,
}

#[rustfmt::skip]
#[expect(clippy::match_same_arms, reason = "each rpc has a row of its own")]
const fn cells(rpc: Rpc) -> &'static str {
    match rpc {
        // Methods without a target:    none  bad  late  over  off   |  user  |  admin  |  super admin
        Rpc::AuthSignUp            => "   ok   ok   ok    ok    ok   |  pre   |   pre   |   pre ",
        Rpc::AuthLogIn             => "   ok   ok   ok    ok    ok   |  pre   |   pre   |   pre ",
        Rpc::AuthLogOut            => "  401  401  401   401   401   |  ok    |   ok    |   ok  ",
        Rpc::AuthRefreshSession    => "  401  401  401   401   401   |  ok    |   ok    |   ok  ",
        Rpc::AuthGetCurrentSession => "  401  401  401   401   401   |  ok    |   ok    |   ok  ",
        Rpc::AuthListSessions      => "  401  401  401   401   401   |  ok    |   ok    |   ok  ",
        Rpc::AuthRevokeAllSessions => "  401  401  401   401   401   |  ok    |   ok    |   ok  ",
        Rpc::AuthChangePassword    => "  401  401  401   401   401   |  ok    |   ok    |   ok  ",
        Rpc::UsersGetCurrentUser   => "  401  401  401   401   401   |  ok    |   ok    |   ok  ",
        Rpc::UsersListUsers        => "  401  401  401   401   401   |  adm   |   ok    |   ok  ",

        // Methods with a target:                                    |             user              |             admin             |          super admin
        //                              none  bad  late  over  off   |  self  low   equal high  unkn |  self  low   equal high  unkn |  self  low   equal high  unkn
        Rpc::AuthRevokeSession     => "  401  401  401   401   401   |  ok    .     s404  s404  ok   |  ok    s404  s404  s404  ok   |  ok    s404  s404  .     ok  ",
        Rpc::UsersCreateUser       => "  401  401  401   401   401   |  .     .     adm   adm   adm  |  .     ok    low   fld   fld  |  .     ok    fld   .     fld ",
        Rpc::UsersGetUser          => "  401  401  401   401   401   |  ok    .     adm   adm   adm  |  ok    ok    ok    ok    404  |  ok    ok    ok    .     404 ",
        Rpc::UsersInactivateUser   => "  401  401  401   401   401   |  adm   .     adm   adm   adm  |  low   ok    low   low   404  |  low   ok    low   .     404 ",
        Rpc::UsersReactivateUser   => "  401  401  401   401   401   |  adm   .     adm   adm   adm  |  low   ok    low   low   404  |  low   ok    low   .     404 ",
        Rpc::UsersGrantAdmin       => "  401  401  401   401   401   |  sup   .     sup   sup   sup  |  sup   sup   sup   sup   sup  |  low   ok    low   .     404 ",
        Rpc::UsersRevokeAdmin      => "  401  401  401   401   401   |  sup   .     sup   sup   sup  |  sup   sup   sup   sup   sup  |  low   ok    low   .     404 ",
        Rpc::UsersSetUserPassword  => "  401  401  401   401   401   |  adm   .     adm   adm   adm  |  low   ok    low   low   404  |  low   ok    low   .     404 ",
        Rpc::UsersListUserSessions => "  401  401  401   401   401   |  adm   .     adm   adm   adm  |  low   ok    low   low   404  |  low   ok    low   .     404 ",
        Rpc::UsersRevokeUserSessions=>"  401  401  401   401   401   |  adm   .     adm   adm   adm  |  low   ok    low   low   404  |  low   ok    low   .     404 ",

        // The port, whose callers are workloads: no credential | a wrong one | verify | full
        Rpc::IdentityProviderAuthenticate    => "  w401 | w401 |  ok  | ok ",
        Rpc::IdentityProviderGetAccount      => "  w401 | w401 |  ok  | ok ",
        Rpc::IdentityProviderCheckCredential => "  w401 | w401 | w403 | ok ",
        Rpc::IdentityProviderRegisterAccount => "  w401 | w401 | w403 | ok ",
        Rpc::IdentityProviderSetPassword     => "  w401 | w401 | w403 | ok ",
        Rpc::IdentityProviderEnableAccount   => "  w401 | w401 | w403 | ok ",
        Rpc::IdentityProviderDisableAccount  => "  w401 | w401 | w403 | ok ",
        Rpc::IdentityProviderRevokeSessions  => "  w401 | w401 | w403 | ok ",
        Rpc::IdentityProviderListSessions    => "  w401 | w401 | w403 | ok ",
        Rpc::IdentityProviderWatchAccounts   => "  w401 | w401 | w403 | ok ",
    }
}

/// The cells of an rpc.
pub(super) fn row(rpc: Rpc) -> Vec<Cell> {
    let groups: Vec<Vec<&str>> =
        cells(rpc).split('|').map(|group| group.split_whitespace().collect()).collect();
    let mut row = Vec::new();
    if rpc.path().contains("tandem.identity.v1") {
        assert_eq!(groups.len(), WORKLOADS.len(), "{rpc:?}");
        for (kind, group) in WORKLOADS.into_iter().zip(groups) {
            row.extend(cell(kind, Target::None, group[0]));
        }
        return row;
    }
    let [denied, admitted @ ..] = &groups[..] else { panic!("{rpc:?} has no cells") };
    assert_eq!((denied.len(), admitted.len()), (DENIED.len(), ADMITTED.len()), "{rpc:?}");
    let targets: &[Target] = match admitted[0].len() {
        1 => &[Target::None],
        5 => &Target::ALL,
        other => panic!("{rpc:?} has {other} targets"),
    };
    for (kind, text) in DENIED.into_iter().zip(denied) {
        row.extend(targets.iter().filter_map(|target| cell(kind, *target, text)));
    }
    for (kind, group) in ADMITTED.into_iter().zip(admitted) {
        assert_eq!(group.len(), targets.len(), "{rpc:?}");
        row.extend(targets.iter().zip(group).filter_map(|(target, text)| cell(kind, *target, text)));
    }
    row
}

fn cell(kind: Kind, target: Target, text: &str) -> Option<Cell> {
    let expected = match text {
        "." => return None,
        "ok" => Expected::Ok,
        "401" => Expected::Unauthenticated,
        "pre" => Expected::AlreadyAuthenticated,
        "adm" => Expected::NeedsAdmin,
        "sup" => Expected::NeedsSuperAdmin,
        "low" => Expected::NotOutranked,
        "404" => Expected::UserNotFound,
        "s404" => Expected::SessionNotFound,
        "fld" => Expected::InvalidRole,
        "w401" => Expected::WorkloadUnauthenticated,
        "w403" => Expected::WorkloadNotAllowed,
        other => panic!("{other} is no cell"),
    };
    Some(Cell { kind, target, expected })
}
