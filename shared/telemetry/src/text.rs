//! A line of the log for people: `tracing_subscriber`'s own, and the call during which it is said.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::CurrentCall;

/// The format of lines.
pub(crate) struct TextLine {
    usual: Format,
    call: CurrentCall,
}

impl TextLine {
    /// With colours where there is a terminal.
    pub(crate) fn new(call: CurrentCall, colours: bool) -> Self {
        Self { usual: Format::default().with_ansi(colours), call }
    }
}

impl<S, N> FormatEvent<S, N> for TextLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        cx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.usual.format_event(cx, Writer::new(&mut line), event)?;
        writer.write_str(line.trim_end_matches('\n'))?;
        // The line of a call says of the call all that there is.
        for (name, value) in (!event.is_root()).then(self.call).flatten().iter().flatten() {
            // Quoted where it has what could be taken for another line, or for a terminal's command.
            let plain = value.bytes().all(|byte| byte.is_ascii_graphic());
            if plain { write!(writer, " {name}={value}")? } else { write!(writer, " {name}={value:?}")? }
        }
        writer.write_char('\n')
    }
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::with_default;

    use super::*;
    use crate::json::tests::Sink;

    fn said(call: CurrentCall, event: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let log = tracing_subscriber::fmt().event_format(TextLine::new(call, false));
        with_default(log.with_writer(move || writer.clone()).finish(), event);
        let text = sink.text();
        let (_, said) = text.split_once(" WARN ").unwrap();
        said.to_owned()
    }

    #[test]
    fn what_is_said_during_a_call_names_it() {
        let call = || Some([("path", "/a.B/C".to_owned()), ("request_id", "r\n1".to_owned())]);
        let line = said(call, || tracing::warn!(target: "grpc", count = 3, "hello"));
        assert_eq!(line, "grpc: hello count=3 path=/a.B/C request_id=\"r\\n1\"\n");
        assert_eq!(said(|| None, || tracing::warn!(target: "grpc", "hello")), "grpc: hello\n");
        assert_eq!(said(call, || tracing::warn!(target: "grpc", parent: None, "call")), "grpc: call\n");
    }
}
