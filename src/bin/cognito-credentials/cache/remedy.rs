//! What to do if others may write to the cache directory.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Returns advice for a cache directory that others may write to: a command that makes it usable,
/// and the option to use. `None` if the path does not fit on one line of text.
///
/// A volume that several users share needs its rights, such as mode 0777 or 2775. So the advice is
/// a new directory inside it.
pub(super) fn for_shared(directory: &Path, name: &str, user: u32) -> Option<String> {
    // The command has created this directory, so its mode can change.
    if directory.file_name().is_some_and(|last| last == name)
        && directory.metadata().is_ok_and(|found| found.uid() == user)
    {
        return quoted(directory).map(|shown| format!("run `chmod go-w {shown}`"));
    }
    let is_usable =
        |found: &Metadata| found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0;
    [name.to_owned(), format!("{name}-{user}")].iter().find_map(|name| {
        let path = directory.join(name);
        let shown = quoted(&path)?;
        match path.symlink_metadata() {
            Err(_) => Some(format!("run `mkdir -m 700 {shown}` and use `--cache-dir {shown}`")),
            Ok(found) if is_usable(&found) => Some(format!("use `--cache-dir {shown}`")),
            // A file, or a directory that is not safe, has this name.
            Ok(_) => None,
        }
    })
}

/// Quotes a path for a shell. `None` for a path that does not fit on one line of text.
fn quoted(path: &Path) -> Option<String> {
    let path = path.to_str().filter(|path| !path.contains(char::is_control))?;
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if path.chars().all(is_plain) {
        return Some(path.to_owned());
    }
    Some(format!("'{}'", path.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_quoted_path_unchanged() {
        let paths = ["/cache/x-1.2_3", "/my cache", "/it's", "/a\"b`c$d\\e;f", "/Zwölf", "/*?~#&"];
        for path in paths {
            let word = quoted(Path::new(path)).unwrap();
            let script = format!("printf %s {word}");
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), path, "{word}");
        }
        assert_eq!(quoted(Path::new("/a\nb")), None);
    }
}
