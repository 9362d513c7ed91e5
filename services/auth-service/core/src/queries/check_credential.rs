//! Checks a username and a password against the whole policy, without a database.

use identity::{RawPassword, Violation, Violations};

use crate::domain::{PasswordPolicy, parse_credential};

/// Every rule that the credential breaks. An empty username means that only the password is asked about.
#[must_use]
pub fn check_credential(policy: &PasswordPolicy, username: &str, password: String) -> Vec<Violation> {
    let mut violations = Violations::new();
    if username.is_empty() {
        if let Some(password) = violations.field("password", RawPassword::parse(password)) {
            violations.field("password", policy.check(password));
        }
    } else {
        parse_credential(policy, &mut violations, username, password);
    }
    violations.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_username_is_not_asked_about() {
        let policy = PasswordPolicy::new(15);
        assert!(check_credential(&policy, "", "a long enough one".into()).is_empty());
        assert_eq!(check_credential(&policy, "", "zq9!kd".into()).len(), 1);
        assert_eq!(check_credential(&policy, "a", "zq9!kd".into()).len(), 2);
        assert_eq!(
            check_credential(&policy, "alice", "the secret of alice".into())[0].reason,
            "CONTAINS_USERNAME"
        );
    }
}
