//! Where the ids of new users come from: UUIDs of version 7, which sort by the time they were made.

use identity::UserId;
use users_core::ports::Ids;
use uuid::Uuid;

/// Makes UUIDs of version 7.
#[derive(Clone, Copy, Debug)]
pub struct UuidV7;

impl Ids for UuidV7 {
    #[expect(clippy::disallowed_methods, reason = "this is the adapter that the ids of users come from")]
    fn next(&self) -> UserId {
        UserId::new(Uuid::now_v7())
    }
}
