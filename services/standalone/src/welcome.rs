//! What a start prints: the addresses, commands to paste, and once in a lifetime the super admin's password.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::first_run::{Generated, SUPER_ADMIN};

/// Where the listeners really are.
pub(crate) struct Addresses {
    pub(crate) auth: SocketAddr,
    pub(crate) port: SocketAddr,
    pub(crate) users: SocketAddr,
    pub(crate) auth_ops: SocketAddr,
    pub(crate) users_ops: SocketAddr,
}

/// What there is to say.
pub(crate) struct Welcome {
    pub(crate) addresses: Addresses,
    pub(crate) workload_token: PathBuf,
    pub(crate) super_admin: Option<Generated>,
}

impl Welcome {
    /// Prints it to standard output, in one go.
    pub(crate) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(self.text().as_bytes())?;
        out.flush()
    }

    fn text(&self) -> String {
        let Addresses { auth, port, users, auth_ops, users_ops } = &self.addresses;
        let token = self.workload_token.display();
        let addresses = format!(
            "Tandem listens.\n\
             \n  auth-service   {auth}   sign-up, log-in, sessions\
             \n  users-service  {users}   administration of users\
             \n  internal       {port}   for other services, with the token in {token}\
             \n  operations     {auth_ops} and {users_ops}   /livez, /readyz, /metrics\n"
        );
        addresses + &self.super_admin_made() + &self.calls_to_paste()
    }

    fn super_admin_made(&self) -> String {
        let Some(Generated(password)) = &self.super_admin else { return String::new() };
        format!(
            "\nThe super admin was made. Its password is shown this once:\n\
             \n  username  {SUPER_ADMIN}\
             \n  password  {password}\n"
        )
    }

    fn calls_to_paste(&self) -> String {
        let auth = self.addresses.auth;
        let password = self.super_admin.as_ref().map_or("...", |generated| &generated.0);
        let body = format!("{{\"username\": \"{SUPER_ADMIN}\", \"password\": \"{password}\"}}");
        let method = "tandem.auth.v1.AuthService/LogIn";
        format!(
            "\nLog in with grpcurl, or with buf (npm install --global @bufbuild/buf):\n\
             \n  grpcurl -plaintext -d '{body}' {auth} {method}\
             \n  buf curl --protocol grpc --http2-prior-knowledge -d '{body}' http://{auth}/{method}\n"
        )
    }
}
