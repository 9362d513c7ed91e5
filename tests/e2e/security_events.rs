//! The security log: who did what to whom, and how it ended, in one line for each event; nothing that a caller typed.

use api::auth::{
    ChangePasswordRequest, GetCurrentSessionRequest, LogInRequest, LogOutRequest, RevokeAllSessionsRequest,
    RevokeSessionRequest,
};
use api::identity::{AuthenticateRequest, DisableAccountRequest, RegisterAccountRequest, SetPasswordRequest};
use api::users::{
    CreateUserRequest, GetCurrentUserRequest, GrantAdminRequest, InactivateUserRequest, ListUsersRequest,
    ReactivateUserRequest, RevokeAdminRequest, RevokeUserSessionsRequest, SetUserPasswordRequest, UserRole,
};
use e2e::{
    Call, Caller, PASSWORD, Person, Processes, Service, Settings, by_id, by_name, eventually, sign_up,
};
use serde_json::{Value, json};
use tonic::Status;

use crate::crashes::BINARIES;

const OTHER_PASSWORD: &str = "another long secret";
const UNKNOWN: &str = "0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c";

/// Makes calls of a name each, and looks at what was written down about them.
struct Auditor {
    pair: Processes,
    calls: u32,
}

impl Auditor {
    async fn start(level: &str) -> Self {
        let pair = Processes::start_with(BINARIES, Settings::default().unlimited().logging(level)).await;
        Self { pair, calls: 0 }
    }

    /// Makes a call. By the time it is answered its events are written down: these, of users-service before those of
    /// auth-service.
    async fn call<M: Call>(&mut self, caller: &Caller, message: M, expected: &[Value]) {
        self.calls += 1;
        let id = format!("call-{}", self.calls);
        let outcome = caller.with("x-request-id", &id).raw(message).await;
        let written = self.written_about(&id);
        assert_eq!(written, expected, "{:?}", outcome.map(drop));
    }

    fn written_about(&self, id: &str) -> Vec<Value> {
        let logs = [Service::Users, Service::Auth].map(|service| self.pair.log(service)).concat();
        let events = events(&logs).into_iter();
        events.filter(|line| line["span"]["request_id"] == *id).map(said).collect()
    }

    /// Runs a command of an operator.
    async fn command(&self, service: Service, arguments: &[&str], expected: &[Value]) {
        let output = self.pair.command_output(service, arguments).await;
        let said: Vec<_> = String::from_utf8_lossy(&output.stderr)
            .lines()
            .filter(|line| line.starts_with('{'))
            .flat_map(events)
            .map(said)
            .collect();
        assert_eq!(said, expected, "{arguments:?}");
    }

    async fn log_in(&self, username: &str) -> Person {
        Person::log_in(&self.pair.anonymous, username).await
    }

    async fn user(&self, boss: &Person, username: &str, role: UserRole) -> Person {
        boss.ok(create(username, role)).await;
        self.log_in(username).await
    }
}

fn events(log: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["target"] == "security").collect()
}

/// What a line says of its event.
fn said(mut line: Value) -> Value {
    let fields = line.as_object_mut().expect("an object");
    for frame in ["timestamp", "level", "target", "span"] {
        fields.remove(frame);
    }
    line
}

fn ok(event: &str, actor: &str) -> Value {
    json!({"event": event, "actor": actor, "outcome": "ok"})
}

fn refused(event: &str, reason: &str) -> Value {
    json!({"event": event, "outcome": "refused", "reason": reason})
}

fn with(mut event: Value, key: &str, value: &str) -> Value {
    event[key] = value.into();
    event
}

/// From where these tests call.
fn from_here(event: Value) -> Value {
    with(event, "client_address", "127.0.0.1")
}

/// A command of an administrator that both services write down: by the id or name that it was given, and by the id.
fn on_both(event: &str, of_auth: &str, actor: &str, subject: &str, id: &str) -> [Value; 2] {
    [with(ok(event, actor), "subject", subject), with(ok(of_auth, actor), "subject", id)]
}

fn create(username: &str, role: UserRole) -> CreateUserRequest {
    CreateUserRequest {
        username: username.into(),
        password: PASSWORD.into(),
        role: role.into(),
        request_id: String::new(),
    }
}

fn log_in(username: &str, password: &str) -> LogInRequest {
    LogInRequest { username: username.into(), password: password.into() }
}

#[tokio::test]
async fn what_users_do_with_their_accounts_is_written_down() {
    let mut auditor = Auditor::start("info").await;
    let anonymous = auditor.pair.anonymous.clone();
    auditor.pair.anonymous.ok(sign_up("alice")).await;
    let alice = auditor.log_in("alice").await;
    let (other, id) = (auditor.log_in("alice").await, alice.id.clone());

    auditor.call(&anonymous, sign_up("alice"), &[from_here(refused("sign_up", "username taken"))]).await;
    auditor.call(&anonymous, sign_up("a"), &[from_here(refused("sign_up", "invalid fields"))]).await;
    auditor.call(&anonymous, log_in("alice", PASSWORD), &[from_here(ok("log_in", &id))]).await;
    for (name, password, reason) in [
        ("alice", "a wrong password", "invalid credentials"),
        ("nobody.at.all", PASSWORD, "invalid credentials"),
        ("no name", PASSWORD, "invalid fields"),
    ] {
        auditor.call(&anonymous, log_in(name, password), &[from_here(refused("log_in", reason))]).await;
    }
    // Whoever comes with a token that is good is known by it; one that is not is as good as none.
    let known = |event: &str| from_here(with(refused(event, "already authenticated"), "actor", &id));
    auditor.call(&alice, log_in("nobody.at.all", PASSWORD), &[known("log_in")]).await;
    auditor.call(&alice, sign_up("carol"), &[known("sign_up")]).await;
    let garbage = anonymous.bearer("garbage");
    auditor.call(&garbage, log_in("alice", PASSWORD), &[from_here(ok("log_in", &id))]).await;

    let session_id = other.session.session_id.clone();
    auditor.call(&alice, RevokeSessionRequest { session_id }, &[ok("revoke_session", &id)]).await;
    let nothing = RevokeSessionRequest::default();
    let refusal = with(refused("revoke_session", "invalid fields"), "actor", &id);
    auditor.call(&alice, nothing, &[refusal]).await;
    auditor.call(&other, GetCurrentSessionRequest {}, &[refused("authenticate", "revoked")]).await;
    let revoke_others = RevokeAllSessionsRequest { keep_current: true };
    auditor.call(&alice, revoke_others, &[ok("revoke_all_sessions", &id)]).await;

    let change = |current: &str, new: &str| ChangePasswordRequest {
        current_password: current.into(),
        new_password: new.into(),
    };
    let mismatch = with(refused("change_password", "current password mismatch"), "actor", &id);
    auditor.call(&alice, change("a wrong password", OTHER_PASSWORD), &[mismatch]).await;
    auditor.call(&alice, change(PASSWORD, OTHER_PASSWORD), &[ok("change_password", &id)]).await;
    auditor.call(&alice, LogOutRequest {}, &[refused("authenticate", "revoked")]).await;
    let opened = anonymous.ok(log_in("alice", OTHER_PASSWORD)).await.message;
    let alice = anonymous.bearer(&opened.access_token);
    auditor.call(&alice, LogOutRequest {}, &[ok("log_out", &id)]).await;
    auditor.call(&garbage, LogOutRequest {}, &[refused("authenticate", "malformed")]).await;
    // auth-service says so, whichever of the two was called.
    auditor.call(&alice, GetCurrentUserRequest::default(), &[refused("authenticate", "revoked")]).await;
}

#[tokio::test]
async fn who_comes_to_log_in_with_a_token_that_cannot_be_checked_is_written_down() {
    let mut auditor = Auditor::start("info").await;
    auditor.pair.anonymous.ok(sign_up("alice")).await;
    let alice = auditor.log_in("alice").await;
    auditor.pair.data().run(Service::Auth, "alter table sessions rename to sessions_elsewhere").await;
    let failed = |event: &str| [from_here(refused(event, "store failed"))];
    auditor.call(&alice, log_in("alice", PASSWORD), &failed("log_in")).await;
    auditor.call(&alice, sign_up("bob.b"), &failed("sign_up")).await;
}

#[tokio::test]
async fn what_administrators_command_is_written_down_with_whom_it_is_about() {
    let mut auditor = Auditor::start("info").await;
    let boss = auditor.pair.super_admin().await;
    let admin = auditor.user(&boss, "admin", UserRole::Admin).await;
    let alice = auditor.user(&boss, "alice", UserRole::User).await;
    let (by, id) = (admin.id.clone(), alice.id.clone());

    let inactivate = InactivateUserRequest { user: by_id(&id), etag: String::new() };
    let written = on_both("inactivate_user", "disable_account", &by, &id, &id);
    auditor.call(&admin, inactivate.clone(), &written).await;
    let inactive = from_here(refused("log_in", "account inactive"));
    let anonymous = auditor.pair.anonymous.clone();
    auditor.call(&anonymous, log_in("alice", PASSWORD), &[inactive]).await;
    let reactivate = ReactivateUserRequest { user: by_name("alice"), etag: String::new() };
    let written = on_both("reactivate_user", "enable_account", &by, "alice", &id);
    auditor.call(&admin, reactivate, &written).await;
    let set_password = SetUserPasswordRequest { user: by_id(&id), password: OTHER_PASSWORD.into() };
    let written = on_both("set_user_password", "set_password", &by, &id, &id);
    auditor.call(&admin, set_password.clone(), &written).await;
    let revoke = RevokeUserSessionsRequest { user: by_id(&id), session_id: String::new() };
    let written = on_both("revoke_user_sessions", "revoke_sessions", &by, &id, &id);
    auditor.call(&admin, revoke.clone(), &written).await;
    let grant = GrantAdminRequest { user: by_id(&id), etag: String::new() };
    let granted = with(ok("grant_admin", &boss.id), "subject", &id);
    auditor.call(&boss, grant.clone(), &[granted]).await;
    let take = RevokeAdminRequest { user: by_id(&id), etag: String::new() };
    let taken = with(ok("revoke_admin", &boss.id), "subject", &id);
    auditor.call(&boss, take.clone(), &[taken]).await;

    // A name that is taken is refused by both.
    let refusal = with(with(refused("create_user", "username taken"), "actor", &by), "subject", "alice");
    auditor.calls += 1;
    let call = format!("call-{}", auditor.calls);
    let by_admin = admin.with("x-request-id", &call);
    by_admin.refused("USERNAME_TAKEN", create("alice", UserRole::User)).await;
    let written = auditor.written_about(&call);
    assert_eq!(written[0], refusal);
    assert_eq!(
        (&written[1]["event"], &written[1]["reason"]),
        (&"register_account".into(), &"username taken".into())
    );
    assert_eq!(written.len(), 2);

    // Whoever may not do it at all, and whoever may not do it to them.
    let user_of_no_rank = auditor.user(&boss, "bob.the.user", UserRole::User).await;
    let role = |who: &Person| with(refused("authorize", "role too low"), "actor", &who.id);
    let role_for = |who: &Person| with(role(who), "subject", &id);
    auditor.call(&user_of_no_rank, grant.clone(), &[role_for(&user_of_no_rank)]).await;
    auditor.call(&admin, grant, &[role_for(&admin)]).await;
    auditor.call(&user_of_no_rank, ListUsersRequest::default(), &[role(&user_of_no_rank)]).await;
    let superior = by_id(&boss.id);
    let above = InactivateUserRequest { user: superior, etag: String::new() };
    let refusal = with(refused("inactivate_user", "role too low"), "actor", &by);
    auditor.call(&admin, above, &[with(refusal, "subject", &boss.id)]).await;
    let unknown = RevokeUserSessionsRequest { user: by_id(UNKNOWN), session_id: String::new() };
    let refusal = with(refused("revoke_user_sessions", "user not found"), "actor", &by);
    auditor.call(&admin, unknown, &[with(refusal, "subject", UNKNOWN)]).await;
    let stale = InactivateUserRequest { etag: "stale".into(), ..inactivate };
    let refusal = with(refused("inactivate_user", "etag mismatch"), "actor", &by);
    auditor.call(&admin, stale, &[with(refusal, "subject", &id)]).await;

    // What cannot be understood is written down as well, but for whom it is about where that is no name: it may be a password.
    let not_fit = |event: &str| with(refused(event, "invalid field"), "actor", &by);
    let weak = CreateUserRequest { password: "short".into(), ..create("carol", UserRole::User) };
    auditor.call(&admin, weak, &[with(not_fit("create_user"), "subject", "carol")]).await;
    auditor.call(&admin, create(OTHER_PASSWORD, UserRole::User), &[not_fit("create_user")]).await;
    let nobody = InactivateUserRequest { user: by_name(OTHER_PASSWORD), etag: String::new() };
    auditor.call(&admin, nobody, &[not_fit("inactivate_user")]).await;
    let weak = SetUserPasswordRequest { password: "short".into(), ..set_password };
    auditor.call(&admin, weak, &[with(not_fit("set_user_password"), "subject", &id)]).await;
}

/// Makes a call that has a second and a half, by a name of its own.
async fn in_haste<M: Call>(caller: &Caller, event: &str, message: M) -> Result<(), Status> {
    let caller = caller.with("x-request-id", &hasty(event)).with("grpc-timeout", "1500m");
    caller.raw(message).await.map(drop)
}

fn hasty(event: &str) -> String {
    format!("hasty-{event}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_for_a_caller_that_has_gone_is_written_down() {
    let auditor = Auditor::start("info").await;
    let (anonymous, full) = (auditor.pair.anonymous.clone(), auditor.pair.full());
    let mut people = Vec::new();
    for name in ["alice", "bob.b", "carol"] {
        anonymous.ok(sign_up(name)).await;
        people.push(auditor.log_in(name).await);
    }
    let [alice, bob, carol] = &people[..] else { unreachable!("three of them") };
    let change =
        ChangePasswordRequest { current_password: PASSWORD.into(), new_password: OTHER_PASSWORD.into() };
    let disable = DisableAccountRequest { account_id: carol.id.clone(), ..Default::default() };

    let lock = auditor.pair.data().occupy(Service::Auth).await;
    let outcomes = tokio::join!(
        in_haste(&anonymous, "log_in", log_in("alice", PASSWORD)),
        in_haste(alice, "change_password", change),
        in_haste(bob, "revoke_all_sessions", RevokeAllSessionsRequest::default()),
        in_haste(&full, "disable_account", disable),
    );
    drop(lock);
    let events = ["log_in", "change_password", "revoke_all_sessions", "disable_account"];
    for (event, outcome) in events.into_iter().zip(<[_; 4]>::from(outcomes)) {
        outcome.expect_err("the data is locked");
        let id = hasty(event);
        let written = eventually("the event", async || {
            Some(auditor.written_about(&id)).filter(|written| !written.is_empty())
        });
        let written = written.await;
        assert_eq!((written.len(), &written[0]["event"]), (1, &event.into()), "{written:?}");
    }
}

#[tokio::test]
async fn what_workloads_do_and_may_not_do_is_written_down() {
    let mut auditor = Auditor::start("info").await;
    let (full, verify) = (auditor.pair.full(), auditor.pair.verify());
    let register = |actor_id: &str| RegisterAccountRequest {
        account_id: UNKNOWN.into(),
        username: "carol".into(),
        password: PASSWORD.into(),
        actor_id: actor_id.into(),
    };
    auditor.call(&verify, register(""), &[refused("admit_workload", "not allowed")]).await;
    let nobody = auditor.pair.anonymous.bearer("nobody's credential");
    auditor.call(&nobody, register(""), &[refused("admit_workload", "unauthenticated")]).await;
    // Any text may be in the place of the actor.
    let registered = json!({"event": "register_account", "subject": UNKNOWN, "outcome": "ok"});
    auditor.call(&full, register("my password is hunter2"), &[registered]).await;
    let set = SetPasswordRequest {
        account_id: UNKNOWN.into(),
        password: OTHER_PASSWORD.into(),
        expected_version: 99,
        actor_id: UNKNOWN.into(),
    };
    let refusal = with(refused("set_password", "version mismatch"), "actor", UNKNOWN);
    auditor.call(&full, set.clone(), &[with(refusal, "subject", UNKNOWN)]).await;
    // What is no id may be anything else.
    let nobody = SetPasswordRequest { account_id: OTHER_PASSWORD.into(), ..set };
    let refusal = with(refused("set_password", "invalid fields"), "actor", UNKNOWN);
    auditor.call(&full, nobody, &[refusal]).await;
    let nameless = RegisterAccountRequest { username: "a".into(), ..register("") };
    let refusal = with(refused("register_account", "invalid fields"), "subject", UNKNOWN);
    auditor.call(&full, nameless, &[refusal]).await;
    let check = AuthenticateRequest { access_token: "garbage".into(), skip_renewal: true };
    auditor.call(&verify, check, &[refused("authenticate", "malformed")]).await;
}

#[tokio::test]
async fn what_operators_command_is_written_down() {
    let mut auditor = Auditor::start("info").await;
    let password = auditor.pair.write("new-password", OTHER_PASSWORD).display().to_string();
    let by_operator = |event: &str| with(ok(event, "operator"), "subject", "superadmin");
    let refusal = |event: &str, reason: &str| {
        with(with(refused(event, reason), "actor", "operator"), "subject", "superadmin")
    };
    let bootstrap = ["bootstrap-super-admin", "--username", "superadmin", "--password-file", &password];
    let reset = ["reset-super-admin-password", "--username", "superadmin", "--password-file", &password];
    let demote = ["demote-super-admin", "--username", "superadmin"];
    let of_users = |event: &str| [by_operator(event)];
    auditor.command(Service::Users, &bootstrap, &of_users("bootstrap_super_admin")).await;
    let exists = [refusal("bootstrap_super_admin", "super admin exists")];
    auditor.command(Service::Users, &bootstrap, &exists).await;
    auditor.command(Service::Users, &reset, &of_users("reset_super_admin_password")).await;
    let last = [refusal("demote_super_admin", "last active super admin")];
    auditor.command(Service::Users, &demote, &last).await;
    let other =
        ["bootstrap-super-admin", "--force", "--username", "second.boss", "--password-file", &password];
    let made = [with(ok("bootstrap_super_admin", "operator"), "subject", "second.boss")];
    auditor.command(Service::Users, &other, &made).await;
    auditor.command(Service::Users, &demote, &of_users("demote_super_admin")).await;
    let no_more = [refusal("reset_super_admin_password", "not a super admin")];
    auditor.command(Service::Users, &reset, &no_more).await;
    auditor.pair.terminate(Service::Auth).await;
    auditor.command(Service::Auth, &["after-restore"], &[ok("after_restore", "operator")]).await;
}

#[tokio::test]
async fn events_are_written_down_at_whatever_level_unless_it_names_them() {
    for (level, expected) in [("error", 1), ("off", 1), ("info,security=off", 0)] {
        let auditor = Auditor::start(level).await;
        auditor.pair.anonymous.ok(sign_up("alice")).await;
        let log = auditor.pair.log(Service::Auth);
        assert_eq!(events(&log).len(), expected, "{level}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_of_a_call_says_whose_it_was() {
    let auditor = Auditor::start("info").await;
    let boss = auditor.pair.super_admin().await;
    let lines = async |caller: &Caller, id: &str| -> Vec<Value> {
        let caller = caller.with("x-request-id", id);
        let _ = caller.raw(GetCurrentSessionRequest {}).await;
        let _ = caller.raw(GetCurrentUserRequest::default()).await;
        // What waits to be written is written within a tenth of a second.
        eventually("the lines of both calls", async || {
            let logs = [Service::Users, Service::Auth].map(|service| auditor.pair.log(service)).concat();
            let lines = logs.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
            let calls: Vec<_> =
                lines.filter(|line| line["message"] == "call" && line["request_id"] == id).collect();
            // The third is what users-service asks auth-service, on its own behalf.
            let enough = calls.iter().filter(|line| line["rpc.method"] != "Authenticate").count() == 2;
            enough.then_some(calls)
        })
        .await
    };
    for line in lines(&boss, "of-the-boss").await {
        let is_the_ports = line["rpc.method"] == "Authenticate";
        assert_eq!(line["user_id"], if is_the_ports { Value::Null } else { json!(boss.id) }, "{line}");
    }
    let request = LogInRequest { username: "superadmin".into(), password: PASSWORD.into() };
    auditor.pair.anonymous.with("x-request-id", "of-a-log-in").ok(request).await;
    let said = eventually("the line of a log-in", async || {
        let log = auditor.pair.log(Service::Auth);
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter(|line| line["message"] == "call").find(|line| line["request_id"] == "of-a-log-in")
    });
    assert_eq!(said.await["user_id"], json!(boss.id));
    let request = LogInRequest { username: "somebody".into(), password: PASSWORD.into() };
    let again = boss.with("x-request-id", "of-a-log-in-again");
    again.refused("ALREADY_AUTHENTICATED", request).await;
    let said = eventually("the line of a log-in by somebody who is logged in", async || {
        let log = auditor.pair.log(Service::Auth);
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter(|line| line["message"] == "call").find(|line| line["request_id"] == "of-a-log-in-again")
    });
    assert_eq!(said.await["user_id"], json!(boss.id));
    for line in lines(&auditor.pair.anonymous.bearer("nonsense"), "of-nobody").await {
        assert_eq!(line["user_id"], Value::Null, "{line}");
    }
}
