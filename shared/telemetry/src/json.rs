//! A line of the log as a JSON object: time, level, the event's own fields, target, and the innermost span.
//!
//! The same lines as those of `tracing_subscriber`'s own format, which makes a map of the fields of each span, and parses
//! it again for each line: that took longer than all else that is done for a cheap call's line. What is written here is
//! written once, in one piece.

use std::fmt::{self, Debug, Write};
use std::time::SystemTime;

use humantime::format_rfc3339_micros;
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// How long most lines are at most, in bytes, and most fields of spans.
const LINE: usize = 512;
const SPAN: usize = 128;

/// The format of lines.
pub(crate) struct JsonLine;

/// The format of the fields of spans: each after a comma, as they will stand in lines.
pub(crate) struct SpanFields;

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut written = Fields { text: String::with_capacity(SPAN), outcome: Ok(()) };
        fields.record(&mut written);
        written.outcome?;
        writer.write_str(&written.text)
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

impl<S> FormatEvent<S, SpanFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        cx: &FmtContext<'_, S, SpanFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Fields { text: String::with_capacity(LINE), outcome: Ok(()) };
        line.text.push_str("{\"timestamp\":\"");
        write!(line.text, "{}", format_rfc3339_micros(now()))?;
        line.text.push_str("\",\"level\":\"");
        line.text.push_str(event.metadata().level().as_str());
        line.text.push('"');
        event.record(&mut line);
        line.outcome?;
        line.text.push_str(",\"target\":");
        quote(&mut line.text, event.metadata().target())?;
        if let Some(span) = cx.parent_span() {
            line.text.push_str(",\"span\":{\"name\":");
            quote(&mut line.text, span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<SpanFields>>() {
                line.text.push_str(fields);
            }
            line.text.push('}');
        }
        line.text.push_str("}\n");
        writer.write_str(&line.text)
    }
}

#[expect(clippy::disallowed_methods, reason = "says when a line was written; nothing is decided by it")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// The fields of an event or a span, each after a comma.
struct Fields {
    text: String,
    outcome: fmt::Result,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl FnOnce(&mut String) -> fmt::Result) {
        let name = field.name();
        self.text.push(',');
        let outcome = quote(&mut self.text, name.strip_prefix("r#").unwrap_or(name));
        self.text.push(':');
        self.outcome = self.outcome.and(outcome).and(value(&mut self.text));
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for the others.
        self.add(
            field,
            |text| {
                if value.is_finite() { write!(text, "{value}") } else { text.write_str("null") }
            },
        );
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, |text| write!(text, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, |text| write!(text, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, |text| write!(text, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, |text| quote(text, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, |text| {
            text.push('"');
            write!(Escaped(text), "{value:?}")?;
            text.push('"');
            Ok(())
        });
    }
}

fn quote(to: &mut String, text: &str) -> fmt::Result {
    to.push('"');
    Escaped(to).write_str(text)?;
    to.push('"');
    Ok(())
}

/// Writes the inside of a JSON string (RFC 8259, section 7).
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Without a branch for each byte, so that many are looked at in one step: most text is plain.
        if !text.bytes().fold(false, |special, byte| special | is_special(byte)) {
            self.0.push_str(text);
            return Ok(());
        }
        let mut plain = 0;
        for (position, byte) in text.bytes().enumerate().filter(|(_, byte)| is_special(*byte)) {
            self.0.push_str(&text[plain..position]);
            match byte {
                b'"' => self.0.push_str("\\\""),
                b'\\' => self.0.push_str("\\\\"),
                b'\n' => self.0.push_str("\\n"),
                _ => write!(self.0, "\\u{byte:04x}")?,
            }
            plain = position + 1;
        }
        self.0.push_str(&text[plain..]);
        Ok(())
    }
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | ..0x20)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn event() {
        let _outer = tracing::info_span!("outer", id = 1).entered();
        let _span = tracing::info_span!("rpc", path = "/a\"b\\c", request_id = %"r\n1").entered();
        tracing::info!(
            target: "grpc", code = "OK", took = 0.25, odd = f64::NAN, count = 3, less = -4, good = true,
            list = ?["a\"", "ö\t"], nothing = Option::<u8>::None, r#type = "t", "call {}", 1
        );
        let _bare = tracing::info_span!("bare").entered();
        tracing::warn!("bye");
    }

    fn lines(log: impl FnOnce(Sink)) -> Vec<Value> {
        let sink = Sink::default();
        log(sink.clone());
        let bytes = sink.0.lock().unwrap().clone();
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let mut lines: Vec<Value> = String::from_utf8(bytes).unwrap().lines().map(line).collect();
        for line in &mut lines {
            let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
            assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        }
        lines
    }

    #[test]
    fn lines_are_those_of_the_usual_format() {
        let ours = lines(|sink| {
            let log = tracing_subscriber::fmt().fmt_fields(SpanFields).event_format(JsonLine);
            with_default(log.with_writer(move || sink.clone()).finish(), event);
        });
        let usual = lines(|sink| {
            let log = tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false);
            with_default(log.with_writer(move || sink.clone()).finish(), event);
        });
        assert_eq!(ours, usual);
        assert_eq!(
            ours[1],
            json!({"level": "WARN", "message": "bye", "target": "telemetry::json::tests", "span": {"name": "bare"}})
        );
    }
}
