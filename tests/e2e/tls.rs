//! TLS on every listener, workloads that are known by their certificates, and credentials that are replaced while the pair
//! runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::auth::GetCurrentSessionRequest;
use api::identity::{AuthenticateRequest, GetAccountRequest, RevokeSessionsRequest, get_account_request};
use api::users::{GetCurrentUserRequest, UserRole};
use e2e::{Authority, Caller, Endpoints, HALF_A_HELLO, Issued, Pair, Settings, eventually};
use futures::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tonic::transport::{Certificate, ClientTlsConfig};
use tonic::{Code, Status};

const USERS: &str = "spiffe://tandem.test/ns/tandem/sa/users-service";
const SHOP: &str = "orders.shop.test";
/// Twice as long as until a change of a file is seen.
const SEEN: Duration = Duration::from_secs(2);
/// Where the pair listens.
const HERE: &str = "127.0.0.1";

/// The files that the services are told of.
pub(crate) struct Files {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Files {
    pub(crate) fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().expect("a folder"), authority: Authority::new() };
        files.write("ca.pem", &files.authority.pem);
        files.write("users-ca.pem", &files.authority.pem);
        files.install("server", &files.authority.issue(HERE));
        files.install("users-service", &files.authority.issue(USERS));
        files.write("token", &"0".repeat(64));
        files
    }

    /// A client that writes frames by hand.
    pub(crate) fn connector(&self) -> TlsConnector {
        self.authority.connector()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As a whole: nobody reads half a file.
    fn write(&self, name: &str, content: &str) {
        let new = self.path("new");
        fs::write(&new, content).expect("written");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("its owner's alone");
        fs::rename(new, self.path(name)).expect("in its place");
    }

    fn install(&self, name: &str, issued: &Issued) {
        self.write(&format!("{name}.pem"), &issued.certificate);
        self.write(&format!("{name}-key.pem"), &issued.key);
    }

    /// Everything over TLS; users-service is known by its certificate alone, since nobody knows its token.
    pub(crate) fn settings(&self) -> Settings {
        self.added_to(Settings::default())
    }

    /// The same, added to others.
    pub(crate) fn added_to(&self, settings: Settings) -> Settings {
        let file = |name: &str| self.path(name).display().to_string();
        settings
            .trusting(&self.authority)
            .auth("SERVER__TLS_CERT_FILE", &file("server.pem"))
            .auth("SERVER__TLS_KEY_FILE", &file("server-key.pem"))
            .auth("SERVER__INTERNAL_TLS_CERT_FILE", &file("server.pem"))
            .auth("SERVER__INTERNAL_TLS_KEY_FILE", &file("server-key.pem"))
            .auth("SERVER__INTERNAL_CLIENT_CA_FILE", &file("ca.pem"))
            .auth("WORKLOAD__CLIENTS__0__SAN", USERS)
            .auth("WORKLOAD__CLIENTS__1__SAN", SHOP)
            .users("SERVER__TLS_CERT_FILE", &file("server.pem"))
            .users("SERVER__TLS_KEY_FILE", &file("server-key.pem"))
            .users("IDENTITY_PROVIDER__CA_FILE", &file("users-ca.pem"))
            .users("IDENTITY_PROVIDER__CLIENT_CERT_FILE", &file("users-service.pem"))
            .users("IDENTITY_PROVIDER__CLIENT_KEY_FILE", &file("users-service-key.pem"))
            .users("IDENTITY_PROVIDER__TOKEN_FILE", &file("token"))
    }
}

/// Somebody who connects to the pair anew.
fn caller(app: &Pair, tls: Option<ClientTlsConfig>) -> Caller {
    let [public, internal, users] = app.listeners();
    Caller::anonymous([Endpoints::new(public, internal, users, tls)])
}

fn authenticate(token: &str) -> AuthenticateRequest {
    AuthenticateRequest { access_token: token.to_owned(), skip_renewal: true }
}

fn revoke(account_id: &str) -> RevokeSessionsRequest {
    RevokeSessionsRequest { account_id: account_id.to_owned(), ..Default::default() }
}

/// The client has made this up: errors of ours carry details.
fn assert_nobody_answered(status: &Status) {
    assert!(status.details().is_empty(), "{status:?}");
    assert!([Code::Unavailable, Code::Unknown].contains(&status.code()), "{status:?}");
}

#[tokio::test]
async fn the_pair_works_over_tls_and_with_those_only_who_speak_it_and_trust_it() {
    let files = Files::new();
    let app = Pair::start_with(files.settings()).await;
    // Through users-service and, with its certificate, through the port.
    let somebody = app.somebody(UserRole::Admin).await;
    somebody.ok(GetCurrentUserRequest::default()).await;

    let stranger = Authority::new();
    for tls in [None, Some(stranger.client())] {
        let refused = caller(&app, tls).bearer(&somebody.token);
        for outcome in [
            refused.raw(GetCurrentSessionRequest {}).await.map(drop),
            refused.raw(authenticate(&somebody.token)).await.map(drop),
            refused.raw(GetCurrentUserRequest::default()).await.map(drop),
        ] {
            assert_nobody_answered(&outcome.unwrap_err());
        }
    }
}

#[tokio::test]
async fn every_replica_behind_a_name_is_called_over_tls_and_has_to_prove_the_name() {
    let files = Files::new();
    let app = Pair::start_with(files.settings().behind(HERE)).await;
    app.user.ok(GetCurrentUserRequest::default()).await;
    // The certificate is not this name's, so that nobody can be made a super admin.
    let settings = files.settings().behind("localhost");
    let started = AssertUnwindSafe(Pair::start_with(settings)).catch_unwind().await;
    let Err(panic) = started else { panic!("a stranger is believed") };
    let said = panic.downcast::<String>().expect("what failed");
    assert!(said.contains("IdentityProviderUnavailable"), "{said}");
}

#[tokio::test]
async fn a_workload_is_what_its_certificate_says_and_may_do_what_it_is_allowed() {
    let files = Files::new();
    let app = Pair::start_with(files.settings()).await;
    let user = &app.user;
    let shown = |issued: &Issued| caller(&app, Some(files.authority.client().identity(issued.identity())));

    let shop = shown(&files.authority.issue(SHOP));
    shop.ok(authenticate(&user.token)).await;
    shop.refused("WORKLOAD_NOT_ALLOWED", revoke(&user.id)).await;
    // A token is as good as ever.
    caller(&app, Some(files.authority.client())).refused("WORKLOAD_UNAUTHENTICATED", revoke(&user.id)).await;
    app.full.ok(GetAccountRequest { key: Some(get_account_request::Key::AccountId(user.id.clone())) }).await;

    for name in ["shop.test", "*.shop.test", "spiffe://tandem.test/ns/tandem/sa/users", HERE] {
        let nobody = shown(&files.authority.issue(name));
        nobody.refused("WORKLOAD_UNAUTHENTICATED", authenticate(&user.token)).await;
    }
    // The better of the two counts.
    let both = shop.bearer(&fs::read_to_string(app.home().join("full-token")).expect("the token"));
    both.ok(revoke(&user.id)).await;
    // By the word of somebody whom auth-service does not know.
    let forged = shown(&Authority::new().issue(USERS));
    assert_nobody_answered(&forged.raw(authenticate(&user.token)).await.unwrap_err());

    shown(&files.authority.issue(USERS)).ok(revoke(&user.id)).await;
}

#[tokio::test]
async fn where_nobody_has_a_token_only_certificates_are_let_in() {
    let files = Files::new();
    let without_tokens = ["WORKLOAD__CLIENTS__0__TOKEN_FILE", "WORKLOAD__CLIENTS__1__TOKEN_FILE"];
    let settings = without_tokens.into_iter().fold(files.settings(), |settings, key| settings.auth(key, ""));
    let settings = settings.users("IDENTITY_PROVIDER__TOKEN_FILE", "");
    let settings = settings.showing(&files.authority.issue(SHOP));
    let app = Pair::start_with(settings).await;
    let token = &app.user.token;
    app.user.ok(GetCurrentUserRequest::default()).await;
    let without = caller(&app, Some(files.authority.client())).bearer(token);
    assert_nobody_answered(&without.raw(authenticate(token)).await.unwrap_err());
    without.ok(GetCurrentSessionRequest {}).await;
}

#[tokio::test]
async fn users_service_asks_nobody_whom_it_does_not_trust() {
    let files = Files::new();
    let app = Pair::start_with(files.settings()).await;
    let stranger = Authority::new();
    files.write("users-ca.pem", &stranger.pem);
    eventually("that auth-service is a stranger", async || {
        let refused = app.user.call(GetCurrentUserRequest::default()).await.err()?;
        (refused.reason == "IDENTITY_PROVIDER_UNAVAILABLE").then_some(())
    })
    .await;
    files.write("users-ca.pem", &files.authority.pem);
    eventually("that it is none any more", async || {
        app.user.call(GetCurrentUserRequest::default()).await.ok()
    })
    .await;
    // The word of the right authority, for somebody else.
    files.install("server", &files.authority.issue("elsewhere.test"));
    let elsewhere = async || {
        let new = caller(&app, Some(files.authority.client()));
        new.bearer(&app.user.token).raw(GetCurrentSessionRequest {}).await.is_err().then_some(())
    };
    eventually("that the server is not here", elsewhere).await;
}

#[tokio::test]
async fn certificates_are_replaced_under_connections_that_go_on() {
    let mut files = Files::new();
    let app = Pair::start_with(files.settings()).await;
    let user = &app.user;
    let before = caller(&app, Some(files.authority.client())).bearer(&user.token);
    before.ok(GetCurrentSessionRequest {}).await;

    // First everybody trusts both authorities, then everybody gets a certificate of the new one.
    let new = Authority::new();
    let old = std::mem::replace(&mut files.authority, new);
    for file in ["ca.pem", "users-ca.pem"] {
        files.write(file, &format!("{}{}", old.pem, files.authority.pem));
    }
    // Whom the server is known to takes no part in whether a client's certificate is believed.
    let shop_of = |authority: &Authority| {
        let both = [&old, &files.authority].map(|authority| Certificate::from_pem(&authority.pem));
        let trusting = ClientTlsConfig::new().ca_certificates(both);
        caller(&app, Some(trusting.identity(authority.issue(SHOP).identity())))
    };
    eventually("that the new authority is believed", async || {
        shop_of(&files.authority).raw(authenticate(&user.token)).await.ok()
    })
    .await;
    files.install("server", &files.authority.issue(HERE));
    files.install("users-service", &files.authority.issue(USERS));
    eventually("the new certificates", async || {
        let after = caller(&app, Some(files.authority.client())).bearer(&user.token);
        after.raw(GetCurrentSessionRequest {}).await.ok()?;
        after.raw(GetCurrentUserRequest::default()).await.ok()?;
        // The internal listener has read its files by itself.
        let shop = files.authority.client().identity(files.authority.issue(SHOP).identity());
        caller(&app, Some(shop)).raw(authenticate(&user.token)).await.ok()
    })
    .await;
    shop_of(&old).raw(authenticate(&user.token)).await.expect("the old authority is believed yet");
    files.write("ca.pem", &files.authority.pem);
    let refused = eventually("that the old authority is not believed any more", async || {
        shop_of(&old).raw(authenticate(&user.token)).await.err()
    })
    .await;
    assert_nobody_answered(&refused);
    shop_of(&files.authority).raw(authenticate(&user.token)).await.expect("and the new one is");

    before.ok(GetCurrentSessionRequest {}).await;
    user.ok(GetCurrentUserRequest::default()).await;
    // What is no certificate leaves the last good one in its place.
    files.write("server.pem", "half of a certif");
    sleep(SEEN).await;
    let after = caller(&app, Some(files.authority.client())).bearer(&user.token);
    after.ok(GetCurrentSessionRequest {}).await;
}

#[tokio::test]
async fn users_service_shows_a_new_certificate_of_its_own_from_the_next_connection_on() {
    let files = Files::new();
    let mut app = Pair::start_with(files.settings()).await;
    // Nothing else of what it has from files changes: it would read the certificate again with that.
    let new = Authority::new();
    files.install("users-service", &new.issue(USERS));
    files.write("ca.pem", &new.pem);
    // A connection that there is goes on; now there is none, and nobody is let in any more with what the old authority said.
    app.stop_auth().await;
    app.start_auth().await;
    app.user.ok(GetCurrentUserRequest::default()).await;
}

/// What each replica answers.
async fn everywhere(workload: &Caller, token: &str) -> [Result<(), Status>; 2] {
    // A caller's calls go to one after the other.
    [workload.raw(authenticate(token)).await.map(drop), workload.raw(authenticate(token)).await.map(drop)]
}

#[tokio::test]
async fn a_token_is_replaced_in_its_file_on_both_sides() {
    let app = Pair::start().await;
    let user = &app.user;
    let old = fs::read_to_string(app.home().join("full-token")).expect("the token");
    let new = "n".repeat(64);
    // Both are good, and users-service sends the first.
    let _ = app.write("full-token", &format!("{new}\n{old}\n"));
    let with_new = app.anonymous.bearer(&new);
    eventually("that the new token is good", async || {
        everywhere(&with_new, &user.token).await.iter().all(Result::is_ok).then_some(())
    })
    .await;
    everywhere(&app.full, &user.token).await.into_iter().for_each(|answer| answer.expect("still good"));
    let _ = app.write("full-token", &new);
    eventually("that the old token is good no more", async || {
        everywhere(&app.full, &user.token).await.iter().all(Result::is_err).then_some(())
    })
    .await;
    app.full.refused("WORKLOAD_UNAUTHENTICATED", authenticate(&user.token)).await;
    eventually("that users-service sends the new one, at each replica", async || {
        let ask = || user.raw(GetCurrentUserRequest::default());
        (ask().await.is_ok() && ask().await.is_ok()).then_some(())
    })
    .await;
    // Too short for a token: a slip while it is replaced does not let anybody in, or out.
    let _ = app.write("full-token", "short");
    sleep(SEEN).await;
    user.ok(GetCurrentUserRequest::default()).await;
    app.anonymous.bearer("short").refused("WORKLOAD_UNAUTHENTICATED", authenticate(&user.token)).await;
}

/// Longer than a handshake may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_handshake_that_is_not_finished_is_given_up() {
    let files = Files::new();
    let app = Pair::start_with(files.settings()).await;
    for listener in app.listeners() {
        let mut silent = TcpStream::connect(listener).await.expect("it listens");
        silent.write_all(HALF_A_HELLO).await.expect("written");
        let mut answer = Vec::new();
        let ended = timeout(PATIENCE, silent.read_to_end(&mut answer)).await;
        ended.expect("the server gives up").expect("and closes");
    }
}

#[tokio::test]
async fn a_handshake_that_is_not_finished_does_not_hold_up_the_end() {
    let files = Files::new();
    let mut app = Pair::start_with(files.settings()).await;
    let [public, internal, _] = app.listeners();
    let mut half_done = Vec::new();
    for listener in [public, internal] {
        let mut stream = TcpStream::connect(listener).await.expect("it listens");
        stream.write_all(HALF_A_HELLO).await.expect("written");
        half_done.push(stream);
    }
    app.stop_auth().await;
    for mut stream in half_done {
        let mut answer = Vec::new();
        let ended = timeout(Duration::from_secs(1), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "closed with the server");
    }
}

/// `openssl` has no part in what is tested: it speaks for everybody who is not built on our libraries.
#[tokio::test]
async fn openssl_agrees_on_http2_and_on_a_version_that_is_safe() {
    let files = Files::new();
    let app = Pair::start_with(files.settings()).await;
    let [public, internal, users] = app.listeners();
    for listener in [public, internal, users] {
        let said = openssl(&files.path("ca.pem"), &listener.to_string(), &[]).await;
        for expected in ["ALPN protocol: h2", "TLSv1.3", "Verify return code: 0 (ok)"] {
            assert!(said.contains(expected), "{listener}: no {expected} in\n{said}");
        }
        let said = openssl(&files.path("ca.pem"), &listener.to_string(), &["-tls1_1"]).await;
        assert!(!said.contains("ALPN protocol: h2"), "{listener}: {said}");
    }
    // Whoever has shown a certificate shows it again on every connection.
    files.install("shop", &files.authority.issue(SHOP));
    let (certificate, key) = (files.path("shop.pem"), files.path("shop-key.pem"));
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let resume = ["-tls1_2", "-reconnect", "-cert", &certificate, "-key", &key];
    let said = openssl(&files.path("ca.pem"), &internal.to_string(), &resume).await;
    assert!(said.contains("New, TLSv1.2") && !said.contains("Reused"), "{said}");
}

async fn openssl(authority: &Path, listener: &str, more: &[&str]) -> String {
    let mut command = tokio::process::Command::new("openssl");
    command.args(["s_client", "-connect", listener, "-alpn", "h2", "-verify_ip", HERE, "-CAfile"]);
    command.arg(authority).args(more).stdin(std::process::Stdio::null());
    let output = timeout(PATIENCE, command.output()).await.expect("it ends");
    let output = output.expect("openssl, which every Debian has or can install");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
