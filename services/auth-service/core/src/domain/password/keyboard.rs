//! Characters that follow one another: in the alphabet, in counting, on the keys of a keyboard.

/// Where the next character is, seen from this one: so many rows down and so many places to the right.
pub(super) type Step = (i32, i32);

/// An order that characters are in.
#[derive(Clone, Copy)]
pub(super) enum Order {
    /// By code point, which is that of the alphabet in most scripts; digits go round, so that 0 follows 9.
    CodePoints,
    /// By the places of the keys.
    Keys(&'static Keyboard),
}

/// The keys of a keyboard, row by row. A key has neighbours in its own row and, because the rows are shifted against
/// one another, two each in the rows above and below: `1qaz` is a straight line, and so is `zse4`.
pub(super) struct Keyboard {
    rows: [&'static str; 4],
    /// What the keys of the first row give with the shift key, or, where that gives the digits, without it.
    shifted: &'static str,
}

/// Every order that a password is looked through for.
pub(super) const ORDERS: [Order; 5] = [
    Order::CodePoints,
    Order::Keys(&Keyboard {
        rows: ["1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./"],
        shifted: "!@#$%^&*()_+",
    }),
    Order::Keys(&Keyboard {
        rows: ["1234567890ß´", "qwertzuiopü+", "asdfghjklöä#", "yxcvbnm,.-"],
        shifted: "!\"§$%&/()=?`",
    }),
    Order::Keys(&Keyboard {
        rows: ["1234567890°+", "azertyuiop^$", "qsdfghjklmù*", "wxcvbn,;:!"],
        shifted: "&é\"'(-è_çà)=",
    }),
    // The block of digits.
    Order::Keys(&Keyboard { rows: ["789", "456", "123", "0"], shifted: "" }),
];

impl Order {
    /// The step from one character to another that is next to it.
    pub(super) fn step(self, from: char, to: char) -> Option<Step> {
        let step = match self {
            Self::CodePoints => (0, code_points_between(from, to)),
            Self::Keys(keyboard) => {
                let (from, to) = (keyboard.place(from)?, keyboard.place(to)?);
                (to.0 - from.0, to.1 - from.1)
            }
        };
        matches!(step, (0, -1 | 1) | (-1 | 1, 0) | (1, -1) | (-1, 1)).then_some(step)
    }
}

fn code_points_between(from: char, to: char) -> i32 {
    match (from, to) {
        ('9', '0') => 1,
        ('0', '9') => -1,
        _ => u32::from(to).cast_signed() - u32::from(from).cast_signed(),
    }
}

impl Keyboard {
    fn place(&self, character: char) -> Option<(i32, i32)> {
        let in_row =
            |row: &str| (0..).zip(row.chars()).find(|(_, key)| *key == character).map(|(place, _)| place);
        let mut rows = (0..).zip(self.rows);
        rows.find_map(|(number, row)| Some((number, in_row(row)?)))
            .or_else(|| Some((0, in_row(self.shifted)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_to_a_neighbour_and_says_where_it_is() {
        let [alphabet, english, german, french, digits] = ORDERS;
        let cases = [
            (alphabet, 'a', 'b', Some((0, 1))),
            (alphabet, 'b', 'a', Some((0, -1))),
            (alphabet, '9', '0', Some((0, 1))),
            (alphabet, '0', '9', Some((0, -1))),
            (alphabet, 'a', 'c', None),
            (alphabet, 'a', 'a', None),
            (alphabet, '\0', char::MAX, None),
            (english, 'q', 'w', Some((0, 1))),
            (english, 'q', 'a', Some((1, 0))),
            (english, 'w', 'a', Some((1, -1))),
            (english, 'a', 'w', Some((-1, 1))),
            (english, 'q', 's', None),
            (english, 'p', 'a', None),
            (english, '!', '2', Some((0, 1))),
            (english, '!', 'q', Some((1, 0))),
            (english, 't', 'z', None),
            (german, 't', 'z', Some((0, 1))),
            (french, 'a', 'z', Some((0, 1))),
            (french, 'é', 'z', Some((1, 0))),
            (digits, '1', '4', Some((-1, 0))),
            (digits, 'a', 'b', None),
        ];
        for (order, from, to, step) in cases {
            assert_eq!(order.step(from, to), step, "{from} {to}");
        }
    }
}
