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
    "heap",
    "identity",
    "security",
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

/// Whether an operator can hear it at all, whatever the level.
pub(crate) fn may_speak(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || is_ours(metadata.target())
}

fn is_ours(target: &str) -> bool {
    let origin = target.split_once("::").map_or(target, |(origin, _)| origin);
    OURS.contains(&origin)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use tracing::subscriber::with_default;
    use tracing::{Subscriber, enabled};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::registry;

    use super::*;

    fn told(level: &str) -> impl Subscriber + use<> {
        registry().with(crate::parse(level).unwrap()).with(OursInDetail)
    }

    #[test]
    fn no_level_lets_a_library_speak_in_detail() {
        for level in ["trace", "h2=trace", "trace,h2=trace,h2::codec=trace"] {
            with_default(told(level), || {
                assert!(!enabled!(target: "h2", Level::DEBUG), "{level}");
                assert!(!enabled!(target: "h2::codec::framed_read", Level::TRACE), "{level}");
                assert!(!enabled!(target: "grpc_kits", Level::TRACE), "{level}");
            });
        }
        with_default(told("trace"), || {
            assert!(enabled!(target: "hyper", Level::INFO));
            assert!(
                enabled!(target: "grpc_kit::server", Level::TRACE) && enabled!(target: "grpc", Level::TRACE)
            );
        });
    }

    #[test]
    fn what_a_level_leaves_out_is_left_out() {
        with_default(told("warn,grpc_kit=debug"), || {
            assert!(
                enabled!(target: "grpc_kit", Level::DEBUG) && !enabled!(target: "grpc_kit", Level::TRACE)
            );
            assert!(!enabled!(target: "grpc", Level::INFO) && enabled!(target: "security", Level::INFO));
        });
        // Some target that has the word in it is another one.
        with_default(told("warn,auth_service::security=debug"), || {
            assert!(enabled!(target: "security", Level::INFO));
        });
        with_default(told("info,security=off"), || assert!(!enabled!(target: "security", Level::INFO)));
    }

    #[test]
    fn every_crate_of_ours_that_runs_in_a_service_is_known() {
        let workspace = Path::new(env!("TANDEM_WORKSPACE"));
        let folders = |parent: &str| -> Vec<PathBuf> {
            fs::read_dir(workspace.join(parent)).unwrap().map(|entry| entry.unwrap().path()).collect()
        };
        let places = folders("shared").into_iter().chain(folders("services"));
        let manifests = places.flat_map(|place| [place.join("Cargo.toml"), place.join("core/Cargo.toml")]);
        let mut crates = 0;
        for manifest in manifests.filter_map(|path| fs::read_to_string(path).ok()) {
            let name = manifest.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap();
            let name = name.trim_end_matches('"').replace('-', "_");
            // Not part of any.
            if name == "test_kit" {
                continue;
            }
            assert!(is_ours(&name), "{name} is not known");
            crates += 1;
        }
        assert!(crates >= 15, "{crates}");
    }
}
