//! What the documentation and the manifests say about the code is so.

use std::fs;
use std::path::Path;

/// The file that holds a test, and the test's name.
fn place<'a>(root: &Path, path: &'a str) -> (String, &'a str) {
    let (module, name) = path.rsplit_once("::").unwrap();
    let first = module.split("::").next().unwrap();
    let ours = format!("tests/it/{first}.rs");
    if root.join(&ours).exists() {
        return (ours, name);
    }
    let module = module.strip_suffix("::tests").unwrap_or(module);
    let file = format!("src/{}", module.replace("::", "/"));
    let folder = root.join(&file).is_dir();
    (if folder { format!("{file}/mod.rs") } else { format!("{file}.rs") }, name)
}

/// The rows of the only table below a heading, without its head.
fn table<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let section = page.split("\n## ").find(|s| s.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("no heading {heading}"));
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches(['|', ' ']).split(" | ").collect()).collect()
}

#[test]
fn every_row_of_what_happens_when_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/guarantees.md")).unwrap();
    let situations = table(&page, "What happens when");
    let shown = table(&page, "Which tests show it");
    assert!(situations.len() >= 7, "only {} rows found", situations.len());
    let first = |rows: &[Vec<&str>]| rows.iter().map(|row| row[0].to_owned()).collect::<Vec<_>>();
    assert_eq!(first(&situations), first(&shown));
    for row in &shown {
        let tests: Vec<_> = row[1].split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test in: {row:?}");
        for test in tests {
            let (file, name) = place(root, test);
            let text = fs::read_to_string(root.join(&file))
                .unwrap_or_else(|error| panic!("{test}: {file}: {error}"));
            let test_of_it = format!("#[test]\n    fn {name}(").replace("    ", "");
            let text = text.replace("    ", "");
            assert!(text.contains(&test_of_it), "{test} is no test of {file}");
        }
    }
    let totals = table(&page, "How much was tried");
    assert!(totals.len() >= 5, "only {} totals found", totals.len());
    for row in totals {
        assert_eq!(row.len(), 3, "{row:?}");
        assert!(row[1].contains(|c: char| c.is_ascii_digit()), "no total in: {row:?}");
        assert!(row[2].contains('`') || row[2] == "the same", "no command in: {row:?}");
    }
}

/// The connector uses traits that ureq may change in a minor version.
#[test]
fn the_version_of_ureq_to_hold_is_the_one_that_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    let locked = lock.split("name = \"ureq\"\nversion = \"").nth(1).unwrap();
    let minor = locked.split('.').take(2).collect::<Vec<_>>().join(".");
    for file in ["Cargo.toml", "benches/footprint/Cargo.toml"] {
        let text = fs::read_to_string(root.join(file)).unwrap();
        let held: Vec<_> = text.split("ureq = { version = \"~").skip(1).collect();
        assert!(!held.is_empty(), "{file} holds no version");
        for version in held {
            assert!(version.starts_with(&format!("{minor}\"")), "{file}: {version:.6}");
        }
    }
}

/// Certificates are checked at no time before it, where the device has none.
#[test]
fn the_default_earliest_time_is_the_day_of_the_release() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let log = fs::read_to_string(root.join("CHANGELOG.md")).unwrap();
    // The heading of what is not released yet has no day.
    let mut headings = log.lines().filter_map(|line| line.strip_prefix("## ")?.split_once(", "));
    let (version, day) = headings.next().unwrap();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let day = humantime::parse_rfc3339(&format!("{day}T00:00:00Z")).unwrap();
    let seconds = day.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    let tls = fs::read_to_string(root.join("src/transport/ureq/tls.rs")).unwrap().replace('_', "");
    assert!(tls.contains(&format!("RELEASED: Duration = Duration::fromsecs({seconds})")));
}
