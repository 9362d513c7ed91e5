//! Everything that is said in a process, for tests that look through it: not only what operators can hear.

use std::fs::File;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::TelemetryError;
use crate::json::JsonLine;
use crate::origin::may_speak;

/// Writes everything down that is said in this process at any level, as the lines of JSON that operators get: into `heard`
/// what they can hear at the level `trace`, into `unheard` what libraries say in detail, which no level shows them. Each line is
/// written at once, so there is nothing to flush at the end of a test.
pub fn overhear(heard: File, unheard: File) -> Result<(), TelemetryError> {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(Apart { heard, unheard })
        .event_format(JsonLine(|| None));
    Ok(tracing_subscriber::registry().with(lines).try_init()?)
}

struct Apart {
    heard: File,
    unheard: File,
}

impl<'a> MakeWriter<'a> for Apart {
    type Writer = &'a File;

    fn make_writer(&'a self) -> Self::Writer {
        &self.heard
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        if may_speak(metadata) { &self.heard } else { &self.unheard }
    }
}
