//! Which cache directories the command uses. Most of these tests need root, because only root can
//! change the owner of a file. They run the command as another user.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::layout;
use crate::service::{
    Machine, PROVIDER, SECRET, Said, after, copy_program, for_each_row, run_like, runnable,
};

const ROOT: u32 = 0;
/// The user of the command.
const OWN: u32 = 65_534;
const OTHER: u32 = 12_345;

#[derive(Debug)]
enum File {
    /// Name, owner and mode.
    Dir(&'static str, u32, u32),
    /// Name, target and owner. The word `HOME` stands for the home directory.
    Link(&'static str, &'static str, u32),
    /// This many links, each with a number after the name. The last one leads to the target.
    Chain(&'static str, u32, &'static str),
    /// Name and owner.
    Regular(&'static str, u32),
}
use File::{Chain, Dir, Link, Regular};

/// Directories that only [`OWN`] can use.
const OWN_C: File = Dir("c", OWN, 0o700);
const OWN_D: File = Dir("d", OWN, 0o700);

/// A copy of the command that [`OWN`] can run.
struct Program {
    _folder: TempDir,
    path: PathBuf,
}

impl Program {
    /// Returns `None` if this user cannot change the owner of a file.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        lchown(folder.path(), Some(ROOT), Some(OWN)).ok()?;
        let path = folder.path().join("program");
        copy_program(&path);
        Some(Self { _folder: folder, path })
    }
}

/// A machine on which the command runs as [`OWN`].
struct OwnMachine<'a> {
    machine: Machine,
    program: &'a Path,
}

impl<'a> OwnMachine<'a> {
    fn new(program: &'a Program) -> Self {
        let machine = Machine::new();
        fs::set_permissions(machine.home.path(), Permissions::from_mode(0o755)).unwrap();
        Self { machine, program: &program.path }
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
        symlink(to.replace("HOME", self.path("").to_str().unwrap()), self.path(name)).unwrap();
        lchown(self.path(name), Some(owner), None).unwrap();
    }

    fn create(&self, files: &[File]) {
        for file in files {
            match *file {
                Dir(name, owner, mode) => self.directory(name, owner, mode),
                Link(name, to, owner) => self.link(name, to, owner),
                Chain(name, length, to) => {
                    self.link(&format!("{name}{length}"), to, OWN);
                    for number in (1..length).rev() {
                        self.link(
                            &format!("{name}{number}"),
                            &format!("{name}{}", number + 1),
                            OWN,
                        );
                    }
                }
                Regular(name, owner) => {
                    fs::write(self.path(name), "").unwrap();
                    lchown(self.path(name), Some(owner), None).unwrap();
                }
            }
        }
    }

    fn as_own(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = runnable(program);
        command.args(arguments);
        run_like(&mut command, &self.machine.command(&[]));
        command.uid(OWN).gid(OWN);
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.machine.finish(self.as_own(self.program, arguments))
    }

    /// Returns every file below the home, with its owner and mode.
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

/// A cache directory, which may be missing.
struct Case {
    /// The files that exist.
    files: &'static [File],
    /// The value of `--cache-dir`.
    path: &'static str,
    /// The directory of the records, or a part of the error.
    expected: &'static str,
}

#[test]
fn directories_and_links_of_this_user_and_of_root_lead_to_a_cache() {
    let rows: [Case; 19] = [
        Case { files: &[OWN_C], path: "c", expected: "c" },
        Case { files: &[Dir("c", OWN, 0o755)], path: "c/", expected: "c" },
        Case { files: &[Dir("c", OWN, 0o2755)], path: "./c/.", expected: "c" },
        Case { files: &[OWN_C], path: "x/../c", expected: "c" },
        // The parent of an existing directory may belong to an administrator.
        Case {
            files: &[Dir("o", OTHER, 0o755), Dir("o/c", OWN, 0o700)],
            path: "o/c",
            expected: "o/c",
        },
        Case {
            files: &[Dir("o", OTHER, 0o711), Dir("o/c", OWN, 0o700)],
            path: "o/c",
            expected: "o/c",
        },
        Case { files: &[Dir("r", ROOT, 0o777)], path: "r/c", expected: "r/c" },
        Case { files: &[OWN_D], path: "d/c", expected: "d/c" },
        Case { files: &[OWN_D], path: "d/a/b/c", expected: "d/a/b/c" },
        Case { files: &[Dir("d", OWN, 0o777)], path: "d/c", expected: "d/c" },
        Case { files: &[Dir("s", ROOT, 0o1777)], path: "s/a/c", expected: "s/a/c" },
        Case { files: &[OWN_C, Dir("c/o", OTHER, 0o755)], path: "c/o/..", expected: "c" },
        Case { files: &[OWN_C, Link("l", "c", ROOT)], path: "l", expected: "c" },
        Case { files: &[OWN_C, Link("l", "./c/", ROOT)], path: "l/", expected: "c" },
        Case {
            files: &[OWN_C, Dir("o", OTHER, 0o755), Link("o/l", "../c", OWN)],
            path: "o/l",
            expected: "c",
        },
        Case { files: &[OWN_D, Link("l", "d", ROOT)], path: "l/c", expected: "d/c" },
        // systemd creates this link with DynamicUser.
        Case {
            files: &[
                Dir("lib", ROOT, 0o755),
                Dir("lib/private", ROOT, 0o711),
                Dir("lib/private/x", OWN, 0o755),
                Link("lib/x", "private/x", ROOT),
            ],
            path: "lib/x",
            expected: "lib/private/x",
        },
        Case { files: &[OWN_C, Chain("l", 40, "c")], path: "l1", expected: "c" },
        Case { files: &[OWN_C, Link("l", "HOME/c", ROOT)], path: "l", expected: "c" },
    ];
    let Some(program) = Program::new() else { return };
    for_each_row(rows, |Case { files, path, expected: records }| {
        let name = format!("{files:?} {path}");
        let own = OwnMachine::new(&program);
        own.directory("x", ROOT, 0o755);
        own.create(files);
        let option = format!("--cache-dir={path}");
        let before = own.tree();
        assert!(own.run(&["status", &option]).out.contains("none cached"), "{name}");
        assert_eq!(own.run(&["identity", &option]).status, 1, "{name}");
        for forget in [&["forget", &option][..], &["forget", "--all", &option]] {
            let said = own.run(forget);
            assert!(said.out.starts_with("nothing was stored "), "{name}: {said:?}");
        }
        assert_eq!(own.tree(), before, "{name}: commands that read create nothing");

        let said = own.run(&["process", &option]);
        assert_eq!((said.status, &*said.err), (0, ""), "{name}");
        let calls = own.machine.calls();
        assert_eq!(own.run(&["process", &option]).out, said.out, "{name}");
        let status = own.run(&["status", &option]);
        assert!(status.out.contains(", valid for "), "{name}: {status:?}");
        assert_eq!(own.run(&["identity", &option]).status, 0, "{name}");
        assert_eq!(own.machine.calls(), calls, "{name}: the records are found");

        let mut made = own.tree();
        made.retain(|path, _| !before.contains_key(path));
        let directory = own.path(records);
        assert!(
            made.keys().filter(|path| path.parent() == Some(&directory)).count() >= 2,
            "{name}"
        );
        for (path, (owner, mode)) in made {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!((owner, mode & 0o777), (OWN, expected), "{name}: {}", path.display());
        }
        let said = own.run(&["forget", &option]);
        assert!(
            said.out.starts_with("removed: the identity and the credentials"),
            "{name}: {said:?}"
        );
    });
}

#[test]
fn nothing_is_read_or_written_in_directories_and_links_of_other_users() {
    let theirs = "belongs to another user";
    let open = "others may write to the directory";
    let link = "the link ";
    let rows: [Case; 22] = [
        Case { files: &[Dir("c", OTHER, 0o755)], path: "c", expected: theirs },
        Case { files: &[Dir("c", OTHER, 0o777)], path: "c", expected: theirs },
        Case { files: &[Dir("c", OTHER, 0o1777)], path: "c", expected: theirs },
        Case { files: &[Dir("c", ROOT, 0o755)], path: "c", expected: theirs },
        Case { files: &[Dir("c", OWN, 0o770)], path: "c", expected: open },
        Case { files: &[Dir("c", OWN, 0o702)], path: "c", expected: open },
        Case { files: &[Dir("c", OWN, 0o1777)], path: "c", expected: open },
        Case { files: &[Dir("c", ROOT, 0o777)], path: "c", expected: open },
        Case { files: &[Dir("c", ROOT, 0o2775)], path: "c/", expected: open },
        Case { files: &[Dir("o", OTHER, 0o777)], path: "o/c", expected: theirs },
        Case { files: &[Dir("o", OTHER, 0o777)], path: "o/a/b", expected: theirs },
        // The sticky bit does not bind the owner of the directory.
        Case { files: &[Dir("s", OTHER, 0o1777)], path: "s/c", expected: theirs },
        Case { files: &[Dir("s", OTHER, 0o1777)], path: "s/a/b", expected: theirs },
        Case { files: &[OWN_C, Link("l", "c", OTHER)], path: "l", expected: link },
        Case { files: &[OWN_C, Link("l", "c", OTHER)], path: "l/.", expected: link },
        Case { files: &[OWN_D, Link("l", "d", OTHER)], path: "l/c", expected: link },
        Case {
            files: &[OWN_C, Link("l", "c", OTHER), Link("k", "l", ROOT)],
            path: "k",
            expected: link,
        },
        Case {
            files: &[Dir("c", OTHER, 0o700), Link("l", "c", ROOT)],
            path: "l",
            expected: theirs,
        },
        Case {
            files: &[Link("l", "x/nowhere", ROOT)],
            path: "l",
            expected: "to which a link leads",
        },
        Case { files: &[Link("l", "l", OWN)], path: "l", expected: "symbolic links" },
        Case { files: &[Regular("f", OWN)], path: "f", expected: "is not a directory" },
        Case { files: &[Regular("f", OWN)], path: "f/c", expected: "is not a directory" },
    ];
    let Some(program) = Program::new() else { return };
    for_each_row(rows, |Case { files, path, expected: words }| {
        let name = format!("{files:?} {path}");
        let own = OwnMachine::new(&program);
        own.directory("x", ROOT, 0o777);
        own.create(files);
        let option = format!("--cache-dir={path}");
        let before = own.tree();
        let said = own.run(&["process", &option]);
        assert_eq!(said.status, 0, "{name}: {said:?}");
        assert!(said.out.contains("AccessKeyId"), "{name}");
        assert!(
            said.err.contains("cannot be used: ") && said.err.contains(words),
            "{name}: {said:?}"
        );
        let status = own.run(&["status", &option]);
        assert_eq!(status.status, 0, "{name}");
        assert!(status.out.contains("cannot be used: "), "{name}: {status:?}");
        assert!(layout::joined(&status.out).contains(words), "{name}: {status:?}");
        assert_eq!(own.run(&["identity", &option]).status, 1, "{name}");
        for forget in [&["forget", &option][..], &["forget", "--all", &option]] {
            let said = own.run(forget);
            assert_eq!((said.status, &*said.out), (1, ""), "{name}: {said:?}");
            assert!(said.err.contains(words), "{name}: {said:?}");
        }
        assert_eq!(own.tree(), before, "{name}");
        assert!(!said.err.contains("/proc/"), "{name}: {said:?}");
    });
}

/// In a user namespace, the directories of root belong to a user without a number there.
#[test]
#[cfg(target_os = "linux")]
fn directories_of_root_are_parents_of_a_cache_in_a_user_namespace_too() {
    let Some(program) = Program::new() else { return };
    let rows: [&[File]; 2] =
        [&[Dir("r", ROOT, 0o1777)], &[Dir("r", ROOT, 0o755), Dir("r/c", OWN, 0o700)]];
    for files in rows {
        let own = OwnMachine::new(&program);
        own.create(files);
        let namespace = |command: &str| {
            let script = format!("exec unshare --user --map-root-user {command}");
            own.machine.finish(own.as_own(Path::new("sh"), &["-c", &script]))
        };
        if namespace("true").status != 0 {
            return;
        }
        let said = namespace(&format!("'{}' process --cache-dir=r/c", own.program.display()));
        assert_eq!((said.status, &*said.err), (0, ""), "{files:?}");
        assert!(fs::read_dir(own.path("r/c")).unwrap().count() >= 2, "{files:?}");
    }
}

/// Another process replaces the directory during the run. The new directory must not be used.
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
    // A directory that was removed is created again.
    run("rmdir cache; cat token");
    assert!(count("cache") >= 2);
}

#[test]
fn the_advice_for_a_directory_of_several_users_makes_a_usable_one() {
    let rows: [(&str, u32, u32, &[File]); 11] = [
        ("cache", ROOT, 0o777, &[]),
        ("cache", ROOT, 0o1777, &[]),
        ("cache", ROOT, 0o2775, &[]),
        ("cache", ROOT, 0o770, &[]),
        ("cache", OWN, 0o770, &[]),
        ("my cache", ROOT, 0o2777, &[]),
        ("it's `$HOME`", ROOT, 0o777, &[]),
        ("a\"b\\c;d", ROOT, 0o777, &[]),
        ("-x", ROOT, 0o777, &[]),
        // Another user, or this one, has already followed the advice.
        ("cache", ROOT, 0o777, &[Dir("cache/cognito-credentials", OTHER, 0o700)]),
        ("cache", ROOT, 0o777, &[Dir("cache/cognito-credentials", OWN, 0o700)]),
    ];
    let Some(program) = Program::new() else { return };
    for_each_row(rows, |(name, owner, mode, files)| {
        let own = OwnMachine::new(&program);
        own.directory(name, owner, mode);
        own.create(files);
        let option = format!("--cache-dir={name}");
        let said = own.run(&["process", &option]);
        let advice = said.err.lines().find_map(|line| line.strip_prefix("  what to do: "));
        let advice = advice.unwrap_or_else(|| panic!("{name} {mode:o}: {said:?}"));
        let shown = layout::joined(&own.run(&["status", &option]).out);
        assert!(shown.contains(advice), "{name}: {shown}");

        let script = match advice.strip_prefix("run `") {
            Some(rest) => {
                rest.strip_suffix('`').unwrap().replace("` and use `", " && program process ")
            }
            None => advice.replace("use `", "program process ").replace('`', ""),
        };
        let script = format!("program() {{ '{}' \"$@\"; }}; {script}", own.program.display());
        let run = |script: &str| {
            let said = own.machine.finish(own.as_own(Path::new("sh"), &["-c", script]));
            assert_eq!((said.status, &*said.err), (0, ""), "{name} {mode:o}: {advice}");
        };
        run(&script);
        let calls = own.machine.calls();
        run(&script.replace("mkdir", "true"));
        assert_eq!(own.machine.calls(), calls, "{name} {mode:o}: it is cached");
    });
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
    let Some(program) = Program::new() else { return };
    for_each_row(["777", "277", "077", "0"], |umask| {
        let own = OwnMachine::new(&program);
        own.directory("d", OWN, 0o700);
        let script =
            format!("umask {umask}; exec '{}' process --cache-dir d/a/b", own.program.display());
        let said = own.machine.finish(own.as_own(Path::new("sh"), &["-c", &script]));
        assert_eq!((said.status, &*said.err), (0, ""), "{umask}");
        for name in ["d/a", "d/a/b"] {
            let mode = fs::metadata(own.path(name)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o700, "{umask}: {name}");
        }
    });
}

#[test]
fn a_path_with_a_newline_is_refused_without_a_command() {
    let machine = Machine::new();
    machine.directory("a\nb", 0o777);
    let path = machine.path("a\nb");
    let said = machine.run(&["process", "--cache-dir", path.to_str().unwrap()]);
    assert_eq!(said.status, 0);
    assert!(said.err.contains("others may write") && !said.err.contains("mkdir"), "{said:?}");
}

/// SIGXFSZ must not end the command.
#[test]
fn without_room_for_a_file_the_command_prints_a_warning_and_the_credentials() {
    let warning = "cannot be used: ";
    let rows: [(&[&str], i32, &str, &str); 5] = [
        (&["process"], 0, "AccessKeyId", warning),
        (&["env"], 0, "AWS_ACCESS_KEY_ID", warning),
        (&["exec", "--", "env"], 0, "AWS_ACCESS_KEY_ID", warning),
        (&["exec", "--serve", "--", "env"], 0, "AWS_CONTAINER_CREDENTIALS_FULL_URI", warning),
        (&["serve", "--token-file=token"], 1, "", "token: "),
    ];
    for trap in ["", "trap '' XFSZ; "] {
        for (arguments, status, out, err) in rows {
            let machine = Machine::new();
            let command = machine.command(arguments);
            let said = machine.finish(after(&format!("{trap}ulimit -f 0"), &command));
            assert_eq!(said.status, status, "{trap}{arguments:?} {said:?}");
            assert!(said.out.contains(out) && said.err.contains(err), "{arguments:?} {said:?}");
            assert!(said.err.contains("File too large"), "{arguments:?} {said:?}");
            let files = fs::read_dir(machine.cache()).into_iter().flatten();
            assert_eq!(files.count(), 0, "{arguments:?}: no temporary file is left");
            assert!(!machine.path("token").exists());
        }
        let machine = Machine::new();
        for (arguments, status) in [(&["process", "--no-cache"][..], 1), (&["--help"], 0)] {
            let command = machine.command(arguments);
            let said = machine.finish(after(&format!("{trap}ulimit -f 0; exec > text"), &command));
            assert_eq!(said.status, status, "{trap}{arguments:?} {said:?}");
            let is_reported = said.err.contains("standard output: File too large");
            assert_eq!(is_reported, status == 1, "{said:?}");
        }
    }
}

/// Only root can hide the boot ID from a process.
#[test]
#[cfg(target_os = "linux")]
fn without_a_boot_id_a_warning_says_that_each_call_asks_the_service() {
    let hide = "mount -t tmpfs none /proc/sys/kernel/random";
    let script = |script: &str| ["unshare", "-m", "sh", "-c", script, "sh"].map(str::to_owned);
    let [program, arguments @ ..] = script(hide);
    if !Command::new(program).args(arguments).status().is_ok_and(|status| status.success()) {
        return;
    }
    let machine = Machine::new();
    let run = |arguments: &[&str]| {
        let script = script(&format!("{hide}; exec \"$@\""));
        let wrapper: Vec<_> = script.iter().map(String::as_str).collect();
        machine.finish(crate::service::wrapped(&wrapper, &machine.command(arguments)))
    };
    for calls in [2, 3] {
        let said = run(&["process"]);
        assert_eq!((said.status, machine.calls()), (0, calls), "{said:?}");
        assert_eq!(said.err.matches("no credentials are cached, so each call").count(), 1);
        assert!(said.err.contains("what to do: make /proc/sys/kernel/random/boot_id"), "{said:?}");
    }
    let rows: [&[&str]; 4] =
        [&["process", "--no-cache"], &["status"], &["doctor"], &["exec", "--serve", "--", "true"]];
    for arguments in rows {
        let said = run(arguments);
        assert_eq!((said.status, &*said.err), (0, ""), "{arguments:?}");
    }
    // Without its token file, `serve` ends at once.
    let said = run(&["serve", "--token-file=none/token"]);
    assert!(said.err.contains("none does not exist"), "{said:?}");
    assert!(!said.err.contains("no credentials are cached"), "{said:?}");
}
