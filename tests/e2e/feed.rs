//! The account feed: complete, in order, resumed, started over.

mod projection;
mod restore;
mod stream;
