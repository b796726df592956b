//! Which cache directories are used, and which of other users are not. Only root can give a
//! directory away, so most of these tests run as root, and the command as another user.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::layout;
use crate::service::{Machine, PROVIDER, SECRET, Said, program, runnable};

const ROOT: u32 = 0;
/// The user of the command.
const OWN: u32 = 65_534;
const OTHER: u32 = 12_345;

/// A machine on which the command runs as [`OWN`].
struct Machines {
    machine: Machine,
    _bin: TempDir,
    program: PathBuf,
}

impl Machines {
    /// `None` if this user cannot give files away.
    fn new() -> Option<Self> {
        let machine = Machine::new();
        let bin = tempfile::tempdir().unwrap();
        for directory in [machine.home.path(), bin.path()] {
            fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
        }
        lchown(bin.path(), Some(ROOT), Some(OWN)).ok()?;
        // By another process: a file that is open for writing here cannot be run.
        let program_of_all = bin.path().join("program");
        let copied = Command::new("cp").arg(program()).arg(&program_of_all).status();
        assert!(copied.unwrap().success());
        Some(Self { machine, _bin: bin, program: program_of_all })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.machine.path(name)
    }

    fn directory(&self, name: &str, owner: u32, mode: u32) {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        lchown(&path, Some(owner), Some(OWN)).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn link(&self, name: &str, to: &str, owner: u32) {
        symlink(to, self.path(name)).unwrap();
        lchown(self.path(name), Some(owner), None).unwrap();
    }

    fn file(&self, name: &str, owner: u32) {
        fs::write(self.path(name), "").unwrap();
        lchown(self.path(name), Some(owner), None).unwrap();
    }

    fn as_own(&self, program: &Path, arguments: &[&str]) -> Command {
        let like = self.machine.command(arguments);
        let mut command = runnable(program);
        command.args(arguments).current_dir(self.machine.home.path()).env_clear();
        command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.uid(OWN).gid(OWN);
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.machine.finish(self.as_own(&self.program, arguments))
    }

    /// Every file below the home, with its owner and mode.
    fn tree(&self) -> BTreeMap<PathBuf, (u32, u32)> {
        fn add(directory: &Path, tree: &mut BTreeMap<PathBuf, (u32, u32)>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let found = path.symlink_metadata().unwrap();
                tree.insert(path.clone(), (found.uid(), found.mode()));
                if found.is_dir() {
                    add(&path, tree);
                }
            }
        }
        let mut tree = BTreeMap::new();
        add(self.machine.home.path(), &mut tree);
        tree
    }
}

type Prepare = &'static dyn Fn(&Machines);

#[test]
fn directories_and_links_of_this_user_and_of_root_lead_to_a_cache() {
    // What exists, the option, and where the records are.
    let rows: [(&str, Prepare, &str, &str); 18] = [
        ("own", &|m| m.directory("c", OWN, 0o700), "c", "c"),
        ("own, readable", &|m| m.directory("c", OWN, 0o755), "c/", "c"),
        ("own, with setgid", &|m| m.directory("c", OWN, 0o2755), "./c/.", "c"),
        ("own, with dots in the path", &|m| m.directory("c", OWN, 0o700), "x/../c", "c"),
        (
            "own, in a directory of another user",
            &|m| {
                m.directory("o", OTHER, 0o755);
                m.directory("o/c", OWN, 0o700);
            },
            "o/c",
            "o/c",
        ),
        (
            "own, in a directory that may be entered and not read",
            &|m| {
                m.directory("o", OTHER, 0o711);
                m.directory("o/c", OWN, 0o700);
            },
            "o/c",
            "o/c",
        ),
        ("missing, in a directory of root", &|m| m.directory("r", ROOT, 0o777), "r/c", "r/c"),
        ("missing, in an own directory", &|m| m.directory("d", OWN, 0o700), "d/c", "d/c"),
        ("missing, with its parents", &|m| m.directory("d", OWN, 0o700), "d/a/b/c", "d/a/b/c"),
        (
            "missing, in an own directory that others may write to",
            &|m| m.directory("d", OWN, 0o777),
            "d/c",
            "d/c",
        ),
        (
            "missing, in a sticky directory of another user",
            &|m| m.directory("s", OTHER, 0o1777),
            "s/a/c",
            "s/a/c",
        ),
        (
            "a link of root",
            &|m| {
                m.directory("c", OWN, 0o700);
                m.link("l", "c", ROOT);
            },
            "l",
            "c",
        ),
        (
            "a link of root, with a slash at its end",
            &|m| {
                m.directory("c", OWN, 0o700);
                m.link("l", "./c/", ROOT);
            },
            "l/",
            "c",
        ),
        (
            "an own link in a directory of another user",
            &|m| {
                m.directory("c", OWN, 0o700);
                m.directory("o", OTHER, 0o755);
                m.link("o/l", "../c", OWN);
            },
            "o/l",
            "c",
        ),
        (
            "a link of root on the way to a missing directory",
            &|m| {
                m.directory("d", OWN, 0o700);
                m.link("l", "d", ROOT);
            },
            "l/c",
            "d/c",
        ),
        (
            "a link of systemd with DynamicUser",
            &|m| {
                m.directory("lib", ROOT, 0o755);
                m.directory("lib/private", ROOT, 0o711);
                m.directory("lib/private/x", OWN, 0o755);
                m.link("lib/x", "private/x", ROOT);
            },
            "lib/x",
            "lib/private/x",
        ),
        (
            "a chain of links",
            &|m| {
                m.directory("c", OWN, 0o700);
                m.link("l40", "c", OWN);
                for number in (1..40).rev() {
                    m.link(&format!("l{number}"), &format!("l{}", number + 1), OWN);
                }
            },
            "l1",
            "c",
        ),
        (
            "a whole path in a link",
            &|m| {
                m.directory("c", OWN, 0o700);
                m.link("l", m.path("c").to_str().unwrap(), ROOT);
            },
            "l",
            "c",
        ),
    ];
    for (name, prepare, option, records) in rows {
        let Some(machines) = Machines::new() else { return };
        machines.directory("x", ROOT, 0o755);
        prepare(&machines);
        let option = format!("--cache-dir={option}");
        let before = machines.tree();
        assert!(machines.run(&["status", &option]).out.contains("none cached"), "{name}");
        assert_eq!(machines.run(&["identity", &option]).status, 1, "{name}");
        for forget in [&["forget", &option][..], &["forget", "--all", &option]] {
            let said = machines.run(forget);
            assert!(said.out.starts_with("nothing was stored "), "{name}: {said:?}");
        }
        assert_eq!(machines.tree(), before, "{name}: reading makes nothing");

        let said = machines.run(&["process", &option]);
        assert_eq!((said.status, &*said.err), (0, ""), "{name}");
        let calls = machines.machine.calls();
        assert_eq!(machines.run(&["process", &option]).out, said.out, "{name}");
        let status = machines.run(&["status", &option]);
        assert!(status.out.contains(", valid for "), "{name}: {status:?}");
        assert_eq!(machines.run(&["identity", &option]).status, 0, "{name}");
        assert_eq!(machines.machine.calls(), calls, "{name}: the records are found");

        let mut made = machines.tree();
        made.retain(|path, _| !before.contains_key(path));
        let directory = machines.path(records);
        assert!(
            made.keys().filter(|path| path.parent() == Some(&directory)).count() >= 2,
            "{name}"
        );
        for (path, (owner, mode)) in made {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!((owner, mode & 0o777), (OWN, expected), "{name}: {}", path.display());
        }
        let said = machines.run(&["forget", &option]);
        assert!(
            said.out.starts_with("removed: the identity and the credentials"),
            "{name}: {said:?}"
        );
    }
}

#[test]
fn nothing_is_read_or_written_in_directories_and_links_of_other_users() {
    let theirs = "belongs to another user";
    let open = "others may write to the directory";
    let rows: [(&str, Prepare, &str, &str); 20] = [
        ("of another user", &|m| m.directory("c", OTHER, 0o755), "c", theirs),
        ("of another user, open", &|m| m.directory("c", OTHER, 0o777), "c", theirs),
        ("of another user, sticky", &|m| m.directory("c", OTHER, 0o1777), "c", theirs),
        ("of root", &|m| m.directory("c", ROOT, 0o755), "c", theirs),
        ("own, for its group", &|m| m.directory("c", OWN, 0o770), "c", open),
        ("own, for others", &|m| m.directory("c", OWN, 0o702), "c", open),
        ("own, sticky", &|m| m.directory("c", OWN, 0o1777), "c", open),
        ("of root, open", &|m| m.directory("c", ROOT, 0o777), "c", open),
        ("of root, setgid", &|m| m.directory("c", ROOT, 0o2775), "c/", open),
        (
            "missing, in an open directory of another user",
            &|m| m.directory("o", OTHER, 0o777),
            "o/c",
            theirs,
        ),
        ("missing with its parents, there", &|m| m.directory("o", OTHER, 0o777), "o/a/b", theirs),
        (
            "a link of another user to an own directory",
            &|m| {
                m.directory("c", OWN, 0o700);
                m.link("l", "c", OTHER);
            },
            "l",
            "the link ",
        ),
        (
            "the same with a slash at its end",
            &|m| {
                m.directory("c", OWN, 0o700);
                m.link("l", "c", OTHER);
            },
            "l/.",
            "the link ",
        ),
        (
            "a link of another user on the way",
            &|m| {
                m.directory("d", OWN, 0o700);
                m.link("l", "d", OTHER);
            },
            "l/c",
            "the link ",
        ),
        (
            "a link of root to a link of another user",
            &|m| {
                m.directory("c", OWN, 0o700);
                m.link("l", "c", OTHER);
                m.link("k", "l", ROOT);
            },
            "k",
            "the link ",
        ),
        (
            "a link of root to a directory of another user",
            &|m| {
                m.directory("c", OTHER, 0o700);
                m.link("l", "c", ROOT);
            },
            "l",
            theirs,
        ),
        (
            "a link that leads nowhere",
            &|m| m.link("l", "x/nowhere", ROOT),
            "l",
            "to which a link leads",
        ),
        ("a link that leads to itself", &|m| m.link("l", "l", OWN), "l", "symbolic links"),
        ("a file", &|m| m.file("f", OWN), "f", "is not a directory"),
        ("a file on the way", &|m| m.file("f", OWN), "f/c", "is not a directory"),
    ];
    for (name, prepare, option, words) in rows {
        let Some(machines) = Machines::new() else { return };
        machines.directory("x", ROOT, 0o777);
        prepare(&machines);
        let option = format!("--cache-dir={option}");
        let before = machines.tree();
        let said = machines.run(&["process", &option]);
        assert_eq!(said.status, 0, "{name}: {said:?}");
        assert!(said.out.contains("AccessKeyId"), "{name}");
        assert!(
            said.err.contains("cannot be used: ") && said.err.contains(words),
            "{name}: {said:?}"
        );
        let status = machines.run(&["status", &option]);
        assert_eq!(status.status, 0, "{name}");
        assert!(status.out.contains("cannot be used: "), "{name}: {status:?}");
        assert!(layout::joined(&status.out).contains(words), "{name}: {status:?}");
        assert_eq!(machines.run(&["identity", &option]).status, 1, "{name}");
        for forget in [&["forget", &option][..], &["forget", "--all", &option]] {
            let said = machines.run(forget);
            assert_eq!((said.status, &*said.out), (1, ""), "{name}: {said:?}");
            assert!(said.err.contains(words), "{name}: {said:?}");
        }
        assert_eq!(machines.tree(), before, "{name}");
        assert!(!said.err.contains("/proc/"), "{name}: {said:?}");
    }
}

/// Another user replaces the directory during the run. The records in it must not be used.
#[test]
fn a_directory_that_is_swapped_during_the_run_stays_in_use() {
    let machine = Machine::new();
    machine.cognito.accept_login(PROVIDER, SECRET, "ann");
    machine.file("token", SECRET);
    let count = |name: &str| fs::read_dir(machine.path(name)).unwrap().count();
    let run = |script: &str| {
        let login = format!("--login={PROVIDER}=cmd:{script}");
        machine.fine(&["process", "--cache-dir=cache", &login])
    };
    fs::create_dir(machine.path("cache")).unwrap();
    run("mv cache first; mkdir -m 700 cache; cat token");
    assert!(count("first") >= 2, "the identity and the credentials");
    assert_eq!(count("cache"), 0);
    // One that was removed is created again.
    run("rmdir cache; cat token");
    assert!(count("cache") >= 2);
}

#[test]
fn the_advice_for_a_directory_of_several_users_makes_a_usable_one() {
    let plain: Prepare = &|_| ();
    let rows: [(&str, u32, u32, Prepare); 11] = [
        ("cache", ROOT, 0o777, plain),
        ("cache", ROOT, 0o1777, plain),
        ("cache", ROOT, 0o2775, plain),
        ("cache", ROOT, 0o770, plain),
        ("cache", OWN, 0o770, plain),
        ("my cache", ROOT, 0o2777, plain),
        ("it's `$HOME`", ROOT, 0o777, plain),
        ("a\"b\\c;d", ROOT, 0o777, plain),
        ("-x", ROOT, 0o777, plain),
        // Another user, or this one, has followed the same advice.
        ("cache", ROOT, 0o777, &|m| m.directory("cache/cognito-credentials", OTHER, 0o700)),
        ("cache", ROOT, 0o777, &|m| m.directory("cache/cognito-credentials", OWN, 0o700)),
    ];
    for (name, owner, mode, prepare) in rows {
        let Some(machines) = Machines::new() else { return };
        machines.directory(name, owner, mode);
        prepare(&machines);
        let option = format!("--cache-dir={name}");
        let said = machines.run(&["process", &option]);
        let advice = said.err.lines().find_map(|line| line.strip_prefix("  what to do: "));
        let advice = advice.unwrap_or_else(|| panic!("{name} {mode:o}: {said:?}"));
        let shown = layout::joined(&machines.run(&["status", &option]).out);
        assert!(shown.contains(advice), "{name}: {shown}");

        let script = match advice.strip_prefix("run `") {
            Some(rest) => {
                rest.strip_suffix('`').unwrap().replace("` and use `", " && program process ")
            }
            None => advice.replace("use `", "program process ").replace('`', ""),
        };
        let script = format!("program() {{ '{}' \"$@\"; }}; {script}", machines.program.display());
        let follow = || machines.machine.finish(machines.as_own(Path::new("sh"), &["-c", &script]));
        let said = follow();
        assert_eq!((said.status, &*said.err), (0, ""), "{name} {mode:o}: {advice}");
        let calls = machines.machine.calls();
        let again = script.replace("mkdir", "true");
        let said = machines.machine.finish(machines.as_own(Path::new("sh"), &["-c", &again]));
        assert_eq!((said.status, &*said.err), (0, ""), "{name} {mode:o}: {advice}");
        assert_eq!(machines.machine.calls(), calls, "{name} {mode:o}: it is cached");
    }
}

#[test]
fn the_advice_for_an_open_default_directory_repairs_it() {
    let machine = Machine::new();
    machine.fine(&["process"]);
    fs::set_permissions(machine.cache(), Permissions::from_mode(0o777)).unwrap();
    let said = machine.run(&["process"]);
    let command = said.err.split('`').nth(1).unwrap_or_else(|| panic!("{said:?}"));
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
    machine.fine(&["process"]);
}

#[test]
fn a_created_directory_has_mode_0700_with_any_umask() {
    for umask in ["777", "277", "077", "0"] {
        let Some(machines) = Machines::new() else { return };
        machines.directory("d", OWN, 0o700);
        let script = format!(
            "umask {umask}; exec '{}' process --cache-dir d/a/b",
            machines.program.display()
        );
        let said = machines.machine.finish(machines.as_own(Path::new("sh"), &["-c", &script]));
        assert_eq!((said.status, &*said.err), (0, ""), "{umask}");
        for name in ["d/a", "d/a/b"] {
            let mode = fs::metadata(machines.path(name)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o700, "{umask}: {name}");
        }
    }
}

#[test]
fn a_path_with_a_newline_is_refused_without_a_command() {
    let machine = Machine::new();
    let path = machine.home.path().join(std::ffi::OsStr::from_bytes(b"a\nb"));
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    let said = machine.run(&["process", "--cache-dir", path.to_str().unwrap()]);
    assert_eq!(said.status, 0);
    assert!(said.err.contains("others may write") && !said.err.contains("mkdir"), "{said:?}");
}
