//! What somebody might send who means harm, or whose cable is bad: bytes and texts for property tests, most of them near what
//! is valid, since what is far from it is refused at the first look.
//!
//! How many of each are tried in an ordinary run is said below; `PROPTEST_CASES=100000` tries more.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::Config;

/// Enough for a second or two.
const CASES: u32 = 2_000;

/// How property tests run: nothing is written beside the sources, and the failing input is printed.
#[must_use]
pub fn cases() -> Config {
    cases_of(CASES)
}

/// The same for what takes longer: so many in an ordinary run.
#[must_use]
pub fn cases_of(in_an_ordinary_run: u32) -> Config {
    // Whoever asks for another number by the variable has it already.
    let asked = Config::default();
    let cases = if asked.cases == 256 { in_an_ordinary_run } else { asked.cases };
    Config { cases, failure_persistence: None, ..asked }
}

/// One thing that is done to some bytes.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Set(Index, u8),
    Cut(Index),
    CutFront(Index),
    Remove(Index),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index),
    Swap(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        4 => (place(), 0_u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        1 => place().prop_map(Damage::Cut),
        1 => place().prop_map(Damage::CutFront),
        2 => place().prop_map(Damage::Remove),
        2 => (place(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (place(), place()).prop_map(|(from, to)| Damage::Repeat(from, to)),
        1 => (place(), place()).prop_map(|(one, other)| Damage::Swap(one, other)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match self {
            Self::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Self::Set(at, byte) => bytes[at.index(length)] = *byte,
            Self::Cut(at) => bytes.truncate(at.index(length)),
            Self::CutFront(at) => drop(bytes.drain(..at.index(length))),
            Self::Remove(at) => drop(bytes.remove(at.index(length))),
            Self::Insert(at, more) => {
                let at = at.index(length);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(length), to.index(length));
                let part = bytes[from.min(to)..=from.max(to)].to_vec();
                bytes.extend(part);
            }
            Self::Swap(one, other) => bytes.swap(one.index(length), other.index(length)),
        }
    }
}

/// These bytes, damaged in one to four ways, which may leave them as they were.
pub fn damaged(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> + use<> {
    vec(damage(), 1..5).prop_map(move |damages| {
        let mut bytes = bytes.clone();
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        bytes
    })
}

/// This text, damaged; what is no text any more is made one.
pub fn damaged_text(text: &str) -> impl Strategy<Value = String> + use<> {
    damaged(text.as_bytes().to_vec()).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// What parsers trip over.
const ODD: &[&str] = &[
    "",
    " ",
    "0",
    "-1",
    "+1",
    "00",
    ".",
    "..",
    "-",
    "=",
    "%00",
    "\0",
    "\n",
    "\u{feff}",
    "\u{202e}",
    "é",
    "İ",
    "ß",
    "1e400",
    "NaN",
    "18446744073709551616",
    "9223372036854775807",
    "null",
    "[]",
    "{}",
    "\"",
];

/// Any text: of visible ASCII, of anything, or of what parsers trip over.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(prop::char::range(' ', '~'), 0..80).prop_map(String::from_iter),
        vec(any::<char>(), 0..40).prop_map(String::from_iter),
        vec(select(ODD), 0..4).prop_map(|parts| parts.concat()),
    ]
}

/// Fields of protobuf messages, of any number and type, with texts of these among them: whatever message they are read as,
/// some of them fit.
pub fn protobuf(texts: &[&str]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let known: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let number = prop_oneof![8 => 1_u64..8, 1 => 8_u64..40, 1 => any::<u32>().prop_map(u64::from)];
    let small = prop_oneof![4 => 0_u64..8, 1 => any::<u64>()];
    let text = prop_oneof![4 => select(known), 1 => text().prop_map(String::into_bytes), 1 => vec(any::<u8>(), 0..20)];
    let field = prop_oneof![
        6 => (number.clone(), text).prop_map(|(number, text)| delimited(number, &text)),
        4 => (number.clone(), small).prop_map(|(number, value)| [varint(number << 3), varint(value)].concat()),
        1 => (number, any::<u64>())
            .prop_map(|(number, value)| [varint(number << 3 | 1), value.to_le_bytes().to_vec()].concat()),
    ];
    vec(field, 0..7).prop_map(|fields| fields.concat()).prop_flat_map(|message| {
        prop_oneof![4 => Just(message.clone()), 1 => damaged(message.clone()), 1 => Just(delimited(1, &message))]
    })
}

fn delimited(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn any_damage_can_be_done_to_anything(bytes in vec(any::<u8>(), 0..6).prop_flat_map(damaged)) {
            prop_assert!(bytes.len() < 1_000);
        }
    }

    #[test]
    fn a_number_is_written_as_protobuf_writes_it() {
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(delimited(2, b"testing"), b"\x12\x07testing");
    }
}
