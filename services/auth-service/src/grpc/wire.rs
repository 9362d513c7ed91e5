//! Messages to commands, and what commands return to messages.

use std::net::IpAddr;

use api::{auth, identity as port};
use auth_core::commands::{AccountChanged, Denial, ExpectedVersion, LogIn, Opened, Principal, RevokeSession};
use auth_core::domain::{
    Account, AccountKey, AccountState, Client, FeedCursor, FeedEvent, RenewedToken, Session, SessionId,
    SessionPosition,
};
use auth_core::queries::{ListSessions, SessionPage};
use chrono::DateTime;
use grpc_kit::PageTokens;
use identity::{
    ConsistencyToken, PageSize, RawPassword, Rule, Timestamp, UserId, Username, Violation, Violations,
};

/// Message fields are optional by nature, so the result is.
#[expect(clippy::unnecessary_wraps, reason = "what every message field takes")]
fn timestamp(time: Timestamp) -> Option<prost_types::Timestamp> {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    Some(prost_types::Timestamp { seconds: time.timestamp(), nanos })
}

fn count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn peer(client: &Client) -> String {
    client.peer_address.as_ref().map(IpAddr::to_string).unwrap_or_default()
}

// --- AuthService ---

pub(super) fn signed_up(account: Account) -> auth::SignUpResponse {
    let token = ConsistencyToken::Account { user_id: account.id, version: account.version };
    auth::SignUpResponse {
        user_id: account.id.to_string(),
        create_time: timestamp(account.create_time),
        consistency_token: token.encode(),
    }
}

pub(super) fn log_in(message: auth::LogInRequest, client: Client) -> Result<LogIn, Vec<Violation>> {
    let mut violations = Violations::new();
    let username = violations.field("username", Username::parse(&message.username));
    let password = violations.field("password", RawPassword::parse(message.password));
    let parsed = username.zip(password);
    violations.finish(parsed.map(|(username, password)| LogIn { username, password, client }))
}

pub(super) fn revoke_session(
    user_id: UserId,
    message: auth::RevokeSessionRequest,
) -> Result<RevokeSession, Vec<Violation>> {
    if message.session_id.is_empty() {
        return Err(vec![Violation::new("session_id", Rule::Required)]);
    }
    Ok(RevokeSession { user_id, session_id: message.session_id })
}

pub(super) fn logged_in(opened: Opened) -> auth::LogInResponse {
    let session = Some(own_session(&opened.session, true));
    auth::LogInResponse { access_token: opened.token.expose().to_owned(), session }
}

pub(super) fn refreshed(opened: Opened) -> auth::RefreshSessionResponse {
    let session = Some(own_session(&opened.session, true));
    auth::RefreshSessionResponse { access_token: opened.token.expose().to_owned(), session }
}

pub(super) fn password_changed(opened: Opened) -> auth::ChangePasswordResponse {
    let session = Some(own_session(&opened.session, true));
    auth::ChangePasswordResponse { access_token: opened.token.expose().to_owned(), session }
}

pub(super) fn current_session(principal: &Principal) -> auth::GetCurrentSessionResponse {
    auth::GetCurrentSessionResponse {
        session: Some(own_session(&principal.session, true)),
        username: principal.account.username.to_string(),
    }
}

pub(super) fn revoked_all(revoked: u32) -> auth::RevokeAllSessionsResponse {
    auth::RevokeAllSessionsResponse { revoked_count: count(revoked) }
}

fn own_session(session: &Session, current: bool) -> auth::Session {
    auth::Session {
        session_id: session.id.to_string(),
        user_id: session.user_id.to_string(),
        create_time: timestamp(session.create_time),
        expire_time: timestamp(session.expire_time),
        absolute_expire_time: timestamp(session.absolute_expire_time),
        last_used_time: timestamp(session.last_used_time),
        authenticated_time: timestamp(session.authenticated_time),
        user_agent: session.client.user_agent.clone(),
        peer_address: peer(&session.client),
        current,
    }
}

pub(super) fn own_sessions(
    page: SessionPage,
    current: &SessionId,
    next_page_token: String,
) -> auth::ListSessionsResponse {
    let sessions = page.sessions.iter().map(|session| own_session(session, session.id == *current)).collect();
    auth::ListSessionsResponse { sessions, next_page_token }
}

// --- Pages of sessions, of both services ---

/// Why a page cannot be asked for.
pub(super) enum BadPage {
    /// Fields that break rules.
    Fields(Vec<Violation>),
    /// A page token that was made for something else, or by somebody else.
    Token,
}

/// A page of the caller's own sessions.
pub(super) fn own_session_page(
    tokens: &PageTokens,
    user_id: UserId,
    message: &auth::ListSessionsRequest,
) -> Result<ListSessions, BadPage> {
    let page_size = PageSize::parse(message.page_size);
    let page_size = page_size.map_err(|rule| BadPage::Fields(vec![Violation::new("page_size", rule)]))?;
    session_page(tokens, user_id, page_size, &message.page_token)
}

/// A page of an account's sessions.
pub(super) fn account_session_page(
    tokens: &PageTokens,
    message: &port::ListSessionsRequest,
) -> Result<ListSessions, BadPage> {
    let mut violations = Violations::new();
    let user_id = violations.field("account_id", UserId::parse(&message.account_id));
    let page_size = violations.field("page_size", PageSize::parse(message.page_size));
    let (user_id, page_size) = violations.finish(user_id.zip(page_size)).map_err(BadPage::Fields)?;
    session_page(tokens, user_id, page_size, &message.page_token)
}

/// The token is bound to the user.
fn session_page(
    tokens: &PageTokens,
    user_id: UserId,
    page_size: PageSize,
    page_token: &str,
) -> Result<ListSessions, BadPage> {
    let after = match page_token {
        "" => None,
        token => Some(session_position(tokens, user_id, token).ok_or(BadPage::Token)?),
    };
    Ok(ListSessions { user_id, page_size, after })
}

/// Where the page begins that this token stands for, if it is one of this user's.
pub(super) fn session_position(tokens: &PageTokens, user_id: UserId, token: &str) -> Option<SessionPosition> {
    let opened = tokens.open(user_id.as_bytes(), token)?;
    let (micros, id) = opened.split_first_chunk::<8>()?;
    Some(SessionPosition {
        create_time: DateTime::from_timestamp_micros(i64::from_be_bytes(*micros))?,
        id: SessionId::parse(str::from_utf8(id).ok()?)?,
    })
}

/// The token of the page after this one; empty when there is none.
pub(super) fn next_session_page(tokens: &PageTokens, user_id: UserId, page: &SessionPage) -> String {
    page.next.as_ref().map_or_else(String::new, |place| {
        let micros = place.create_time.timestamp_micros().to_be_bytes();
        tokens.seal(user_id.as_bytes(), &[&micros[..], place.id.as_str().as_bytes()].concat())
    })
}

// --- IdentityProviderService ---

pub(super) fn account_key(message: port::GetAccountRequest) -> Result<AccountKey, Vec<Violation>> {
    use port::get_account_request::Key;
    let mut violations = Violations::new();
    let key = match message.key {
        None => violations.field("key", Err::<AccountKey, _>(Rule::Required)),
        Some(Key::AccountId(id)) => violations.field("account_id", UserId::parse(&id)).map(AccountKey::Id),
        Some(Key::Username(name)) => {
            violations.field("username", Username::parse(&name)).map(AccountKey::Username)
        }
    };
    violations.finish(key)
}

pub(super) fn account_id(text: &str) -> Result<UserId, Vec<Violation>> {
    UserId::parse(text).map_err(|rule| vec![Violation::new("account_id", rule)])
}

pub(super) fn expected_account(id: &str, version: i64) -> Result<(UserId, ExpectedVersion), Vec<Violation>> {
    let mut violations = Violations::new();
    let id = violations.field("account_id", UserId::parse(id));
    let version = violations.field("expected_version", ExpectedVersion::parse(version));
    violations.finish(id.zip(version))
}

pub(super) fn account(account: Account) -> port::Account {
    let state = match account.state {
        AccountState::Active => port::AccountState::Active,
        AccountState::Disabled => port::AccountState::Disabled,
    };
    port::Account {
        account_id: account.id.to_string(),
        username: account.username.to_string(),
        state: state.into(),
        create_time: timestamp(account.create_time),
        update_time: timestamp(account.update_time),
        version: account.version.number,
        epoch: account.version.epoch.to_string(),
    }
}

pub(super) fn registered(registered: Account) -> port::RegisterAccountResponse {
    port::RegisterAccountResponse { account: Some(account(registered)) }
}

pub(super) fn password_set(changed: AccountChanged) -> port::SetPasswordResponse {
    let revoked_count = count(changed.revoked_count);
    port::SetPasswordResponse { account: Some(account(changed.account)), revoked_count }
}

pub(super) fn enabled(enabled: Account) -> port::EnableAccountResponse {
    port::EnableAccountResponse { account: Some(account(enabled)) }
}

pub(super) fn disabled(changed: AccountChanged) -> port::DisableAccountResponse {
    let revoked_count = count(changed.revoked_count);
    port::DisableAccountResponse { account: Some(account(changed.account)), revoked_count }
}

pub(super) fn revoked(revoked: u32) -> port::RevokeSessionsResponse {
    port::RevokeSessionsResponse { revoked_count: count(revoked) }
}

pub(super) fn violations(violations: Vec<Violation>) -> port::CheckCredentialResponse {
    let wire = |Violation { field, reason, description }| port::Violation { field, reason, description };
    port::CheckCredentialResponse { violations: violations.into_iter().map(wire).collect() }
}

pub(super) fn principal(principal: &Principal, renewed: Option<RenewedToken>) -> port::AuthenticateResponse {
    let Principal { session, account } = principal;
    let principal = port::Principal {
        account_id: account.id.to_string(),
        session_id: session.id.to_string(),
        username: account.username.to_string(),
        expire_time: timestamp(session.expire_time),
        authenticated_time: timestamp(session.authenticated_time),
        account_version: account.version.number,
        account_epoch: account.version.epoch.to_string(),
    };
    port::AuthenticateResponse {
        outcome: Some(port::authenticate_response::Outcome::Principal(principal)),
        renewed_token: renewed.map(|renewed| port::RenewedToken {
            access_token: renewed.token.expose().to_owned(),
            expire_time: timestamp(renewed.expire_time),
        }),
    }
}

pub(super) fn denied(denial: Denial) -> port::AuthenticateResponse {
    let reason = match denial {
        Denial::Malformed => port::DenialReason::Malformed,
        Denial::Expired => port::DenialReason::Expired,
        Denial::Revoked => port::DenialReason::Revoked,
        Denial::AccountDisabled => port::DenialReason::AccountDisabled,
    };
    let denial = port::Denial { reason: reason.into() };
    port::AuthenticateResponse {
        outcome: Some(port::authenticate_response::Outcome::Denied(denial)),
        renewed_token: None,
    }
}

pub(super) fn account_sessions(page: SessionPage, next_page_token: String) -> port::ListSessionsResponse {
    let session = |session: Session| port::Session {
        session_id: session.id.to_string(),
        user_id: session.user_id.to_string(),
        create_time: timestamp(session.create_time),
        expire_time: timestamp(session.expire_time),
        absolute_expire_time: timestamp(session.absolute_expire_time),
        last_used_time: timestamp(session.last_used_time),
        authenticated_time: timestamp(session.authenticated_time),
        peer_address: peer(&session.client),
        user_agent: session.client.user_agent,
    };
    port::ListSessionsResponse { sessions: page.sessions.into_iter().map(session).collect(), next_page_token }
}

pub(super) fn feed_message((event, cursor): (FeedEvent, FeedCursor)) -> port::WatchAccountsResponse {
    use port::watch_accounts_response::Event;
    let event = match event {
        FeedEvent::Account(changed) => Event::Account(account(changed)),
        FeedEvent::Checkpoint => Event::Checkpoint(port::Checkpoint {}),
    };
    port::WatchAccountsResponse { cursor: cursor.to_string(), event: Some(event) }
}
