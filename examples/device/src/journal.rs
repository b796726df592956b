//! The log: lines on stderr. systemd reads the priority from the `<N>` at the beginning.

use std::env;
use std::io::{self, Write};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::settings::WrongSetting;

struct Journal;

/// `LOG_LEVEL=debug` also shows each failed attempt of a call.
pub fn start() -> Result<(), WrongSetting> {
    let _ = log::set_logger(&Journal);
    log::set_max_level(LevelFilter::Info);
    if let Some(level) = env::var("LOG_LEVEL").ok().filter(|level| !level.is_empty()) {
        let wrong = |_| WrongSetting("LOG_LEVEL is not error, warn, info or debug".to_owned());
        let level: LevelFilter = level.parse().map_err(wrong)?;
        log::set_max_level(level.min(LevelFilter::Debug));
    }
    Ok(())
}

impl Log for Journal {
    /// Only this program and the library: ureq logs URLs, and a signed URL is a secret.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let package = metadata.target().split("::").next().unwrap_or_default();
        ["sensor", "cognito_identity_credentials"].contains(&package)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            // A full disk or a closed log must not end the program, as `eprintln!` would.
            let _ = io::stderr().write_all(line(record).as_bytes());
        }
    }

    fn flush(&self) {}
}

fn line(record: &Record<'_>) -> String {
    let priority = match record.level() {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    let text = record.args().to_string();
    // One record is one line, also if a text from outside has a line break.
    let text = text.replace(|character: char| character.is_control(), " ");
    format!("<{priority}>{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_with_its_priority() {
        let record = Record::builder().level(Level::Warn).args(format_args!("a\nb")).build();
        assert_eq!(line(&record), "<4>a b\n");
    }

    #[test]
    fn other_crates_are_not_shown() {
        let shown = |target| Journal.enabled(&Metadata::builder().target(target).build());
        assert!(shown("sensor::upload") && shown("cognito_identity_credentials::cell"));
        assert!(!shown("ureq::run") && !shown("ureq_proto"));
    }
}
