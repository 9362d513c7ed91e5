//! The history, sorted by whom it is about.

use std::collections::{BTreeMap, BTreeSet};

use super::End;
use super::register::{Allows, By, Register};
use crate::history::{Call, Does, Moment, Outcome, Record, Role, Secret, Span, Who};

/// A history and what it says of each user and of each session.
pub(super) struct Books<'a> {
    pub(super) records: &'a [Record],
    /// While nothing was under way.
    rests: Vec<Span>,
    pub(super) users: BTreeMap<String, UserBook>,
    pub(super) sessions: BTreeMap<String, SessionBook>,
}

/// What is known of a user. `None` as a value: there is no such user yet.
pub(super) struct UserBook {
    /// The calls that may have made it.
    pub(super) makings: Vec<usize>,
    /// When it was made, if it certainly was.
    pub(super) made: Option<Span>,
    pub(super) active: Register<Option<bool>>,
    /// The state that users-service shows, which may be late where an outcome was unknown, and goes back by itself no more
    /// than the other.
    pub(super) shown: Register<Option<bool>>,
    pub(super) role: Register<Option<Role>>,
    pub(super) password: Register<Option<Secret>>,
    /// The calls that may have changed it.
    pub(super) changes: Vec<usize>,
    /// The calls that may have ended sessions of it.
    pub(super) endings: Vec<usize>,
}

/// What is known of a session.
pub(super) struct SessionBook {
    pub(super) user: String,
    /// By which call it was opened.
    pub(super) opened: usize,
    /// With which password.
    pub(super) password: Secret,
    /// The calls whose bearer was let in.
    pub(super) let_in: Vec<usize>,
    /// The calls whose bearer was refused as nobody.
    pub(super) refused: Vec<usize>,
    /// When it ends at the soonest, in seconds since 1970, and the call that was told so.
    pub(super) expires: Option<(usize, i64)>,
}

impl SessionBook {
    /// Of one that this call opened.
    pub(super) fn opened_by(number: usize, user: &str, password: Secret) -> Self {
        Self {
            user: user.to_owned(),
            opened: number,
            password,
            let_in: Vec::new(),
            refused: Vec::new(),
            expires: None,
        }
    }
}

impl<'a> Books<'a> {
    pub(super) fn of(records: &'a [Record], end: Option<&End>) -> Self {
        let rests = records.iter().filter(|record| record.call.does == Does::Rest).map(Record::span);
        let mut books =
            Self { records, rests: rests.collect(), users: BTreeMap::new(), sessions: BTreeMap::new() };
        let names: BTreeSet<&str> = records.iter().filter_map(|record| record.call.creates()).collect();
        for name in names {
            books.users.insert(name.to_owned(), making(records, name));
        }
        for (number, record) in records.iter().enumerate() {
            books.enter_session(number, record);
        }
        for (number, record) in records.iter().enumerate() {
            books.enter(number, record);
        }
        if let Some(end) = end {
            books.enter_end(end);
        }
        books
    }

    pub(super) fn user(&self, name: &str) -> Option<&UserBook> {
        self.users.get(name)
    }

    /// When a call can have had an effect on what auth-service and the roles say: if nothing was heard of its end, until the
    /// services were seen to rest after it. Not so what comes later by the feed, and what operators do, whose commands are
    /// processes of their own that nobody looks at: of these it is as [`Record::effect`] says.
    pub(super) fn effect(&self, number: usize) -> Option<Span> {
        let record = &self.records[number];
        let span = record.effect()?;
        if span.until < Moment::NEVER || record.call.who == Who::Operator {
            return Some(span);
        }
        let rest = self.rests.iter().find(|rest| rest.from >= record.end);
        Some(Span { until: rest.map_or(Moment::NEVER, |rest| rest.until), ..span })
    }

    /// A session is opened with the password that is shown, or set.
    fn enter_session(&mut self, number: usize, record: &Record) {
        let opens = match (record.call.does, &record.call) {
            (Does::LogIn, Call { user: Some(user), shows: Some(password), .. }) => {
                Some((user.as_str(), *password))
            }
            (Does::ChangePassword, Call { sets: Some(password), .. }) => {
                record.call.caller().map(|user| (user, *password))
            }
            _ => None,
        };
        let session = record.answer().and_then(|answer| answer.session.clone());
        if let Some(((user, password), session)) = opens.zip(session) {
            self.sessions.insert(session, SessionBook::opened_by(number, user, password));
        }
    }

    /// Until when a session goes on, as was said.
    fn enter_renewal(&mut self, number: usize, record: &Record) {
        let Some((session, expires)) =
            record.answer().and_then(|answer| answer.session.as_ref().zip(answer.expires))
        else {
            return;
        };
        if let Some(book) = self.sessions.get_mut(session)
            && book.expires.is_none_or(|(_, before)| before < expires)
        {
            book.expires = Some((number, expires));
        }
    }

    fn enter(&mut self, number: usize, record: &Record) {
        self.enter_caller(number, record);
        self.enter_renewal(number, record);
        self.enter_rank(number, record);
        self.enter_effect(number, record);
        self.enter_log_in(number, record);
        let answer = record.answer();
        let shown = answer.into_iter().flat_map(|answer| answer.user.iter().chain(&answer.listed));
        for seen in shown {
            if let Some(book) = self.users.get_mut(&seen.name) {
                let allows = Allows::Only(vec![Some(seen.role)]);
                book.role.seen(Some(number), allows, record.span(), By::Answer);
                let allows = Allows::Only(vec![Some(seen.active)]);
                book.shown.seen(Some(number), allows, record.span(), By::Answer);
            }
        }
    }

    /// Whether the bearer was let in.
    fn enter_caller(&mut self, number: usize, record: &Record) {
        let Who::Session { id, user } = &record.call.who else { return };
        if record.was_let_in() {
            if let Some(book) = self.users.get_mut(user) {
                let allows = Allows::Only(vec![Some(true)]);
                book.active.seen(Some(number), allows, record.span(), By::LetIn);
            }
            if let Some(session) = self.sessions.get_mut(id) {
                session.let_in.push(number);
            }
        } else if record.denial().is_some()
            && let Some(session) = self.sessions.get_mut(id)
        {
            session.refused.push(number);
        }
    }

    /// What it takes to have been allowed what was done. Of a denial see `values`: it may be for either of two reasons.
    fn enter_rank(&mut self, number: usize, record: &Record) {
        let (Some(caller), Some(_)) = (record.call.caller(), record.answer()) else { return };
        let Some(needs) = least_role(&record.call) else { return };
        if let Some(book) = self.users.get_mut(caller) {
            book.role.seen(Some(number), at_least(needs), record.span(), By::LetIn);
        }
    }

    fn enter_effect(&mut self, number: usize, record: &Record) {
        let Some(span) = self.effect(number) else { return };
        let is_certain = record.answer().is_some();
        // What the feed brings may come after the services were seen to rest.
        let shown = record.effect().unwrap_or(span);
        let call = &record.call;
        let subject = match call.does {
            Does::LogOut | Does::RevokeSession | Does::RevokeAllSessions | Does::ChangePassword => {
                call.caller()
            }
            _ => call.user.as_deref(),
        };
        let Some(book) = subject.and_then(|name| self.users.get_mut(name)) else { return };
        match call.does {
            Does::InactivateUser | Does::ReactivateUser => {
                let value = Some(call.does == Does::ReactivateUser);
                write(&mut book.active, number, value, span, is_certain);
                write(&mut book.shown, number, value, shown, is_certain);
            }
            Does::GrantAdmin => write(&mut book.role, number, Some(Role::Admin), span, is_certain),
            Does::RevokeAdmin | Does::Demote => {
                write(&mut book.role, number, Some(Role::User), span, is_certain);
            }
            Does::ChangePassword => {
                if let Some(shown) = call.shows.filter(|_| is_certain) {
                    let allows = Allows::Only(vec![Some(shown)]);
                    book.password.seen(Some(number), allows, span, By::LetIn);
                }
                write(&mut book.password, number, call.sets, span, is_certain);
            }
            Does::SetUserPassword => write(&mut book.password, number, call.sets, span, is_certain),
            Does::LogOut | Does::RevokeSession | Does::RevokeAllSessions | Does::RevokeUserSessions => {}
            _ => return,
        }
        if !matches!(call.does, Does::GrantAdmin | Does::RevokeAdmin | Does::ReactivateUser) {
            book.endings.push(number);
        }
        let keeps = matches!(
            call.does,
            Does::LogOut | Does::RevokeSession | Does::RevokeAllSessions | Does::RevokeUserSessions
        );
        if !keeps {
            book.changes.push(number);
        }
    }

    fn enter_log_in(&mut self, number: usize, record: &Record) {
        let Call { does: Does::LogIn | Does::ChangePassword, shows: Some(shown), .. } = &record.call else {
            return;
        };
        let name =
            if record.call.does == Does::LogIn { record.call.user.as_deref() } else { record.call.caller() };
        let Some(book) = name.and_then(|name| self.users.get_mut(name)) else { return };
        let span = record.span();
        let is = |shown: Secret| Allows::Only(vec![Some(shown)]);
        match (&record.outcome, record.call.does) {
            (Outcome::Ok(_), Does::LogIn) => {
                book.password.seen(Some(number), is(*shown), span, By::LetIn);
                book.active.seen(Some(number), Allows::Only(vec![Some(true)]), span, By::LetIn);
            }
            (Outcome::Denied(refusal), _) => match refusal.reason.as_str() {
                "INVALID_CREDENTIALS" | "CURRENT_PASSWORD_MISMATCH" => {
                    let allows = Allows::AllBut(vec![Some(*shown)]);
                    book.password.seen(Some(number), allows, span, By::Denial);
                }
                "ACCOUNT_INACTIVE" => {
                    book.password.seen(Some(number), is(*shown), span, By::Denial);
                    book.active.seen(Some(number), Allows::Only(vec![Some(false)]), span, By::Denial);
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn enter_end(&mut self, end: &End) {
        let span = Span { from: end.at, until: Moment::NEVER };
        for user in &end.users {
            if let Some(book) = self.users.get_mut(&user.name) {
                book.role.seen(None, Allows::Only(vec![Some(user.role)]), span, By::End);
            }
        }
        for account in &end.accounts {
            if let Some(book) = self.users.get_mut(&account.name) {
                let allows = Allows::Only(vec![Some(account.is_active)]);
                book.active.seen(None, allows.clone(), span, By::End);
                book.shown.seen(None, allows, span, By::End);
            }
        }
    }
}

fn write<V: Clone + PartialEq>(
    register: &mut Register<Option<V>>,
    number: usize,
    value: Option<V>,
    span: Span,
    is_certain: bool,
) {
    if is_certain {
        register.written(number, value, span);
    } else {
        register.perhaps_written(number, value, span);
    }
}

/// A user is made once, by whichever of the calls that ask for it: not before the first of them, not after the first OK.
fn making(records: &[Record], name: &str) -> UserBook {
    let mut book = UserBook {
        makings: Vec::new(),
        made: None,
        active: Register::new(None),
        shown: Register::new(None),
        role: Register::new(None),
        password: Register::new(None),
        changes: Vec::new(),
        endings: Vec::new(),
    };
    let asked = records.iter().enumerate().filter(|(_, record)| record.call.creates() == Some(name));
    let asked: Vec<(usize, &Record, Span)> =
        asked.filter_map(|(number, record)| Some((number, record, record.effect()?))).collect();
    book.makings = asked.iter().map(|(number, _, _)| *number).collect();
    let Some(from) = asked.iter().map(|(_, _, span)| span.from).min() else { return book };
    let first_ok =
        asked.iter().filter(|(_, record, _)| record.answer().is_some()).min_by_key(|(_, _, s)| s.until);
    book.made = first_ok.map(|(_, _, span)| Span { from, until: span.until });
    // Who of several made it is known when one was answered OK: the others, of other contents, did not.
    let made_by = |record: &Record| match first_ok {
        Some((_, made, _)) => same_request(&made.call, &record.call),
        None => true,
    };
    for (number, record, span) in &asked {
        if !made_by(record) {
            continue;
        }
        let role = match record.call.does {
            Does::Bootstrap => Role::SuperAdmin,
            _ => record.call.role.unwrap_or(Role::User),
        };
        match book.made {
            Some(made) if first_ok.is_some_and(|(first, _, _)| first == number) => {
                book.active.written(*number, Some(true), made);
                // It is shown when the feed has come, which may be later.
                book.shown.perhaps_written(*number, Some(true), made);
                book.role.written(*number, Some(role), made);
                book.password.written(*number, record.call.sets, made);
            }
            Some(_) => {}
            None => {
                book.active.perhaps_written(*number, Some(true), *span);
                book.shown.perhaps_written(*number, Some(true), *span);
                book.role.perhaps_written(*number, Some(role), *span);
                book.password.perhaps_written(*number, record.call.sets, *span);
            }
        }
    }
    book
}

/// Whether one is the repeat of the other, or the very same.
pub(super) fn same_request(one: &Call, other: &Call) -> bool {
    let caller =
        |call: &Call| if call.does == Does::CreateUser { call.caller().map(str::to_owned) } else { None };
    one.does == other.does
        && caller(one) == caller(other)
        && match (&one.request_id, &other.request_id) {
            (Some(one), Some(other)) => one == other,
            _ => one.sets == other.sets,
        }
}

/// The least role that may make the call, whoever is the target.
pub(super) fn least_role(call: &Call) -> Option<Role> {
    match call.does {
        Does::GrantAdmin | Does::RevokeAdmin => Some(Role::SuperAdmin),
        Does::CreateUser if call.role == Some(Role::Admin) => Some(Role::SuperAdmin),
        Does::GetUser if call.caller() == call.user.as_deref() => None,
        Does::CreateUser
        | Does::GetUser
        | Does::ListUsers
        | Does::InactivateUser
        | Does::ReactivateUser
        | Does::SetUserPassword
        | Does::ListUserSessions
        | Does::RevokeUserSessions => Some(Role::Admin),
        _ => None,
    }
}

/// Whether it takes a role above that of whom it is done to.
pub(super) const fn needs_to_outrank(does: Does) -> bool {
    matches!(
        does,
        Does::InactivateUser
            | Does::ReactivateUser
            | Does::GrantAdmin
            | Does::RevokeAdmin
            | Does::SetUserPassword
            | Does::ListUserSessions
            | Does::RevokeUserSessions
    )
}

/// This role or one above.
pub(super) fn at_least(role: Role) -> Allows<Option<Role>> {
    let roles = [Role::User, Role::Admin, Role::SuperAdmin];
    Allows::Only(roles.into_iter().filter(|one| *one >= role).map(Some).collect())
}
