//! The super admin of the first run, made before anybody can sign up under its name.

use std::error::Error;

use auth_service::AuthService;
use clock::SystemClock;
use grpc_kit::Shutdown;
use identity::{RawPassword, Username};
use secrecy::SecretString;
use tokio::net::TcpListener;
use users_core::AdministrationError;
use users_service::{Administration, Token};

use crate::data_dir::{generated_password, generated_token};

/// Its username.
pub(crate) const SUPER_ADMIN: &str = "superadmin";

/// A password that was generated, to be shown once.
pub(crate) struct Generated(pub(crate) String);

/// Makes the super admin through a port of its own, while no public listener serves. What users-service is known by otherwise,
/// a certificate maybe, means nothing there: it is plaintext, on loopback, and knows one token, which is made for it.
pub(crate) async fn make_super_admin(
    auth: &AuthService,
    users: &users_service::Config,
    clock: SystemClock,
) -> Result<Option<Generated>, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut config = users.clone();
    let token = SecretString::from(generated_token());
    config.identity_provider.url = format!("http://{}", listener.local_addr()?);
    config.identity_provider.token = Some(Token::fixed(token.clone()));
    let (stop, stopped) = Shutdown::new();
    let work = async {
        let made = make(&config, clock).await;
        stop.request();
        made
    };
    let (served, made) = tokio::join!(auth.serve_internal(listener, token, stopped), work);
    served?;
    made
}

async fn make(
    config: &users_service::Config,
    clock: SystemClock,
) -> Result<Option<Generated>, Box<dyn Error>> {
    users_service::migrate(&config.database).await?;
    let administration = Administration::open(config, clock).await?;
    let given = given_password()?;
    let generated = given.is_none().then(generated_password);
    let password = given.or_else(|| generated.clone()).unwrap_or_default();
    let password =
        RawPassword::parse(password).map_err(|rule| format!("the password {}", rule.description()))?;
    let username = || Username::parse(SUPER_ADMIN).expect("a valid username");
    match administration.bootstrap_super_admin(username(), &password, false).await {
        // An earlier first run was cut off before it could show the password.
        Err(AdministrationError::SuperAdminExists) => {
            administration.reset_super_admin_password(username(), &password).await?
        }
        made => made?,
    };
    Ok(generated.map(Generated))
}

#[expect(clippy::disallowed_methods, reason = "the one setting of the first run, and none of a service's")]
fn given_password() -> Result<Option<String>, String> {
    match std::env::var("TANDEM_SUPER_ADMIN_PASSWORD") {
        Ok(password) => Ok(Some(password)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err("TANDEM_SUPER_ADMIN_PASSWORD is not Unicode".to_owned())
        }
    }
}
