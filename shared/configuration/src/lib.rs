//! How a Tandem process learns its settings.
//!
//! Values come in layers, each over the one before: the default that is built in where a key is read, the
//! process's own defaults (the all-in-one chooses its files that way), the TOML file of `--config`, and the
//! environment as `PREFIX__SECTION__KEY`. [`Layers`] gathers what was given; [`Reader`] is asked for one key
//! after the other and remembers which were asked for. Whatever was given and never asked for is a mistake.
//!
//! All problems are reported together, each with its key and where the value came from: whoever repairs a
//! deployment wants the whole list, not the first entry of it. A value that is wrong is replaced by its
//! default while reading goes on; no settings leave [`Layers::read`] as long as there is a problem.
//!
//! Deliberately absent: the keys of any service, and a guess at the type of a text. In the environment
//! `12345` is the text `12345` until someone asks for a number.
//!
//! ```
//! # use std::time::Duration;
//! use configuration::Layers;
//!
//! let given = [("AUTH__SESSION__IDLE_TIMEOUT".to_owned(), "45m".to_owned())];
//! let (idle_timeout, effective) = Layers::new("AUTH")
//!     .variables(given)
//!     .read(|settings| {
//!         settings.duration("session.idle_timeout", "30m", Duration::from_secs(1)..=Duration::from_secs(86_400))
//!     })
//!     .expect("45m is a duration");
//!
//! assert_eq!(idle_timeout, Duration::from_secs(45 * 60));
//! assert_eq!(
//!     effective.to_string(),
//!     "[session]\nidle_timeout = \"45m\" # environment variable AUTH__SESSION__IDLE_TIMEOUT\n",
//! );
//! ```

#[cfg(test)]
use overheard as _;

mod effective;
mod layers;
mod masking;
mod problem;
mod reader;
mod secret_file;
mod source;
mod standard;
mod suggestion;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod value;

pub use effective::{Effective, Known};
pub use layers::Layers;
pub use problem::{Problem, Problems};
pub use reader::Reader;
pub use secret_file::{SecretFile, UnfitFile};
pub use standard::standard_variable;
