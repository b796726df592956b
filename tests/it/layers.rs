//! A file names only files of lower layers.

use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest to the highest. A file may name only modules that stand before its own, so the
/// order also rules out circles.
const ORDER: [&str; 19] = [
    "secret",
    "random",
    "redact",
    "loopback",
    "clock",
    "error",
    "credentials",
    "developer",
    "logins",
    "storage",
    "transport",
    "service",
    "export",
    "cell",
    "refresh",
    "provider",
    "user_pool_tokens",
    "testing",
    "lib",
];

/// Adapters implement a seam, and are named by the builder as the default: they stand beside the
/// layers and use the seam's values.
const ADAPTERS: [(&str, &[&str]); 1] = [("transport/ureq/mod", &["error"])];

fn rank(module: &str) -> usize {
    ORDER
        .iter()
        .position(|name| *name == module)
        .unwrap_or_else(|| panic!("unknown module {module}"))
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// The modules that a source names with `crate::`, its tests left out.
fn named(source: &str) -> Vec<String> {
    let source = source.split("\nmod tests {").next().unwrap();
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| {
        line.split("crate::").skip(1).map(|rest| {
            rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>()
        })
    })
    .collect()
}

#[test]
fn no_file_names_a_higher_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() >= 20, "only {} sources found", files.len());
    let mut edges = 0;
    for file in files {
        let name = file.strip_prefix(&root).unwrap().with_extension("");
        let name = name.to_str().unwrap().replace('\\', "/");
        let module = name.split('/').next().unwrap().to_owned();
        if module == "bin" {
            continue;
        }
        for used in named(&fs::read_to_string(&file).unwrap()) {
            assert!(!used.is_empty(), "{name} names an item of the crate's root, not its module");
            edges += 1;
            let adapter = ADAPTERS.iter().find(|(adapter, _)| *adapter == name);
            let allowed = used == module
                || rank(&used) < rank(&module)
                || adapter.is_some_and(|(_, more)| more.contains(&&*used));
            assert!(allowed, "{name} names crate::{used}, which is not below it");
        }
    }
    assert!(edges >= 40, "only {edges} edges found");
}

#[test]
fn an_upward_edge_would_be_seen() {
    let source = "use crate::cell::Cell;\nfn f(x: crate::provider::Builder) {}\n// crate::no\n#[cfg(test)]\nmod tests { use crate::lib; }";
    assert_eq!(named(source), ["cell", "provider"]);
    assert!(rank("provider") > rank("cell"));
}
