//! Many accounts at once.

use std::ops::Range;

use auth_core::domain::{NewAccount, PasswordHash};
use auth_core::ports::{Store, Transaction as _};
use identity::{UserId, Username};
use uuid::Uuid;

pub(super) async fn insert(store: &impl Store, numbers: Range<u32>) {
    let mut tx = store.begin().await.expect("a transaction");
    let now = tx.now().await.expect("the time");
    for number in numbers {
        let account = NewAccount {
            id: UserId::new(Uuid::from_u128(0x0198_f0c2_0000_7000_8000_0000_0000_0000 + u128::from(number))),
            username: Username::parse(&format!("bulk{number:06}")).expect("a username"),
            password_hash: PasswordHash::new("of no password".to_owned()),
        };
        tx.insert_account(&account, now).await.expect("inserted");
    }
    tx.commit().await.expect("committed");
}
