//! A record as a line of a story.

use std::fmt;

use super::{Call, Outcome, Record, Secret, Who};

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { does, who, user, shows, sets, role, request_id, etag, session, keeps_current, .. } =
            &self.call;
        write!(f, "{:>11} - {:>11}  ", self.start.to_string(), self.end.to_string())?;
        match who {
            Who::Operator => write!(f, "operator     {does:?}")?,
            _ => write!(f, "{:?}-service {} {does:?}", does.served_by(), self.replica)?,
        }
        match who {
            Who::Nobody | Who::Operator => {}
            Who::Forger => write!(f, " with a forged token")?,
            Who::Session { id, user } => write!(f, " as {user} in session {}", short(id))?,
        }
        for (label, value) in [("on", user), ("request", request_id), ("etag", etag), ("session", session)] {
            if let Some(value) = value {
                write!(f, ", {label} {}", if label == "on" { value } else { short(value) })?;
            }
        }
        for (label, secret) in [("shows", shows), ("sets", sets)] {
            if let Some(Secret(number)) = secret {
                write!(f, ", {label} password {number}")?;
            }
        }
        if let Some(role) = role {
            write!(f, ", role {role:?}")?;
        }
        if *keeps_current {
            write!(f, ", keeps its own")?;
        }
        match &self.outcome {
            Outcome::Ok(answer) => {
                write!(f, ": OK")?;
                if let Some(seen) = &answer.user {
                    let state = if seen.active { "active" } else { "inactive" };
                    write!(f, " {} {:?} {state} etag {}", seen.name, seen.role, short(&seen.etag))?;
                }
                match &answer.session {
                    Some(session) => write!(f, " session {}", short(session)),
                    None => Ok(()),
                }
            }
            Outcome::Denied(refusal) => write!(f, ": denied, {}", refusal.reason),
            Outcome::NotDone(why) => write!(f, ": not done, {why}"),
            Outcome::Unknown(why) => write!(f, ": unknown, {why}"),
            Outcome::Broken(why) => write!(f, ": broken, {why}"),
        }
    }
}

/// As much of an id as tells it from the others: its end, for a `UUIDv7` begins with the time.
fn short(id: &str) -> &str {
    &id[id.len().saturating_sub(8)..]
}
