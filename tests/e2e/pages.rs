//! Page tokens: good for the request that they were made for, and for no other.

use api::auth;
use api::identity as port;
use api::users::{ListUserSessionsRequest, ListUsersRequest, UserRole};
use e2e::{Pair, by_id};

const BROKEN: [(&str, &str); 1] = [("page_token", "NOT_A_PAGE_TOKEN")];

/// The token with one character in its middle changed.
fn tampered(token: &str) -> String {
    let middle = token.len() / 2;
    let other = if &token[middle..=middle] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &token[..middle], &token[middle + 1..])
}

#[tokio::test]
async fn a_page_token_of_users_is_bound_to_its_request() {
    let app = Pair::start().await;
    let first = ListUsersRequest { page_size: 1, order_by: "username".into(), ..Default::default() };
    let page_token = app.admin.ok(first.clone()).await.message.next_page_token;
    let next = ListUsersRequest { page_token: page_token.clone(), ..first };
    let consistency_token = app.signed_up("newcomer").await.consistency_token;
    let foreign = [
        ListUsersRequest { page_token: tampered(&page_token), ..next.clone() },
        ListUsersRequest { page_token: "garbage".into(), ..next.clone() },
        ListUsersRequest { page_token: "x".repeat(10_000), ..next.clone() },
        ListUsersRequest { page_token: page_token[1..].into(), ..next.clone() },
        ListUsersRequest { order_by: "username desc".into(), ..next.clone() },
        ListUsersRequest { order_by: String::new(), ..next.clone() },
        ListUsersRequest { skip: 1, ..next.clone() },
        ListUsersRequest { roles: vec![UserRole::User.into()], ..next.clone() },
        ListUsersRequest { states: vec![1], ..next.clone() },
        ListUsersRequest { username_prefix: "a".into(), ..next.clone() },
        ListUsersRequest { include_total: true, ..next.clone() },
        ListUsersRequest { consistency_token, ..next.clone() },
    ];
    for request in foreign {
        assert_eq!(app.admin.refused("INVALID_PAGE_TOKEN", request).await.broken(), BROKEN);
    }
    app.admin.ok(ListUsersRequest { page_size: 7, ..next.clone() }).await;
    app.super_admin.ok(next).await;
}

#[tokio::test]
async fn a_page_token_survives_a_restart() {
    let mut app = Pair::start().await;
    let first = ListUsersRequest { page_size: 1, ..Default::default() };
    let page_token = app.admin.ok(first.clone()).await.message.next_page_token;
    let sessions = auth::ListSessionsRequest { page_size: 1, page_token: String::new() };
    app.log_in("alice").await;
    let session_token = app.user.ok(sessions).await.message.next_page_token;
    app.stop_users().await;
    app.stop_auth().await;
    app.start_auth().await;
    app.start_users().await;
    app.admin.ok(ListUsersRequest { page_token, ..first }).await;
    app.user.ok(auth::ListSessionsRequest { page_size: 1, page_token: session_token }).await;
}

#[tokio::test]
async fn a_page_token_of_sessions_is_its_users_own() {
    let app = Pair::start().await;
    let (bob, carol) = (app.somebody(UserRole::User).await, app.somebody(UserRole::User).await);
    app.log_in(&bob.username).await;
    app.log_in(&carol.username).await;

    let request = auth::ListSessionsRequest { page_size: 1, page_token: String::new() };
    let own = bob.ok(request).await.message.next_page_token;
    for page_token in [tampered(&own), "garbage".into()] {
        let request = auth::ListSessionsRequest { page_size: 1, page_token };
        assert_eq!(bob.refused("INVALID_PAGE_TOKEN", request).await.broken(), BROKEN);
    }
    let request = auth::ListSessionsRequest { page_size: 1, page_token: own.clone() };
    assert_eq!(carol.refused("INVALID_PAGE_TOKEN", request.clone()).await.broken(), BROKEN);
    bob.ok(request).await;

    let request = ListUserSessionsRequest { user: by_id(&bob.id), page_size: 1, page_token: String::new() };
    let admins = app.admin.ok(request.clone()).await.message.next_page_token;
    for page_token in [own.clone(), tampered(&admins)] {
        let request = ListUserSessionsRequest { page_token, ..request.clone() };
        assert_eq!(app.admin.refused("INVALID_PAGE_TOKEN", request).await.broken(), BROKEN);
    }
    let of_carol =
        ListUserSessionsRequest { user: by_id(&carol.id), page_size: 1, page_token: admins.clone() };
    assert_eq!(app.admin.refused("INVALID_PAGE_TOKEN", of_carol).await.broken(), BROKEN);
    app.admin.ok(ListUserSessionsRequest { page_token: admins.clone(), ..request }).await;

    let request = port::ListSessionsRequest { account_id: bob.id.clone(), page_size: 1, page_token: admins };
    assert_eq!(app.full.refused("INVALID_PAGE_TOKEN", request).await.broken(), BROKEN);
}
