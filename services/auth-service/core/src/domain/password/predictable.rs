//! How much of a password somebody has to guess who knows how people make passwords.
//!
//! The principle: a character counts if it does not follow from the ones before it. The password is cut, from the left,
//! into pieces that can be told in few words, always the one that counts least for its length:
//!
//! - **one character held down**, at least three times: `aaaa` counts 1;
//! - **a run** of at least three characters, each next to the one before, always in the same direction, by code point
//!   or on a keyboard: `abcd`, `7890123`, `poiuy`, `2wsx` and `112233` count 1;
//! - **two runs in turn**, of which one may stand still: `1q2w3e4r` and `a1a2a3` count 2;
//! - **a repetition** of at least three characters that were there before: the end of `x7qg-x7qg` counts 1;
//! - **a common password** of at least four characters: `password` counts 3, since among 100,000 passwords there is
//!   about as much choice as among three characters of a keyboard;
//! - **any other character** counts 1.
//!
//! So `qwerty123456789` counts 2, `correct horse battery` 11, and what is random about as much as it has characters. No
//! dictionary is asked: words that are no common passwords count every letter.

use std::ops::RangeInclusive;

use passwords::analyzer::is_common_password;

use super::keyboard::{ORDERS, Order};

/// Fewer characters are alike or next to one another by chance.
const SHORTEST_PIECE: usize = 3;

/// Shorter ones save nothing; longer ones are few, and are numbers and keyboard walks.
const COMMON_LENGTHS: RangeInclusive<usize> = 4..=16;

const COMMON_COUNTS: usize = 3;

/// Counts the characters of a text in lowercase that do not follow from the ones before, but no further than `enough`:
/// so the effort for a long text is that for a few pieces.
pub(super) fn characters_to_guess(text: &str, enough: usize) -> usize {
    let text = Text::new(text);
    let (mut start, mut count) = (0, 0);
    while start < text.characters.len() && count < enough {
        let piece = text.piece_at(start);
        start += piece.length;
        count += piece.counts;
    }
    count.min(enough)
}

/// The shortest text that makes this one by being repeated, at least twice; the last time it may be cut off.
pub(super) fn repeated_unit(text: &str) -> Option<String> {
    let characters: Vec<_> = text.chars().collect();
    let period = shortest_period(&characters);
    (2 * period <= characters.len() && period > 0).then(|| characters[..period].iter().collect())
}

/// The failure function of Knuth, Morris and Pratt: what a text has left over its longest border is its period.
fn shortest_period(characters: &[char]) -> usize {
    let mut borders = vec![0; characters.len()];
    let mut border = 0;
    for end in 1..characters.len() {
        while border > 0 && characters[border] != characters[end] {
            border = borders[border - 1];
        }
        border += usize::from(characters[border] == characters[end]);
        borders[end] = border;
    }
    characters.len() - border
}

struct Text<'a> {
    lowercase: &'a str,
    characters: Vec<char>,
    /// Where in the text each character begins, and where the text ends.
    offsets: Vec<usize>,
}

struct Piece {
    length: usize,
    counts: usize,
}

impl Piece {
    /// A piece that is too short to be one by intent is none.
    fn counting(counts: usize, length: usize) -> Option<Self> {
        (length >= SHORTEST_PIECE).then_some(Self { length, counts })
    }

    /// Whether it counts less for its length.
    const fn is_better_than(&self, other: &Self) -> bool {
        self.counts * other.length < other.counts * self.length
    }
}

impl<'a> Text<'a> {
    fn new(text: &'a str) -> Self {
        let offsets = text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
        Self { lowercase: text, characters: text.chars().collect(), offsets }
    }

    fn piece_at(&self, start: usize) -> Piece {
        let rest = &self.characters[start..];
        let pieces = [
            Piece::counting(1, held(rest, 1)),
            Piece::counting(1, run(rest, 1)),
            Piece::counting(2, two_runs(rest)),
            Piece::counting(1, self.repetition(start)),
            Piece::counting(COMMON_COUNTS, self.common_password(start)),
        ];
        let character = Piece { length: 1, counts: 1 };
        let better = |best: Piece, piece: Piece| if piece.is_better_than(&best) { piece } else { best };
        pieces.into_iter().flatten().fold(character, better)
    }

    fn repetition(&self, start: usize) -> usize {
        let rest = &self.characters[start..];
        let same = |earlier: usize| {
            rest.iter().zip(&self.characters[earlier..]).take_while(|(one, other)| one == other).count()
        };
        (0..start).map(same).max().unwrap_or(0)
    }

    fn common_password(&self, start: usize) -> usize {
        let is_common = |length: &usize| {
            let end = self.offsets.get(start + length);
            end.is_some_and(|end| is_common_password(&self.lowercase[self.offsets[start]..*end]))
        };
        COMMON_LENGTHS.rev().find(is_common).unwrap_or(0)
    }
}

/// How many times the first character comes at once, looking at every `stride`th only.
fn held(characters: &[char], stride: usize) -> usize {
    characters.iter().step_by(stride).take_while(|next| characters.first() == Some(next)).count()
}

/// How long the run is that the text begins with, looking at every `stride`th character only; 0 if there is none.
fn run(characters: &[char], stride: usize) -> usize {
    ORDERS.into_iter().map(|order| run_in(order, characters, stride)).max().unwrap_or(0)
}

fn run_in(order: Order, characters: &[char], stride: usize) -> usize {
    let mut rest = characters.iter().step_by(stride);
    let Some(mut last) = rest.next() else { return 0 };
    let (mut length, mut distinct, mut direction) = (1, 1, None);
    for next in rest {
        if next != last {
            let step = order.step(*last, *next);
            if step.is_none() || direction.is_some() && direction != step {
                break;
            }
            direction = step;
            distinct += 1;
            last = next;
        }
        length += 1;
    }
    if distinct < SHORTEST_PIECE { 0 } else { length }
}

/// How many characters the text begins with that belong in turn to one of two runs, each long enough to be one.
fn two_runs(characters: &[char]) -> usize {
    let run_or_held = |characters: &[char]| run(characters, 2).max(held(characters, 2));
    let first = run_or_held(characters);
    if first < SHORTEST_PIECE {
        return 0;
    }
    let second = run_or_held(&characters[1..]);
    if second < SHORTEST_PIECE { 0 } else { (2 * first).min(2 * second + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_counts_as_the_characters_that_it_takes_to_tell_it() {
        let cases = [
            ("", 0),
            ("x", 1),
            ("xx", 2),
            ("aaaa", 1),
            ("ab", 2),
            ("abcd", 1),
            ("7890123", 1),
            ("3210987", 1),
            ("poiuy", 1),
            ("2wsx", 1),
            ("zse4", 1),
            ("112233", 1),
            ("abcba", 3),
            ("1q2w3e4r", 2),
            ("r4e3w2q1", 2),
            ("a1a2a3", 2),
            ("a1a2a3a", 2),
            ("x7qg-x7qg", 6),
            ("password", 3),
            ("qwerty123456789", 2),
            ("correct horse battery", 11),
        ];
        for (text, count) in cases {
            assert_eq!(characters_to_guess(text, usize::MAX), count, "{text}");
        }
    }

    #[test]
    fn nothing_is_counted_beyond_enough() {
        assert_eq!(characters_to_guess("correct horse battery", 4), 4);
        assert_eq!(characters_to_guess("correct horse battery", 0), 0);
    }

    #[test]
    fn the_shortest_unit_is_found_also_when_the_last_one_is_cut_off() {
        let cases = [
            ("aaaa", Some("a")),
            ("abab", Some("ab")),
            ("ababa", Some("ab")),
            ("abaabaab", Some("aba")),
            ("ééé", Some("é")),
            ("abcabca", Some("abc")),
            ("abcab", None),
            ("abba", None),
            ("a", None),
            ("", None),
        ];
        for (text, unit) in cases {
            assert_eq!(repeated_unit(text).as_deref(), unit, "{text}");
        }
    }
}
