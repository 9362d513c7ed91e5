//! Clears away reservations whose account never came, and requests too old to be repeated. Runs by itself, every now
//! and then, on any replica.
//!
//! A reservation goes only when it is a day old *and* the owner says that there is no such account: a registration
//! that was cut off may have happened.

use fail_point::mutant;

use crate::commands::create_user::REMEMBERED;
use crate::commands::{Context, target};
use crate::domain::UserKey;
use crate::error::Error;
use crate::ports::{Ports, Requests as _, Reservations as _, Store as _, Transaction as _};

/// Reservations looked at in one go.
const BATCH: u16 = 100;
/// Requests deleted in one go.
const REQUESTS: u16 = 1000;

/// One sweep.
#[derive(Clone, Copy, Debug)]
pub struct SweepReservations;

impl SweepReservations {
    /// Sweeps the oldest of them.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<(), Error> {
        // A defect: what was reserved in vain stays for ever.
        if mutant("sweep_reservations.never") {
            return Ok(());
        }
        let oldest = loop {
            let mut tx = cx.store.begin().await?;
            let oldest = tx.now().await? - REMEMBERED;
            let deleted = tx.delete_requests_before(oldest, REQUESTS).await?;
            tx.commit().await?;
            if deleted < REQUESTS.into() {
                break oldest;
            }
        };
        let reservations = cx.store.begin().await?.reservations_before(oldest, BATCH).await?;
        for id in reservations {
            if target::fetch(cx, &UserKey::Id(id)).await?.is_none() {
                let mut tx = cx.store.begin().await?;
                tx.delete_reservation_before(id, oldest).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::Role;
    use crate::testing::World;

    #[tokio::test]
    async fn a_day_old_reservation_without_an_account_is_swept_and_a_younger_one_kept() {
        let world = World::new();
        world.reserve(Role::User).await;
        SweepReservations.execute(&world.commands()).await.unwrap();
        assert_eq!(world.store.reservations(), 1);
        world.store.advance(REMEMBERED + TimeDelta::seconds(1));
        world.reserve(Role::User).await;
        SweepReservations.execute(&world.commands()).await.unwrap();
        assert_eq!(world.store.reservations(), 1);
    }

    #[tokio::test]
    async fn a_reservation_with_an_account_becomes_a_user_instead() {
        let world = World::new();
        let id = world.reserve(Role::Admin).await;
        world.provider.register_as(id, "alice");
        world.store.advance(REMEMBERED + TimeDelta::seconds(1));
        SweepReservations.execute(&world.commands()).await.unwrap();
        assert_eq!(world.find(id).await.unwrap().role, Role::Admin);
        assert_eq!(world.store.reservations(), 0);
    }

    #[tokio::test]
    async fn nothing_is_swept_while_the_owner_is_away() {
        let world = World::new();
        world.reserve(Role::User).await;
        world.store.advance(REMEMBERED + TimeDelta::seconds(1));
        world.provider.go_away();
        assert!(SweepReservations.execute(&world.commands()).await.is_err());
        assert_eq!(world.store.reservations(), 1);
    }
}
