//! What the clients know of each other's users: enough to have something to try. Whether it is still true is the
//! checker's to say.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::history::Secret;
use crate::vault::OF_THE_SUPER_ADMIN;

/// A token and the session that it stands for.
#[derive(Clone, Debug)]
pub struct Held {
    /// Whose, canonically.
    pub user: String,
    /// The session.
    pub session: String,
    /// The token.
    pub token: String,
}

/// A user.
#[derive(Clone, Debug)]
pub struct Person {
    /// The name as it was asked for.
    pub name: String,
    /// Passwords that it may have, the likeliest last.
    pub secrets: Vec<Secret>,
    /// Tokens that may be good, the newest last.
    pub held: Vec<Held>,
    /// Whether it was made an admin last.
    pub is_admin: bool,
    /// The etag that was seen last.
    pub etag: Option<String>,
}

/// Everybody.
#[derive(Debug, Default)]
struct Known {
    people: Vec<Person>,
    super_admin: Vec<Held>,
    /// Every token that there was.
    tokens: Vec<Held>,
    names: u32,
    secrets: u32,
}

/// Everybody, for all clients.
#[derive(Debug, Default)]
pub struct World(Mutex<Known>);

/// So many tokens of a user are remembered.
const REMEMBERED: usize = 5;
/// So many users are called on more often than the others, so that calls meet.
const WELL_KNOWN: usize = 4;

impl World {
    fn people(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name that nobody has asked for.
    pub fn new_name(&self) -> String {
        let mut people = self.people();
        people.names += 1;
        format!("Person{:05}", people.names)
    }

    /// The name that was new last, in another case: somebody may be asking for it now.
    pub fn latest_name(&self) -> String {
        format!("pERSON{:05}", self.people().names)
    }

    /// A password that nobody has.
    pub fn new_secret(&self) -> Secret {
        let mut people = self.people();
        people.secrets += 1;
        Secret(people.secrets)
    }

    /// Somebody.
    pub fn anybody(&self, rng: &mut StdRng) -> Option<Person> {
        let people = self.people();
        let among = if rng.random_bool(0.6) { WELL_KNOWN } else { people.people.len() };
        people.people.iter().take(among).collect::<Vec<_>>().choose(rng).map(|person| (*person).clone())
    }

    /// An admin, as far as anybody knows, or the super admin: a token to administer with.
    pub fn administrator(&self, rng: &mut StdRng) -> Option<Held> {
        let people = self.people();
        let admins = people.people.iter().filter(|person| person.is_admin);
        let admins: Vec<&Held> = admins.filter_map(|person| person.held.last()).collect();
        match admins.choose(rng) {
            Some(admin) if rng.random_bool(0.6) => Some((*admin).clone()),
            _ => people.super_admin.choose(rng).cloned(),
        }
    }

    /// A token of the super admin.
    pub fn super_admin(&self, rng: &mut StdRng) -> Option<Held> {
        self.people().super_admin.choose(rng).cloned()
    }

    /// A super admin, as somebody to act on.
    pub fn super_admin_as_a_person(&self, rng: &mut StdRng) -> Option<Person> {
        let held = self.super_admin(rng)?;
        Some(Person {
            name: held.user.clone(),
            secrets: vec![OF_THE_SUPER_ADMIN],
            held: vec![held],
            is_admin: true,
            etag: None,
        })
    }

    /// One of the tokens that there ever were.
    pub fn any_token(&self, rng: &mut StdRng) -> Option<Held> {
        self.people().tokens.choose(rng).cloned()
    }

    /// All of them.
    pub fn tokens(&self) -> Vec<Held> {
        self.people().tokens.clone()
    }

    /// Everybody.
    pub fn everybody(&self) -> Vec<Person> {
        self.people().people.clone()
    }

    /// Somebody new.
    pub fn add(&self, name: &str, secret: Secret, is_admin: bool) {
        let person =
            Person { name: name.to_owned(), secrets: vec![secret], held: Vec::new(), is_admin, etag: None };
        self.people().people.push(person);
    }

    /// A token of somebody, or of the super admin.
    pub fn holds(&self, held: Held, is_super_admin: bool) {
        let mut people = self.people();
        people.tokens.push(held.clone());
        if is_super_admin {
            people.super_admin.push(held);
        } else if let Some(person) = people.person(&held.user) {
            person.held.push(held);
            let surplus = person.held.len().saturating_sub(REMEMBERED);
            person.held.drain(..surplus);
        }
    }

    /// Nobody else is to know of somebody.
    pub fn keep_to_oneself(&self, user: &str) {
        self.people().people.retain(|person| !person.name.eq_ignore_ascii_case(user));
    }

    /// A token is good for nothing: nobody tries to do anything with it but to look whether that is so.
    pub fn forget(&self, token: &str) {
        let mut people = self.people();
        people.super_admin.retain(|held| held.token != token);
        for person in &mut people.people {
            person.held.retain(|held| held.token != token);
        }
    }

    /// Somebody has, or may have, another password.
    pub fn has_secret(&self, user: &str, secret: Secret) {
        self.change(user, |person| {
            person.secrets.push(secret);
            let surplus = person.secrets.len().saturating_sub(3);
            person.secrets.drain(..surplus);
        });
    }

    /// Something else is known of somebody.
    pub fn change(&self, user: &str, change: impl FnOnce(&mut Person)) {
        if let Some(person) = self.people().person(user) {
            change(person);
        }
    }
}

impl Known {
    fn person(&mut self, user: &str) -> Option<&mut Person> {
        self.people.iter_mut().find(|person| person.name.eq_ignore_ascii_case(user))
    }
}
