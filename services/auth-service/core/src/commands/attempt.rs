//! A password that is tried is counted: the attempt is reserved before anybody looks at the password, and settled by what
//! came of it.

use fail_point::mutant;

use super::Context;
use crate::domain::{
    AddressCount, Attempt, AttemptId, ClientAddress, Decision, SignUps, Standing, ThrottlePolicy,
};
use crate::ports::{Ids as _, PasswordHasher as _, Ports, Reader as _, Store, Transaction, Turns};
use crate::{Error, StoreError};

/// What came of looking at a password.
pub(super) enum Checked<T> {
    /// It is the password.
    Right(T),
    /// It is the password of an account that is disabled: neither a failure nor a success.
    Inactive,
    /// It is not the password, or there is no such account.
    Wrong,
}

impl<P: Ports> Context<P> {
    /// Looks at a password, which `check` does, when and if that may be done now. No unit of work may be open meanwhile, and
    /// no turn at hashing be had: some wait for others on the same account here, and these for a turn.
    pub(super) async fn counted<T: Send + Sync>(
        &self,
        attempt: Attempt,
        check: impl Future<Output = Result<Checked<T>, Error>> + Send,
    ) -> Result<Checked<T>, Error> {
        let Some(policy) = &self.throttle else { return check.await };
        // A defect: what is tried at once is looked at before any of it is counted.
        if mutant("attempt.reserved_after") {
            self.admits(self.standing(policy, &attempt).await?)?;
            let checked = check.await;
            let mut tx = self.store.begin_costly().await?;
            let (id, standing) = (self.ids.attempt_id(), tx.lock_standing(&attempt).await?);
            tx.reserve_attempt(id, &attempt, standing.lapse_time()).await?;
            commit(tx).await?;
            Box::pin(self.settled(id, &attempt, &checked)).await?;
            return checked;
        }
        // Boxed, so that those who wait for a hash have nothing in memory of what is before and after it.
        let (id, _turn) = Box::pin(self.reserved(policy, &attempt)).await?;
        let checked = check.await;
        Box::pin(self.settled(id, &attempt, &checked)).await?;
        checked
    }

    async fn settled<T: Sync>(
        &self,
        id: AttemptId,
        attempt: &Attempt,
        checked: &Result<Checked<T>, Error>,
    ) -> Result<(), Error> {
        let outcome = match checked {
            Ok(Checked::Right(_)) => Standing::succeeded,
            Ok(Checked::Wrong) => Standing::failed,
            Ok(Checked::Inactive) | Err(_) => {
                // It never came to a decision. If it cannot be given back it lapses.
                if self.give_back(id).await.is_err() {
                    let _ = self.give_back(id).await;
                }
                return Ok(());
            }
        };
        // Not behind those who come for a hash: what was hashed has to be counted.
        let mut tx = self.store.begin().await?;
        let before = tx.lock_standing(attempt).await?;
        tx.settle_attempt(id, attempt, &before, &outcome(&before)).await?;
        commit(tx).await
    }

    /// The turn is to be held until the attempt is settled.
    async fn reserved(
        &self,
        policy: &ThrottlePolicy,
        attempt: &Attempt,
    ) -> Result<(AttemptId, <P::Turns as Turns>::Turn), Error> {
        // Whoever is refused anyway, and that may be many, takes nobody's place in the line, and none at the hasher either: of
        // those who come at once for one account only so many as may be undecided get that far.
        drop(self.hasher.expect_turn()?);
        if let Decision::TooMany { retry_after } = self.standing(policy, attempt).await? {
            return Err(Error::RateLimited { retry_after });
        }
        let turn = self.turns.line_up(attempt).await?;
        loop {
            if let Some(id) = self.reserve(policy, attempt).await? {
                return Ok((id, turn));
            }
            // Those in front are another process's, or narrower than this one's line.
            self.turns.pause(&turn).await?;
        }
    }

    async fn standing(&self, policy: &ThrottlePolicy, attempt: &Attempt) -> Result<Decision, Error> {
        Ok(self.store.costly_reader().standing(attempt).await?.decide(policy))
    }

    /// `None`: others have to be decided first.
    async fn reserve(&self, policy: &ThrottlePolicy, attempt: &Attempt) -> Result<Option<AttemptId>, Error> {
        // Nothing is written for those who would not get to hash anyway.
        let _expected = self.hasher.expect_turn()?;
        // Without a lock first, so that those who are refused keep nobody waiting.
        if !self.admits(self.standing(policy, attempt).await?)? {
            return Ok(None);
        }
        let mut tx = self.store.begin_costly().await?;
        let standing = tx.lock_standing(attempt).await?;
        if !self.admits(standing.decide(policy))? {
            return Ok(None);
        }
        let id = self.ids.attempt_id();
        tx.reserve_attempt(id, attempt, standing.lapse_time()).await?;
        commit(tx).await?;
        Ok(Some(id))
    }

    fn admits(&self, decision: Decision) -> Result<bool, Error> {
        match decision {
            Decision::Admitted => Ok(true),
            Decision::NotYet => Ok(false),
            // It is not for others on this account to wait for what the address does elsewhere.
            Decision::AddressNotYet => Err(self.turns.refuse()),
            Decision::TooMany { retry_after } => Err(Error::RateLimited { retry_after }),
        }
    }

    async fn give_back(&self, id: AttemptId) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        tx.release_attempt(id).await?;
        commit(tx).await
    }

    /// Counts a sign-up, which `sign_up` does. One that nobody had the time for does not count.
    pub(super) async fn counted_sign_up<T>(
        &self,
        address: &ClientAddress,
        sign_up: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let Some(policy) = &self.throttle else { return sign_up.await };
        let expected = self.hasher.expect_turn()?;
        self.admits(self.store.costly_reader().sign_ups(address).await?.decide(policy))?;
        Box::pin(self.change_sign_ups(address, |sign_ups| {
            self.admits(sign_ups.decide(policy))?;
            Ok(Some(sign_ups.one_more()))
        }))
        .await?;
        drop(expected);
        let signed_up = sign_up.await;
        if let Err(
            Error::HasherBusy { .. }
            | Error::Store(StoreError::Unavailable(_) | StoreError::DeadlineExceeded),
        ) = &signed_up
        {
            // If it cannot be given back it counts for the rest of the hour.
            let _ = Box::pin(self.change_sign_ups(address, |sign_ups| Ok(sign_ups.one_less()))).await;
        }
        signed_up
    }

    async fn change_sign_ups(
        &self,
        address: &ClientAddress,
        change: impl FnOnce(SignUps) -> Result<Option<AddressCount>, Error> + Send,
    ) -> Result<(), Error> {
        let mut tx = self.store.begin_costly().await?;
        let count = change(tx.lock_sign_ups(address).await?)?;
        tx.write_sign_ups(address, count).await?;
        commit(tx).await
    }
}

/// Counts are not what the caller asked for: whether one was written makes no difference to what it may do next.
async fn commit(tx: impl Transaction) -> Result<(), Error> {
    tx.commit().await.map_err(|error| match error {
        StoreError::OutcomeUnknown(cause) => Error::Store(StoreError::Unavailable(cause)),
        error => error.into(),
    })
}

#[cfg(test)]
mod tests;
