//! "Did you mean": which of the keys that exist is closest to one that does not.

/// The nearest of `known`, unless even that one is too far off to be what was meant.
pub(crate) fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters wrong is still a typing error; more is another word.
    let tolerated = unknown.chars().count() / 3;
    known
        .map(|key| (distance(unknown, key), key))
        .filter(|(distance, _)| *distance <= tolerated)
        .min()
        .map(|(_, key)| key)
}

/// Levenshtein's edit distance: how many letters to insert, delete or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (deleted, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = deleted + 1;
        for (column, wanted) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn distance_counts_insertions_deletions_and_replacements() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("listen", "listen"), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn only_a_key_that_could_have_been_meant_is_suggested() {
        let known = ["session.idle_timeout", "server.listen"];
        assert_eq!(nearest("session.idel_timeout", known.into_iter()), Some("session.idle_timeout"));
        assert_eq!(nearest("server.lsten", known.into_iter()), Some("server.listen"));
        assert_eq!(nearest("color", known.into_iter()), None);
    }
}
