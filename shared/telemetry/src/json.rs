//! A line of the log as a JSON object: time, level, the event's own fields, target, and the innermost span.
//!
//! The same lines as those of `tracing_subscriber`'s own format, which parses the fields of the span again for each of
//! them: that took as long as the rest of the line.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The format. Goes with [`JsonFields`] for the fields of spans.
pub(crate) struct JsonLine;

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        cx: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "\",\"level\":\"{}\"", event.metadata().level())?;
        let mut fields = Fields { writer: writer.by_ref(), outcome: Ok(()) };
        event.record(&mut fields);
        fields.outcome?;
        writer.write_str(",\"target\":")?;
        text(&mut writer, event.metadata().target())?;
        if let Some(span) = cx.lookup_current() {
            writer.write_str(",\"span\":{")?;
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                let inner =
                    fields.strip_prefix('{').and_then(|fields| fields.strip_suffix('}')).unwrap_or_default();
                writer.write_str(inner)?;
                if !inner.is_empty() {
                    writer.write_char(',')?;
                }
            }
            writer.write_str("\"name\":")?;
            text(&mut writer, span.name())?;
            writer.write_char('}')?;
        }
        writer.write_str("}\n")
    }
}

/// The fields of an event, each after a comma.
struct Fields<'a> {
    writer: Writer<'a>,
    outcome: fmt::Result,
}

impl Fields<'_> {
    fn add(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.outcome.is_ok() {
            self.outcome = self.written(field, value);
        }
    }

    fn written(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) -> fmt::Result {
        self.writer.write_char(',')?;
        text(&mut self.writer, field.name().trim_start_matches("r#"))?;
        self.writer.write_char(':')?;
        value(&mut self.writer)
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for the others.
        self.add(
            field,
            |writer| if value.is_finite() { write!(writer, "{value}") } else { writer.write_str("null") },
        );
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, |writer| write!(writer, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, |writer| write!(writer, "{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, |writer| text(writer, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, |writer| {
            writer.write_char('"')?;
            write!(Escaped(writer), "{value:?}")?;
            writer.write_char('"')
        });
    }
}

fn text(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    writer.write_char('"')?;
    Escaped(writer).write_str(text)?;
    writer.write_char('"')
}

/// Writes the inside of a JSON string (RFC 8259, section 7).
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (position, byte) in
            text.bytes().enumerate().filter(|(_, byte)| matches!(byte, b'"' | b'\\' | ..0x20))
        {
            self.0.write_str(&text[plain..position])?;
            match byte {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                _ => write!(self.0, "\\u{byte:04x}")?,
            }
            plain = position + 1;
        }
        self.0.write_str(&text[plain..])
    }
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
            let log = tracing_subscriber::fmt().fmt_fields(JsonFields::new()).event_format(JsonLine);
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
