//! What every gRPC server of Tandem needs between the socket and the use case: once, and the same on
//! every listener.
//!
//! From the outside in: [`server`] accepts connections and drains them; [`layer`] gives every call its
//! request id, deadline, log line and metrics, and completes every error answer; [`call`] is what a
//! handler can ask about the call it serves; [`fault`] is how it refuses. [`health`], [`reflection`] and
//! [`ops`] are what operators and tools ask; [`lifecycle`] is how a process learns that it should end, and [`runtime`] has its threads. [`client`] is the
//! calling end: which replica is called, and what a call that failed on the way has done. [`trace`] is what the span of a
//! call looks like at either end.
//!
//! It knows no service, no domain type and none of our generated code: what differs between listeners
//! (error domain, descriptors, service names) is an argument.

#[cfg(test)]
use overheard as _;

pub mod call;
pub mod client;
mod crowd;
mod descriptors;
mod details;
mod door;
pub mod fault;
pub mod health;
mod held;
pub mod layer;
pub mod lifecycle;
pub mod listen;
pub mod metadata;
pub mod ops;
pub mod page_token;
pub mod process;
pub mod readyz;
pub mod reflection;
pub mod runtime;
pub mod server;
pub mod trace;

pub use call::Call;
pub use fault::{Fault, Violation};
pub use layer::CallLayer;
pub use lifecycle::{Shutdown, Trigger};
pub use page_token::PageTokens;
pub use runtime::block_on;
pub use server::{Ended, ServerSettings, Socket, serve};

/// The largest request message that any server here decodes, in bytes.
///
/// Set on each generated server (`max_decoding_message_size`); tonic's own default is 4 MiB.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;
