//! Which passwords may be set. Knows nothing of hashes, and of no other password than the one that is asked about.

mod keyboard;
mod predictable;

use identity::{RawPassword, Rule, Username, Violations};
use passwords::analyzer::is_common_password;

use predictable::{characters_to_guess, repeated_unit};

/// No configuration may ask for fewer code points: the least that NIST SP 800-63B-4 allows for any password.
pub const MIN_PASSWORD_LENGTH: usize = 8;

const PRODUCT_NAME: &str = "tandem";

/// What a password must be to be set. Log-in asks none of it: there a bad password is just wrong.
///
/// After NIST SP 800-63B-4, section 3.1.1: a minimum length counted in Unicode code points (15 where the password is
/// the only factor), a list of commonly used passwords and context-specific words, no rules of composition. The list is
/// that of the crate `passwords` 3.1: 99,838 passwords, 47,324 of them of eight code points or more, 331 of fifteen.
///
/// A minimum length invites what fills it up: repetition and sequences, which SP 800-63B-3 names beside the common
/// passwords. Whatever repeats a unit is refused if the unit alone would be; and at least half of the minimum length has
/// to be characters that do not follow from the ones before.
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
        let broken = self.broken_rules(&password);
        if broken.is_empty() { Ok(NewPassword(password)) } else { Err(broken) }
    }

    /// Checks everything.
    pub fn check_for(&self, username: &Username, password: RawPassword) -> Result<NewPassword, Vec<Rule>> {
        let mut broken = self.broken_rules(&password);
        if contains_username(&password, username) {
            broken.push(Rule::ContainsUsername);
        }
        if broken.is_empty() { Ok(NewPassword(password)) } else { Err(broken) }
    }

    fn broken_rules(&self, password: &RawPassword) -> Vec<Rule> {
        let mut broken = Vec::new();
        let text = password.expose();
        let lowercase = text.to_lowercase();
        if text.is_empty() {
            broken.push(Rule::Required);
        } else if self.is_too_short(text) {
            broken.push(Rule::TooShort { min: self.min_length });
        }
        broken.extend(self.easily_guessed(text, &lowercase));
        if lowercase.contains(PRODUCT_NAME) {
            broken.push(Rule::ContainsProductName);
        }
        broken
    }

    fn is_too_short(&self, text: &str) -> bool {
        text.chars().count() < self.min_length
    }

    /// These rules are degrees of one: the first that is broken says most, and the others would only repeat it.
    fn easily_guessed(&self, text: &str, lowercase: &str) -> Option<Rule> {
        if is_common_password(text) || is_common_password(lowercase) {
            Some(Rule::CommonPassword)
        } else if repeated_unit(lowercase).is_some_and(|unit| self.refuses_unit(&unit)) {
            Some(Rule::Repetitive)
        } else {
            self.is_predictable(lowercase).then_some(Rule::Predictable)
        }
    }

    /// Repeating something makes it neither longer nor harder to guess. The shortest unit does not repeat another.
    fn refuses_unit(&self, unit: &str) -> bool {
        self.is_too_short(unit) || is_common_password(unit) || self.is_predictable(unit)
    }

    /// A text that is too short is not called predictable for that as well.
    fn is_predictable(&self, lowercase: &str) -> bool {
        let enough = lowercase.chars().count().min(self.min_length).div_ceil(2);
        characters_to_guess(lowercase, enough) < enough
    }
}

/// A password that may be set, as far as can be told without knowing for whom.
#[derive(Clone, Debug)]
pub struct NewPassword(RawPassword);

impl NewPassword {
    /// Refuses a password that contains the name of the user that it is for, or is a part of it, in any case.
    pub fn for_user(self, username: &Username) -> Result<Self, Rule> {
        if contains_username(&self.0, username) { Err(Rule::ContainsUsername) } else { Ok(self) }
    }

    /// The password, for hashing.
    #[must_use]
    pub const fn raw(&self) -> &RawPassword {
        &self.0
    }
}

/// A name repeated and cut off contains it whole at least once, or is the beginning of it.
fn contains_username(password: &RawPassword, username: &Username) -> bool {
    let (password, username) = (password.expose().to_lowercase(), username.canonical());
    password.contains(username) || !password.is_empty() && username.contains(&password)
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
    let password = match &username {
        Some(username) => policy.check_for(username, password),
        None => policy.check(password),
    };
    let password = violations.field("password", password)?;
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
        assert_eq!(broken(15, "éàüøßñçåæœþðłžő"), []);
        assert_eq!(broken(15, "éàüøßñçåæœþðłž"), [Rule::TooShort { min: 15 }]);
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
    fn repetition_makes_a_password_neither_longer_nor_harder_to_guess() {
        let repeated = [
            (8, "~~~~~~~~~~"),
            (8, "Zq!Zq!Zq!"),
            (8, "k7#xk7#xk7"),
            (8, "blink182blink182"),
            (8, "Password1pASSWORD1password1"),
            (8, "password1password1passw"),
            (8, "abcdefgh1abcdefgh1"),
            (15, "zzzzzzzzzzzzzzz"),
            (15, "ééééééééééééééééééé"),
            (15, "abcabcabcabcabc"),
            (15, "AbCaBcAbCaBcAbCa"),
            (15, "password1password1"),
            (15, "baseballbaseball"),
            (15, "knock knock knock"),
            (15, "x7gq2lpx7gq2lpx7gq2lp"),
        ];
        for (min_length, password) in repeated {
            assert_eq!(broken(min_length, password), [Rule::Repetitive], "{password}");
        }
        assert_eq!(broken(8, "x7gq2lp9vx7gq2lp9v"), [], "what is repeated could be the password");
        assert_eq!(broken(15, "x7gq2lp9vx7gq2lp9v"), [Rule::Repetitive]);
        assert_eq!(broken(15, "zq!zq!"), [Rule::TooShort { min: 15 }, Rule::Repetitive]);
    }

    #[test]
    fn sequences_and_rows_of_keys_are_refused_also_several_in_a_row() {
        let common_already = [
            (8, "abcdefgh"),
            (8, "12345678"),
            (8, "aaaaaaaa"),
            (8, "qwertyui"),
            (8, "abcd1234"),
            (15, "aaaaaaaaaaaaaaa"),
            (15, "123456789012345"),
            (15, "1qaz2wsx3edc4rfv"),
            (15, "qwerty123456789"),
            (15, "111222333444555"),
        ];
        for (min_length, password) in common_already {
            assert_eq!(broken(min_length, password), [Rule::CommonPassword], "{password}");
        }
        let predictable = [
            (8, "bcdefghi"),
            (8, "UVWXYZabc"),
            (8, "56789012"),
            (8, "21098765"),
            (8, "ertzuiop"),
            (8, "wxcvbn,;"),
            (8, "fghj4567"),
            (8, "cdecde456"),
            (8, "7778889990"),
            (15, "abcdefghijklmno"),
            (15, "zyxwvutsrqponml"),
            (15, "абвгдежзийклмно"),
            (15, "987654321098765"),
            (15, "qwertyuiopasdfgh"),
            (15, "hgfdsapoiuytrewq"),
            (15, "azertyuiopqsdfgh"),
            (15, "qwertzuiopasdfgh"),
            (15, "!@#$%^&*()_+!@#$"),
            (15, "vfr4cde3xsw2zaq1"),
            (15, "1aqw2zsx3edc4rfv"),
            (15, "zse4xdr5cft6vgy7"),
            (15, "0p9o8i7u6y5t4r3e"),
            (15, "a1b2c3d4e5f6g7h8"),
            (15, "abcdefgh12345678"),
            (15, "aaabbbcccdddeee"),
            (15, "147258369147258"),
            (15, "PasswordPassword1"),
            (15, "password password"),
            (15, "password123456!!"),
            (15, "BaseballPrincess"),
        ];
        for (min_length, password) in predictable {
            assert_eq!(broken(min_length, password), [Rule::Predictable], "{password}");
        }
        assert_eq!(broken(15, "abcdefg1234567"), [Rule::TooShort { min: 15 }, Rule::Predictable]);
    }

    #[test]
    fn phrases_are_accepted_whatever_they_contain() {
        let phrases = [
            "a long walk by the sea",
            "correct horse battery",
            "correcthorsebattery",
            "CorrectHorseBatteryStaple",
            "row row row your boat",
            "my password is a password",
            "the pin is not 1234 either",
            "aaaargh, what a mess!",
            "qwerty is no layout for me",
            "abc, the cat is in the snow",
            "we met on 24.12.1987 in Linz",
            "aaaaaaaaaaaaaaaaaaaaX7gQ2mP9",
            "  spaces kept  ",
            "nul \0 is fine here",
            "мой дядя самых честных правил",
            "道可道非常道名可名非常名無名天地之始",
            "いろはにほへとちりぬるをわか",
            "Füße über Öl und Ähren",
            "🦀 eats 🐟 under the 🌊",
            "71830264957301846295",
        ];
        for phrase in phrases {
            let min_length = phrase.chars().count().min(15);
            assert_eq!(broken(min_length, phrase), [], "{phrase}");
        }
        for short in
            ["x7Gq2LpZ", "tr0ub4dor&3", "ab71cd52", "blue lamp", "abcd12ef", "wer da 111", "83017462"]
        {
            assert_eq!(broken(8, short), [], "{short}");
        }
    }

    /// Eight random characters hold two runs of three now and then, which are then refused like those of a person.
    #[test]
    fn what_is_random_is_accepted() {
        let base64: Vec<_> = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(['+', '/']).collect();
        let (lowercase, cyrillic) = (('a'..='z').collect::<Vec<_>>(), ('а'..='я').collect());
        let (printable, digits) = (('!'..='~').collect(), ('0'..='9').collect());
        for (min_length, length, alphabet, refused) in [
            (8, 8, &base64, 1),
            (8, 8, &printable, 0),
            (8, 12, &lowercase, 0),
            (15, 15, &base64, 0),
            (15, 15, &lowercase, 0),
            (15, 15, &cyrillic, 0),
            (15, 20, &digits, 0),
        ] {
            let mut random = Random(1);
            let passwords = (0..2_000).map(|_| random.text(alphabet, length));
            let found: Vec<_> =
                passwords.filter(|password| !broken(min_length, password).is_empty()).collect();
            assert!(found.len() <= refused, "{found:?}");
        }
    }

    /// The generator of Knuth's MMIX: random enough, and the same every time.
    struct Random(u64);

    impl Random {
        fn text(&mut self, alphabet: &[char], length: usize) -> String {
            (0..length).map(|_| alphabet[self.below(alphabet.len())]).collect()
        }

        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % end
        }
    }

    #[test]
    fn the_name_of_a_user_repeated_or_cut_off_is_refused() {
        let cases = [
            (8, "alice", "alicealiceali"),
            (15, "Alice.B", "ALICE.Balice.bALI"),
            (8, "bartholomew", "Bartholom"),
        ];
        for (min_length, username, password) in cases {
            let username = Username::parse(username).unwrap();
            let raw = RawPassword::parse(password.to_owned()).unwrap();
            let broken = PasswordPolicy::new(min_length).check_for(&username, raw.clone()).unwrap_err();
            assert_eq!(broken.last(), Some(&Rule::ContainsUsername), "{password}");
            assert_eq!(NewPassword(raw).for_user(&username).unwrap_err(), Rule::ContainsUsername);
        }
        let username = Username::parse("alice").unwrap();
        let empty = RawPassword::parse(String::new()).unwrap();
        assert_eq!(PasswordPolicy::new(8).check_for(&username, empty).unwrap_err(), [Rule::Required]);
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
    fn all_broken_rules_come_at_once() {
        let username = Username::parse("alice").unwrap();
        let password = RawPassword::parse("Tandemalicetandemalice".to_owned()).unwrap();
        assert_eq!(
            PasswordPolicy::new(64).check_for(&username, password).unwrap_err(),
            [Rule::TooShort { min: 64 }, Rule::Repetitive, Rule::ContainsProductName, Rule::ContainsUsername]
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
