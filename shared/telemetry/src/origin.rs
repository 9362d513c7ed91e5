//! Whose code may speak in detail: ours. Others' is heard up to `info`, whatever `log.level` says.
//!
//! What a library says at `debug` and `trace` is for those who write it: frames with header values, messages, statements.
//! Nobody here can vouch that no token and no password is among it, and the next version may say something else.

use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// The targets that are ours: the crates of the workspace that run in a service, and two that are named by what they are
/// about.
const OURS: [&str; 17] = [
    "api",
    "auth_core",
    "auth_service",
    "clock",
    "configuration",
    "credentials",
    "database",
    "fail_point",
    "grpc",
    "grpc_kit",
    "identity",
    "security",
    "standalone",
    "tandem",
    "telemetry",
    "users_core",
    "users_service",
];

/// The filter. Put beside the operator's own: an event has to pass both.
pub(crate) struct OursInDetail;

impl<S: Subscriber> Layer<S> for OursInDetail {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if may_speak(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        may_speak(metadata)
    }
}

fn may_speak(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || is_ours(metadata.target())
}

fn is_ours(target: &str) -> bool {
    let origin = target.split_once("::").map_or(target, |(origin, _)| origin);
    OURS.contains(&origin)
}
