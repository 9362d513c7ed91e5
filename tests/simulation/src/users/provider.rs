//! The identity-provider port in a run: calls of auth-service's core over the simulated network. What its errors mean is what
//! the real adapter makes of them; what nobody answers is asked again where that changes nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::commands::{
    DisableAccount, EnableAccount, ExpectedVersion, RegisterAccount, RevokeSessions, SetPassword,
};
use auth_core::domain::{self as owner, AccountKey, AccountState};
use auth_core::queries::{GetAccount, ListSessions, check_credential};
use fail_point::mutant;
use identity::{PageSize, RawPassword, UserId, Username, Violation};
use users_core::domain::{
    AccessToken, Account, Authenticated, Principal, RenewedToken, Session, SessionPage, State, UserKey,
};
use users_core::ports::{IdentityProvider, ProviderError};

use crate::auth::AuthProcess;
use crate::cluster::Cluster;
use crate::network::Repeats;
use crate::scheduler::{Sim, lock};

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How often is asked what changes nothing.
const ATTEMPTS: u32 = 3;

/// auth-service, from users-service.
pub(crate) struct SimProvider {
    sim: Sim,
    cluster: Arc<Cluster>,
    /// For a mutant: who was let in with which token.
    let_in: Mutex<Vec<(String, Principal)>>,
}

fn unavailable() -> ProviderError {
    ProviderError::Unavailable("no answer came".into())
}

fn meaning(error: auth_core::Error) -> ProviderError {
    use auth_core::{Error, StoreError};
    match error {
        Error::InvalidFields(violations) => ProviderError::InvalidField(violations),
        Error::AccountNotFound(_) => ProviderError::AccountNotFound,
        Error::UsernameTaken(_) => ProviderError::UsernameTaken,
        Error::AccountIdTaken(_) => ProviderError::AccountIdTaken,
        Error::VersionMismatch => ProviderError::VersionMismatch,
        Error::CursorUnknown => ProviderError::CursorUnknown,
        Error::RequestIdReused => ProviderError::RequestIdReused,
        Error::RateLimited { retry_after } => ProviderError::RateLimited { retry_after },
        Error::HasherBusy { retry_after } => ProviderError::HasherBusy { retry_after },
        Error::Store(StoreError::OutcomeUnknown(cause)) => ProviderError::OutcomeUnknown(cause),
        error => ProviderError::Unavailable(error.into()),
    }
}

pub(super) fn account(account: owner::Account) -> Account {
    let state = match account.state {
        AccountState::Active => State::Active,
        AccountState::Disabled => State::Inactive,
    };
    let owner::Account { id, username, create_time, update_time, version, .. } = account;
    Account { id, username, state, create_time, update_time, version }
}

fn session(session: owner::Session) -> Session {
    Session {
        id: session.id.to_string(),
        user_id: session.user_id,
        create_time: session.create_time,
        expire_time: session.expire_time,
        absolute_expire_time: session.absolute_expire_time,
        last_used_time: session.last_used_time,
        authenticated_time: session.authenticated_time,
        user_agent: session.client.user_agent,
        peer_address: String::new(),
    }
}

fn expected(version: Option<i64>) -> ExpectedVersion {
    ExpectedVersion::parse(version.unwrap_or(0)).unwrap_or(ExpectedVersion::ANY)
}

/// A repeat of what expects a version is refused, by the version that the first one made.
const fn repeats(version: Option<i64>) -> Repeats {
    if version.is_none() { Repeats::Harmless } else { Repeats::Harmful }
}

impl SimProvider {
    pub(super) fn new(sim: &Sim, cluster: &Arc<Cluster>) -> Self {
        Self { sim: sim.clone(), cluster: Arc::clone(cluster), let_in: Mutex::default() }
    }

    async fn change<A, F>(
        &self,
        rpc: &'static str,
        repeats: Repeats,
        act: impl Fn(Arc<AuthProcess>) -> F + Send + Sync + 'static,
    ) -> Result<A, ProviderError>
    where
        A: Send + 'static,
        F: Future<Output = Result<A, auth_core::Error>> + Send + 'static,
    {
        self.sim.step(rpc).await;
        let answer = self.cluster.auth(rpc, repeats, TIMEOUT, act).await;
        answer.ok_or_else(unavailable)?.map_err(meaning)
    }

    async fn ask<A, F>(
        &self,
        rpc: &'static str,
        act: impl Fn(Arc<AuthProcess>) -> F + Clone + Send + Sync + 'static,
    ) -> Result<A, ProviderError>
    where
        A: Send + 'static,
        F: Future<Output = Result<A, auth_core::Error>> + Send + 'static,
    {
        for _ in 0..ATTEMPTS {
            self.sim.step(rpc).await;
            if let Some(answer) = self.cluster.auth(rpc, Repeats::OfAQuestion, TIMEOUT, act.clone()).await {
                return answer.map_err(meaning);
            }
        }
        Err(unavailable())
    }

    /// For the mutants: what is made of an outage.
    fn during_an_outage(
        &self,
        token: &AccessToken,
        error: ProviderError,
    ) -> Result<Authenticated, ProviderError> {
        // The defect of the mutant: whoever was let in before is let in when nobody can say whether that is still right.
        let known = lock(&self.let_in).iter().find(|(known, _)| known == token.expose()).cloned();
        if let Some((_, principal)) = known.filter(|_| mutant("outage.lets_in")) {
            return Ok(Authenticated::Admitted { principal, renewed: None });
        }
        // The defect of the mutant: an outage is told as a denial.
        if mutant("outage.denies") { Ok(Authenticated::Denied) } else { Err(error) }
    }
}

impl IdentityProvider for SimProvider {
    async fn authenticate(
        &self,
        token: &AccessToken,
        skip_renewal: bool,
    ) -> Result<Authenticated, ProviderError> {
        let presented = token.expose().to_owned();
        let answer = self.ask("Authenticate", move |process| {
            let presented = presented.clone();
            async move {
                match process.authenticated(&presented, skip_renewal).await {
                    Ok(found) => Ok(Some(found)),
                    Err(auth_core::Error::Unauthenticated) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        });
        let (found, renewed) = match answer.await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Authenticated::Denied),
            Err(error) => return self.during_an_outage(token, error),
        };
        let principal = Principal { id: found.account.id, version: found.account.version };
        if mutant("outage.lets_in") {
            lock(&self.let_in).push((token.expose().to_owned(), principal.clone()));
        }
        let renewed = renewed.map(|renewed| RenewedToken {
            token: AccessToken::new(renewed.token.expose().to_owned()),
            expire_time: renewed.expire_time,
        });
        Ok(Authenticated::Admitted { principal, renewed })
    }

    async fn get_account(&self, key: &UserKey) -> Result<Account, ProviderError> {
        let key = match key {
            UserKey::Id(id) => AccountKey::Id(*id),
            UserKey::Username(name) => AccountKey::Username(name.clone()),
        };
        let found = self.ask("GetAccount", move |process| {
            let key = key.clone();
            async move { GetAccount { key }.execute(&process.queries).await }
        });
        found.await.map(account)
    }

    async fn check_credential(
        &self,
        username: Option<&Username>,
        password: &RawPassword,
    ) -> Result<Vec<Violation>, ProviderError> {
        let username = username.map_or_else(String::new, ToString::to_string);
        let password = password.expose().to_owned();
        self.ask("CheckCredential", move |process| {
            let (username, password) = (username.clone(), password.clone());
            async move { Ok(check_credential(&process.commands.passwords, &username, password)) }
        })
        .await
    }

    async fn register_account(
        &self,
        id: UserId,
        username: &Username,
        password: &RawPassword,
        _: Option<UserId>,
    ) -> Result<Account, ProviderError> {
        let (id, username, password) = (id.to_string(), username.to_string(), password.expose().to_owned());
        let added = self.change("RegisterAccount", Repeats::Harmless, move |process| {
            let policy = &process.commands.passwords;
            let command = RegisterAccount::parse(policy, &id, &username, password.clone());
            async move { command.map_err(auth_core::Error::InvalidFields)?.execute(&process.commands).await }
        });
        added.await.map(account)
    }

    async fn set_password(
        &self,
        id: UserId,
        password: &RawPassword,
        _: Option<UserId>,
    ) -> Result<Account, ProviderError> {
        let (id, password) = (id.to_string(), password.expose().to_owned());
        let changed = self.change("SetPassword", Repeats::Harmless, move |process| {
            let command = SetPassword::parse(&process.commands.passwords, &id, password.clone(), 0);
            async move { command.map_err(auth_core::Error::InvalidFields)?.execute(&process.commands).await }
        });
        changed.await.map(|changed| account(changed.account))
    }

    async fn enable_account(
        &self,
        id: UserId,
        version: Option<i64>,
        _: Option<UserId>,
    ) -> Result<Account, ProviderError> {
        let enabled = self.change("EnableAccount", repeats(version), move |process| async move {
            let command = EnableAccount { account_id: id, expected: expected(version) };
            command.execute(&process.commands).await
        });
        enabled.await.map(account)
    }

    async fn disable_account(
        &self,
        id: UserId,
        version: Option<i64>,
        _: Option<UserId>,
    ) -> Result<Account, ProviderError> {
        let disabled = self.change("DisableAccount", repeats(version), move |process| async move {
            let command = DisableAccount { account_id: id, expected: expected(version) };
            command.execute(&process.commands).await
        });
        disabled.await.map(|changed| account(changed.account))
    }

    async fn revoke_sessions(
        &self,
        id: UserId,
        session_id: Option<&str>,
        _: Option<UserId>,
    ) -> Result<i32, ProviderError> {
        let session_id = session_id.map(str::to_owned);
        let ended = self.change("RevokeSessions", Repeats::Harmless, move |process| {
            let command = RevokeSessions { account_id: id, session_id: session_id.clone() };
            async move { command.execute(&process.commands).await }
        });
        ended.await.map(|count| i32::try_from(count).unwrap_or(i32::MAX))
    }

    async fn list_sessions(
        &self,
        id: UserId,
        page_size: PageSize,
        _: Option<&str>,
    ) -> Result<SessionPage, ProviderError> {
        let page = self.ask("ListSessions", move |process| async move {
            let query = ListSessions { user_id: id, page_size, after: None };
            query.execute_for_account(&process.queries).await
        });
        let sessions = page.await?.sessions.into_iter().map(session).collect();
        Ok(SessionPage { sessions, next: None })
    }
}
