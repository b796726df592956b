//! [`Report`]: the steps of the command `doctor`, as lines or as one JSON document.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use anstream::AutoStream;
use clap::builder::styling::AnsiColor;
use serde::Serialize;
use serde_json::Value;

use crate::messages::display;
use crate::messages::failure::{Failure, REFUSED};

/// The width of the columns for the result and for the name of the step.
const VERDICT: usize = 8;
const NAME: usize = 13;
const INDENT: usize = VERDICT + NAME;

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Bad,
    Skipped,
}

#[derive(Serialize)]
pub(crate) struct Step {
    #[serde(rename = "step")]
    name: &'static str,
    result: Verdict,
    text: String,
    advice: Option<String>,
    details: Value,
    /// The exit status, if this is the first step that has one.
    #[serde(skip)]
    status: Option<u8>,
}

impl Step {
    fn new(name: &'static str, result: Verdict, text: String) -> Self {
        Self { name, result, text, advice: None, details: Value::Null, status: None }
    }

    pub(crate) fn ok(step: &'static str, text: impl Into<String>) -> Self {
        Self::new(step, Verdict::Ok, text.into())
    }

    /// A step that cannot be tried, and the reason.
    pub(crate) fn skipped(step: &'static str, reason: impl Into<String>) -> Self {
        Self::new(step, Verdict::Skipped, reason.into())
    }

    /// A step that failed. Without a status, a later step sets the exit status.
    pub(crate) fn bad(
        step: &'static str,
        status: impl Into<Option<u8>>,
        text: impl Into<String>,
    ) -> Self {
        Self { status: status.into(), ..Self::new(step, Verdict::Bad, text.into()) }
    }

    pub(crate) fn failure(step: &'static str, failure: &Failure) -> Self {
        let advice = failure.advice.clone();
        Self { advice, ..Self::bad(step, failure.status, failure.message.clone()) }
    }

    pub(crate) fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    pub(crate) fn details(self, details: impl Serialize) -> Self {
        Self { details: serde_json::to_value(details).unwrap_or_default(), ..self }
    }

    fn print(&self) {
        let (word, color) = match self.result {
            Verdict::Ok => ("ok", AnsiColor::Green),
            Verdict::Bad => ("BAD", AnsiColor::Red),
            Verdict::Skipped => ("skipped", AnsiColor::Yellow),
        };
        let style = color.on_default();
        let text = display::wrapped(&self.text, INDENT);
        let padding = " ".repeat(VERDICT.saturating_sub(word.len()));
        let mut lines = format!("{style}{word}{style:#}{padding}{:<NAME$}{text}\n", self.name);
        if let Some(advice) = &self.advice {
            let advice = display::wrapped(&format!("what to do: {advice}"), INDENT);
            let _ = writeln!(lines, "{:INDENT$}{advice}", "");
        }
        // The reader may have closed the pipe, so an error is ignored.
        let mut to = AutoStream::auto(std::io::stdout());
        let _ = to.write_all(lines.as_bytes()).and_then(|()| to.flush());
    }
}

/// Prints each step at once, or all steps at the end as JSON.
pub(crate) struct Report {
    json: bool,
    steps: Mutex<Vec<Step>>,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u8,
    exit_status: u8,
    steps: &'a [Step],
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, steps: Mutex::default() }
    }

    pub(crate) fn add(&self, step: Step) {
        if !self.json {
            step.print();
        }
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    /// Ends the report. The first failed step with a status sets the exit status.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = steps.iter().any(|step| step.result == Verdict::Bad);
        let decided = steps.iter().find_map(|step| step.status);
        let exit_status = decided.unwrap_or(if failed { REFUSED } else { 0 });
        if self.json {
            display::print_json(&Document { version: 1, exit_status, steps: &steps })?;
        }
        if exit_status == 0 { Ok(()) } else { Err(Failure::already_printed(exit_status)) }
    }
}
