//! What a jail looks like, as steps for the child.

use super::parent::NOBODYS_ID;
use super::setup::{Content, MAX_TREES, Op, Plan, Step, notifier};
use super::{AGENT_PATH, ContainedSpec, JailSpec, Root, filter, refused, sys};
use crate::target::TargetError;
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where the new root is put together, in the child's own mount namespace. Not a directory that is bound, and one
/// that is everywhere.
const STAGE: &str = "/tmp";
/// Top-level entries of the host that a jail never shows, since it has its own.
const OWN: &[&str] = &["proc", "sys", "dev", "tmp", "run", "w", "agent"];
/// Of these, directories of the jail's own that hosts' files may be bound in.
const SHARED: &[&str] = &["tmp", "run"];
/// Top-level entries without which no program of the host starts.
const NEEDED: &[&str] = &["usr", "bin", "lib", "lib64", "etc"];

/// Character devices that every jail has: name, major and minor number (null(4), full(4), random(4), tty(4)).
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// What acts on the whole machine in a procfs that was not mounted in a user namespace (the same that containers' runtimes
/// protect).
const PROC_OF_ROOT: &[&str] = &[
    "proc/sys",
    "proc/sysrq-trigger",
    "proc/irq",
    "proc/bus",
    "proc/fs",
    "proc/acpi",
    "proc/scsi",
    "proc/mtrr",
    "proc/driver",
    "proc/kcore",
    "proc/keys",
    "proc/pressure",
    "proc/timer_list",
    "proc/kmsg",
];

/// Who unshares a user namespace without it can't map uid 0 into that (since Linux 5.12; user_namespaces(7)).
const CAP_SETFCAP: u32 = 31;

/// The limits of everything in a jail (getrlimit(2)), the same on all machines. Bytes, counts or seconds; each is
/// lowered to the parent's hard limit where that is lower. Since Linux 5.14 NPROC counts within the jail's own user
/// namespace; before, all jails of a user share it.
const LIMITS: [(u32, u64); 16] = [
    (libc::RLIMIT_CPU, libc::RLIM_INFINITY),
    (libc::RLIMIT_FSIZE, 16 << 20),
    (libc::RLIMIT_DATA, libc::RLIM_INFINITY),
    (libc::RLIMIT_STACK, 8 << 20),
    (libc::RLIMIT_CORE, 0),
    (libc::RLIMIT_RSS, libc::RLIM_INFINITY),
    (libc::RLIMIT_NPROC, 512),
    (libc::RLIMIT_NOFILE, 256),
    (libc::RLIMIT_MEMLOCK, 8 << 20),
    (libc::RLIMIT_AS, libc::RLIM_INFINITY),
    (libc::RLIMIT_LOCKS, libc::RLIM_INFINITY),
    (libc::RLIMIT_SIGPENDING, 1024),
    (libc::RLIMIT_MSGQUEUE, 800 << 10),
    (libc::RLIMIT_NICE, 0),
    (libc::RLIMIT_RTPRIO, 0),
    (libc::RLIMIT_RTTIME, libc::RLIM_INFINITY),
];

/// Collects steps.
struct Steps(Vec<Step>);

impl Steps {
    fn add(&mut self, name: impl Into<String>, op: Op) {
        self.0.push(Step { op, name: name.into() });
    }

    fn mount(&mut self, kind: &str, target: &str, flags: u64, data: &str) -> Result<(), TargetError> {
        let name = format!("mounting a {kind} on /{}", target.trim_start_matches('/'));
        let (source, target) = (Some(text(kind)?), text(target)?);
        let flags = flags | libc::MS_NOSUID;
        self.add(
            name,
            Op::Mount { source: source.clone(), target, kind: source, flags, data: Some(text(data)?) },
        );
        Ok(())
    }

    fn directory(&mut self, path: &str, mode: u32) -> Result<(), TargetError> {
        self.add(format!("making /{path}"), Op::Directory { path: text(path)?, mode });
        Ok(())
    }

    fn symlink(&mut self, to: impl AsRef<OsStr>, path: impl AsRef<OsStr>) -> Result<(), TargetError> {
        let name = format!("making the link /{}", path.as_ref().to_string_lossy());
        self.add(name, Op::Symlink { to: text(to)?, path: text(path)? });
        Ok(())
    }

    fn file(&mut self, path: impl AsRef<OsStr>, mode: u32, content: Content) -> Result<(), TargetError> {
        let name = format!("making the file /{}", path.as_ref().to_string_lossy());
        self.add(name, Op::File { path: text(path)?, mode, content });
        Ok(())
    }
}

fn text(of: impl AsRef<OsStr>) -> Result<CString, TargetError> {
    let of = of.as_ref();
    CString::new(of.as_bytes()).map_err(|e| {
        refused(&format!("reading {of:?}"), e.into(), "A path or an argument can't hold a NUL byte")
    })
}

fn texts<'a>(of: impl IntoIterator<Item = &'a OsString>) -> Result<Vec<CString>, TargetError> {
    of.into_iter().map(text).collect()
}

/// The descriptors a child starts with.
pub(super) struct Streams {
    /// Its standard input, output and error, and what else it gets: from the parent's descriptor to its own.
    pub(super) places: Vec<(RawFd, RawFd)>,
    /// Its own descriptor of the terminal that its session is to have.
    pub(super) terminal: Option<RawFd>,
    /// Its end of the report socket.
    pub(super) report: RawFd,
}

impl Streams {
    /// `keep` are further descriptors that stay, until the exec, in the places they have.
    fn op(self, keep: &[RawFd]) -> Op {
        let mut stay: Vec<u32> = self.places.iter().map(|&(_, to)| to as u32).collect();
        stay.push(self.report as u32);
        stay.extend(keep.iter().map(|&fd| fd as u32));
        stay.sort_unstable();
        stay.dedup();
        let mut close = Vec::new();
        let mut next = 0;
        for fd in stay {
            if fd > next {
                close.push((next, fd - 1));
            }
            next = fd + 1;
        }
        close.push((next, u32::MAX));
        Op::Descriptors { places: self.places, close }
    }
}

/// What every child does first and what a child does while it still sees the host.
fn begin(streams: Streams, keep: &[RawFd], user_ns: bool, drop_groups: bool) -> Steps {
    let mut steps = Steps(Vec::with_capacity(96));
    let terminal = streams.terminal;
    steps.add("placing the standard streams", streams.op(keep));
    steps.add("resetting the signals", Op::Signals);
    steps.add("waiting for the id maps", Op::Wait);
    if user_ns {
        steps.add("becoming root of the user namespace", Op::Identity { drop_groups });
    }
    steps.add("tying the jail's life to Parallax's", Op::DieWithParent);
    steps.add("starting a session", Op::Session);
    if let Some(terminal) = terminal {
        steps.add("taking the outside terminal", Op::Terminal(terminal));
    }
    steps.add("setting the umask", Op::Umask(0));
    let private = libc::MS_REC | libc::MS_PRIVATE;
    let op = Op::Mount { source: None, target: c"/".to_owned(), kind: None, flags: private, data: None };
    steps.add("making the mounts private", op);
    steps
}

/// A plan, and the mounts the parent holds for it until the child runs.
pub(super) type Prepared = (Plan, Vec<OwnedFd>);

/// The plan of a jail. `privileged`: the parent is root, the child's ids are an unused one's.
pub(super) fn jail(spec: &JailSpec, streams: Streams, privileged: bool) -> Result<Prepared, TargetError> {
    check_binds(spec)?;
    let report = streams.report;
    // Root may take a file from a directory that the child's id can't enter. Somebody else takes it in the child,
    // in whose mount namespace he may, and with his own rights.
    let mut held = Vec::new();
    let mut takes = Vec::new();
    for (slot, (host, _)) in spec.bind.iter().enumerate() {
        let (path, name) = (text(host)?, format!("binding {}", host.display()));
        let taken = if privileged { sys::open_tree_owned(&path) } else { Err(Errno::EPERM) };
        match taken {
            Ok(tree) => {
                takes.push((name, Op::HaveTree { fd: tree.as_raw_fd(), slot }));
                held.push(tree);
            }
            Err(Errno::EPERM) => takes.push((name, Op::TakeTree { path, slot })),
            Err(e) => return Err(refused(&name, e.into(), "Check the path")),
        }
    }
    let keep: Vec<RawFd> = held.iter().map(AsRawFd::as_raw_fd).collect();
    let mut steps = begin(streams, &keep, !spec.keep, privileged);
    for (name, op) in takes {
        steps.add(name, op);
    }
    if spec.keep {
        // Each dump lists all sockets.
        steps.add("making the tables of sockets small", Op::SmallTables);
    }
    root(&mut steps, spec)?;
    steps.add("changing the root", Op::Pivot);
    // A program that takes away the rights of / would be the last one to find anything.
    let flags = libc::MS_NODEV | libc::MS_NOSUID | libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY;
    let op = Op::Mount { source: None, target: c"/".to_owned(), kind: None, flags, data: None };
    steps.add("making / read-only", op);
    let host = Op::Hostname { name: c"parallax".to_owned(), domain: c"(none)".to_owned() };
    steps.add("setting the host name", host);
    steps.add("bringing the loopback interface up", Op::Loopback);
    steps.add("entering /w", Op::Chdir(c"/w".to_owned()));
    steps.add("setting the umask", Op::Umask(0o022));
    if let Some(cpu) = spec.cpu {
        steps.add(format!("pinning to core {cpu}"), pin(cpu)?);
    }
    let limits = limits()?.into_iter().map(|(resource, value)| (resource, value, value));
    steps.add("setting the limits", Op::Limits(limits.collect()));
    steps.add("fixing the addresses", Op::Personality(libc::ADDR_NO_RANDOMIZE));
    if !spec.keep {
        let keep = if spec.root == Root::Nest { 1 << CAP_SETFCAP } else { 0 };
        steps.add("dropping the capabilities", Op::DropCapabilities { keep });
        steps.add("refusing new privileges", Op::NoNewPrivileges);
        if spec.filter {
            steps.add("installing the deny list", Op::Filter(filter::deny_list()));
        }
    }
    let mut env: Vec<String> = ["PATH=/usr/local/bin:/bin:/usr/bin", "TERM=xterm"].map(String::from).into();
    if spec.root != Root::Bare {
        env.extend(["HOME=/tmp", "TMPDIR=/tmp"].map(String::from));
    }
    env.extend(spec.env.iter().map(|(name, value)| format!("{name}={value}")));
    let env = env.into_iter().map(text).collect::<Result<_, _>>()?;
    exec(&mut steps, &spec.argv, env, &spec.notify, report)?;
    Ok((Plan { steps: steps.0, report }, held))
}

/// The plan of a contained host program.
pub(super) fn contained(
    spec: &ContainedSpec,
    streams: Streams,
    user_ns: bool,
) -> Result<Prepared, TargetError> {
    let report = streams.report;
    let mut steps = begin(streams, &[], user_ns, false);
    steps.add("mounting /proc", Op::Proc { target: c"/proc".to_owned(), only_pids: false });
    steps.add(format!("entering {}", spec.cwd.display()), Op::Chdir(text(&spec.cwd)?));
    steps.add("setting the umask", Op::Umask(0o022));
    if let Some(cpu) = spec.cpu {
        steps.add(format!("pinning to core {cpu}"), pin(cpu)?);
    }
    steps.add("setting the limits", Op::Limits(vec![(libc::RLIMIT_CORE, 0, 0)]));
    let env = spec.env.iter().map(|(name, value)| {
        let mut both = name.clone();
        both.push("=");
        both.push(value);
        text(both)
    });
    let env = env.collect::<Result<_, _>>()?;
    exec(&mut steps, &spec.argv, env, &[], report)?;
    Ok((Plan { steps: steps.0, report }, Vec::new()))
}

fn exec(
    steps: &mut Steps,
    argv: &[OsString],
    env: Vec<CString>,
    notify: &[u32],
    report: RawFd,
) -> Result<(), TargetError> {
    let name = format!("starting {}", argv.first().map_or("no program".into(), |a| a.to_string_lossy()));
    let argv = sys::Strings::new(texts(argv)?);
    steps.add(name, Op::Exec { argv, env: sys::Strings::new(env), notify: notifier(notify, report) });
    Ok(())
}

/// Puts the new root together on the stage. Paths are relative to it.
fn root(steps: &mut Steps, spec: &JailSpec) -> Result<(), TargetError> {
    let host = spec.root != Root::Bare;
    steps.mount("tmpfs", STAGE, libc::MS_NODEV, "mode=755,size=64m,nr_inodes=8192")?;
    steps.add("entering the new root", Op::Chdir(text(STAGE)?));
    let common = [("dev", 0o755), ("proc", 0o555), ("tmp", 0o1777), ("w", 0o777)];
    // gVisor's root has /sys, whatever its bundle says.
    let own = if host { ("run", 0o755) } else { ("sys", 0o555) };
    for (path, mode) in common.into_iter().chain([own]) {
        steps.directory(path, mode)?;
    }
    if host {
        // Layers keep files of their own there.
        steps.mount("tmpfs", "tmp", libc::MS_NODEV, "mode=1777,size=512m,nr_inodes=65536")?;
        steps.mount("tmpfs", "run", libc::MS_NODEV, "mode=755,size=64m,nr_inodes=8192")?;
    }
    if spec.keep {
        // Programs may not enter, though they are root, since they may not pass by rights.
        let nobodys = format!("uid={NOBODYS_ID},gid={NOBODYS_ID}");
        if !host {
            steps.directory("run", 0o755)?;
            // CRIU tries mounts out there.
            steps.mount(
                "tmpfs",
                "tmp",
                libc::MS_NODEV,
                &format!("mode=700,size=16m,nr_inodes=1024,{nobodys}"),
            )?;
        }
        // Images and traces: nothing that a program may reach.
        steps.mount(
            "tmpfs",
            "run",
            libc::MS_NODEV,
            &format!("mode=700,size=256m,nr_inodes=8192,{nobodys}"),
        )?;
    }
    // A mount of its own, as layers have it: what leads out of it crosses file systems (link(2), EXDEV) on both sides.
    steps.mount("tmpfs", "w", libc::MS_NODEV, "mode=777,size=32m,nr_inodes=4096")?;
    devices(steps, host, spec.keep)?;
    // A nested layer can mount a procfs of its own only where it already sees a whole one (mount_namespaces(7)).
    let only_pids = (!host || spec.filter) && !spec.keep;
    steps.add("mounting /proc", Op::Proc { target: c"proc".to_owned(), only_pids });
    if spec.keep {
        // Root without capabilities may still write to what root owns there.
        for path in PROC_OF_ROOT.iter().filter(|path| Path::new("/").join(path).exists()) {
            let same = Some(text(path)?);
            let flags = libc::MS_BIND;
            let op = Op::Mount { source: same, target: text(path)?, kind: None, flags, data: None };
            steps.add(format!("binding /{path}"), op);
            seal(steps, path)?;
        }
    }
    steps.file(&AGENT_PATH[1..], 0o755, Content::Agent)?;
    if host {
        host_entries(steps, spec)?;
    }
    let mut made = BTreeSet::new();
    for (slot, (path, inside)) in spec.bind.iter().enumerate() {
        let target = &inside[1..];
        for (end, _) in target.match_indices('/') {
            let folder = &target[..end];
            if !SHARED.contains(&folder) && made.insert(folder) {
                steps.directory(folder, 0o755)?;
            }
        }
        // The host's metadata; a file nobody may look at is no directory then, and the step itself will say more.
        if std::fs::metadata(path).is_ok_and(|m| m.is_dir()) {
            steps.directory(target, 0o755)?;
        } else {
            steps.file(target, 0o644, Content::Nothing)?;
        }
        let name = format!("binding {} as {inside}", path.display());
        steps.add(name, Op::AttachTree { slot, target: text(target)? });
    }
    Ok(())
}

fn devices(steps: &mut Steps, host: bool, keep: bool) -> Result<(), TargetError> {
    // Nothing in it can be renamed or removed, such as /dev/ptmx: not even the owner has the right to write.
    steps.mount("tmpfs", "dev", libc::MS_NOEXEC, "mode=555,size=64k,nr_inodes=64")?;
    for (device, major, minor) in DEVICES {
        let target = format!("dev/{device}");
        if keep {
            // A host's file, and whoever is root here is root there: nodes of its own instead, which are nobody's.
            let op = Op::Device { path: text(&target)?, major, minor, owner: NOBODYS_ID };
            steps.add(format!("making /{target}"), op);
            continue;
        }
        steps.file(&target, 0o666, Content::Nothing)?;
        // Bound, since a user namespace can't make device nodes.
        let source = Some(text(format!("/dev/{device}"))?);
        let op = Op::Mount { source, target: text(&target)?, kind: None, flags: libc::MS_BIND, data: None };
        steps.add(format!("binding /{target}"), op);
    }
    steps.directory("dev/pts", 0o755)?;
    // `max` since all instances share one pool of the kernel's.
    steps.mount("devpts", "dev/pts", libc::MS_NOEXEC, "newinstance,ptmxmode=0666,mode=600,max=256")?;
    steps.symlink("pts/ptmx", "dev/ptmx")?;
    for (to, path) in [
        ("/proc/self/fd", "dev/fd"),
        ("/proc/self/fd/0", "dev/stdin"),
        ("/proc/self/fd/1", "dev/stdout"),
        ("/proc/self/fd/2", "dev/stderr"),
    ] {
        steps.symlink(to, path)?;
    }
    if host {
        steps.directory("dev/shm", 0o1777)?;
        steps.mount("tmpfs", "dev/shm", libc::MS_NODEV, "mode=1777,size=512m,nr_inodes=8192")?;
    }
    Ok(())
}

/// Makes what is bound there read-only.
fn seal(steps: &mut Steps, target: &str) -> Result<(), TargetError> {
    let flags = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NOEXEC;
    let op = Op::Mount { source: None, target: text(target)?, kind: None, flags, data: None };
    steps.add(format!("making /{target} read-only"), op);
    Ok(())
}

/// The host's top-level entries.
fn host_entries(steps: &mut Steps, spec: &JailSpec) -> Result<(), TargetError> {
    let trouble = |e: io::Error| refused("reading the host's root directory", e, "Check the rights of /");
    let mut names: Vec<OsString> = Vec::new();
    for entry in std::fs::read_dir("/").map_err(trouble)? {
        let name = entry.map_err(trouble)?.file_name();
        // A bind below it takes its place: what is in it is not what the jail's id may see.
        let bound = spec.bind.iter().any(|(_, inside)| inside[1..].split('/').next() == name.to_str());
        if !bound && !OWN.iter().any(|own| *own == name) {
            names.push(name);
        }
    }
    // The order of a directory is its file system's affair; that of the jail shall be the same everywhere.
    names.sort();
    for name in names {
        let source = Path::new("/").join(&name);
        // What can't be looked at can't be bound either.
        let Ok(meta) = source.symlink_metadata() else { continue };
        if meta.is_symlink() {
            steps.symlink(std::fs::read_link(&source).map_err(trouble)?, &name)?;
            continue;
        } else if meta.is_dir() {
            let op = Op::Directory { path: text(&name)?, mode: 0o755 };
            steps.add(format!("making {}", source.display()), op);
        } else if meta.is_file() {
            steps.file(&name, 0o644, Content::Nothing)?;
        } else {
            continue;
        }
        let needed = NEEDED.iter().any(|n| *n == name);
        let op = Op::BindHost { source: text(&source)?, target: text(&name)?, needed };
        steps.add(format!("binding {} read-only", source.display()), op);
    }
    Ok(())
}

fn check_binds(spec: &JailSpec) -> Result<(), TargetError> {
    let wrong = |inside: &str| {
        let hint = "Name a path below / that the jail doesn't use itself, such as /layer";
        refused(&format!("binding as {inside:?}"), io::Error::from(Errno::EINVAL), hint)
    };
    if spec.bind.len() > MAX_TREES {
        let hint = format!("At most {MAX_TREES} files can be bound");
        return Err(refused("binding files", io::Error::from(Errno::E2BIG), &hint));
    }
    for (_, inside) in &spec.bind {
        let path = inside.strip_prefix('/').unwrap_or_default();
        let plain = path.split('/').all(|name| !["", ".", ".."].contains(&name));
        let deep = path.split_once('/').map(|(top, _)| top);
        let taken = match deep {
            None => OWN.contains(&path),
            Some(top) => {
                spec.root == Root::Bare
                    || NEEDED.contains(&top)
                    || OWN.contains(&top) && !SHARED.contains(&top)
            }
        };
        if !plain || taken {
            return Err(wrong(inside));
        }
    }
    Ok(())
}

fn pin(cpu: usize) -> Result<Op, TargetError> {
    let mut cores = [0u64; 16];
    match cores.get_mut(cpu / 64) {
        Some(word) => *word = 1 << (cpu % 64),
        None => {
            let step = format!("pinning to core {cpu}");
            return Err(refused(&step, io::Error::from(Errno::EINVAL), "Name a core below 1024"));
        }
    }
    Ok(Op::Pin(cores))
}

/// The limits of everything in a jail: resource of getrlimit(2) and value, both soft and hard. In bytes, counts or
/// seconds. For layers that keep limits of their own.
///
/// # Errors
/// [`TargetError::Jail`] if this process's own limits cannot be read.
pub fn limits() -> Result<Vec<(u32, u64)>, TargetError> {
    let lowered = LIMITS.into_iter().map(|(resource, want)| {
        let hard = sys::hard_limit(resource)
            .map_err(|e| refused("reading the limits", e.into(), "This should always work"))?;
        Ok((resource, want.min(hard)))
    });
    lowered.collect()
}
