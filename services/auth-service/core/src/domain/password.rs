use identity::{BrokenRules, RawPassword, Rule, Username, Violations};
use passwords::analyzer::is_common_password;

/// No configuration may ask for fewer code points: the least that NIST SP 800-63B-4 allows for any password.
pub const MIN_PASSWORD_LENGTH: usize = 8;

const PRODUCT_NAME: &str = "tandem";

/// What a password must be to be set. Log-in asks none of it: there a bad password is just wrong.
///
/// After NIST SP 800-63B-4, section 3.1.1: a minimum length counted in Unicode code points (15 where the password is
/// the only factor), a list of commonly used passwords and context-specific words, no rules of composition.
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    min_length: usize,
}

impl PasswordPolicy {
    /// Takes the minimum length in code points; below [`MIN_PASSWORD_LENGTH`] it is raised to that.
    #[must_use]
    pub fn new(min_length: usize) -> Self {
        Self { min_length: min_length.max(MIN_PASSWORD_LENGTH) }
    }

    /// Checks everything that does not need the username.
    pub fn check(&self, password: RawPassword) -> Result<NewPassword, Vec<Rule>> {
        let mut broken = Vec::new();
        let text = password.expose();
        let lowercase = text.to_lowercase();
        if text.is_empty() {
            broken.push(Rule::Required);
        } else if text.chars().count() < self.min_length {
            broken.push(Rule::TooShort { min: self.min_length });
        }
        if is_common_password(text) || is_common_password(&lowercase) {
            broken.push(Rule::CommonPassword);
        }
        if lowercase.contains(PRODUCT_NAME) {
            broken.push(Rule::ContainsProductName);
        }
        if broken.is_empty() { Ok(NewPassword(password)) } else { Err(broken) }
    }
}

/// A password that may be set, as far as can be told without knowing for whom.
#[derive(Clone, Debug)]
pub struct NewPassword(RawPassword);

impl NewPassword {
    /// Refuses a password that contains the name of the user that it is for, in any case.
    pub fn for_user(self, username: &Username) -> Result<Self, Rule> {
        if contains_username(&self.0, username) { Err(Rule::ContainsUsername) } else { Ok(self) }
    }

    /// The password, for hashing.
    #[must_use]
    pub const fn raw(&self) -> &RawPassword {
        &self.0
    }
}

fn contains_username(password: &RawPassword, username: &Username) -> bool {
    password.expose().to_lowercase().contains(username.canonical())
}

/// Parses a username and the password that is to be set for it: every rule that either breaks is noted.
pub fn parse_credential(
    policy: &PasswordPolicy,
    violations: &mut Violations,
    username: &str,
    password: String,
) -> Option<(Username, NewPassword)> {
    let username = violations.field("username", Username::parse(username));
    let password = violations.field("password", RawPassword::parse(password))?;
    let mut broken = Vec::new();
    if username.as_ref().is_some_and(|name| contains_username(&password, name)) {
        broken.push(Rule::ContainsUsername);
    }
    let password = match policy.check(password) {
        Ok(password) if broken.is_empty() => Ok(password),
        Ok(_) => Err(broken),
        Err(others) => Err([others, broken].concat()),
    };
    let password = violations.field("password", password.map_err(BrokenRules::from))?;
    Some((username?, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(min_length: usize, password: &str) -> Vec<Rule> {
        let password = RawPassword::parse(password.to_owned()).unwrap();
        PasswordPolicy::new(min_length).check(password).err().unwrap_or_default()
    }

    #[test]
    fn length_is_counted_in_code_points_and_nothing_else_is_asked_of_the_characters() {
        assert_eq!(broken(15, "correct horse battery"), []);
        assert_eq!(broken(15, &"é".repeat(15)), []);
        assert_eq!(broken(15, &"é".repeat(14)), [Rule::TooShort { min: 15 }]);
        assert_eq!(broken(15, ""), [Rule::Required]);
    }

    #[test]
    fn common_passwords_are_refused_in_any_case() {
        assert_eq!(broken(8, "password1"), [Rule::CommonPassword]);
        assert_eq!(broken(8, "PassWord1"), [Rule::CommonPassword]);
        assert_eq!(broken(15, "password1"), [Rule::TooShort { min: 15 }, Rule::CommonPassword]);
        assert_eq!(broken(15, "1234567890123456"), [Rule::CommonPassword]);
    }

    #[test]
    fn the_name_of_the_product_or_the_user_is_refused() {
        assert_eq!(broken(15, "I love my Tandem bike"), [Rule::ContainsProductName]);
        let password = RawPassword::parse("the secret of ALICE B".into()).unwrap();
        let password = PasswordPolicy::new(15).check(password).unwrap();
        assert_eq!(
            password.for_user(&Username::parse("alice").unwrap()).unwrap_err(),
            Rule::ContainsUsername
        );
    }

    #[test]
    fn the_minimum_can_not_be_configured_away() {
        assert_eq!(broken(0, "4aK!x9"), [Rule::TooShort { min: MIN_PASSWORD_LENGTH }]);
    }

    #[test]
    fn a_credential_names_every_broken_rule_of_both_fields() {
        let mut violations = Violations::new();
        let parsed = parse_credential(&PasswordPolicy::new(15), &mut violations, "a", "tandem".into());
        assert!(parsed.is_none());
        let named: Vec<_> = violations.into_vec().into_iter().map(|v| (v.field, v.reason)).collect();
        let expected = [
            ("username", "TOO_SHORT"),
            ("password", "TOO_SHORT"),
            ("password", "COMMON_PASSWORD"),
            ("password", "CONTAINS_PRODUCT_NAME"),
        ];
        assert_eq!(named, expected.map(|(field, reason)| (field.to_owned(), reason.to_owned())));
    }
}
