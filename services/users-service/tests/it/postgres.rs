//! What only PostgreSQL can do: several stores on one database, replicas, long lists without long reads.

mod long_lists;
mod plans;
mod races;
mod replica;
