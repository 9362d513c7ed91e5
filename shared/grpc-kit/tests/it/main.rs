//! A whole server in this process, called over real sockets by a client that shows every byte of an answer.

mod calls;
mod drain;
mod limits;
mod operations;
mod peer;
mod probe;
mod retired;
