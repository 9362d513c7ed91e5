//! What whoever has no right tries.

use api::auth::GetCurrentSessionRequest;
use api::users::{GetCurrentUserRequest, ListUsersRequest};
use rand::Rng as _;

use super::Client;
use super::own_account::nothing;
use crate::history::{Call, Does, Secret, Who};

impl Client {
    /// A password that is nobody's: its number is one that is never given out.
    pub(super) async fn guess_a_password(&mut self) {
        let Some(person) = self.world.anybody(&mut self.rng) else { return };
        let secret = Secret(u32::MAX - self.rng.random_range(0..1000));
        self.try_password(&person.name, secret).await;
    }

    /// A token that nobody signed, on every process.
    pub async fn forge_a_token(&mut self) {
        let Some((token, other)) =
            self.world.any_token(&mut self.rng).zip(self.world.any_token(&mut self.rng))
        else {
            return;
        };
        let forged = self.forged(&token.token, &other.token);
        for replica in 0..self.driver.replicas() {
            let by = crate::driver::By { replica, ..self.by(Some(&forged)) };
            // What is answered is for the checker.
            let _ = match self.rng.random_range(0..3) {
                0 => {
                    let call = Call::new(Does::GetCurrentSession, Who::Forger);
                    self.make(by, call, GetCurrentSessionRequest {}, nothing).await.map(drop)
                }
                1 => {
                    let call = Call::new(Does::GetCurrentUser, Who::Forger);
                    self.make(by, call, GetCurrentUserRequest::default(), nothing).await.map(drop)
                }
                _ => {
                    let call = Call::new(Does::ListUsers, Who::Forger);
                    self.make(by, call, ListUsersRequest::default(), nothing).await.map(drop)
                }
            };
        }
    }

    /// Another signature, another's claims, no signature, or nothing of a token at all.
    fn forged(&mut self, token: &str, other: &str) -> String {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, signature] = parts[..] else { return "no token".into() };
        let of_other = other.split('.').next_back().unwrap_or_default();
        match self.rng.random_range(0..4) {
            0 => {
                let (begins, ends) = signature.split_at(signature.len() / 2);
                let first = if ends.starts_with('A') { "B" } else { "A" };
                format!("{header}.{claims}.{begins}{first}{}", &ends[1..])
            }
            1 if of_other != signature => format!("{header}.{claims}.{of_other}"),
            // {"alg":"none","typ":"at+jwt"}
            2 => format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{claims}."),
            _ => format!("{}.{}", self.rng.random::<u64>(), self.rng.random::<u64>()),
        }
    }
}
