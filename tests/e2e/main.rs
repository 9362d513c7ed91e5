//! The end-to-end suite: both services, driven only through gRPC.

mod anonymous;
mod bad_input;
mod brute_force;
mod change_password;
mod commands;
mod consistency;
mod crashes;
mod etags;
mod feed;
mod list_users;
mod log_in;
mod metadata;
mod outage;
mod pages;
mod port;
mod postgres;
mod races;
mod repeats;
mod rotation;
mod rules;
mod sessions;
mod start;
mod super_admins;
mod table;
mod timeouts;
mod transport;
