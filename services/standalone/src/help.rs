//! What `--help` says beyond the options: enough to get from nothing to a first call.

/// Above the options.
pub(crate) const ABOUT: &str = "\
Authentication and user administration over gRPC: auth-service and users-service in one process.

It needs no settings. The first start makes databases (SQLite), keys and a super admin in the data
directory, and prints the super admin's password this once; later starts find everything again.
Each start prints the addresses and calls to paste.";

/// Below the options.
pub(crate) const MORE: &str = "\
A first call, while it runs, with the password that it printed:
  grpcurl -plaintext -d '{\"username\": \"superadmin\", \"password\": \"...\"}' \\
    127.0.0.1:50051 tandem.auth.v1.AuthService/LogIn

Settings:
  Built-in defaults, then what the data directory has, then environment variables: AUTH__ or
  USERS__, the section, __ and the key, such as AUTH__SERVER__LISTEN=127.0.0.1:50051. The log is
  one, set by AUTH__LOG__LEVEL and AUTH__LOG__FORMAT. There is no file of settings: with one, run
  the two services.
  `auth-service config --help` and `users-service config --help` show every key.
  TANDEM_SUPER_ADMIN_PASSWORD gives the super admin a password instead of a generated one.

Files, in the data directory (for its owner alone):
  auth.sqlite, users.sqlite  the databases
  signing-key.pem, pepper    without them no token and no password is good: back them up, too
  workload-token             the credential of other services on the internal listener
  initialized                the first start is over, and nothing is made anew

Addresses, unless they are set otherwise:
  127.0.0.1:50051  AuthService
  127.0.0.1:50052  IdentityProviderService, for other services: never to be exposed
  127.0.0.1:50053  UsersService
  127.0.0.1:9051   /livez, /readyz, /metrics, /.well-known/jwks.json over HTTP
  127.0.0.1:9053   /livez, /readyz, /metrics over HTTP

Signals:
  SIGTERM, SIGINT  end without cutting a call
  a second one     ends at once

Exit codes:
  0    it was asked to end, and drained
  1    it could not start; standard error says why
  2    the command line is wrong
  130  ended by a second signal";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use crate::Arguments;

    #[test]
    fn the_help_tells_how_to_begin_and_where_everything_is() {
        let help = Arguments::command().render_long_help().to_string();
        for word in [
            "needs no settings",
            "--data-dir",
            "./tandem-data",
            "prints the super admin's password this once",
            "TANDEM_SUPER_ADMIN_PASSWORD",
            "AUTH__SERVER__LISTEN",
            "USERS__",
            "auth-service config --help",
            "grpcurl -plaintext",
            "tandem.auth.v1.AuthService/LogIn",
            "auth.sqlite, users.sqlite",
            "signing-key.pem, pepper",
            "workload-token",
            "initialized",
            "127.0.0.1:50051",
            "127.0.0.1:50052",
            "127.0.0.1:50053",
            "127.0.0.1:9051",
            "127.0.0.1:9053",
            "SIGTERM, SIGINT",
            "Exit codes",
            "130",
        ] {
            assert!(help.contains(word), "no {word} in:\n{help}");
        }
    }
}
