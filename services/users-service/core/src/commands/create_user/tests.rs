use super::*;
use crate::domain::UserKey;
use crate::testing::{LostCommit, World, a_password, a_username, an_actor};

const REQUEST: &str = "7f2c1d34-0000-4000-8000-000000000001";

fn create(username: &str, role: Role, request_id: Option<&str>) -> CreateUser {
    CreateUser {
        username: a_username(username),
        password: a_password("correct horse battery"),
        role,
        request_id: request_id.map(|text| RequestId::parse(text).unwrap()),
    }
}

fn form(username: &str, password: &str, role: Result<Role, Rule>, request_id: &str) -> CreateUserForm {
    CreateUserForm {
        username: username.into(),
        password: password.into(),
        role,
        request_id: request_id.into(),
    }
}

#[tokio::test]
async fn a_user_is_created_with_the_role_that_was_asked_for() {
    let world = World::new();
    let command = create("Alice", Role::Admin, None);
    let created = command.execute(&world.commands(), &an_actor(Role::SuperAdmin)).await.unwrap();
    assert_eq!((created.user.username.as_str(), created.user.role), ("Alice", Role::Admin));
    assert_eq!(world.find(created.user.id).await.unwrap(), created.user);
    assert_eq!(world.store.reservations(), 0);
}

#[tokio::test]
async fn nobody_creates_an_equal() {
    let world = World::new();
    let command = create("alice", Role::Admin, None);
    let error = command.execute(&world.commands(), &an_actor(Role::Admin)).await.unwrap_err();
    assert!(matches!(error, Error::RoleTooLow { required: None }));
    assert_eq!(world.store.reservations(), 0);
}

#[tokio::test]
async fn a_taken_name_leaves_nothing_behind() {
    let world = World::new();
    world.provider.register("alice");
    let command = create("ALICE", Role::User, Some(REQUEST));
    let error = command.clone().execute(&world.commands(), &an_actor(Role::Admin)).await.unwrap_err();
    assert!(matches!(error, Error::UsernameTaken(_)));
    assert_eq!((world.store.reservations(), world.store.requests()), (0, 0));
}

#[tokio::test]
async fn a_lost_reply_leaves_a_reservation_by_which_the_feed_completes_the_user() {
    let world = World::new();
    world.provider.lose_the_next_reply();
    let command = create("alice", Role::Admin, None);
    let error = command.execute(&world.commands(), &an_actor(Role::SuperAdmin)).await.unwrap_err();
    assert!(matches!(error, Error::IdentityProviderUnavailable(_)));
    let found = target::find(&world.commands(), &UserKey::Username(a_username("alice"))).await.unwrap();
    assert_eq!(found.role, Role::Admin);
}

#[tokio::test]
async fn a_repeat_has_the_effect_of_one_call() {
    let world = World::new();
    let actor = an_actor(Role::Admin);
    world.provider.lose_the_next_reply();
    let command = create("alice", Role::User, Some(REQUEST));
    command.clone().execute(&world.commands(), &actor).await.unwrap_err();
    let second = command.clone().execute(&world.commands(), &actor).await.unwrap();
    let third = command.execute(&world.commands(), &actor).await.unwrap();
    assert_eq!(second, third);
    assert_eq!(world.provider.accounts(), 1);
}

#[tokio::test]
async fn a_request_id_belongs_to_one_content_of_one_caller_for_a_day() {
    let world = World::new();
    let cx = world.commands();
    let actor = world.actor("admin", Role::Admin).await;
    create("alice", Role::User, Some(REQUEST)).execute(&cx, &actor).await.unwrap();

    let other_name = create("Alice", Role::User, Some(REQUEST));
    assert!(matches!(other_name.execute(&cx, &actor).await, Err(Error::RequestIdReused)));
    let other_password = CreateUser {
        password: a_password("a different long one"),
        ..create("alice", Role::User, Some(REQUEST))
    };
    assert!(matches!(other_password.execute(&cx, &actor).await, Err(Error::RequestIdReused)));

    let other_caller = world.actor("other", Role::Admin).await;
    create("bobby", Role::User, Some(REQUEST)).execute(&cx, &other_caller).await.unwrap();

    world.store.advance(REMEMBERED + TimeDelta::seconds(1));
    create("carol", Role::User, Some(REQUEST)).execute(&cx, &actor).await.unwrap();
}

#[tokio::test]
async fn a_request_that_was_refused_for_the_moment_gives_its_mark_to_other_content() {
    let world = World::new();
    let cx = world.commands();
    let actor = an_actor(Role::Admin);
    world.provider.be_busy_once();
    let busy = create("alice", Role::User, Some(REQUEST)).execute(&cx, &actor).await;
    assert!(matches!(busy, Err(Error::HasherBusy { .. })));
    let other = create("bobby", Role::User, Some(REQUEST)).execute(&cx, &actor).await.unwrap();
    assert_eq!(other.user.username.as_str(), "bobby");
}

#[tokio::test]
async fn a_request_that_was_refused_after_a_lost_commit_gives_its_mark_too() {
    let world = World::new();
    let cx = world.commands();
    let actor = an_actor(Role::Admin);
    world.store.lose_commits([LostCommit::Done]);
    world.provider.be_busy_once();
    let busy = create("alice", Role::User, Some(REQUEST)).execute(&cx, &actor).await;
    assert!(matches!(busy, Err(Error::HasherBusy { .. })));
    create("bobby", Role::User, Some(REQUEST)).execute(&cx, &actor).await.unwrap();
}

#[tokio::test]
async fn a_claim_that_a_repeat_confirmed_while_its_commit_was_looked_into_is_not_released() {
    let world = World::new();
    let cx = world.commands();
    let actor = an_actor(Role::Admin);
    world.store.lose_commits([LostCommit::Done]);
    world.store.let_others_confirm_the_requests();
    world.provider.be_busy_once();
    let busy = create("alice", Role::User, Some(REQUEST)).execute(&cx, &actor).await;
    assert!(matches!(busy, Err(Error::HasherBusy { .. })));
    let other = create("bobby", Role::User, Some(REQUEST)).execute(&cx, &actor).await;
    assert!(matches!(other, Err(Error::RequestIdReused)), "{other:?}");
}

#[tokio::test]
async fn a_repeat_that_succeeded_is_remembered_though_the_first_was_refused_for_the_moment() {
    let world = World::new();
    let cx = world.commands();
    let actor = an_actor(Role::Admin);
    // The first one is at the owner's, and hears that it is busy when the repeat is done.
    let first = create("alice", Role::User, Some(REQUEST));
    let reserved = first.reserve(&cx, &actor).await.unwrap();
    let created = create("alice", Role::User, Some(REQUEST)).execute(&cx, &actor).await.unwrap();
    assert_eq!(created.user.id, reserved.id);
    first.release(&cx, &actor, reserved).await.unwrap();
    let other = create("bobby", Role::User, Some(REQUEST)).execute(&cx, &actor).await;
    assert!(matches!(other, Err(Error::RequestIdReused)), "{other:?}");
    let again = create("alice", Role::User, Some(REQUEST)).execute(&cx, &actor).await.unwrap();
    assert_eq!(again.user.id, reserved.id);
}

#[tokio::test]
async fn a_request_whose_outcome_is_open_keeps_its_mark() {
    let world = World::new();
    let cx = world.commands();
    let actor = an_actor(Role::Admin);
    world.provider.lose_the_next_reply();
    create("alice", Role::User, Some(REQUEST)).execute(&cx, &actor).await.unwrap_err();
    let other = create("bobby", Role::User, Some(REQUEST)).execute(&cx, &actor).await;
    assert!(matches!(other, Err(Error::RequestIdReused)));
}

#[tokio::test]
async fn every_field_is_named_at_once_with_the_owners_policy_and_none_twice() {
    let world = World::new();
    let error = form("a", "short", Err(Rule::Unspecified), "x").check(&world.commands()).await.unwrap_err();
    let Error::InvalidField(broken) = error else { panic!("{error}") };
    let mut fields: Vec<_> = broken.iter().map(|violation| violation.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["password", "request_id", "role", "username"]);
}

#[tokio::test]
async fn nobody_is_created_a_super_admin() {
    let world = World::new();
    let form = form("alice", "correct horse battery", Ok(Role::SuperAdmin), "");
    let error = form.check(&world.commands()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidField(broken) if broken[0].reason == "NOT_ALLOWED"));
}
