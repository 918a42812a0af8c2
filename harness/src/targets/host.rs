//! What the host can say about a layer: where its program is, its version, and what its processes do.
//!
//! Canaries rest on this, since an agent inside a layer that is missing sees nothing unusual.

use crate::jail::AGENT_PATH;
use crate::link::{Environment, LinkError};
use crate::target::{Instance, TargetError};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use parallax_corpus::compile::{Mode, compile, request};
use parallax_corpus::{Call, CallId, End, Program, Trace};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a layer may take to say its version.
pub const VERSION_PATIENCE: Duration = Duration::from_secs(2);

/// How long one checkpoint may take.
const CHECKPOINT: Duration = Duration::from_secs(20);

/// How long a layer that died may take to end after it has closed its pipes.
const LAST_BREATH: Duration = Duration::from_millis(100);

/// The executable of that name in `PATH`, or at that path if it has a slash; without symbolic links.
pub fn which(name: &OsStr) -> Option<PathBuf> {
    all_named(name).into_iter().next()
}

/// All executables of that name in `PATH`, in its order, or the one at that path if it has a slash.
pub fn all_named(name: &OsStr) -> Vec<PathBuf> {
    if name.as_encoded_bytes().contains(&b'/') {
        return executable(Path::new(name)).into_iter().collect();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).filter_map(|folder| executable(&folder.join(name))).collect()
}

/// The file of that name below where `script/install-targets` unpacks or builds layers, if it is there.
pub fn unpacked(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os("PARALLAX_LAYERS").map(PathBuf::from);
    let data = std::env::var_os("XDG_DATA_HOME").map(|data| Path::new(&data).join("parallax"));
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/share/parallax"));
    let folders = [named, Some("/opt/parallax".into()), data, home];
    folders.into_iter().flatten().map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn executable(path: &Path) -> Option<PathBuf> {
    let path = fs::canonicalize(path).ok()?;
    let meta = fs::metadata(&path).ok()?;
    (meta.is_file() && meta.permissions().mode() & 0o111 != 0).then_some(path)
}

/// The path the user gave, or else the program of that name.
///
/// # Errors
/// [`TargetError::Missing`] with `hint`.
pub fn program(given: Option<&Path>, name: &str, hint: &str) -> Result<PathBuf, TargetError> {
    let wanted = given.map_or(OsStr::new(name), Path::as_os_str);
    which(wanted).ok_or_else(|| TargetError::Missing {
        what: format!("`{}`", wanted.to_string_lossy()),
        hint: hint.to_owned(),
    })
}

/// What a command prints on standard output and standard error, at most 256 KiB of it, until it ends or `patience`
/// is over. Then it is killed, with its process group. `None` if it does not start.
pub fn printed_by(path: &Path, args: &[OsString], patience: Duration) -> Option<String> {
    printed(path, args, patience, false).map(|(_, text)| text)
}

/// `nsenter` (util-linux), which runs a command in another process's namespaces.
pub fn nsenter() -> Result<PathBuf, TargetError> {
    program(None, "nsenter", "It is part of util-linux")
}

/// Runs a command to its end, or for as long as `patience`: whether it ended well, and what it printed, as
/// [`printed_by`] has it.
pub fn run(path: &Path, args: &[OsString], patience: Duration) -> (bool, String) {
    let begun = printed(path, args, patience, true);
    begun.unwrap_or_else(|| (false, format!("{} cannot be started", path.display())))
}

fn printed(path: &Path, args: &[OsString], patience: Duration, to_end: bool) -> Option<(bool, String)> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).ok()?;
    let mut child = Command::new(path)
        .args(args)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().ok()?)
        .stderr(writer)
        .process_group(0)
        .spawn()
        .ok()?;
    // `Command` is a temporary: with it the last write end in this process is closed, so the end is seen.
    let deadline = Instant::now() + patience;
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    while text.len() < 256 << 10 {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(0) => break,
            Ok(_) => match nix::unistd::read(&reader, &mut piece) {
                Ok(n @ 1..) => text.extend_from_slice(&piece[..n]),
                _ => break,
            },
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    let mut ended = None;
    while to_end && ended.is_none() && Instant::now() < deadline {
        ended = child.try_wait().ok().flatten();
        std::thread::sleep(Duration::from_millis(u64::from(ended.is_none())));
    }
    let ended_well = ended.is_some_and(|status| status.success());
    if ended.is_some() {
        return Some((ended_well, String::from_utf8_lossy(&text).into_owned()));
    }
    // Not yet waited for, so the number still names this group.
    let _ = nix::sys::signal::killpg(
        nix::unistd::Pid::from_raw(child.id() as i32),
        nix::sys::signal::Signal::SIGKILL,
    );
    let _ = child.wait();
    Some((ended_well, String::from_utf8_lossy(&text).into_owned()))
}

/// The first line with a digit of what `path args... --version` prints: banners and art come without one.
pub fn version_line(path: &Path, args: &[OsString]) -> Option<String> {
    let mut args = args.to_vec();
    args.push("--version".into());
    let text = printed_by(path, &args, VERSION_PATIENCE)?;
    let line = text.lines().find(|l| l.chars().any(|c| c.is_ascii_digit()))?;
    let line = line.trim_start_matches(|c: char| !c.is_alphanumeric()).trim_end();
    Some(line.chars().take(200).collect())
}

/// How a host's file is seen in a jail with [`crate::jail::Root::Host`]: its path there, and what must be bound for it.
///
/// The jail shows `/usr`; everything else may be hidden there (`/tmp` is always the jail's own), so it is bound.
pub fn seen_in_jail(path: &Path) -> (OsString, Vec<(PathBuf, String)>) {
    if path.starts_with("/usr") {
        (path.into(), Vec::new())
    } else {
        ("/layer".into(), vec![(path.to_owned(), "/layer".to_owned())])
    }
}

/// A file's identity, whatever path leads to it: device and inode.
pub fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    fs::metadata(path).map(|m| (m.dev(), m.ino()))
}

/// Identity of the program that process runs now.
pub fn exe(pid: i32) -> std::io::Result<(u64, u64)> {
    identity(Path::new(&format!("/proc/{pid}/exe")))
}

/// That process and everything below it, as the host numbers them.
pub fn family(pid: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, status(pid, "PPid:")?))
        })
        .collect();
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(child, _)| *child));
        next += 1;
    }
    family
}

/// A text in /proc. A process gives itself any name, and its files have any, so not all of it need be UTF-8.
///
/// # Errors
/// It cannot be read, as when the process is gone.
pub fn proc_text(path: impl AsRef<Path>) -> std::io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// A number of `/proc/PID/status`, such as `TracerPid:`.
pub fn status(pid: i32, field: &str) -> Option<i32> {
    let status = proc_text(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|l| l.strip_prefix(field))?.trim().parse().ok()
}

/// The line of `/proc/PID/maps` by which that process can execute the agent's code itself, if there is one.
///
/// An emulator maps the agent too, but never executable.
///
/// # Errors
/// The process cannot be looked at.
pub fn native_agent(pid: i32) -> std::io::Result<Option<String>> {
    let exe = fs::read_link(format!("/proc/{pid}/exe"))?;
    let maps = proc_text(format!("/proc/{pid}/maps"))?;
    Ok(executable_agent(&maps, &exe.to_string_lossy()).map(str::to_owned))
}

/// An executable mapping of the agent's file, or of something that is not the process's own program at the agent's
/// addresses (a loader may have copied it there).
fn executable_agent<'a>(maps: &'a str, exe: &str) -> Option<&'a str> {
    let home = agent_addresses();
    maps.lines().find(|line| {
        // proc_pid_maps(5): range, mode, offset, device, inode, file.
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [range, mode, _, _, _, file @ ..] = words.as_slice() else { return false };
        let overlaps = range.split_once('-').is_some_and(|(start, end)| {
            let number = |text| u64::from_str_radix(text, 16).unwrap_or(0);
            number(start) < home.end && number(end) > home.start
        });
        let file = file.first().copied();
        mode.contains('x') && (file == Some(AGENT_PATH) || overlaps && file != Some(exe))
    })
}

/// Where the agent, a static executable at fixed addresses, wants its loadable segments (elf(5), `PT_LOAD`).
fn agent_addresses() -> std::ops::Range<u64> {
    const PT_LOAD: u64 = 1;
    let word = |at: usize, width: usize| {
        let mut bytes = [0; 8];
        if let Some(field) = crate::AGENT.get(at..at + width) {
            bytes[..width].copy_from_slice(field);
        }
        u64::from_le_bytes(bytes)
    };
    // e_phoff, e_phentsize, e_phnum; then p_type, p_vaddr and p_memsz of each program header.
    let (table, size, count) = (word(32, 8) as usize, word(54, 2) as usize, word(56, 2) as usize);
    let (mut start, mut end) = (u64::MAX, 0);
    for header in (0..count).map(|k| table + k * size).filter(|&h| word(h, 4) == PT_LOAD) {
        let address = word(header + 16, 8);
        start = start.min(address);
        end = end.max(address + word(header + 40, 8));
    }
    start..end
}

/// The first bytes of a file that a layer writes, at most `most`; nothing if it is not there.
pub fn beginning_of(path: &Path, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        let _ = file.take(most as u64).read_to_end(&mut bytes);
    }
    bytes
}

/// At most `most` bytes of text from what a layer printed.
pub fn text_of(bytes: &[u8], most: usize) -> String {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned();
    // Replacement characters are longer than what they replace.
    while text.len() > most {
        text.pop();
    }
    text
}

/// Waits for the hello of a layer just started, and says what the layer printed if it does not come.
///
/// # Errors
/// [`TargetError::Start`].
pub fn hello(
    instance: &mut dyn Instance,
    target: &str,
    patience: Duration,
) -> Result<Environment, TargetError> {
    instance.link().hello(patience).map_err(|e| {
        // A layer that has closed its pipes may still be about to say why.
        if matches!(e, LinkError::Closed) {
            std::thread::sleep(LAST_BREATH);
        }
        let words = instance.last_words();
        TargetError::Start {
            target: target.to_owned(),
            why: format!("its agent said no hello: {e}. It printed: {}", words.trim_end()),
        }
    })
}

/// Has an agent that has said hello run one program with a checkpoint: for the canaries of layers that have a hand in it.
///
/// # Errors
/// In words: there is no answer, or the program did not come to its end.
pub fn checkpoint(instance: &mut dyn Instance) -> Result<Trace, String> {
    let id = CallId::named("checkpoint").ok_or("the table has no checkpoint")?;
    let program = Program { calls: vec![Call::new(id, Vec::new())] };
    let mode = Mode { fork: true, block_us: 100_000, probes: false };
    let code = compile(&program, mode).map_err(|e| e.to_string())?;
    instance.link().send(&request(&[&code], true), CHECKPOINT).map_err(|e| e.to_string())?;
    let reply = instance.link().receive(CHECKPOINT).map_err(|e| e.to_string())?;
    let mut traces = Trace::decode_reply(&reply, &[code.calls.len()]).map_err(|e| e.to_string())?;
    let mut trace = traces.pop().ok_or("an empty reply")?;
    trace.mishaps = instance.link().take_mishaps();
    match trace.end {
        End::Failed(step, error) => Err(format!("the agent cannot set a program up: step {step}, {error}")),
        _ => Ok(trace),
    }
}

/// A process's arguments.
pub fn arguments(pid: i32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes.split(|&b| b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_program_is_found_in_path_and_by_its_path() {
        let sh = which(OsStr::new("sh")).expect("a shell is in PATH");
        assert!(sh.is_absolute());
        assert_eq!(which(OsStr::new("/bin/sh")), Some(sh));
        assert_eq!(which(OsStr::new("/etc")), None);
        let lost = program(None, "no-such-layer", "install it").unwrap_err();
        assert_eq!(lost.to_string(), "`no-such-layer` is not here: install it");
    }

    #[test]
    fn a_process_is_found_whatever_its_name_is() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(OsStr::from_bytes(b"\xff) S 1\n"));
        fs::copy("/bin/sleep", &program).unwrap();
        let mut child = Command::new(&program).arg("3048").spawn().unwrap();
        let found = family(std::process::id() as i32).contains(&(child.id() as i32));
        child.kill().and_then(|()| child.wait()).unwrap();
        assert!(found);
    }

    #[test]
    fn a_version_is_the_first_line_with_a_digit() {
        let folder = tempfile::tempdir().unwrap();
        let layer = folder.path().join("layer");
        fs::write(&layer, "#!/bin/sh\necho ' __/  the banner'\necho '|__| 5.1.0 '\necho 6 >&2\n").unwrap();
        fs::set_permissions(&layer, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(version_line(&layer, &[]).as_deref(), Some("5.1.0"));
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_its_children() {
        let start = Instant::now();
        let args = ["-c".into(), "sleep 3047 & echo started; sleep 3047".into()];
        let text = printed_by(Path::new("/bin/sh"), &args, Duration::from_millis(300));
        assert_eq!(text.as_deref(), Some("started\n"));
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_process_is_of_its_own_family() {
        let own = std::process::id() as i32;
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let family = family(own);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(family[0], own);
        assert!(family.contains(&(child.id() as i32)));
    }

    #[test]
    fn the_agent_lies_at_fixed_low_addresses() {
        let home = agent_addresses();
        assert!(home.start >= 0x1_0000 && home.end < 0x1_0000_0000 && home.start < home.end, "{home:x?}");
    }

    #[test]
    fn code_that_runs_natively_is_noticed_by_file_or_by_address() {
        let home = agent_addresses().start;
        let page =
            |mode: &str, file: &str| format!("{home:x}-{:x} {mode} 00000000 00:01 7 {file}", home + 4096);
        let other = "7f0000000000-7f0000001000 r-xp 00000000 00:01 8 /usr/bin/qemu-x86_64";
        let is_native = |maps: &str| executable_agent(maps, "/usr/bin/qemu-x86_64").is_some();
        assert!(!is_native(&format!("{}\n{other}", page("r--p", "/agent"))));
        assert!(is_native(&page("r-xp", "/agent")));
        assert!(is_native(&page("r-xp", "")));
        assert!(is_native("7f0000000000-7f0000001000 r-xp 00000000 00:01 7 /agent"));
        // An emulator that is not position-independent may lie where the agent wants to be.
        assert!(!is_native(&page("r-xp", "/usr/bin/qemu-x86_64")));
    }
}
