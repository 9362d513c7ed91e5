//! Listing users: every order, filter and page size against a model.

use std::cmp::Ordering;

use api::users::{
    CreateUserRequest, GrantAdminRequest, InactivateUserRequest, ListUsersRequest, User, UserRole, UserState,
};
use chrono::TimeDelta;
use e2e::{PASSWORD, Pair, by_id};

const ORDERS: [&str; 5] = ["username", "role", "state", "create_time", "update_time"];

/// A pair with users of all roles and states, in both cases. Roles and states are ties; equal times, which a clock that
/// runs does not give, are in the store contract.
async fn populated() -> Pair {
    let app = Pair::start().await;
    for number in 0..24 {
        // Some gaps between the times are wide, others as narrow as two calls.
        if number % 3 == 0 {
            app.clock.advance(TimeDelta::seconds(1));
        }
        let name = if number % 2 == 0 { format!("Zed-{number:02}") } else { format!("zap_{number:02}") };
        let role = if number % 5 == 0 { UserRole::Admin } else { UserRole::User };
        let request = CreateUserRequest {
            username: name,
            password: PASSWORD.into(),
            role: role.into(),
            request_id: String::new(),
        };
        let id = app.super_admin.ok(request).await.message.user.expect("a user").user_id;
        if number % 4 == 0 {
            app.super_admin.ok(InactivateUserRequest { user: by_id(&id), etag: String::new() }).await;
        }
        if number % 7 == 0 {
            app.super_admin.ok(GrantAdminRequest { user: by_id(&id), etag: String::new() }).await;
        }
    }
    app
}

/// All pages of a request, one after the other.
async fn pages(app: &Pair, request: &ListUsersRequest) -> Vec<User> {
    let mut users = Vec::new();
    let mut request = request.clone();
    loop {
        let page = app.admin.ok(request.clone()).await.message;
        assert!(page.users.len() <= usize::try_from(request.page_size).expect("a size"));
        users.extend(page.users);
        if page.next_page_token.is_empty() {
            return users;
        }
        request.page_token = page.next_page_token;
    }
}

/// What a list in this order is.
fn in_order(mut users: Vec<User>, order: &str, descending: bool) -> Vec<String> {
    let time = |time: Option<prost_types::Timestamp>| time.map(|time| (time.seconds, time.nanos));
    let by_key = |a: &User, b: &User| match order {
        "username" => a.username.to_lowercase().cmp(&b.username.to_lowercase()),
        "role" => a.role.cmp(&b.role),
        "state" => a.state.cmp(&b.state),
        "create_time" => time(a.create_time).cmp(&time(b.create_time)),
        "update_time" => time(a.update_time).cmp(&time(b.update_time)),
        other => panic!("{other} is no order"),
    };
    let turned = |ordering: Ordering| if descending { ordering.reverse() } else { ordering };
    users.sort_by(|a, b| turned(by_key(a, b)).then_with(|| a.user_id.cmp(&b.user_id)));
    ids(&users)
}

fn ids(users: &[User]) -> Vec<String> {
    users.iter().map(|user| user.user_id.clone()).collect()
}

#[tokio::test]
async fn every_order_and_filter_and_page_size_gives_everybody_once_and_in_order() {
    let app = populated().await;
    let everybody = pages(&app, &ListUsersRequest { page_size: 1000, ..Default::default() }).await;
    assert_eq!(everybody.len(), 27);
    let roles = [vec![], vec![UserRole::User], vec![UserRole::Admin, UserRole::SuperAdmin, UserRole::Admin]];
    let states = [vec![], vec![UserState::Inactive], vec![UserState::Active, UserState::Inactive]];
    for order in ORDERS {
        for descending in [false, true] {
            for (roles, states, prefix) in combinations(&roles, &states) {
                let matching = everybody.iter().filter(|user| {
                    (roles.is_empty() || roles.contains(&user.role()))
                        && (states.is_empty() || states.contains(&user.state()))
                        && user.username.to_lowercase().starts_with(&prefix.to_lowercase())
                });
                let model = in_order(matching.cloned().collect(), order, descending);
                for page_size in [1, 4, 1000] {
                    let request = ListUsersRequest {
                        page_size,
                        order_by: if descending { format!("{order} desc") } else { order.to_owned() },
                        roles: roles.iter().map(|role| (*role).into()).collect(),
                        states: states.iter().map(|state| (*state).into()).collect(),
                        username_prefix: prefix.to_owned(),
                        ..Default::default()
                    };
                    assert_eq!(ids(&pages(&app, &request).await), model, "{request:?}");
                }
            }
        }
    }
}

type Filters<'a> = (&'a Vec<UserRole>, &'a Vec<UserState>, &'static str);

/// Not all of them with each other, but each with each other's absence, and all at once.
fn combinations<'a>(roles: &'a [Vec<UserRole>], states: &'a [Vec<UserState>]) -> Vec<Filters<'a>> {
    let (no_roles, no_states) = (&roles[0], &states[0]);
    let mut all: Vec<Filters<'a>> =
        ["", "Z", "zed-1", "nobody"].map(|prefix| (no_roles, no_states, prefix)).into();
    all.extend(roles[1..].iter().map(|roles| (roles, no_states, "")));
    all.extend(states[1..].iter().map(|states| (no_roles, states, "")));
    all.extend(roles[1..].iter().zip(&states[1..]).map(|(roles, states)| (roles, states, "ZED")));
    all
}

#[tokio::test]
async fn the_default_is_twenty_of_those_who_changed_last() {
    let app = populated().await;
    let everybody = pages(&app, &ListUsersRequest { page_size: 1000, ..Default::default() }).await;
    let first = app.admin.ok(ListUsersRequest::default()).await.message;
    assert_eq!(ids(&first.users), in_order(everybody, "update_time", true)[..20]);
    assert!(!first.next_page_token.is_empty());
    assert_eq!(first.total_size, 0, "nobody asked for it");
}

#[tokio::test]
async fn the_total_counts_all_that_match_on_every_page() {
    let app = populated().await;
    let request = ListUsersRequest {
        include_total: true,
        roles: vec![UserRole::Admin.into()],
        page_size: 2,
        ..Default::default()
    };
    let first = app.admin.ok(request.clone()).await.message;
    let all = pages(&app, &request).await;
    assert_eq!(usize::try_from(first.total_size).expect("a count"), all.len());
    let second = ListUsersRequest { page_token: first.next_page_token, ..request };
    assert_eq!(app.admin.ok(second).await.message.total_size, first.total_size);
}

#[tokio::test]
async fn skip_passes_over_users_from_the_place_of_the_page_token() {
    let app = populated().await;
    let by_name = ListUsersRequest { order_by: "username".into(), page_size: 1000, ..Default::default() };
    let all = ids(&pages(&app, &by_name).await);
    let skipping = ListUsersRequest { skip: 5, page_size: 3, ..by_name.clone() };
    let first = app.admin.ok(skipping.clone()).await.message;
    assert_eq!(ids(&first.users), all[5..8]);
    let second = ListUsersRequest { page_token: first.next_page_token, ..skipping };
    assert_eq!(ids(&app.admin.ok(second).await.message.users), all[13..16]);
    let beyond = app.admin.ok(ListUsersRequest { skip: 10_000, ..by_name }).await.message;
    assert!(beyond.users.is_empty() && beyond.next_page_token.is_empty());
}

#[tokio::test]
async fn every_bad_field_of_a_list_is_named_at_once() {
    let app = Pair::start().await;
    let request = ListUsersRequest {
        page_size: -1,
        skip: 10_001,
        order_by: "password".into(),
        roles: vec![1, 0, 99],
        states: vec![7, 2],
        username_prefix: "no spaces or more than twenty".into(),
        consistency_token: "garbage".into(),
        ..Default::default()
    };
    let expected = [
        ("page_size", "NEGATIVE"),
        ("skip", "OUT_OF_RANGE"),
        ("order_by", "UNKNOWN_ORDER"),
        ("roles[1]", "UNSPECIFIED"),
        ("roles[2]", "UNKNOWN_VALUE"),
        ("states[0]", "UNKNOWN_VALUE"),
        ("username_prefix", "TOO_LONG"),
        ("username_prefix", "INVALID_CHARACTER"),
        ("consistency_token", "NOT_A_CONSISTENCY_TOKEN"),
    ];
    let mut found = app.admin.refused("INVALID_FIELD", request).await.violations;
    let mut expected: Vec<_> =
        expected.iter().map(|(field, rule)| (field.to_string(), rule.to_string())).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    for order in ["username  desc", "username asc", "USERNAME", "username desc ", " username", "desc"] {
        let request = ListUsersRequest { order_by: order.into(), ..Default::default() };
        app.admin.refused("INVALID_FIELD", request).await;
    }
}
