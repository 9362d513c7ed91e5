//! Returns an account by id or by name.

use super::Context;
use crate::Error;
use crate::domain::{Account, AccountKey};
use crate::ports::{Ports, Reader as _};

/// Which account.
#[derive(Debug)]
pub struct GetAccount {
    /// By id or by name.
    pub key: AccountKey,
}

impl GetAccount {
    /// Reads it as it is now.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Account, Error> {
        let found = cx.reader.account(&self.key).await?;
        found.map(|stored| stored.account).ok_or_else(|| {
            Error::AccountNotFound(match self.key {
                AccountKey::Id(id) => id.to_string(),
                AccountKey::Username(name) => name.to_string(),
            })
        })
    }
}
