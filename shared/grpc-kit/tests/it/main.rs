//! A whole server in this process, called over real sockets by a client that shows every byte of an answer; and what is
//! traced of calls to another one.

use overheard as _;

mod aged;
mod calls;
mod drain;
mod life;
mod limits;
mod operations;
mod peer;
mod probe;
mod replicas;
mod retired;
mod slow_requests;
mod traced;
