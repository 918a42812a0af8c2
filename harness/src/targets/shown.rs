//! Which files of the host a command needs that its jail would not show, and where it finds them.
//!
//! A jail shows the host's top-level directories, but not `/tmp` and `/run` (it has its own), and to root's jail not what
//! only root may enter. A wrapper is often just there, with its script, its library or its table beside it. So what
//! stands in the command line as a path, with all that lies beside it, is bound read-only under the name it has.

use nix::unistd::geteuid;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Most that is bound one by one from a directory that the jail's id can't enter.
const MOST_BESIDE: usize = 12;
/// Top-level directories that a jail has of its own and that may be added to.
const SHARED: [&str; 2] = ["tmp", "run"];
/// Those that stay as the jail has them.
const CLOSED: [&str; 5] = ["dev", "proc", "sys", "w", "agent"];

/// Binds: the host's path by the path inside, which is the same but for links on the way.
pub type Binds = BTreeMap<PathBuf, PathBuf>;

/// Where a path leads in the jail of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The jail shows it anyway.
    Seen,
    /// It has to be bound.
    Hidden,
    /// The jail has something else there.
    Closed,
}

/// An argument as the jail shall see it: a relative path that names a file here is made absolute, since the command
/// runs elsewhere. A bare name must look like a file's, with a dot in it; `none` may be anything.
pub fn absolute(word: &str) -> String {
    let path = Path::new(word);
    let is_path = word.contains('/') || word.contains('.');
    let is_file = || path.metadata().is_ok_and(|m| m.is_file() || word.contains('/'));
    if !is_path || path.is_absolute() || !is_file() {
        return word.to_owned();
    }
    fs::canonicalize(path).ok().and_then(|p| p.into_os_string().into_string().ok()).unwrap_or(word.to_owned())
}

/// Paths in a word: the word itself, and what stands in it between blanks, quotes and signs, as in a script of
/// `sh -c` or in `--library=/opt/l.so`.
pub fn paths_in(word: &str) -> impl Iterator<Item = &Path> {
    let inner = word.split(|c: char| c.is_whitespace() || "'\"`;|&()<>=:,{}$".contains(c));
    std::iter::once(word).chain(inner).filter(|w| w.len() > 1 && w.starts_with('/')).map(Path::new)
}

/// Whether a jail shows the file under its own name without our doing.
pub fn is_seen(path: &Path) -> bool {
    place(path, geteuid().is_root()) == Place::Seen
}

/// Whether the jail can have it under its own name at all.
pub fn can_be_seen(path: &Path) -> bool {
    place(path, geteuid().is_root()) != Place::Closed
}

/// Adds what has to be bound for a path of the host, if there is such a file.
pub fn add(binds: &mut Binds, path: &Path) {
    // The name it is called by, and where that leads.
    let real = fs::canonicalize(path);
    for path in [Some(path), real.as_deref().ok()].into_iter().flatten() {
        add_one(binds, path, geteuid().is_root());
    }
}

fn add_one(binds: &mut Binds, path: &Path, root: bool) {
    let Ok(meta) = fs::metadata(path) else { return };
    let plain = path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    // Never a whole top-level directory: it may be the jail's own.
    if !plain || depth(path) < 2 || place(path, root) != Place::Hidden {
        return;
    }
    let folder = if meta.is_dir() { Some(path) } else { path.parent() };
    match folder {
        Some(folder) if depth(folder) < 2 => bind(binds, path),
        Some(folder) if enterable(folder, root) => bind(binds, folder),
        Some(folder) => {
            if !meta.is_dir() {
                bind(binds, path);
            }
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let usual = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_file() || t.is_dir()));
            usual.take(MOST_BESIDE).for_each(|e| bind(binds, &e.path()));
        }
        None => {}
    }
}

/// Adds one, unless it lies in another; those that lie in it go.
fn bind(binds: &mut Binds, path: &Path) {
    if binds.keys().any(|other| path.starts_with(other)) {
        return;
    }
    let Ok(host) = fs::canonicalize(path) else { return };
    binds.retain(|other, _| !other.starts_with(path));
    binds.insert(path.to_owned(), host);
}

fn depth(path: &Path) -> usize {
    path.components().filter(|c| matches!(c, Component::Normal(_))).count()
}

fn place(path: &Path, root: bool) -> Place {
    let Some(Component::Normal(top)) = path.components().nth(1) else { return Place::Closed };
    if CLOSED.iter().any(|name| top == *name) {
        Place::Closed
    } else if SHARED.iter().any(|name| top == *name) {
        Place::Hidden
    } else if path.ancestors().skip(1).all(|folder| enterable(folder, root)) {
        Place::Seen
    } else {
        Place::Hidden
    }
}

/// Whether the jail's id can enter a directory: nobody's id where we are root, ours otherwise.
fn enterable(folder: &Path, root: bool) -> bool {
    !root || fs::metadata(folder).is_ok_and(|m| m.permissions().mode() & 0o005 == 0o005)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_in(parent: &str, mode: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir_in(parent).unwrap();
        for name in ["wrap", "helper.so"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).unwrap();
        folder
    }

    fn bound(path: &Path, root: bool) -> Vec<PathBuf> {
        let mut binds = Binds::new();
        add_one(&mut binds, path, root);
        binds.into_keys().collect()
    }

    #[test]
    fn what_lies_beside_a_wrapper_is_shown_with_it() {
        let open = folder_in("/tmp", 0o755);
        assert_eq!(bound(&open.path().join("wrap"), true), [open.path()]);
        assert_eq!(bound(open.path(), true), [open.path()]);
    }

    #[test]
    fn from_a_directory_only_root_may_enter_the_files_are_taken_one_by_one() {
        for parent in ["/tmp", "/var/tmp"] {
            let closed = folder_in(parent, 0o700);
            let files = ["helper.so", "wrap"].map(|name| closed.path().join(name));
            assert_eq!(bound(&files[1], true), files);
        }
        let closed = folder_in("/var/tmp", 0o700);
        assert_eq!(bound(&closed.path().join("wrap"), false), [""; 0].map(PathBuf::from));
    }

    #[test]
    fn what_the_jail_shows_anyway_or_has_itself_is_not_bound() {
        for path in ["/usr/bin/env", "/etc/passwd", "/dev/null", "/proc/self/status", "/no/such/file", "/tmp"]
        {
            assert_eq!(bound(Path::new(path), true), [""; 0].map(PathBuf::from), "{path}");
        }
    }

    #[test]
    fn paths_are_found_in_the_words_that_hold_them() {
        let all = |word| paths_in(word).map(|p| p.to_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(all("--lib=/opt/l.so"), ["/opt/l.so"]);
        assert_eq!(all("exec /a/b 'x y' \"/c\"; d /e"), ["/a/b", "/c", "/e"]);
        assert_eq!(all("none"), [""; 0]);
    }

    #[test]
    fn a_relative_path_becomes_absolute_and_a_plain_word_stays() {
        assert_eq!(absolute("src/../Cargo.toml"), fs::canonicalize("Cargo.toml").unwrap().to_str().unwrap());
        assert_eq!(absolute("./Cargo.toml"), fs::canonicalize("Cargo.toml").unwrap().to_str().unwrap());
        assert_eq!(absolute("src"), "src");
        assert_eq!(absolute("no/such"), "no/such");
        assert_eq!(absolute("-0.5"), "-0.5");
    }
}
