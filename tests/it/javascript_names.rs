//! The search of the API documentation finds each item by its JavaScript name: the item has that
//! name, or a `#[doc(alias)]`. The names are in the tables of `docs/from-javascript.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::layers::sources_of_the_crate;

/// The public items of the crate by name, with the names by which the search finds them.
type Items = BTreeMap<String, Vec<String>>;

/// The search ignores case and `_`.
fn searched(name: &str) -> String {
    let last = name.rsplit(['.', ':']).next().unwrap();
    last.replace('_', "").to_lowercase()
}

fn public_items() -> Items {
    let mut items = Items::new();
    for (file, text) in sources_of_the_crate() {
        if file.starts_with("bin/") {
            continue;
        }
        let mut aliases = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(alias) = line.strip_prefix("#[doc(alias = \"") {
                aliases.push(searched(alias.strip_suffix("\")]").unwrap()));
            } else if let Some(item) = line.strip_prefix("pub ") {
                let kinds = ["fn ", "struct ", "enum ", "trait "];
                let name = kinds.iter().find_map(|kind| item.strip_prefix(kind)).unwrap_or(item);
                let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let name = &name[..end.unwrap_or(name.len())];
                let found_by = items.entry(name.to_owned()).or_default();
                found_by.push(searched(name));
                found_by.append(&mut aliases);
            } else if !line.starts_with("#[") {
                assert!(aliases.is_empty(), "{file}: an alias of an item that is not public");
            }
        }
    }
    items
}

/// The parts of a table cell between backticks.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_item_with_a_javascript_name_is_found_by_it() {
    let items = public_items();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/from-javascript.md")).unwrap();
    let mut wrong = Vec::new();
    let mut names = 0;
    let tables = page.split("| JavaScript | Rust | difference |\n").skip(1);
    for row in tables.flat_map(|table| table.lines().take_while(|line| line.starts_with('|'))) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (javascript, rust) = (cells[1], cells[2]);
        if javascript.starts_with('-') || [javascript, rust].contains(&"–") {
            continue;
        }
        let javascript: Vec<String> = code(javascript)
            .filter_map(|name| name.trim_start_matches("new ").split(['(', '[']).next())
            .map(searched)
            .collect();
        // `Credentials::new` is found as `Credentials` too.
        let rust_items: Vec<&str> = code(rust)
            .flat_map(|path| path.split('(').next().unwrap().split("::"))
            .filter(|name| items.contains_key(*name))
            .collect();
        for name in &javascript {
            names += 1;
            let mut candidates: Vec<&str> = rust_items.clone();
            if candidates.is_empty() {
                candidates.extend(items.keys().map(String::as_str));
            }
            candidates.push("Builder");
            if !candidates.iter().any(|item| items[*item].contains(name)) {
                wrong.push(format!("{name} finds none of {rust}"));
            }
        }
        // A cell with words between the names is an explanation, not a list of names.
        let list = rust.split('`').step_by(2).all(|between| ["", ", "].contains(&between));
        for path in code(rust).filter(|_| list) {
            let mut parts = path.split('(').next().unwrap().split("::");
            let known = parts.clone().all(|item| items.contains_key(item));
            let found = |item: &str| items[item].iter().any(|name| javascript.contains(name));
            if !known {
                wrong.push(format!("{path} is not a public item"));
            } else if !parts.any(found) {
                wrong.push(format!("{path} is not found by any of {javascript:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(names > 50, "only {names} names found");
}
