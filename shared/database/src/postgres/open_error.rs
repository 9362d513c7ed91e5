//! Why a PostgreSQL database cannot be used, in words that name the place and never its password.

use sqlx::postgres::PgConnectOptions;

/// What is said of a server that is no primary.
pub(super) const STANDBY: &str = "the server is a standby that follows another one, and a primary is needed";

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody answers there, or refuses us.
    #[error("{place} cannot be opened: {cause}")]
    Refused {
        /// Where: host, port and database.
        place: String,
        /// Why.
        cause: sqlx::Error,
    },
    /// The server is older than the oldest version that this works with.
    #[error("{place} is PostgreSQL {}, and 15 is the oldest that this works with", version / 10_000)]
    TooOld {
        /// Where: host, port and database.
        place: String,
        /// `server_version_num`.
        version: i32,
    },
    /// The server is none that can be written to.
    #[error("{place}: {STANDBY}")]
    Standby {
        /// Where: host, port and database.
        place: String,
    },
}

impl OpenError {
    pub(super) fn new(options: &PgConnectOptions, cause: sqlx::Error) -> Self {
        Self::Refused { place: place(options), cause }
    }

    pub(super) fn standby(options: &PgConnectOptions) -> Self {
        Self::Standby { place: place(options) }
    }

    pub(super) fn too_old(options: &PgConnectOptions, version: i32) -> Self {
        Self::TooOld { place: place(options), version }
    }
}

/// Where a database is, as it may be shown.
pub(crate) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(socket) => format!("PostgreSQL at {}, database {database}", socket.display()),
        None => format!("PostgreSQL at {}:{}, database {database}", options.get_host(), options.get_port()),
    }
}
