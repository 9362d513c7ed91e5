//! The feed as users-service follows it: what a list shows, and that it comes to show everything.

use api::users::{InactivateUserRequest, ListUsersRequest, User, UserRole, UserState};
use e2e::{Caller, Pair, Service, by_id, eventually};

/// As many accounts as the check of the feed asks for.
const MANY: u32 = 10_000;

/// Up to this many the total is exact on every engine.
const COUNTED: i64 = 10_000;

async fn count(caller: &Caller) -> i64 {
    let request = ListUsersRequest { include_total: true, page_size: 1, ..Default::default() };
    let total = caller.ok(request).await.message.total_size;
    if total <= COUNTED { total } else { listed(caller).await.len().try_into().expect("not that many") }
}

async fn listed(caller: &Caller) -> Vec<User> {
    let mut request = ListUsersRequest { page_size: 1000, order_by: "username".into(), ..Default::default() };
    let mut users = Vec::new();
    loop {
        let page = caller.ok(request.clone()).await.message;
        users.extend(page.users);
        if page.next_page_token.is_empty() {
            return users;
        }
        request.page_token = page.next_page_token;
    }
}

/// Adds accounts to auth-service's data while nobody serves it, so that the feed is the only way to users-service.
async fn grow(app: &mut Pair, accounts: std::ops::Range<u32>) {
    app.stop_users().await;
    app.stop_auth().await;
    app.data().register(accounts).await;
    app.start_auth().await;
    app.start_users().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_accounts_are_followed_from_an_empty_cursor_and_from_where_a_restart_left_off() {
    let mut app = Pair::start().await;
    let others = i64::try_from(listed(&app.admin).await.len()).expect("few");
    grow(&mut app, 0..MANY / 2).await;
    eventually("the first half", async || {
        (count(&app.admin).await == others + i64::from(MANY / 2)).then_some(())
    })
    .await;
    grow(&mut app, MANY / 2..MANY).await;
    eventually("some of the second half", async || {
        (count(&app.admin).await > others + i64::from(MANY / 2)).then_some(())
    })
    .await;
    // Wherever in the second half that was.
    app.stop_users().await;
    app.start_users().await;
    eventually("everybody", async || (count(&app.admin).await == others + i64::from(MANY)).then_some(()))
        .await;

    // A database that knows nothing reads it all again: every account is a user, as it is now.
    let before = listed(&app.admin).await;
    app.stop_users().await;
    app.data().erase(Service::Users).await;
    app.start_users().await;
    app.bootstrap("newroot").await;
    let root = app.log_in("newroot").await;
    eventually("everybody again", async || {
        (count(&root).await == others + i64::from(MANY) + 1).then_some(())
    })
    .await;
    let after = listed(&root).await;
    let seen = |users: &[User]| -> Vec<(String, String, i32)> {
        let users = users.iter().filter(|user| user.username != "newroot");
        users.map(|user| (user.user_id.clone(), user.username.clone(), user.state)).collect()
    };
    assert_eq!(seen(&after), seen(&before));
}

#[tokio::test]
async fn a_database_that_knows_nothing_makes_nobody_an_admin() {
    let mut app = Pair::start().await;
    app.stop_users().await;
    app.data().erase(Service::Users).await;
    app.start_users().await;
    for person in [&app.user, &app.admin, &app.super_admin] {
        let request = api::users::GetCurrentUserRequest::default();
        let user = person.ok(request).await.message.user.expect("a user");
        assert_eq!((user.username, user.role), (person.username.clone(), UserRole::User.into()));
    }
}

#[tokio::test]
async fn what_happened_while_users_service_was_away_shows_without_anybody_asking_for_it() {
    let mut app = Pair::start().await;
    app.stop_users().await;
    let newcomer = app.signed_up("newcomer").await.user_id;
    let request =
        api::identity::DisableAccountRequest { account_id: app.user.id.clone(), ..Default::default() };
    app.full.ok(request).await;
    app.start_users().await;
    let states = eventually("both changes", async || {
        let users = listed(&app.admin).await;
        let state = |id: &str| users.iter().find(|user| user.user_id == id).map(User::state);
        state(&newcomer).zip(state(&app.user.id)).filter(|(_, alice)| *alice == UserState::Inactive)
    })
    .await;
    assert_eq!(states, (UserState::Active, UserState::Inactive));
}

#[tokio::test]
async fn the_same_messages_twice_change_nothing() {
    let mut app = Pair::start().await;
    for number in 0..30 {
        app.signed_up(&format!("newcomer{number}")).await;
    }
    let everybody = async |app: &Pair| {
        eventually("everybody", async || {
            let users = listed(&app.admin).await;
            (users.len() == 33).then_some(users)
        })
        .await
    };
    let before = everybody(&app).await;
    // Whoever was projected on the spot is told of by the feed as well: each of these comes a second time.
    for user in &before {
        app.visible(&user.user_id, "").await;
    }
    app.stop_users().await;
    app.data().back_up(Service::Users).await;
    app.start_users().await;
    app.admin.ok(InactivateUserRequest { user: by_id(&app.user.id), etag: String::new() }).await;
    let after = everybody(&app).await;
    // With the older rows and the older cursor in their place, the feed brings once more what it brought before.
    app.stop_users().await;
    app.data().restore(Service::Users).await;
    app.start_users().await;
    eventually("the change again", async || (listed(&app.admin).await == after).then_some(())).await;
    app.stop_users().await;
    app.start_users().await;
    assert_eq!(everybody(&app).await, after);
}
