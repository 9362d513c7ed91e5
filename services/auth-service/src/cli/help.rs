//! What `--help` says beyond the list of commands: enough to get from nothing to a first call.

/// Of `auth-service`, above the commands.
pub(super) const ABOUT: &str = "\
Sign-up, log-in, log-out and sessions over gRPC: the service that owns accounts and passwords.

It needs no other service. users-service, which knows roles, and every back end that has to know
who its callers are ask it on the internal listener, with a credential of their own. `tandem` is
both services in one process and needs no settings: start with that to look around.";

/// Of `auth-service`, below the options.
pub(super) const MORE: &str = "\
Settings:
  Built-in defaults, then the file of --config (TOML), then environment variables: AUTH__, the
  section, __ and the key. AUTH__SESSION__IDLE_TIMEOUT=1h is idle_timeout = \"1h\" in [session].
  A secret or URL can be given as a file by adding _FILE: AUTH__DATABASE__URL_FILE=/run/secrets/url.
  Sections: server, database, session, password, token, workload, rate_limit, log.
  `auth-service config --help` shows every key, with its default and what it is for.
  Without a default, so that they must be given: database.url, token.signing_key_file,
  password.peppers, and workload.clients or workload.token_file.

From nothing to a first call:
  umask 077
  auth-service keys generate --out signing-key.pem
  echo \"1:$(head -c 32 /dev/urandom | base64)\" > pepper
  head -c 32 /dev/urandom | base64 > workload-token
  export AUTH__DATABASE__URL=sqlite://auth.sqlite AUTH__TOKEN__SIGNING_KEY_FILE=signing-key.pem
  export AUTH__PASSWORD__PEPPERS_FILE=pepper AUTH__WORKLOAD__TOKEN_FILE=workload-token
  auth-service config check && auth-service migrate
  auth-service serve &
  grpcurl -plaintext -d '{\"username\": \"alice\", \"password\": \"a long enough secret\"}' \\
    127.0.0.1:50051 tandem.auth.v1.AuthService/SignUp

Files:
  The signing key, the pepper and tokens hold secrets: readable by everyone, they are refused.
  Back up the database, the signing key and the pepper together; no password can be verified
  without its pepper. A SQLite file is served by one process at a time. Certificates and the
  tokens of workloads are read again when their files change.

Addresses, unless they are set otherwise:
  127.0.0.1:50051  AuthService, health, reflection
  127.0.0.1:50052  IdentityProviderService, health: for other services, never to be exposed
  127.0.0.1:9051   /livez, /readyz, /metrics, /.well-known/jwks.json over HTTP

Signals to `serve`:
  SIGTERM, SIGINT  end without cutting a call: for up to server.drain after server.lame_duck
  a second one     ends at once

Exit codes:
  0    done; for `serve`: drained; for `healthcheck`: ready; for `config check`: valid
  1    refused or failed; standard error says why, of settings everything at once
  2    the command line is wrong
  130  ended by a second signal";

/// Of `auth-service config`.
pub(super) const EVERY_KEY: &str = concat!(
    "Every key: a file for --config, with the defaults behind `# `.\n\n",
    include_str!("../../../../deploy/auth-service.toml")
);
