//! What `docs/operating.md` tells operators to do, done as it says, in its order, to processes that people are using: secrets
//! are replaced, backups made while everything runs, and restored. And what comes of it when a step is left out.

mod backup;
mod commands;
mod database_password;
mod load;
mod lost_secrets;
mod pepper;
mod signing_key;
mod workload_token;
