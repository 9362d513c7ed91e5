//! The end-to-end suite: both services, driven only through gRPC.

#[macro_use]
mod each_service;

mod abuse;
mod anonymous;
mod bad_input;
mod brute_force;
mod change_password;
mod commands;
mod consistency;
mod crashes;
mod drain_under_load;
mod etags;
mod faults;
mod feed;
mod list_users;
mod log_in;
mod metadata;
mod metrics;
mod operating;
mod outage;
mod pages;
mod panics;
mod port;
mod postgres;
mod races;
mod readiness;
mod repeats;
mod rotation;
mod rules;
mod secrets;
mod security_events;
mod sessions;
mod settings;
mod start;
mod super_admins;
mod table;
mod timeouts;
mod tls;
mod traces;
mod transport;
mod unread_log;
