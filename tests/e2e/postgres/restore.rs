//! auth-service's database is put back to yesterday's dump by an operator, with the server's own tools and the service's
//! own command, while two processes of users-service go on.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use api::auth::{ChangePasswordRequest, GetCurrentSessionRequest, LogInRequest, LogOutRequest};
use api::users::{
    CreateUserRequest, GetCurrentUserRequest, GetUserRequest, GrantAdminRequest, InactivateUserRequest,
    ListUsersRequest, ReactivateUserRequest, RevokeAdminRequest, SetUserPasswordRequest, User, UserRole,
    UserState,
};
use e2e::{
    Caller, PASSWORD, Person, Processes, Service, Settings, by_id, by_name, client_program, eventually,
    sign_up,
};

use crate::crashes::BINARIES;

const LATER_PASSWORD: &str = "another long secret";
const REPLICAS: usize = 2;
/// The two have to agree by then.
const SOON: Duration = Duration::from_secs(30);
/// How many there are besides those who have a story.
const CROWD: usize = 30;

/// What users-service shows of everybody: by name and id, since a name may come twice.
type Shown = BTreeMap<(String, String), (UserRole, UserState)>;

/// Before the dump.
struct Yesterday {
    steady: Person,
    leaves: Person,
    changes_password: Person,
    gets_a_password: Person,
    is_inactivated: Person,
    is_reactivated: Person,
    becomes_admin: Person,
    was_admin: Person,
}

/// After the dump, and lost with the restore.
struct Today {
    tokens: Vec<String>,
    lost_user: Person,
    lost_admin: Person,
    request: CreateUserRequest,
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_both_services_agree_and_nothing_of_the_time_after_the_dump_opens_a_door() {
    let mut pair = Processes::prepared(BINARIES, Settings::replicated(REPLICAS)).await;
    pair.run(Service::Auth, None).await;
    pair.run(Service::Users, None).await;
    pair.ready().await;
    let root = pair.super_admin().await;
    let yesterday = Yesterday::lived(&pair.anonymous, &root).await;
    let dump = pair.home().join("auth.dump");
    dumped(&pair, &dump).await;
    let today = Today::lived(&pair.anonymous, &root, &yesterday).await;
    let before = everybody(&root, 0).await;
    let mut expected = before.clone();
    for ((username, id), (_, state)) in &mut expected {
        let is_lost =
            username.starts_with("today") || [&today.lost_user.id, &today.lost_admin.id].contains(&id);
        if is_lost || *id == yesterday.is_reactivated.id {
            *state = UserState::Inactive;
        } else {
            *state = UserState::Active;
        }
    }
    assert_ne!(expected, before);

    pair.kill(Service::Auth).await;
    for replica in 0..REPLICAS {
        root.of_replica(replica).refused("IDENTITY_PROVIDER_UNAVAILABLE", ListUsersRequest::default()).await;
    }
    pair.data().erase(Service::Auth).await;
    restored(&pair, &dump).await;
    let said = pair.command_output(Service::Auth, &["after-restore"]).await;
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    println!("{}", String::from_utf8_lossy(&said.stdout).trim());
    pair.run(Service::Auth, None).await;
    let served = Instant::now();
    pair.ready().await;

    // No door is open for a moment, not even before the two agree.
    let tokens = yesterday.everybody().map(|person| &person.token);
    for token in tokens.into_iter().chain(&today.tokens).chain([&root.token]) {
        for replica in 0..REPLICAS {
            let caller = pair.anonymous.bearer(token).of_replica(replica);
            caller.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
            caller.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
        }
    }
    let root = Person::log_in(&pair.anonymous, "superadmin").await;
    passwords_are_those_of_the_dump(&pair.anonymous, &yesterday, &today).await;

    let agreed = eventually("both to agree", async || {
        for replica in 0..REPLICAS {
            if everybody(&root, replica).await != expected {
                return None;
            }
        }
        Some(served.elapsed())
    })
    .await;
    assert!(agreed <= SOON, "the two agreed after {agreed:?}");
    println!("both replicas agree on {} users {agreed:?} after auth-service listens", expected.len());

    life_goes_on(&pair.anonymous, &root, &today).await;
}

impl Yesterday {
    fn everybody(&self) -> [&Person; 8] {
        [
            &self.steady,
            &self.leaves,
            &self.changes_password,
            &self.gets_a_password,
            &self.is_inactivated,
            &self.is_reactivated,
            &self.becomes_admin,
            &self.was_admin,
        ]
    }

    async fn lived(anonymous: &Caller, root: &Person) -> Self {
        for number in 0..CROWD {
            anonymous.ok(sign_up(&format!("crowd{number}"))).await;
        }
        let person = async |username: &str, role| {
            root.ok(create(username, role)).await;
            Person::log_in(anonymous, username).await
        };
        let yesterday = Self {
            steady: person("steady", UserRole::User).await,
            leaves: person("leaves", UserRole::User).await,
            changes_password: person("changes", UserRole::User).await,
            gets_a_password: person("forgets", UserRole::User).await,
            is_inactivated: person("inactivated", UserRole::User).await,
            is_reactivated: person("reactivated", UserRole::User).await,
            becomes_admin: person("promoted", UserRole::User).await,
            was_admin: person("demoted", UserRole::Admin).await,
        };
        root.ok(InactivateUserRequest { user: by_id(&yesterday.is_reactivated.id), etag: String::new() })
            .await;
        yesterday
    }
}

impl Today {
    async fn lived(anonymous: &Caller, root: &Person, yesterday: &Yesterday) -> Self {
        for number in 0..CROWD {
            anonymous.ok(sign_up(&format!("today{number}"))).await;
        }
        anonymous.ok(sign_up("lostuser")).await;
        let request_id = "0198f0c2-7d1e-4cc3-98a4-2f6f3f1a2b3d".into();
        let request = CreateUserRequest { request_id, ..create("lostadmin", UserRole::Admin) };
        root.ok(request.clone()).await;
        let lost_user = Person::log_in(anonymous, "lostuser").await;
        let lost_admin = Person::log_in(anonymous, "lostadmin").await;

        yesterday.leaves.ok(LogOutRequest {}).await;
        let change =
            ChangePasswordRequest { current_password: PASSWORD.into(), new_password: LATER_PASSWORD.into() };
        let changed = yesterday.changes_password.ok(change).await.message.access_token;
        let user = by_id(&yesterday.gets_a_password.id);
        root.ok(SetUserPasswordRequest { user, password: LATER_PASSWORD.into() }).await;
        let got = log_in(anonymous, "forgets", LATER_PASSWORD).await.expect("it is set");
        let etag = String::new();
        let user = by_id(&yesterday.is_inactivated.id);
        root.ok(InactivateUserRequest { user, etag: etag.clone() }).await;
        let user = by_id(&yesterday.is_reactivated.id);
        root.ok(ReactivateUserRequest { user, etag: etag.clone() }).await;
        let active_again = Person::log_in(anonymous, "reactivated").await.token;
        let user = by_id(&yesterday.becomes_admin.id);
        root.ok(GrantAdminRequest { user, etag: etag.clone() }).await;
        root.ok(RevokeAdminRequest { user: by_id(&yesterday.was_admin.id), etag }).await;
        let steady = Person::log_in(anonymous, "steady").await.token;
        let tokens =
            vec![changed, got, active_again, steady, lost_user.token.clone(), lost_admin.token.clone()];
        Self { tokens, lost_user, lost_admin, request }
    }
}

async fn passwords_are_those_of_the_dump(anonymous: &Caller, yesterday: &Yesterday, today: &Today) {
    for person in [&yesterday.changes_password, &yesterday.gets_a_password] {
        let refused = log_in(anonymous, &person.username, LATER_PASSWORD).await.expect_err("it is of later");
        assert_eq!(refused, "INVALID_CREDENTIALS", "{}", person.username);
    }
    for (username, reason) in [
        (&today.lost_user.username, "INVALID_CREDENTIALS"),
        (&today.lost_admin.username, "INVALID_CREDENTIALS"),
        (&yesterday.is_reactivated.username, "ACCOUNT_INACTIVE"),
    ] {
        let refused = log_in(anonymous, username, PASSWORD).await.expect_err("not of the dump");
        assert_eq!(refused, reason, "{username}");
    }
    for person in [
        &yesterday.steady,
        &yesterday.leaves,
        &yesterday.changes_password,
        &yesterday.gets_a_password,
        &yesterday.is_inactivated,
        &yesterday.becomes_admin,
        &yesterday.was_admin,
    ] {
        log_in(anonymous, &person.username, PASSWORD).await.expect("as in the dump");
    }
}

/// Newcomers arrive by themselves, a name that was set free belongs to whoever takes it, and who was created has come
/// back when the request is repeated.
async fn life_goes_on(anonymous: &Caller, root: &Person, today: &Today) {
    let newcomer = anonymous.ok(sign_up("newcomer")).await.message.user_id;
    let successor = anonymous.ok(sign_up("lostuser")).await.message.user_id;
    assert_ne!(successor, today.lost_user.id);
    let again = root.ok(today.request.clone()).await.message.user.expect("a user");
    assert_eq!((again.role(), again.state()), (UserRole::Admin, UserState::Active));
    for replica in 0..REPLICAS {
        let shown = eventually("newcomers", async || {
            let shown = everybody(root, replica).await;
            let have_come = [("newcomer", &newcomer), ("lostuser", &successor)]
                .iter()
                .all(|(name, id)| shown.contains_key(&((*name).to_owned(), (*id).clone())));
            have_come.then_some(shown)
        })
        .await;
        assert_eq!(shown[&("newcomer".to_owned(), newcomer.clone())], (UserRole::User, UserState::Active));
        assert_eq!(shown[&("lostuser".to_owned(), successor.clone())], (UserRole::User, UserState::Active));
        let gone = ("lostuser".to_owned(), today.lost_user.id.clone());
        assert_eq!(shown[&gone], (UserRole::User, UserState::Inactive));
        let request = GetUserRequest { user: by_name("LOSTUSER"), consistency_token: String::new() };
        let named: User = root.of_replica(replica).ok(request).await.message.user.expect("a user");
        assert_eq!(named.user_id, successor);
    }
    let back = Person::log_in(anonymous, "lostadmin").await;
    assert_eq!(back.id, again.user_id);
    back.ok(ListUsersRequest::default()).await;
}

fn create(username: &str, role: UserRole) -> CreateUserRequest {
    let (username, password) = (username.to_owned(), PASSWORD.to_owned());
    CreateUserRequest { username, password, role: role.into(), request_id: String::new() }
}

/// The token, or the reason why there is none.
async fn log_in(anonymous: &Caller, username: &str, password: &str) -> Result<String, String> {
    let request = LogInRequest { username: username.to_owned(), password: password.to_owned() };
    let opened = anonymous.call(request).await.map_err(|failure| failure.reason)?;
    Ok(opened.message.access_token)
}

async fn everybody(root: &Person, replica: usize) -> Shown {
    let request = ListUsersRequest { page_size: 1000, ..Default::default() };
    let page = root.of_replica(replica).ok(request).await.message;
    assert!(page.next_page_token.is_empty(), "they fit on a page");
    let shown = page.users.into_iter().map(|user| {
        let is = (user.role(), user.state());
        ((user.username, user.user_id), is)
    });
    shown.collect()
}

async fn dumped(pair: &Processes, file: &Path) {
    let to = format!("--file={}", file.display());
    ran("pg_dump", pair, &["--format=custom", &to]).await;
}

async fn restored(pair: &Processes, file: &Path) {
    ran("pg_restore", pair, &["--exit-on-error", &file.display().to_string()]).await;
}

async fn ran(program: &str, pair: &Processes, arguments: &[&str]) {
    let output = client_program(program, &pair.data().url(Service::Auth), arguments).await;
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}
