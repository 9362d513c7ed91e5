//! The owner of accounts, in memory: what its answers are, without hashing or signing anything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use identity::{AccountVersion, Epoch, PageSize, RawPassword, Rule, UserId, Username, Violation};

use crate::domain::{
    AccessToken, Account, Authenticated, Principal, RenewedToken, Session, SessionPage, State, UserKey,
};
use crate::ports::{IdentityProvider, Ids as _, ProviderError};
use crate::testing::{SequentialIds, a_password, a_time, a_username, an_epoch};

const MIN_PASSWORD: usize = 15;
const FRESH: &str = "token:";
const NEAR_ITS_END: &str = "old-token:";

/// A provider that can be told to go away, to lose a reply and to be restored.
pub struct FakeIdentityProvider {
    ids: Arc<SequentialIds>,
    away: AtomicBool,
    loses_reply: AtomicBool,
    busy: AtomicBool,
    owned: Mutex<Owned>,
}

struct Owned {
    epochs: usize,
    number: i64,
    accounts: BTreeMap<UserId, Account>,
    passwords: BTreeMap<UserId, RawPassword>,
    sessions: Vec<(UserId, String)>,
}

impl Owned {
    fn epoch(&self) -> Epoch {
        an_epoch(&format!("epoch{}", self.epochs))
    }

    fn next_version(&mut self) -> AccountVersion {
        self.number += 1;
        AccountVersion { epoch: self.epoch(), number: self.number }
    }

    fn register(&mut self, id: UserId, username: Username, password: RawPassword) -> Account {
        let version = self.next_version();
        let time = a_time(version.number);
        let account =
            Account { id, username, state: State::Active, create_time: time, update_time: time, version };
        self.accounts.insert(id, account.clone());
        self.passwords.insert(id, password);
        account
    }

    fn find(&self, key: &UserKey) -> Result<&Account, ProviderError> {
        let found = match key {
            UserKey::Id(id) => self.accounts.get(id),
            UserKey::Username(name) => {
                self.accounts.values().find(|account| account.username.canonical() == name.canonical())
            }
        };
        found.ok_or(ProviderError::AccountNotFound)
    }

    fn expect(&self, id: UserId, expected: Option<i64>) -> Result<Account, ProviderError> {
        let account = self.find(&UserKey::Id(id))?;
        if expected.is_none_or(|number| number == account.version.number) {
            Ok(account.clone())
        } else {
            Err(ProviderError::VersionMismatch)
        }
    }

    fn set_state(
        &mut self,
        id: UserId,
        state: State,
        expected: Option<i64>,
    ) -> Result<Account, ProviderError> {
        let mut account = self.expect(id, expected)?;
        if state == State::Inactive {
            self.end_sessions(id, None);
        }
        if account.state != state {
            account.state = state;
            self.store_changed(&mut account);
        }
        Ok(account)
    }

    fn store_changed(&mut self, account: &mut Account) {
        account.version = self.next_version();
        account.update_time = a_time(account.version.number);
        self.accounts.insert(account.id, account.clone());
    }

    fn end_sessions(&mut self, id: UserId, session: Option<&str>) -> i32 {
        let before = self.sessions.len();
        self.sessions.retain(|(owner, name)| *owner != id || session.is_some_and(|ended| ended != name));
        i32::try_from(before - self.sessions.len()).expect("few sessions")
    }
}

impl FakeIdentityProvider {
    /// One without accounts, in its first epoch.
    #[must_use]
    pub fn new(ids: Arc<SequentialIds>) -> Self {
        Self {
            ids,
            away: AtomicBool::new(false),
            loses_reply: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            owned: Mutex::new(Owned {
                epochs: 1,
                number: 0,
                accounts: BTreeMap::new(),
                passwords: BTreeMap::new(),
                sessions: Vec::new(),
            }),
        }
    }

    fn owned(&self) -> MutexGuard<'_, Owned> {
        self.owned.lock().expect("no test panics while it holds the lock")
    }

    fn present(&self) -> Result<MutexGuard<'_, Owned>, ProviderError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(unavailable("it went away"));
        }
        Ok(self.owned())
    }

    /// Does what is asked, and may lose the reply.
    fn reply<T>(
        &self,
        change: impl FnOnce(&mut Owned) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        let outcome = change(&mut *self.present()?);
        if self.loses_reply.swap(false, Ordering::Relaxed) {
            return Err(unavailable("the reply was lost"));
        }
        outcome
    }

    /// From now on it cannot be reached.
    pub fn go_away(&self) {
        self.away.store(true, Ordering::Relaxed);
    }

    /// Has no time to hash the next password.
    pub fn be_busy_once(&self) {
        self.busy.store(true, Ordering::Relaxed);
    }

    /// Does what it is asked next, but is not heard.
    pub fn lose_the_next_reply(&self) {
        self.loses_reply.store(true, Ordering::Relaxed);
    }

    /// Begins another epoch, as after a restore; accounts stay.
    pub fn restore(&self) {
        let mut owned = self.owned();
        owned.epochs += 1;
        let epoch = owned.epoch();
        for account in owned.accounts.values_mut() {
            account.version.epoch = epoch.clone();
        }
    }

    /// The epoch that it is in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.owned().epoch()
    }

    /// Registers an account, as by a sign-up.
    pub fn register(&self, username: &str) -> Account {
        self.register_as(self.ids.next(), username)
    }

    /// Registers an account with this id.
    pub fn register_as(&self, id: UserId, username: &str) -> Account {
        self.owned().register(id, a_username(username), a_password("a password of some length"))
    }

    /// Disables an account, past this service.
    pub fn disable(&self, id: UserId) -> Account {
        self.owned().set_state(id, State::Inactive, None).expect("the account exists")
    }

    /// Loses an account, as by a restore.
    pub fn lose(&self, id: UserId) {
        self.owned().accounts.remove(&id);
    }

    /// The account as it is.
    #[must_use]
    pub fn account(&self, id: UserId) -> Account {
        self.owned().accounts[&id].clone()
    }

    /// How many accounts there are.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.owned().accounts.len()
    }

    /// The password that an account has.
    #[must_use]
    pub fn password_of(&self, id: UserId) -> RawPassword {
        self.owned().passwords[&id].clone()
    }

    /// A token of this user.
    #[must_use]
    pub fn token_of(&self, id: UserId) -> AccessToken {
        AccessToken::new(format!("{FRESH}{id}"))
    }

    /// A token of this user that the next use renews.
    #[must_use]
    pub fn token_near_its_end(&self, id: UserId) -> AccessToken {
        AccessToken::new(format!("{NEAR_ITS_END}{id}"))
    }

    /// Opens a session and gives its id.
    pub fn open_session(&self, id: UserId) -> String {
        let session = self.ids.next().to_string();
        self.owned().sessions.push((id, session.clone()));
        session
    }

    /// How many sessions a user has.
    #[must_use]
    pub fn sessions_of(&self, id: UserId) -> usize {
        self.owned().sessions.iter().filter(|(owner, _)| *owner == id).count()
    }
}

fn unavailable(why: &'static str) -> ProviderError {
    ProviderError::Unavailable(why.into())
}

fn policy(password: &RawPassword) -> Vec<Violation> {
    if password.expose().chars().count() < MIN_PASSWORD {
        vec![Violation::new("password", Rule::TooShort { min: MIN_PASSWORD })]
    } else {
        Vec::new()
    }
}

impl IdentityProvider for FakeIdentityProvider {
    async fn authenticate(
        &self,
        token: &AccessToken,
        skip_renewal: bool,
    ) -> Result<Authenticated, ProviderError> {
        let owned = self.present()?;
        let text = token.expose();
        let (near_its_end, id) = match (text.strip_prefix(FRESH), text.strip_prefix(NEAR_ITS_END)) {
            (Some(id), _) => (false, id),
            (_, Some(id)) => (true, id),
            (None, None) => return Ok(Authenticated::Denied),
        };
        let Ok(id) = UserId::parse(id) else { return Ok(Authenticated::Denied) };
        let version = match owned.accounts.get(&id) {
            Some(account) if account.state == State::Inactive => return Ok(Authenticated::Denied),
            Some(account) => account.version.clone(),
            None => AccountVersion { epoch: owned.epoch(), number: 1 },
        };
        let renewed = (near_its_end && !skip_renewal)
            .then(|| RenewedToken { token: self.token_of(id), expire_time: a_time(3600) });
        Ok(Authenticated::Admitted { principal: Principal { id, version }, renewed })
    }

    async fn get_account(&self, key: &UserKey) -> Result<Account, ProviderError> {
        self.present()?.find(key).cloned()
    }

    async fn check_credential(
        &self,
        _: Option<&Username>,
        password: &RawPassword,
    ) -> Result<Vec<Violation>, ProviderError> {
        self.present().map(|_| policy(password))
    }

    async fn register_account(
        &self,
        id: UserId,
        username: &Username,
        password: &RawPassword,
        _: Option<UserId>,
    ) -> Result<Account, ProviderError> {
        if self.busy.swap(false, Ordering::Relaxed) {
            return Err(ProviderError::HasherBusy { retry_after: Duration::from_secs(1) });
        }
        self.reply(|owned| {
            if let Some(account) = owned.accounts.get(&id) {
                let same = account.username == *username && owned.passwords[&id] == *password;
                return if same { Ok(account.clone()) } else { Err(ProviderError::AccountIdTaken) };
            }
            if owned.find(&UserKey::Username(username.clone())).is_ok() {
                return Err(ProviderError::UsernameTaken);
            }
            Ok(owned.register(id, username.clone(), password.clone()))
        })
    }

    async fn set_password(
        &self,
        id: UserId,
        password: &RawPassword,
        _: Option<UserId>,
    ) -> Result<Account, ProviderError> {
        self.reply(|owned| {
            let mut account = owned.expect(id, None)?;
            owned.end_sessions(id, None);
            owned.passwords.insert(id, password.clone());
            owned.store_changed(&mut account);
            Ok(account)
        })
    }

    async fn enable_account(
        &self,
        id: UserId,
        expected_version: Option<i64>,
        _: Option<UserId>,
    ) -> Result<Account, ProviderError> {
        self.reply(|owned| owned.set_state(id, State::Active, expected_version))
    }

    async fn disable_account(
        &self,
        id: UserId,
        expected_version: Option<i64>,
        _: Option<UserId>,
    ) -> Result<Account, ProviderError> {
        self.reply(|owned| owned.set_state(id, State::Inactive, expected_version))
    }

    async fn revoke_sessions(
        &self,
        id: UserId,
        session_id: Option<&str>,
        _: Option<UserId>,
    ) -> Result<i32, ProviderError> {
        self.reply(|owned| {
            owned.expect(id, None)?;
            Ok(owned.end_sessions(id, session_id))
        })
    }

    async fn list_sessions(
        &self,
        id: UserId,
        page_size: PageSize,
        after: Option<&str>,
    ) -> Result<SessionPage, ProviderError> {
        let owned = self.present()?;
        owned.expect(id, None)?;
        let mine = owned.sessions.iter().filter(|(owner, _)| *owner == id);
        let mut names: Vec<_> = mine
            .map(|(_, name)| name.clone())
            .filter(|name| after.is_none_or(|last| name.as_str() > last))
            .collect();
        let size = usize::from(page_size.get());
        let more = names.len() > size;
        names.truncate(size);
        let next = names.last().filter(|_| more).cloned();
        Ok(SessionPage { sessions: names.into_iter().map(|name| session(id, name)).collect(), next })
    }
}

fn session(user_id: UserId, id: String) -> Session {
    Session {
        id,
        user_id,
        create_time: a_time(0),
        expire_time: a_time(1800),
        absolute_expire_time: a_time(86_400),
        last_used_time: a_time(0),
        authenticated_time: a_time(0),
        user_agent: String::new(),
        peer_address: String::new(),
    }
}
