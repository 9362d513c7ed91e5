//! The provider's messages and the values they stand for. A message that stands for none is garbage, and garbage is
//! the provider's absence: nothing is guessed.

use api::identity as pb;
use chrono::{DateTime, SubsecRound as _};
use identity::{AccountVersion, Epoch, Timestamp, UserId, Username, Violation};
use users_core::domain::{
    AccessToken, Account, Authenticated, FeedMessage, Principal, RenewedToken, Session, SessionPage, State,
    UserKey,
};
use users_core::ports::ProviderError;

/// A field of an answer that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("its answer has no valid {0}")]
struct Garbage(&'static str);

fn garbage(field: &'static str) -> ProviderError {
    ProviderError::Unavailable(Box::new(Garbage(field)))
}

/// On whose behalf a change is made; an operator's has no name.
pub(super) fn actor(actor: Option<UserId>) -> String {
    actor.map_or_else(String::new, |id| id.to_string())
}

pub(super) fn account_key(key: &UserKey) -> pb::GetAccountRequest {
    let key = match key {
        UserKey::Id(id) => pb::get_account_request::Key::AccountId(id.to_string()),
        UserKey::Username(username) => pb::get_account_request::Key::Username(username.as_str().to_owned()),
    };
    pb::GetAccountRequest { key: Some(key) }
}

pub(super) fn account(account: Option<pb::Account>) -> Result<Account, ProviderError> {
    let account = account.ok_or_else(|| garbage("account"))?;
    let state = match account.state() {
        pb::AccountState::Active => State::Active,
        pb::AccountState::Disabled => State::Inactive,
        pb::AccountState::Unspecified => return Err(garbage("state")),
    };
    Ok(Account {
        id: id(&account.account_id, "account_id")?,
        username: Username::parse(&account.username).map_err(|_| garbage("username"))?,
        state,
        create_time: time(account.create_time, "create_time")?,
        update_time: time(account.update_time, "update_time")?,
        version: version(account.version, &account.epoch)?,
    })
}

pub(super) fn authenticated(answer: pb::AuthenticateResponse) -> Result<Authenticated, ProviderError> {
    use pb::authenticate_response::Outcome;
    match answer.outcome {
        Some(Outcome::Principal(principal)) => Ok(Authenticated::Admitted {
            principal: Principal {
                id: id(&principal.account_id, "account_id")?,
                version: version(principal.account_version, &principal.account_epoch)?,
            },
            renewed: answer.renewed_token.map(renewed).transpose()?,
        }),
        Some(Outcome::Denied(denial)) => {
            tracing::debug!(reason = denial.reason().as_str_name(), "a token was denied");
            Ok(Authenticated::Denied)
        }
        None => Err(garbage("outcome")),
    }
}

fn renewed(token: pb::RenewedToken) -> Result<RenewedToken, ProviderError> {
    Ok(RenewedToken {
        expire_time: time(token.expire_time, "renewed_token.expire_time")?,
        token: AccessToken::new(token.access_token),
    })
}

pub(super) fn feed_message(message: pb::WatchAccountsResponse) -> Result<FeedMessage, ProviderError> {
    use pb::watch_accounts_response::Event;
    let account = match message.event {
        Some(Event::Account(changed)) => Some(account(Some(changed))?),
        Some(Event::Checkpoint(pb::Checkpoint {})) => None,
        None => return Err(garbage("event")),
    };
    Ok(FeedMessage { cursor: message.cursor, account })
}

pub(super) fn session_page(page: pb::ListSessionsResponse) -> Result<SessionPage, ProviderError> {
    Ok(SessionPage {
        sessions: page.sessions.into_iter().map(session).collect::<Result<_, _>>()?,
        next: Some(page.next_page_token).filter(|token| !token.is_empty()),
    })
}

fn session(session: pb::Session) -> Result<Session, ProviderError> {
    Ok(Session {
        id: session.session_id,
        user_id: id(&session.user_id, "user_id")?,
        create_time: time(session.create_time, "create_time")?,
        expire_time: time(session.expire_time, "expire_time")?,
        absolute_expire_time: time(session.absolute_expire_time, "absolute_expire_time")?,
        last_used_time: time(session.last_used_time, "last_used_time")?,
        authenticated_time: time(session.authenticated_time, "authenticated_time")?,
        user_agent: session.user_agent,
        peer_address: session.peer_address,
    })
}

pub(super) fn violation(broken: pb::Violation) -> Violation {
    Violation { field: broken.field, reason: broken.reason, description: broken.description }
}

fn id(text: &str, field: &'static str) -> Result<UserId, ProviderError> {
    UserId::parse(text).map_err(|_| garbage(field))
}

fn version(number: i64, epoch: &str) -> Result<AccountVersion, ProviderError> {
    let epoch = Epoch::parse(epoch).ok_or_else(|| garbage("epoch"))?;
    if number < 1 {
        return Err(garbage("version"));
    }
    Ok(AccountVersion { epoch, number })
}

fn time(time: Option<prost_types::Timestamp>, field: &'static str) -> Result<Timestamp, ProviderError> {
    time.and_then(|time| DateTime::from_timestamp(time.seconds, time.nanos.try_into().ok()?))
        .map(|time| time.trunc_subsecs(6))
        .ok_or_else(|| garbage(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> pb::Account {
        let time = Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 123_456_789 });
        pb::Account {
            account_id: "0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c".into(),
            username: "Alice".into(),
            state: pb::AccountState::Disabled.into(),
            create_time: time,
            update_time: time,
            version: 7,
            epoch: "abc".into(),
        }
    }

    #[test]
    fn an_account_is_understood_and_its_times_are_cut_to_microseconds() {
        let account = account(Some(valid())).unwrap();
        assert_eq!((account.state, account.version.number), (State::Inactive, 7));
        assert_eq!(account.create_time.timestamp_subsec_nanos(), 123_456_000);
    }

    #[test]
    fn an_account_without_sense_is_an_outage() {
        let broken = [
            pb::Account { account_id: "x".into(), ..valid() },
            pb::Account { username: "a".into(), ..valid() },
            pb::Account { state: 0, ..valid() },
            pb::Account { update_time: None, ..valid() },
            pb::Account { version: 0, ..valid() },
            pb::Account { epoch: String::new(), ..valid() },
        ];
        for nonsense in broken {
            assert!(matches!(account(Some(nonsense)), Err(ProviderError::Unavailable(_))));
        }
    }

    #[test]
    fn an_answer_without_an_outcome_admits_nobody_and_denies_nobody() {
        let answer = pb::AuthenticateResponse { outcome: None, renewed_token: None };
        assert!(matches!(authenticated(answer), Err(ProviderError::Unavailable(_))));
    }
}
