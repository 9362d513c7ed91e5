//! HTTP/2 abuse of a real service, either of the two, by hand-written frames at full speed: a well-behaved client beside it is served, memory
//! is bounded and comes back, the process lives, and the abuser's connection ends where that is the defence.
//!
//! Each test prints what it measured.

mod attack;
mod crowds;
mod floods;
mod half_messages;
mod settings;
mod untaken;
mod witness;
