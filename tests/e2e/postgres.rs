//! What only a server of PostgreSQL has: several replicas over one database, replicas and poolers of the server itself,
//! crashes, backups, roles.
//!
//! These tests say themselves what they run on, whatever engine the run is about; `tests/run` has a stage for them.

mod deadlines;
mod ending;
mod followers;
mod guesses;
mod kills;
mod life;
mod load;
mod mix;
mod one_connection;
mod pooler;
mod replica;
mod restore;
mod roles;
mod rolling;
mod settings;
mod silence;
mod stops;
mod stuck;
pub(crate) mod tally;
mod versions;
