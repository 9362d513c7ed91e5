//! A line of the log as a JSON object: time, level, the event's own fields, target, and the call during which it is said.
//!
//! The same lines as those of `tracing_subscriber`'s own format in a span named `rpc` with the call's fields. There is no such
//! span: to make, enter and close one for each call took longer than the call's line, and few calls say more than that.

use std::cell::Cell;
use std::fmt::{self, Debug, Write};
use std::time::SystemTime;

use humantime::format_rfc3339_micros;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::CurrentCall;

/// Longer lines are few, and their room is not kept for others, in bytes.
const MOST_KEPT: usize = 4096;

thread_local! {
    /// Room for a line, of the line before.
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

/// The format of lines.
pub(crate) struct JsonLine(pub(crate) CurrentCall);

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // Whatever is logged while a field is being written finds none, and makes its own.
        let mut line = Fields { text: LINE.take(), outcome: Ok(()) };
        line.text.clear();
        line.text.push_str("{\"timestamp\":\"");
        write!(line.text, "{}", format_rfc3339_micros(now()))?;
        line.text.push_str("\",\"level\":\"");
        line.text.push_str(event.metadata().level().as_str());
        line.text.push('"');
        event.record(&mut line);
        line.outcome?;
        line.text.push_str(",\"target\":");
        quote(&mut line.text, event.metadata().target())?;
        // The line of a call says of the call all that there is.
        if let Some(call) = (!event.is_root()).then(self.0).flatten() {
            line.text.push_str(",\"span\":{\"name\":\"rpc\"");
            for (name, value) in &call {
                name_next(&mut line.text, name);
                quote(&mut line.text, value)?;
            }
            line.text.push('}');
        }
        line.text.push_str("}\n");
        writer.write_str(&line.text)?;
        if line.text.capacity() <= MOST_KEPT {
            LINE.set(line.text);
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "says when a line was written; nothing is decided by it")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// The fields of an event, each after a comma.
struct Fields {
    text: String,
    outcome: fmt::Result,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl FnOnce(&mut String) -> fmt::Result) {
        let name = field.name();
        name_next(&mut self.text, name.strip_prefix("r#").unwrap_or(name));
        self.outcome = self.outcome.and(value(&mut self.text));
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, |text| number(text, value));
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

/// A comma and the name of a field, which is a name in our sources: nothing in it is special.
fn name_next(to: &mut String, name: &str) {
    to.push_str(",\"");
    to.push_str(name);
    to.push_str("\":");
}

/// Up to three decimals are written as what they are, which durations in milliseconds always have: to find the shortest digits
/// that stand for some number takes ten times as long.
fn number(to: &mut String, value: f64) -> fmt::Result {
    const MOST: f64 = 1e12;
    let thousandths = (value * 1000.0).round();
    if value.is_sign_positive() && thousandths < MOST && (thousandths / 1000.0).to_bits() == value.to_bits() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number of at most 12 digits"
        )]
        let thousandths = thousandths as u64;
        write!(to, "{}", thousandths / 1000)?;
        return match thousandths % 1000 {
            0 => Ok(()),
            part if part % 100 == 0 => write!(to, ".{}", part / 100),
            part if part % 10 == 0 => write!(to, ".{:02}", part / 10),
            part => write!(to, ".{part:03}"),
        };
    }
    // JSON has no word for the others.
    if value.is_finite() { write!(to, "{value}") } else { to.write_str("null") }
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
pub(crate) mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing::subscriber::with_default;

    use super::*;

    /// Where a test finds what was logged.
    #[derive(Clone, Default)]
    pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Sink {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a CurrentCall")]
    fn call() -> Option<[(&'static str, String); 2]> {
        Some([("path", "/a\"b\\c".to_owned()), ("request_id", "r\n1".to_owned())])
    }

    /// What is said during the call, and its own line.
    fn events() {
        let span = tracing::info_span!("rpc", path = "/a\"b\\c", request_id = %"r\n1").entered();
        tracing::info!(
            target: "grpc", code = "OK", took = 0.25, odd = f64::NAN, count = 3, less = -4, good = true,
            list = ?["a\"", "ö\t"], nothing = Option::<u8>::None, r#type = "t", "call {}", 1
        );
        drop(span);
        tracing::warn!(parent: None, "bye");
    }

    fn lines(log: impl FnOnce(Sink)) -> Vec<Value> {
        let sink = Sink::default();
        log(sink.clone());
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let mut lines: Vec<Value> = sink.text().lines().map(line).collect();
        for line in &mut lines {
            let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
            assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        }
        lines
    }

    #[test]
    fn lines_are_those_of_the_usual_format() {
        let ours = lines(|sink| {
            let log = tracing_subscriber::fmt().event_format(JsonLine(call));
            with_default(log.with_writer(move || sink.clone()).finish(), events);
        });
        let usual = lines(|sink| {
            let log = tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false);
            with_default(log.with_writer(move || sink.clone()).finish(), events);
        });
        assert_eq!(ours, usual);
        assert_eq!(ours[0]["span"]["path"], "/a\"b\\c");
        let bye = json!({"level": "WARN", "message": "bye", "target": "telemetry::json::tests"});
        assert_eq!(ours[1], bye);
    }

    #[test]
    fn outside_of_a_call_there_is_none() {
        let lines = lines(|sink| {
            let log = tracing_subscriber::fmt().event_format(JsonLine(|| None));
            with_default(log.with_writer(move || sink.clone()).finish(), || tracing::warn!("bye"));
        });
        assert_eq!(lines, [json!({"level": "WARN", "message": "bye", "target": "telemetry::json::tests"})]);
    }

    #[test]
    fn numbers_are_written_as_what_they_are() {
        let written = |value| {
            let mut text = String::new();
            number(&mut text, value).unwrap();
            text
        };
        let cases = [
            (0.0, "0"),
            (0.001, "0.001"),
            (0.02, "0.02"),
            (12.3, "12.3"),
            (4503.127, "4503.127"),
            (1e9, "1000000000"),
        ];
        for (value, text) in cases {
            assert_eq!(written(value), text);
        }
        for value in [0.1 + 0.2, 1.0 / 3.0, -1.5, 1e-9, 1e15, f64::MAX, -0.0, 0.000_4, 1_234.567_8] {
            assert_eq!(written(value), value.to_string());
            assert_eq!(written(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
        assert_eq!(written(f64::INFINITY), "null");
        for micros in 0..100_000_u32 {
            let millis = f64::from(micros) / 1000.0;
            assert_eq!(written(millis), millis.to_string());
        }
    }
}
