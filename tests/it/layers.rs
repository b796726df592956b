//! The layers of `src/`: a file names only files of lower layers, and no files name each other in a
//! circle. Every file is checked, with the command and the fakes. Tests are left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

mod arrows;

use arrows::{Arrows, Sources, arrows};

/// The folders and files at the top of `src/`, from the lowest layer to the highest.
const ORDER: [&str; 26] = [
    "secret",
    "random",
    "redact",
    "loopback",
    "token_text",
    "os_error",
    "time_limit",
    "clock",
    "error",
    "credentials",
    "developer",
    "logins",
    "token_file",
    "storage",
    "transport",
    "service",
    "export",
    "cell",
    "refresh",
    "user_pool_tokens",
    "provider",
    "testing",
    "internals",
    "guide",
    "lib",
    "bin",
];

#[test]
fn a_file_names_only_files_of_lower_layers() {
    let arrows = arrows(&sources_of_the_crate());
    assert!(arrows.len() >= 150, "only {} arrows found", arrows.len());
    let upward = upward(&arrows);
    assert!(
        upward.is_empty(),
        "{}\nMove what both files need into the lower one, or into a file below both. The order is ORDER in tests/it/layers.rs.",
        upward.join("\n")
    );
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let circle = circle(&arrows(&sources_of_the_crate()));
    assert!(
        circle.is_empty(),
        "a circle of files:\n{}\nMove what both files need into a file of its own, which both name, or pass it as an argument.",
        circle.join("\n")
    );
}

/// Reads all files below `src/`.
pub(crate) fn sources_of_the_crate() -> Sources {
    fn collect(root: &Path, folder: &Path, sources: &mut Sources) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, sources);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                sources.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Sources::new();
    collect(&root, &root, &mut sources);
    assert!(sources.len() >= 60, "only {} files found", sources.len());
    sources
}

/// Returns a line for each arrow from a lower layer to a higher one.
fn upward(arrows: &Arrows) -> Vec<String> {
    let rank = |file: &str| {
        let top = file.split('/').next().unwrap().trim_end_matches(".rs");
        let rank = ORDER.iter().position(|name| *name == top);
        rank.unwrap_or_else(|| {
            panic!("{file}: which layer? Add {top} to ORDER in tests/it/layers.rs")
        })
    };
    let upward = arrows.iter().filter(|((from, to), _)| rank(from) < rank(to));
    upward.map(|((from, to), path)| format!("{from} names {to}, by {path}")).collect()
}

/// Returns the arrows of one circle, if there is a circle.
fn circle(arrows: &Arrows) -> Vec<String> {
    let mut left: BTreeSet<&(String, String)> = arrows.keys().collect();
    // A file that names no file of the rest is in no circle.
    loop {
        let naming: BTreeSet<&str> = left.iter().map(|(from, _)| from.as_str()).collect();
        let before = left.len();
        left.retain(|(_, to)| naming.contains(to.as_str()));
        if left.len() == before {
            break;
        }
    }
    let next = |file: &str| left.iter().find(|(from, _)| from == file).map(|(_, to)| to.as_str());
    let mut walk: Vec<&str> = left.first().map(|(from, _)| from.as_str()).into_iter().collect();
    while let Some(to) = walk.last().copied().and_then(next) {
        if let Some(start) = walk.iter().position(|file| *file == to) {
            walk.drain(..start);
            walk.push(to);
            break;
        }
        walk.push(to);
    }
    let steps = walk.windows(2).map(|step| {
        let (from, to) = (step[0], step[1]);
        format!("{from} names {to}, by {}", arrows[&(from.to_owned(), to.to_owned())])
    });
    steps.collect()
}

fn arrows_of(sources: &[(&str, &str)]) -> Arrows {
    arrows(&sources.iter().map(|(file, text)| ((*file).into(), (*text).into())).collect())
}

#[test]
fn an_upward_arrow_is_found_with_its_path() {
    let arrows = arrows_of(&[
        ("lib.rs", "mod error; mod transport;"),
        ("error/mod.rs", "fn f(e: &crate::transport::ureq::Broken) {}"),
        ("transport/mod.rs", "mod ureq; use crate::error::Error;"),
        ("transport/ureq.rs", "use crate::error::Error; pub(crate) struct Broken;"),
    ]);
    assert_eq!(
        upward(&arrows),
        ["error/mod.rs names transport/ureq.rs, by crate::transport::ureq::Broken"]
    );
    assert!(circle(&arrows).len() == 2, "{arrows:?}");
}

#[test]
fn a_circle_in_a_folder_is_also_found_through_a_re_export() {
    let mut sources = vec![
        ("cell/mod.rs", "mod flight; mod lease; pub(crate) use self::flight::Flight;"),
        ("cell/flight.rs", "use super::lease::{self, Lease as Life};"),
        ("cell/lease.rs", "use super::Flight;"),
    ];
    assert_eq!(
        circle(&arrows_of(&sources)),
        [
            "cell/flight.rs names cell/lease.rs, by super::lease",
            "cell/lease.rs names cell/flight.rs, by super::Flight",
        ]
    );
    sources[2].1 = "#[cfg(test)]\nmod tests { use super::super::Flight; }\n// super::Flight\nfn f() -> &'static str { \"super::Flight\" }";
    assert_eq!(circle(&arrows_of(&sources)), [""; 0]);
}

#[test]
fn a_circle_between_a_folder_and_its_file_is_found() {
    let sources = [
        ("cell/mod.rs", "mod flight; pub struct Cell(flight::Flight);"),
        ("cell/flight.rs", "struct Flight; impl super::Cell {}"),
    ];
    assert_eq!(circle(&arrows_of(&sources)).len(), 2);
    // A file may name its `mod.rs` if that only declares and re-exports the file.
    let sources = [
        ("cell/mod.rs", "mod flight; pub use flight::Flight; pub struct Cell;"),
        ("cell/flight.rs", "struct Flight; impl super::Cell {}"),
    ];
    assert_eq!(circle(&arrows_of(&sources)), [""; 0]);
}

#[test]
fn a_circle_in_the_command_is_found() {
    let arrows = arrows_of(&[
        ("lib.rs", "mod export;"),
        ("export.rs", ""),
        ("bin/command/main.rs", "mod arguments; mod export; use cognito::Builder;"),
        ("bin/command/arguments.rs", "use crate::export; fn f() { export::proxy() }"),
        ("bin/command/export.rs", "use crate::arguments::{Arguments, Options};"),
    ]);
    assert_eq!(
        circle(&arrows),
        [
            "bin/command/arguments.rs names bin/command/export.rs, by crate::export",
            "bin/command/export.rs names bin/command/arguments.rs, by crate::arguments::Arguments",
        ]
    );
    assert_eq!(upward(&arrows), [""; 0]);
}
