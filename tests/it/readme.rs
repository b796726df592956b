//! What the README says about the tests is so.

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
    (format!("src/{}.rs", module.replace("::", "/")), name)
}

#[test]
fn every_row_of_what_happens_when_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let section = readme.split("\n## ").find(|s| s.starts_with("What happens when")).unwrap();
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with("| … ")).collect();
    assert!(rows.len() >= 7, "only {} rows found", rows.len());
    for row in rows {
        let shown_by = row.trim_end_matches(" |").rsplit_once(" | ").unwrap().1;
        let tests: Vec<_> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test in: {row}");
        for test in tests {
            let (file, name) = place(root, test);
            let text = fs::read_to_string(root.join(&file))
                .unwrap_or_else(|error| panic!("{test}: {file}: {error}"));
            let test_of_it = format!("#[test]\n    fn {name}(").replace("    ", "");
            let text = text.replace("    ", "");
            assert!(text.contains(&test_of_it), "{test} is no test of {file}");
        }
    }
    let totals: Vec<_> = section
        .split("| what | total | command |")
        .nth(1)
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| ") && !line.contains("---"))
        .collect();
    assert!(totals.len() >= 5, "only {} totals found", totals.len());
    for row in totals {
        let cells: Vec<_> = row.trim_matches(['|', ' ']).split(" | ").collect();
        assert_eq!(cells.len(), 3, "{row}");
        assert!(cells[1].contains(|c: char| c.is_ascii_digit()), "no total in: {row}");
        assert!(cells[2].contains('`') || cells[2] == "the same", "no command in: {row}");
    }
}
