//! A streaming replica that answers queries: what it may show that is old, what is never old, and that nobody is the
//! worse for it when it is away.
//!
//! Pausing the replay is what proves where an answer came from: the replica then shows what was, for ever.

use std::time::{Duration, Instant};

use api::users::{
    CreateUserRequest, GetCurrentUserRequest, GetUserRequest, GrantAdminRequest, InactivateUserRequest,
    ListUsersRequest, ReactivateUserRequest, RevokeAdminRequest, SetUserPasswordRequest, User, UserRole,
    UserState,
};
use e2e::{
    Cluster, Engine, PASSWORD, Pair, Processes, Service, Settings, by_id, by_name, eventually, same_at, sql,
};

use crate::crashes::BINARIES;

const REPLICAS: usize = 2;

/// Two processes of each service over a server and its replica.
struct Replicated {
    app: Pair,
    replica: Cluster,
    // After what uses it.
    _primary: Cluster,
}

impl Replicated {
    async fn start() -> Self {
        let primary = Cluster::start(&[]).await;
        let replica = primary.replica().await;
        let app = Pair::start_with(Settings::replicated(REPLICAS).at(&primary).reading_from(&replica)).await;
        let this = Self { app, replica, _primary: primary };
        this.eventually_lists("alice").await;
        this
    }

    async fn pause(&self) {
        sql(&self.replica.url(), "select pg_wal_replay_pause()").await;
        eventually("the replay to be paused", async || {
            let state = sql(&self.replica.url(), "select pg_get_wal_replay_pause_state()").await;
            (state == "paused").then_some(())
        })
        .await;
    }

    async fn resume(&self) {
        sql(&self.replica.url(), "select pg_wal_replay_resume()").await;
    }

    /// How the user of this name is listed by a process of users-service.
    async fn listed(&self, process: usize, username: &str, token: &str) -> Option<User> {
        let request = ListUsersRequest {
            username_prefix: username.into(),
            consistency_token: token.into(),
            ..Default::default()
        };
        let page = self.app.super_admin.of_replica(process).ok(request).await.message;
        page.users.into_iter().find(|user| user.username == username)
    }

    async fn eventually_lists(&self, username: &str) {
        for process in 0..REPLICAS {
            eventually("the replica to come after", async || {
                self.listed(process, username, "").await.map(drop)
            })
            .await;
        }
    }
}

fn create(username: &str) -> CreateUserRequest {
    CreateUserRequest {
        username: username.into(),
        password: PASSWORD.into(),
        role: UserRole::User.into(),
        request_id: String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_a_token_may_show_what_was_and_one_with_a_token_shows_its_write() {
    let this = Replicated::start().await;
    let by = &this.app.super_admin;
    let etag = String::new;
    this.pause().await;

    let signed_up = this.app.signed_up("newcomer").await;
    let created = by.ok(create("worker")).await.message;
    let worker = created.user.expect("a user").user_id;
    let alice = &this.app.user.id;
    let granted = by.ok(GrantAdminRequest { user: by_id(alice), etag: etag() }).await.message;
    for process in 0..REPLICAS {
        assert!(this.listed(process, "newcomer", &signed_up.consistency_token).await.is_some());
        assert!(this.listed(process, "worker", &created.consistency_token).await.is_some());
        let user = this.listed(process, "alice", &granted.consistency_token).await.expect("listed");
        assert_eq!(user.role(), UserRole::Admin);
        // The primary has all of it: it was not the primary that answers this.
        assert_eq!(this.listed(process, "newcomer", "").await, None);
        assert_eq!(this.listed(process, "worker", "").await, None);
        assert_eq!(this.listed(process, "alice", "").await.expect("listed").role(), UserRole::User);
    }

    let off = by.ok(InactivateUserRequest { user: by_id(alice), etag: etag() }).await.message;
    let token = &off.consistency_token;
    assert_eq!(this.listed(0, "alice", token).await.expect("listed").state(), UserState::Inactive);
    assert_eq!(this.listed(1, "alice", "").await.expect("listed").state(), UserState::Active);
    let on = by.ok(ReactivateUserRequest { user: by_id(alice), etag: etag() }).await.message;
    assert_eq!(this.listed(1, "alice", &on.consistency_token).await, on.user);
    let revoked = by.ok(RevokeAdminRequest { user: by_id(alice), etag: etag() }).await.message;
    assert_eq!(this.listed(0, "alice", &revoked.consistency_token).await, revoked.user);
    let set = SetUserPasswordRequest { user: by_id(alice), password: "another long secret".into() };
    let set = by.ok(set).await.message;
    assert_eq!(this.listed(1, "alice", &set.consistency_token).await, set.user);
    let request = GetUserRequest { user: by_id(alice), consistency_token: set.consistency_token };
    assert_eq!(by.ok(request).await.message.user, set.user);

    // Whom the replica does not know is not unknown.
    for (process, user) in
        [(0, by_id(&worker)), (1, by_id(&worker)), (0, by_name("worker")), (1, by_name("NEWCOMER"))]
    {
        let request = GetUserRequest { user, consistency_token: String::new() };
        by.of_replica(process).ok(request).await;
    }
    assert_eq!(this.listed(0, "worker", "").await, None, "it is paused still");

    this.resume().await;
    this.eventually_lists("worker").await;
    this.eventually_lists("newcomer").await;
    for process in 0..REPLICAS {
        let now = eventually("the last write", async || {
            this.listed(process, "alice", "").await.filter(|user| Some(user) == set.user.as_ref())
        })
        .await;
        assert_eq!((now.role(), now.state()), (UserRole::User, UserState::Active));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_replica_is_can_be_said_in_a_file() {
    let mut this = Replicated::start().await;
    let url = same_at(&this.replica.url(), &this.app.data().url(Service::Users));
    let file = this.app.write("replica-url", &format!("{url}\n"));
    this.app.tell_users("DATABASE__REPLICA_URL", "");
    this.app.tell_users("DATABASE__REPLICA_URL_FILE", &file);
    this.app.stop_users().await;
    this.app.start_users().await;
    this.pause().await;
    let newcomer = this.app.signed_up("newcomer").await;
    for process in 0..REPLICAS {
        assert!(this.listed(process, "newcomer", &newcomer.consistency_token).await.is_some());
        assert_eq!(this.listed(process, "newcomer", "").await, None, "it is read from the replica");
    }
    this.resume().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what_is_never_asked_of_the_replica() {
    let this = Replicated::start().await;
    let (by, admin) = (&this.app.super_admin, &this.app.admin);
    let etag = String::new;
    let role = async |process: usize| {
        let request = GetCurrentUserRequest::default();
        admin.of_replica(process).ok(request).await.message.user.expect("a user").role()
    };
    this.pause().await;
    for _ in 0..20 {
        by.ok(RevokeAdminRequest { user: by_id(&admin.id), etag: etag() }).await;
        for process in 0..REPLICAS {
            admin.of_replica(process).refused("ROLE_TOO_LOW", ListUsersRequest::default()).await;
            assert_eq!(role(process).await, UserRole::User);
        }
        by.ok(GrantAdminRequest { user: by_id(&admin.id), etag: etag() }).await;
        for process in 0..REPLICAS {
            admin.of_replica(process).ok(ListUsersRequest::default()).await;
            assert_eq!(role(process).await, UserRole::Admin);
        }
    }
    // Nor whether somebody has a right over somebody: the target's role counts as it is.
    let other = this.app.created("other", UserRole::User).await;
    admin.ok(InactivateUserRequest { user: by_id(&other.id), etag: etag() }).await;
    by.ok(GrantAdminRequest { user: by_id(&other.id), etag: etag() }).await;
    for process in 0..REPLICAS {
        let request = ReactivateUserRequest { user: by_id(&other.id), etag: etag() };
        admin.of_replica(process).refused("ROLE_TOO_LOW", request).await;
    }
    by.ok(InactivateUserRequest { user: by_id(&admin.id), etag: etag() }).await;
    for process in 0..REPLICAS {
        admin.of_replica(process).refused("UNAUTHENTICATED", ListUsersRequest::default()).await;
        admin.of_replica(process).refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
    }
    assert_eq!(this.listed(0, "admin", "").await.expect("listed").role(), UserRole::Admin, "paused still");
    this.resume().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_away_is_done_without_and_is_used_again_when_it_is_back() {
    let this = Replicated::start().await;
    let with = waits(&this).await;
    this.replica.crash().await;
    let without = waits(&this).await;
    println!("200 queries one after the other, with the replica: {with}, without: {without}");
    // What it cannot have.
    this.app.signed_up("newcomer").await;
    this.eventually_lists("newcomer").await;

    this.replica.start_again().await;
    let mut attempts = 0;
    eventually("the replica to be used again", async || {
        this.pause().await;
        attempts += 1;
        let username = format!("late{attempts}");
        let token = this.app.signed_up(&username).await.consistency_token;
        assert!(this.listed(0, &username, &token).await.is_some());
        let is_old = this.listed(0, &username, "").await.is_none();
        this.resume().await;
        is_old.then_some(())
    })
    .await;
}

/// The median and the longest time of a query of each process, and how long all of them took.
async fn waits(this: &Replicated) -> String {
    let mut waits = Vec::new();
    for number in 0..200 {
        let began = Instant::now();
        this.listed(number % REPLICAS, "alice", "").await.expect("listed");
        waits.push(began.elapsed());
    }
    let total: Duration = waits.iter().sum();
    waits.sort_unstable();
    format!("p50 {:.1?}, max {:.1?}, all {total:.1?}", waits[100], waits[199])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_follows_another_is_not_taken_for_the_primary() {
    let primary = Cluster::start(&[]).await;
    let replica = primary.replica().await;
    let settings = Settings::on(Engine::Postgres)
        .at(&primary)
        .auth("DATABASE__URL", &replica.url())
        .users("DATABASE__URL", &replica.url());
    let pair = Processes::prepared(BINARIES, settings).await;
    for service in [Service::Auth, Service::Users] {
        let refused = pair.elsewhere(service, &["serve"]).await;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("is a standby"), "{service:?}: {said}");
    }
}
