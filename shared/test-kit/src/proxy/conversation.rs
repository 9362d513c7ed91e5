//! What a client says to PostgreSQL, as far as it takes to see it commit.
//!
//! Knows the frontend's messages of protocol 3.0: simple queries, and statements that are parsed, bound and executed.
//! Whatever does not begin like that is another protocol, or encrypted, and is not looked at any more.

use std::collections::HashSet;

/// With which a pool asks whether a connection is still good: `Sync`, and nothing else.
pub(super) const PING: &[u8; 5] = b"S\0\0\0\x04";

/// How an answer ends: the server is ready for the next query.
const READY: &[u8; 5] = b"Z\0\0\0\x05";

/// What PostgreSQL itself takes for the most that a client begins with.
const LONGEST_START: usize = 10_000;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

#[derive(Debug, Default)]
pub(super) struct Conversation {
    stage: Stage,
    /// The message that has not come to its end yet.
    begun: Vec<u8>,
    /// Prepared statements that commit, by name.
    statements: HashSet<Vec<u8>>,
    /// Bound ones, by the name of the portal.
    portals: HashSet<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Starting,
    Talking,
    Foreign,
}

impl Conversation {
    /// Takes in what comes next, and returns where in it the first message begins that commits, if one ends in it.
    pub(super) fn hear(&mut self, chunk: &[u8]) -> Option<usize> {
        let carried = self.begun.len();
        self.begun.extend_from_slice(chunk);
        let (mut at, mut commit) = (0, None);
        while let Some(length) = self.message(at) {
            let message = self.begun[at..at + length].to_vec();
            if self.understand(&message) && commit.is_none() {
                commit = Some(at.saturating_sub(carried));
            }
            at += length;
        }
        self.begun.drain(..at);
        commit
    }

    /// The length of the message that begins there, if all of it has come.
    fn message(&mut self, at: usize) -> Option<usize> {
        let rest = &self.begun[at..];
        let kind = usize::from(self.stage == Stage::Talking);
        let length = number(rest, kind).and_then(|length| usize::try_from(length).ok())?;
        let is_none = match self.stage {
            Stage::Starting => !(8..=LONGEST_START).contains(&length),
            Stage::Talking => length < 4,
            Stage::Foreign => true,
        };
        if is_none {
            self.stage = Stage::Foreign;
            self.begun.clear();
            return None;
        }
        (rest.len() >= kind + length).then_some(kind + length)
    }

    /// Whether it commits.
    fn understand(&mut self, message: &[u8]) -> bool {
        if self.stage == Stage::Starting {
            let asked = number(message, 4);
            if asked != Some(SSL_REQUEST) && asked != Some(GSS_REQUEST) {
                self.stage = Stage::Talking;
            }
            return false;
        }
        let mut texts = message[5..].split(|byte| *byte == 0);
        let mut text = || texts.next().unwrap_or_default();
        match message[0] {
            b'Q' => commits(text()),
            b'P' => {
                let (name, query) = (text().to_vec(), text());
                note(&mut self.statements, name, commits(query));
                false
            }
            b'B' => {
                let (portal, statement) = (text().to_vec(), text());
                note(&mut self.portals, portal, self.statements.contains(statement));
                false
            }
            b'E' => self.portals.contains(text()),
            _ => false,
        }
    }
}

/// Whether an answer has come to its end.
pub(super) fn is_answered(chunk: &[u8]) -> bool {
    chunk.len().checked_sub(READY.len() + 1).is_some_and(|at| chunk[at..].starts_with(READY))
}

fn note(names: &mut HashSet<Vec<u8>>, name: Vec<u8>, is_one: bool) {
    if is_one {
        names.insert(name);
    } else {
        names.remove(&name);
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

fn commits(query: &[u8]) -> bool {
    let first = query.trim_ascii().split(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or_default();
    first.eq_ignore_ascii_case(b"commit") || first.eq_ignore_ascii_case(b"end")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len() + 4).unwrap().to_be_bytes();
        [&[kind], &length[..], payload].concat()
    }

    fn start() -> Vec<u8> {
        let payload = b"\0\x03\0\0user\0postgres\0\0";
        [&u32::try_from(payload.len() + 4).unwrap().to_be_bytes()[..], payload].concat()
    }

    fn begun() -> Conversation {
        let mut conversation = Conversation::default();
        let ssl = [8_u32.to_be_bytes(), SSL_REQUEST.to_be_bytes()].concat();
        assert_eq!(conversation.hear(&ssl), None);
        assert_eq!(conversation.hear(&start()), None);
        conversation
    }

    #[test]
    fn a_commit_is_seen_as_a_query_of_its_own() {
        let mut conversation = begun();
        assert_eq!(conversation.hear(&message(b'Q', b"BEGIN\0")), None);
        assert_eq!(conversation.hear(&message(b'Q', b"insert into commits values ('commit')\0")), None);
        assert_eq!(conversation.hear(&message(b'Q', b"COMMIT\0")), Some(0));
        assert_eq!(conversation.hear(&message(b'Q', b" end;\0")), Some(0));
        let both = [message(b'Q', b"select 1\0"), message(b'Q', b"commit\0")].concat();
        assert_eq!(conversation.hear(&both), Some(14));
    }

    #[test]
    fn a_commit_is_seen_however_it_is_cut_in_pieces() {
        let mut conversation = begun();
        let whole = message(b'Q', b"COMMIT\0");
        for byte in &whole[..whole.len() - 1] {
            assert_eq!(conversation.hear(&[*byte]), None);
        }
        assert_eq!(conversation.hear(&[0]), Some(0));
    }

    #[test]
    fn a_commit_is_seen_when_a_prepared_statement_is_executed() {
        let mut conversation = begun();
        assert_eq!(conversation.hear(&message(b'P', b"c\0COMMIT\0\0\0")), None);
        assert_eq!(conversation.hear(&message(b'P', b"r\0select 1\0\0\0")), None);
        assert_eq!(conversation.hear(&message(b'B', b"\0r\0\0\0")), None);
        assert_eq!(conversation.hear(&message(b'E', b"\0\0\0\0\0")), None);
        assert_eq!(conversation.hear(&message(b'B', b"\0c\0\0\0")), None);
        assert_eq!(conversation.hear(&message(b'E', b"\0\0\0\0\0")), Some(0));
    }

    #[test]
    fn whatever_is_not_postgres_is_not_looked_at() {
        let mut conversation = Conversation::default();
        assert_eq!(conversation.hear(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), None);
        assert_eq!(conversation.hear(&start()), None);
        assert_eq!(conversation.hear(&message(b'Q', b"COMMIT\0")), None);
        assert!(conversation.begun.is_empty(), "nothing is kept of it");
    }
}
