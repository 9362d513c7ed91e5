//! What `--help` says beyond the list of commands: enough to get from nothing to a first call.

/// Of `users-service`, above the commands.
pub(super) const ABOUT: &str = "\
Users, roles and their administration over gRPC.

It needs auth-service, which owns accounts and passwords and which it asks about every caller; and
auth-service does not need it. `tandem` is both services in one process and needs no settings:
start with that to look around.";

/// Of `users-service`, below the options.
pub(super) const MORE: &str = "\
Settings:
  Built-in defaults, then the file of --config (TOML), then environment variables: USERS__, the
  section, __ and the key. USERS__IDENTITY_PROVIDER__TIMEOUT=1s is timeout = \"1s\" in
  [identity_provider]. A secret or URL can be given as a file by adding _FILE:
  USERS__DATABASE__URL_FILE=/run/secrets/url.
  Sections: server, database, identity_provider, log.
  `users-service config --help` shows every key, with its default and what it is for.
  Without a default, so that they must be given: database.url, and identity_provider.token,
  identity_provider.token_file or identity_provider.client_cert_file.

From nothing to a first call, beside an auth-service that knows the same token:
  export USERS__DATABASE__URL=sqlite://users.sqlite
  export USERS__IDENTITY_PROVIDER__TOKEN_FILE=workload-token
  users-service config check && users-service migrate
  users-service bootstrap-super-admin --username the.boss --password-out the.boss.password
  users-service serve &
  grpcurl -plaintext -H \"authorization: Bearer $TOKEN\" \\
    127.0.0.1:50053 tandem.users.v1.UsersService/GetCurrentUser
  where TOKEN is the access_token that tandem.auth.v1.AuthService/LogIn answers.

Files:
  The token holds a secret: readable by everyone, it is refused. A SQLite file is served by one
  process at a time. Certificates and the token are read again when their files change.

Addresses, unless they are set otherwise:
  127.0.0.1:50053  UsersService, health, reflection
  127.0.0.1:9053   /livez, /readyz, /metrics over HTTP

Signals to `serve`:
  SIGTERM, SIGINT  end without cutting a call: for up to server.drain after server.lame_duck
  a second one     ends at once

Exit codes:
  0    done; for `serve`: drained; for `healthcheck`: ready; for `config check`: valid
  1    refused or failed; standard error says why, of settings everything at once
  2    the command line is wrong
  130  ended by a second signal";

/// Of `users-service config`.
pub(super) const EVERY_KEY: &str = concat!(
    "Every key: a file for --config, with the defaults behind `# `.\n\n",
    include_str!("../../../../deploy/users-service.toml")
);
