//! The commands that make, demote and help super admins.

use std::error::Error;

use clock::SystemClock;
use identity::Username;
use users_core::{AdministrationError, Error as UseCaseError};

use super::password::{HandedOut, InUse, NewPassword};
use super::{PasswordPlace, Whom};
use crate::{Administration, Config};

type Outcome = Result<(), Box<dyn Error>>;

/// A generated password is put where it is not lost after it is clear that one is wanted, and before the account has
/// it.
pub(super) async fn bootstrap(config: Config, whom: Whom, place: PasswordPlace, force: bool) -> Outcome {
    let username = whom.parse()?;
    let password = NewPassword::prepare(place)?;
    let _log = telemetry::init_log(&config.log)?;
    let administration = open(&config).await?;
    let prepared = administration.prepare_super_admin(username, force).await.map_err(explained)?;
    let password = password.hand_out()?;
    let user = prepared.finish(password.value()).await.map_err(|error| failed(&password, error))?;
    println!("{} is a super admin with the id {}", user.username, user.id);
    Ok(())
}

pub(super) async fn demote(config: Config, whom: Whom) -> Outcome {
    let username = whom.parse()?;
    let _log = telemetry::init_log(&config.log)?;
    let user = open(&config).await?.demote_super_admin(username).await.map_err(explained)?;
    println!("{} is a user without sessions", user.username);
    Ok(())
}

pub(super) async fn reset_password(config: Config, whom: Whom, place: PasswordPlace) -> Outcome {
    let username = whom.parse()?;
    let password = NewPassword::prepare(place)?;
    let _log = telemetry::init_log(&config.log)?;
    let administration = open(&config).await?;
    administration.require_super_admin(username.clone()).await.map_err(explained)?;
    let password = password.hand_out()?;
    let user = administration
        .reset_super_admin_password(username, password.value())
        .await
        .map_err(|error| failed(&password, error))?;
    println!("{} has a new password and no sessions", user.username);
    Ok(())
}

async fn open(config: &Config) -> Result<Administration, Box<dyn Error>> {
    Ok(Administration::open(config, SystemClock::of_process()).await?)
}

impl Whom {
    fn parse(&self) -> Result<Username, String> {
        Username::parse(&self.username).map_err(|rules| {
            let rules: Vec<_> = rules.iter().map(|rule| rule.description()).collect();
            format!("--username {}", rules.join("; "))
        })
    }
}

/// What became of the password is said with the error.
fn failed(password: &HandedOut, error: AdministrationError) -> Box<dyn Error> {
    let is_in_use = match &error {
        AdministrationError::Failed(UseCaseError::UsernameTaken(_) | UseCaseError::InvalidField(_)) => {
            InUse::Never
        }
        _ => InUse::Perhaps,
    };
    let rest = password.taken_back(is_in_use);
    format!("{}{rest}", explained(error)).into()
}

/// What to do about it, where there is something.
fn explained(error: AdministrationError) -> Box<dyn Error> {
    match error {
        AdministrationError::SuperAdminExists => format!("{error}; --force makes another one").into(),
        other => other.into(),
    }
}
