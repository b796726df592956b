//! Finds which source file names which other file. Reads the paths that begin with `crate`, `self`,
//! `super`, a child module or an import, and follows re-exports to the file of the item.

use std::collections::{BTreeMap, BTreeSet};

/// The text of each file, by the path below `src/`.
pub(super) type Sources = BTreeMap<String, String>;

/// From a file to another file, with a path that names the other.
pub(super) type Arrows = BTreeMap<(String, String), String>;

/// Sources by module: the path of the file without `.rs` and `/mod.rs`; empty for `lib.rs`.
type Modules = BTreeMap<String, Source>;

struct Source {
    file: String,
    imports: Vec<Import>,
    /// The paths outside `use`.
    paths: BTreeSet<Vec<String>>,
    /// The modules that this file declares with `mod name;`.
    children: BTreeSet<String>,
}

struct Import {
    name: String,
    path: Vec<String>,
    is_public: bool,
}

pub(super) fn arrows(sources: &Sources) -> Arrows {
    let (mut modules, mut tests) = (Modules::new(), Vec::new());
    for (file, text) in sources {
        let module = module(file);
        let (code, test_children) = without_tests(&code(text));
        tests.extend(test_children.iter().map(|child| join(&module, child)));
        modules.insert(module, Source::read(file, &code));
    }
    modules.retain(|module, _| !tests.contains(module));
    let mut arrows = Arrows::new();
    for (module, source) in &modules {
        // A `mod.rs` may re-export from its folder.
        let is_folder = module != &source.file[..source.file.len() - ".rs".len()];
        let is_used = |name: &str| source.paths.iter().any(|path| path[0] == name);
        let imports = source.imports.iter();
        let imports = imports.filter(|it| !(is_folder && it.is_public) || is_used(&it.name));
        let paths = source.paths.iter().filter(|path| path.len() > 1);
        for path in imports.map(|import| &import.path).chain(paths) {
            let target = resolve(&modules, module, path, 0).and_then(|at| modules.get(&at));
            let target = target.map(|target| &target.file);
            if let Some(target) = target.filter(|target| **target != source.file) {
                let arrow = (source.file.clone(), target.clone());
                arrows.entry(arrow).or_insert_with(|| path.join("::"));
            }
        }
    }
    arrows
}

/// Returns the module that defines the item of a path. Returns `None` if another crate defines it.
fn resolve(modules: &Modules, module: &str, path: &[String], depth: u32) -> Option<String> {
    assert!(depth < 10, "{module}: {path:?} leads in a circle of re-exports");
    let parent = |module: &str| module.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
    let follow = |module: &str, name: &str, rest: &[String]| {
        let import = modules.get(module)?.imports.iter().find(|import| import.name == name)?;
        // `use name::…` names another crate or a child, `use self::name` an item of this file.
        let is_child = modules[module].children.contains(name);
        if (import.path[0] == name && !is_child) || import.path[..] == ["self", name] {
            return None;
        }
        let path = [import.path.as_slice(), rest].concat();
        resolve(modules, module, &path, depth + 1)
    };
    let (first, mut rest) = path.split_first()?;
    let mut at = match first.as_str() {
        "crate" if module.starts_with("bin/") => {
            module.splitn(3, '/').take(2).collect::<Vec<_>>().join("/")
        }
        "crate" => String::new(),
        "self" => module.to_owned(),
        "super" => parent(module),
        child if modules.get(module)?.children.contains(child) => join(module, child),
        import => return follow(module, import, rest),
    };
    while let Some((name, more)) = rest.split_first() {
        let child = join(&at, name);
        if name == "super" {
            at = parent(&at);
        } else if modules.contains_key(&child) {
            at = child;
        } else {
            return follow(&at, name, more).or(Some(at));
        }
        rest = more;
    }
    Some(at)
}

fn module(file: &str) -> String {
    let module = file.trim_end_matches(".rs");
    let folder = ["mod", "lib", "main"].into_iter().find_map(|name| module.strip_suffix(name));
    match folder {
        Some(folder) if folder.is_empty() || folder.ends_with('/') => {
            folder.trim_end_matches('/').to_owned()
        }
        _ => module.to_owned(),
    }
}

fn join(module: &str, child: &str) -> String {
    if module.is_empty() { child.to_owned() } else { format!("{module}/{child}") }
}

impl Source {
    fn read(file: &str, code: &str) -> Self {
        let code = &with_inline_modules_as_part_of_the_file(code);
        let (mut imports, mut children) = (Vec::new(), BTreeSet::new());
        let mut rest = String::new();
        let mut from = 0;
        while let Some(at) = find_word(code, "use", from) {
            let end = at + code[at..].find(';').unwrap();
            let is_public = code[..at].trim_end().ends_with("pub")
                || code[..at].trim_end().rsplit_once("pub(").is_some_and(|(_, visibility)| {
                    visibility.find(')') == Some(visibility.len() - 1)
                });
            expand(&[], &code[at + "use".len()..end], is_public, &mut imports);
            rest.push_str(&code[from..at]);
            from = end;
        }
        rest.push_str(&code[from..]);
        let mut at = 0;
        while let Some(found) = find_word(&rest, "mod", at) {
            at = found + "mod".len();
            if let Some((name, _)) = rest[at..].split_once(';') {
                children.insert(name.trim().to_owned());
            }
        }
        children.retain(|name| name.chars().all(is_name));
        Self { file: file.to_owned(), imports, paths: paths(&rest), children }
    }
}

/// Adds the imports of a `use`: `text` is the part after `prefix`.
fn expand(prefix: &[String], text: &str, is_public: bool, imports: &mut Vec<Import>) {
    let text = text.trim();
    if let Some((head, group)) = text.split_once('{') {
        let head = head.split("::").map(str::trim).filter(|name| !name.is_empty());
        let prefix: Vec<_> = prefix.iter().cloned().chain(head.map(str::to_owned)).collect();
        let group = group.strip_suffix('}').unwrap();
        let (mut depth, mut start) = (0, 0);
        for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&prefix, &group[start..at], is_public, imports);
                    start = at + 1;
                }
                _ => {}
            }
        }
    } else if !text.is_empty() {
        let (text, alias) = text.split_once(" as ").map_or((text, None), |(a, b)| (a, Some(b)));
        let names = text.split("::").map(|name| name.trim().to_owned());
        let mut path: Vec<_> = prefix.iter().cloned().chain(names).collect();
        if path.last().is_some_and(|name| name == "self") && path.len() > 1 {
            path.pop();
        }
        let name = alias.or(path.last().map(String::as_str)).unwrap().trim().to_owned();
        path.retain(|name| name != "*");
        imports.push(Import { name, path, is_public });
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn find_word(code: &str, word: &str, from: usize) -> Option<usize> {
    let matches = code[from..].match_indices(word).map(|(at, _)| from + at);
    let is_word = |at: &usize| {
        !code[..*at].ends_with(is_name) && code[at + word.len()..].starts_with(char::is_whitespace)
    };
    matches.into_iter().find(is_word)
}

/// Returns all names, and all names joined by `::`.
fn paths(code: &str) -> BTreeSet<Vec<String>> {
    let mut paths = BTreeSet::new();
    let mut rest = code;
    while let Some(start) = rest.find(is_name) {
        let is_member = rest[..start].ends_with('.') && !rest[..start].ends_with("..");
        rest = &rest[start..];
        let mut path = Vec::new();
        loop {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            path.push(rest[..end].to_owned());
            rest = &rest[end..];
            match rest.strip_prefix("::") {
                Some(more) if more.starts_with(is_name) => rest = more,
                _ => break,
            }
        }
        if !is_member {
            paths.insert(path);
        }
    }
    paths
}

/// Removes comments and literals.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").unwrap() + 2
        } else if c == 'r' && !code.ends_with(is_name) && raw_string(rest).is_some() {
            raw_string(rest).unwrap()
        } else if c == '"' {
            literal(rest, '"')
        } else if c == '\'' && (rest.starts_with("'\\") || rest.chars().nth(2) == Some('\'')) {
            literal(rest, '\'')
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// Returns the length of the literal that begins here.
fn literal(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    panic!("a literal without an end");
}

fn raw_string(text: &str) -> Option<usize> {
    let hashes = text[1..].find(|c| c != '#')?;
    let start = 1 + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    text[1 + hashes..]
        .starts_with('"')
        .then(|| start + text[start..].find(&end).unwrap() + end.len())
}

/// Removes the items that only a test build has. Also returns the names of the test modules that
/// are separate files.
fn without_tests(code: &str) -> (String, Vec<String>) {
    let (mut kept, mut children) = (String::new(), Vec::new());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(") {
        let item = &rest[at..];
        let (attribute, after) = item.split_at(item.find(']').unwrap() + 1);
        let mut names = attribute.split(|c| !is_name(c));
        if !names.any(|name| name == "test") || attribute.contains("not(test") {
            kept.push_str(&rest[..at + attribute.len()]);
            rest = after;
            continue;
        }
        kept.push_str(&rest[..at]);
        rest = after.trim_start();
        while rest.starts_with("#[") {
            rest = rest[rest.find("]\n").unwrap() + 1..].trim_start();
        }
        let end = item_end(rest);
        if let Some(child) = rest[..end].strip_prefix("mod ").and_then(|it| it.strip_suffix(';')) {
            children.push(child.to_owned());
        }
        rest = &rest[end..];
    }
    kept.push_str(rest);
    (kept, children)
}

/// Returns the length of the item that begins here: up to a `;` or a closing brace.
fn item_end(code: &str) -> usize {
    let is_use = find_word(code, "use", 0).is_some_and(|at| !code[..at].contains([';', '{']));
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 && (c == ';' || (c == '}' && !is_use)) {
            return at + 1;
        }
    }
    code.len()
}

/// In `mod name { … }`, `super` is the file itself.
fn with_inline_modules_as_part_of_the_file(code: &str) -> String {
    let mut result = code.to_owned();
    let mut from = 0;
    while let Some(at) = find_word(&result, "mod", from) {
        from = at + "mod".len();
        let end = at + item_end(&result[at..]);
        if result[at..end].ends_with('}') {
            let inner = result[at..end].replace("super::", "self::");
            result.replace_range(at..end, &inner);
        }
    }
    result
}
