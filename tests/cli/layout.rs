//! Checks of the layout of `doctor` and `status`.

const WIDTH: usize = 100;
/// The columns at which the texts of `doctor` and `status` begin.
const DOCTOR: usize = 21;
const STATUS: usize = 15;

/// Checks that the columns of a report of `doctor` are aligned and that its lines fit.
pub(crate) fn check(report: &str) {
    for line in report.lines() {
        let (columns, text) = line.split_at(DOCTOR);
        let begins = ["ok      ", "BAD     ", "skipped "].iter().any(|verdict| {
            let name = columns.strip_prefix(verdict);
            name.is_some_and(|name| !name.starts_with(' ') && name.ends_with(' '))
        });
        assert!(begins || columns.trim().is_empty(), "columns of {line:?} in\n{report}");
        check_text(line, text, report);
    }
}

/// Checks the same for the output of `status`.
pub(crate) fn check_status(report: &str) {
    for line in report.lines() {
        let (name, text) = line.split_at(STATUS);
        assert!(name.ends_with(' '), "columns of {line:?} in\n{report}");
        check_text(line, text, report);
    }
}

fn check_text(line: &str, text: &str, report: &str) {
    assert!(!text.is_empty() && !text.starts_with(' '), "text of {line:?} in\n{report}");
    // A path, a name or a command may be longer than a line.
    let words: String = text.split('`').step_by(2).collect();
    let fits = line.chars().count() <= WIDTH || !words.trim().contains(' ');
    assert!(fits, "{line:?} is too long in\n{report}");
}

/// Joins the lines of each text to one line.
pub(crate) fn joined(report: &str) -> String {
    let spaces = |count| format!("\n{}", " ".repeat(count));
    report.replace(&spaces(DOCTOR), " ").replace(&spaces(STATUS), " ")
}
