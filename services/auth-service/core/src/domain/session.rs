use std::fmt;
use std::net::IpAddr;

use chrono::{SubsecRound as _, TimeDelta};
use identity::{Timestamp, UserId};

use super::{Account, Claims};

/// The opaque handle of a session: 128 random bits in lowercase hexadecimal. Not a credential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// Takes the random bits.
    #[must_use]
    pub fn from_random(bits: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bits)))
    }

    /// Reads the form that it is shown in; anything else is no session's id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The random bits.
    #[must_use]
    pub fn bits(&self) -> u128 {
        self.0.chars().fold(0, |bits, digit| bits << 4 | u128::from(digit.to_digit(16).unwrap_or_default()))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of the client that logs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// What it says of itself: at most 256 printable characters.
    pub user_agent: String,
    /// Where it comes from.
    pub peer_address: Option<IpAddr>,
}

const MAX_USER_AGENT: usize = 256;

impl Client {
    /// Keeps the first 256 printable characters of what the client says of itself.
    #[must_use]
    pub fn new(user_agent: &str, peer_address: Option<IpAddr>) -> Self {
        let user_agent = user_agent.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT).collect();
        Self { user_agent, peer_address }
    }
}

/// How long sessions live and how many a user may have.
#[derive(Clone, Copy, Debug)]
pub struct SessionPolicy {
    /// A session that is not used for so long ends.
    pub idle_timeout: TimeDelta,
    /// A session ends after so long however much it is used.
    pub absolute_timeout: TimeDelta,
    /// A token in this last part of its life (0 to 1, both excluded) is renewed.
    pub refresh_threshold_ratio: f64,
    /// One more log-in ends the oldest.
    pub max_per_user: u32,
}

impl SessionPolicy {
    /// How many may be left beside a new one.
    pub(crate) const fn others(&self) -> u32 {
        self.max_per_user.saturating_sub(1)
    }

    /// The idle expiry of a session used now: whole seconds, since it is a token's `exp`, and never after the
    /// session's absolute end.
    fn idle_expiry(&self, absolute_expire_time: Timestamp, now: Timestamp) -> Timestamp {
        whole_seconds((now + self.idle_timeout).min(absolute_expire_time))
    }
}

/// Cuts a time to whole seconds, as JWT times are.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    time.trunc_subsecs(0)
}

/// A log-in that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its handle.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// When it was opened.
    pub create_time: Timestamp,
    /// When it ends unless it is used before. Whole seconds; only ever raised.
    pub expire_time: Timestamp,
    /// When it ends however much it is used.
    pub absolute_expire_time: Timestamp,
    /// When it was last used, exact to a minute.
    pub last_used_time: Timestamp,
    /// When the user last proved the password.
    pub authenticated_time: Timestamp,
    /// Who opened it.
    pub client: Client,
}

/// How often the time of last use is written down.
const USE_RESOLUTION: TimeDelta = TimeDelta::minutes(1);

impl Session {
    /// Opens a session.
    #[must_use]
    pub fn open(
        id: SessionId,
        user_id: UserId,
        client: Client,
        policy: &SessionPolicy,
        now: Timestamp,
    ) -> Self {
        let absolute_expire_time = now + policy.absolute_timeout;
        Self {
            id,
            user_id,
            create_time: now,
            expire_time: policy.idle_expiry(absolute_expire_time, now),
            absolute_expire_time,
            last_used_time: now,
            authenticated_time: now,
            client,
        }
    }

    /// The expiry that a use now gives the session: later or the same, never earlier.
    #[must_use]
    pub fn extended_expiry(&self, policy: &SessionPolicy, now: Timestamp) -> Timestamp {
        self.expire_time.max(policy.idle_expiry(self.absolute_expire_time, now))
    }

    /// The expiry of a new token, when the presented one is in the last part of its life and a new one would live
    /// longer. The presented token decides, not the row: older tokens of a session are renewed too.
    #[must_use]
    pub fn renewed_expiry(
        &self,
        presented: &Claims,
        policy: &SessionPolicy,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let life = presented.expire_time - presented.issue_time;
        let left = presented.expire_time - now;
        let threshold = seconds(life) * policy.refresh_threshold_ratio;
        let renewed = self.extended_expiry(policy, now);
        (seconds(left) <= threshold && renewed > presented.expire_time).then_some(renewed)
    }

    /// Whether this use of the session is to be written down: at most once a minute.
    #[must_use]
    pub fn use_is_news(&self, now: Timestamp) -> bool {
        now - self.last_used_time >= USE_RESOLUTION
    }

    /// The session's place in a list, newest first.
    #[must_use]
    pub fn position(&self) -> SessionPosition {
        SessionPosition { create_time: self.create_time, id: self.id.clone() }
    }
}

fn seconds(delta: TimeDelta) -> f64 {
    delta.as_seconds_f64()
}

/// A place in a list of sessions, newest first; ties are broken by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPosition {
    /// When the session there was opened.
    pub create_time: Timestamp,
    /// The session there.
    pub id: SessionId,
}

/// A session that is alive by the store's clock, with its account, as one read gives them.
#[derive(Clone, Debug)]
pub struct LiveSession {
    /// The session.
    pub session: Session,
    /// Its account, in whatever state.
    pub account: Account,
    /// The store's time at the read.
    pub now: Timestamp,
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const POLICY: SessionPolicy = SessionPolicy {
        idle_timeout: TimeDelta::minutes(30),
        absolute_timeout: TimeDelta::hours(24),
        refresh_threshold_ratio: 0.2,
        max_per_user: 20,
    };

    fn start() -> Timestamp {
        DateTime::from_timestamp_micros(1_800_000_000_700_000).unwrap()
    }

    fn session() -> Session {
        let id = UserId::parse("0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c").unwrap();
        Session::open(SessionId::from_random([7; 16]), id, Client::default(), &POLICY, start())
    }

    #[test]
    fn an_expiry_is_cut_to_whole_seconds() {
        assert_eq!(session().expire_time, DateTime::from_timestamp(1_800_001_800, 0).unwrap());
    }

    #[test]
    fn a_token_is_renewed_in_the_last_fifth_of_its_life_only() {
        let session = session();
        let claims = Claims::of(&session, start());
        let at = |minutes| session.renewed_expiry(&claims, &POLICY, start() + TimeDelta::minutes(minutes));
        assert_eq!(at(0), None);
        assert_eq!(at(23), None);
        let renewed = at(25).unwrap();
        assert_eq!(renewed, whole_seconds(start() + TimeDelta::minutes(55)));
    }

    #[test]
    fn an_older_token_is_renewed_although_the_row_lives_on() {
        let mut session = session();
        let claims = Claims::of(&session, start());
        session.expire_time += TimeDelta::minutes(29);
        let renewed = session.renewed_expiry(&claims, &POLICY, start() + TimeDelta::minutes(25)).unwrap();
        assert_eq!(renewed, session.expire_time, "the row's expiry is never lowered");
    }

    #[test]
    fn nothing_renews_a_session_beyond_its_absolute_end() {
        let mut session = session();
        let near_end = session.absolute_expire_time - TimeDelta::minutes(1);
        session.expire_time = whole_seconds(session.absolute_expire_time);
        let claims = Claims::of(&session, start());
        assert_eq!(session.renewed_expiry(&claims, &POLICY, near_end), None);
        assert_eq!(session.extended_expiry(&POLICY, near_end), whole_seconds(session.absolute_expire_time));
    }

    #[test]
    fn use_is_noted_once_a_minute() {
        let session = session();
        assert!(!session.use_is_news(start() + TimeDelta::seconds(59)));
        assert!(session.use_is_news(start() + TimeDelta::seconds(60)));
    }

    #[test]
    fn a_user_agent_is_cut_to_printable_characters() {
        let client = Client::new(&format!("a\nb\0{}", "c".repeat(300)), None);
        assert_eq!(client.user_agent, format!("ab{}", "c".repeat(254)));
    }

    #[test]
    fn a_session_id_has_one_spelling() {
        let id = SessionId::from_random([1; 16]);
        assert_eq!(SessionId::parse(id.as_str()), Some(id.clone()));
        assert_eq!(SessionId::parse(&"A".repeat(32)), None);
        assert_eq!(SessionId::parse(""), None);
        assert_eq!(id.as_str().len(), 32);
        assert_eq!(id.bits().to_be_bytes(), [1; 16]);
    }
}
