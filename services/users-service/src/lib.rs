//! x
mod grpc;
mod identity_provider;
mod ids;
mod projector;
mod sqlite;
mod sweeper;
