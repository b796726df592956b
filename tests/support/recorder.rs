//! A logger that gives each line to the test.

use log::{Level, Log, Metadata, Record};

pub(crate) struct Recorder {
    /// Whether to take the lines in which the HTTP library prints answers. If the logger takes
    /// them, `UreqTransport` lowers the level of the whole process during an exchange.
    pub(crate) takes_answers: fn() -> bool,
    pub(crate) keep: fn(&Record<'_>),
}

impl Log for Recorder {
    fn enabled(&self, line: &Metadata<'_>) -> bool {
        let answer = line.level() == Level::Trace && line.target().starts_with("ureq_proto");
        !answer || (self.takes_answers)()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            (self.keep)(record);
        }
    }

    fn flush(&self) {}
}
