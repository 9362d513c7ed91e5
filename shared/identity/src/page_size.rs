use crate::Rule;

/// How many items a page has at most: 1 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u16);

impl PageSize {
    /// When a request names none.
    pub const DEFAULT: Self = Self(20);
    /// However many a request asks for.
    pub const MAX: Self = Self(1000);

    /// 0 means the default, more than the maximum means the maximum, less than 0 is refused.
    pub fn parse(requested: i32) -> Result<Self, Rule> {
        match requested {
            ..0 => Err(Rule::Negative),
            0 => Ok(Self::DEFAULT),
            _ => Ok(u16::try_from(requested).map_or(Self::MAX, |size| Self(size.min(Self::MAX.0)))),
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_defaulted_and_capped_but_never_negative() {
        assert_eq!(PageSize::parse(0), Ok(PageSize::DEFAULT));
        assert_eq!(PageSize::parse(7).unwrap().get(), 7);
        assert_eq!(PageSize::parse(1001), Ok(PageSize::MAX));
        assert_eq!(PageSize::parse(i32::MAX), Ok(PageSize::MAX));
        assert_eq!(PageSize::parse(-1), Err(Rule::Negative));
    }
}
