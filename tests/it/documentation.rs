//! The documentation and the manifests agree with the code.

use std::fs;
use std::path::Path;

/// Checks that a test with this path exists: files declare its modules, and the last module has the
/// test. Returns whether the test is only compiled for loom.
fn is_for_loom(root: &Path, path: &str) -> bool {
    let mut modules: Vec<_> = path.split("::").collect();
    let name = modules.pop().unwrap();
    let is_ours = |first: &&str| {
        [".rs", "/mod.rs"].iter().any(|end| root.join(format!("tests/it/{first}{end}")).exists())
    };
    let (mut file, mut folder) = match modules.first() {
        // The page names one other test target.
        None => ("tests/hostile/main.rs".to_owned(), String::new()),
        Some(first) if is_ours(first) => ("tests/it/main.rs".to_owned(), "tests/it".to_owned()),
        Some(_) => ("src/lib.rs".to_owned(), "src".to_owned()),
    };
    let read = |file: &str| {
        let text = fs::read_to_string(root.join(file));
        let text = text.unwrap_or_else(|error| panic!("{path}: {file}: {error}"));
        text.lines()
            .map(str::trim)
            .collect::<Vec<_>>()
            .join("\n")
            .replace("\npub(crate) mod", "\nmod")
    };
    let mut text = read(&file);
    let mut loom = false;
    for module in modules {
        if text.contains(&format!("\nmod {module} {{\n")) {
            continue;
        }
        assert!(text.contains(&format!("\nmod {module};\n")), "{path}: {file} has no {module}");
        loom |= text.contains(&format!("\n#[cfg(all(loom, test))]\nmod {module};\n"));
        folder = format!("{folder}/{module}");
        let is_folder = root.join(&folder).join("mod.rs").exists();
        file = if is_folder { format!("{folder}/mod.rs") } else { format!("{folder}.rs") };
        text = read(&file);
    }
    assert!(text.contains(&format!("\n#[test]\nfn {name}(")), "{path} is not a test of {file}");
    loom
}

/// Returns the rows of the only table below a heading, without its header.
fn table<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let section = page.split("\n## ").find(|s| s.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("no heading {heading}"));
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches(['|', ' ']).split(" | ").collect()).collect()
}

#[test]
fn every_guarantee_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/guarantees.md")).unwrap();
    let situations = table(&page, "What happens when");
    let shown = table(&page, "Which tests show it");
    assert_eq!(situations.len(), 15, "if you add or remove a guarantee, change this number");
    let first = |rows: &[Vec<&str>]| rows.iter().map(|row| row[0].to_owned()).collect::<Vec<_>>();
    assert_eq!(first(&situations), first(&shown));
    for row in &shown {
        let tests: Vec<_> = row[1].split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test in: {row:?}");
        for test in tests {
            // The page has a command for each module of such tests.
            let command = format!("--lib {}`", test.rsplit_once("::").map_or("", |(of, _)| of));
            assert!(!is_for_loom(root, test) || page.contains(&command), "no command for {test}");
        }
    }
    let totals = table(&page, "How much was tried");
    assert_eq!(totals.len(), 9, "if you add or remove a total, change this number");
    for row in totals {
        assert_eq!(row.len(), 3, "{row:?}");
        assert!(row[1].contains(|c: char| c.is_ascii_digit()), "no total in: {row:?}");
        assert!(row[2].contains('`') || row[2] == "the same", "no command in: {row:?}");
    }
}

/// A device that does not know the time checks certificates as if today were this day.
#[test]
fn the_default_earliest_time_is_the_day_of_the_release() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let log = fs::read_to_string(root.join("CHANGELOG.md")).unwrap();
    // The heading of an unreleased version has no day.
    let mut headings = log.lines().filter_map(|line| line.strip_prefix("## ")?.split_once(", "));
    let (version, day) = headings.next().unwrap();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let day = humantime::parse_rfc3339(&format!("{day}T00:00:00Z")).unwrap();
    let seconds = day.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    let tls = fs::read_to_string(root.join("src/transport/ureq/tls.rs")).unwrap().replace('_', "");
    assert!(tls.contains(&format!("RELEASED: Duration = Duration::fromsecs({seconds})")));
}
