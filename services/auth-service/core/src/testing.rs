//! Fakes of every port, and a [`World`] made of them: for the unit tests of the use cases, and for the store contract,
//! which holds the fake store to the same behaviour as the real ones.

#![expect(clippy::missing_panics_doc, reason = "a test that sets an impossible scene may panic")]

mod clock;
mod hasher;
mod ids;
mod signer;
mod store;
mod turns;
mod world;

pub use clock::FakeClock;
pub use hasher::{FakeHasher, FakePermit};
pub use ids::FakeIds;
pub use signer::FakeSigner;
pub use store::{FakeReader, FakeStore, FakeTx, LostCommit};
pub use turns::FakeTurns;
pub use world::{Fakes, PASSWORD, World};
