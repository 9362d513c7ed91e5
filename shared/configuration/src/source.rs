//! Where a value came from, in the words that an operator reads. Knows no values.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from. The first variants are in the order of the layers: a later one wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// Nobody gave it and there is no default.
    NotSet,
    /// The default at the place where the key is read.
    BuiltIn,
    /// A default of the process as a whole, by its name.
    Defaults(String),
    /// The configuration file, and the line of it where that is known.
    File(PathBuf, Option<usize>),
    /// An environment variable, spelled as it was found.
    Variable(String),
    /// A file whose path is the value of a key from another source.
    Named { file: PathBuf, by: Box<Self> },
}

impl Source {
    /// Whether both come from the same layer, so that neither wins over the other.
    pub(crate) fn same_layer(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Source {
    // Debug-escaped where the outside world chooses the text: a source must stay on its line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSet => f.write_str("not set"),
            Self::BuiltIn => f.write_str("built-in default"),
            Self::Defaults(name) => write!(f, "{}", name.escape_debug()),
            Self::File(path, line) => {
                write!(f, "file {}", path.display().to_string().escape_debug())?;
                line.map_or(Ok(()), |line| write!(f, ", line {line}"))
            }
            Self::Variable(name) => write!(f, "environment variable {}", name.escape_debug()),
            Self::Named { file, by } => {
                write!(f, "file {}, named by {by}", file.display().to_string().escape_debug())
            }
        }
    }
}
