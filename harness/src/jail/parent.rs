//! The parent's side: pipes, `clone`, id maps, and the child's report.

use super::plan::{Prepared, Streams};
use super::setup::{self, Op, Plan, READY};
use super::{Jailed, refused, sys};
use crate::target::TargetError;
use crate::terminal::Terminal;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{sched_getaffinity, sched_setaffinity};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, RecvMsg, SockFlag, SockType, recvmsg, send, socketpair,
};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

/// The child's descriptors wait in places from here on before they get their own, and the report socket stays there:
/// above what a jail's NOFILE allows, so that nothing inside can ever have that number.
pub(super) const FLOOR: RawFd = 256;
/// How long a jail may take to be built. Takes a millisecond; a machine that swaps needs more.
const PATIENCE: Duration = Duration::from_secs(20);
/// An id no system hands out: systemd's "UIDs, GIDs" document lists 1879048192 to 2147483647 as unused.
pub(super) const NOBODYS_ID: u32 = 2_013_000_000;

/// The namespaces' ids, as the host sees the root inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    uid: u32,
    gid: u32,
    /// The parent may map any id and let the child set its groups.
    pub(super) privileged: bool,
}

impl Ids {
    /// The parent's own.
    pub(super) fn own() -> Ids {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        Ids { uid, gid, privileged: false }
    }

    /// An outside terminal that is theirs; none if the host has none left.
    pub(super) fn terminal(&self) -> Option<Terminal> {
        Terminal::open(self.privileged.then_some((self.uid, self.gid))).ok()
    }

    /// For root an unused one, so that the jail holds nothing of root's, is counted by RLIMIT_NPROC, and writes no
    /// file of root's; otherwise the parent's own.
    ///
    /// # Errors
    /// Root of a namespace in which there is no other id than the host's root.
    pub(super) fn for_jail() -> Result<Ids, TargetError> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(Ids::own());
        }
        let read = |path| {
            let hint = "Mount /proc";
            std::fs::read_to_string(path).map_err(|e| refused(&format!("reading {path}"), e, hint))
        };
        let (uids, gids) = (read("/proc/self/uid_map")?, read("/proc/self/gid_map")?);
        match (unused(&uids), unused(&gids)) {
            (Some(uid), Some(gid)) => Ok(Ids { uid, gid, privileged: true }),
            // An ordinary user who is root of a user namespace of his own.
            _ if uids.split_whitespace().nth(1).is_some_and(|outer| outer != "0") => Ok(Ids::own()),
            _ => {
                let hint = "Give this user namespace more ids than root's, or run as an ordinary user";
                Err(refused("choosing an unused id for the jail", Errno::EPERM.into(), hint))
            }
        }
    }
}

/// An id that is mapped here and most likely nobody's: in a container with few ids, its highest.
fn unused(map: &str) -> Option<u32> {
    let mut highest = None;
    for line in map.lines() {
        let mut numbers = line.split_whitespace().map_while(|n| n.parse::<u64>().ok());
        let (first, _, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        if (first..first + count).contains(&u64::from(NOBODYS_ID)) {
            return Some(NOBODYS_ID);
        }
        // Neither 65534, everybody's "nobody", nor 65535, -1 to 16-bit calls.
        highest = (first..first + count).rev().find(|id| ![65534, 65535].contains(id)).max(highest);
    }
    highest.filter(|&id| id > 0).and_then(|id| u32::try_from(id).ok())
}

/// Runs `job` on a thread that lives as long as the process: `PR_SET_PDEATHSIG` fires when the *thread* that made the
/// child ends, and whoever asks for a jail may be a thread of a pool that goes before the jail does. That thread also
/// has all signals blocked, so that no handler of the parent's ever runs in a child.
fn on_keeper<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    type Job = Box<dyn FnOnce() + Send>;
    static KEEPER: OnceLock<Mutex<Option<mpsc::Sender<Job>>>> = OnceLock::new();
    let gone = || io::Error::other("the thread that keeps the jails is gone");
    let (answer, answered) = mpsc::channel();
    let job: Job = Box::new(move || drop(answer.send(job())));
    {
        let keeper = KEEPER.get_or_init(|| Mutex::new(None));
        let mut keeper = keeper.lock().map_err(|_| gone())?;
        if keeper.is_none() {
            let (jobs, queue) = mpsc::channel::<Job>();
            std::thread::Builder::new().name("jail-keeper".into()).spawn(move || {
                let _ = sys::mask_signals(u64::MAX);
                // The process's cores, not those of the worker that happened to ask first.
                let here = nix::unistd::Pid::from_raw(0);
                let _ =
                    sched_getaffinity(nix::unistd::getpid()).and_then(|all| sched_setaffinity(here, &all));
                queue.into_iter().for_each(|job| job());
            })?;
            *keeper = Some(jobs);
        }
        keeper.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
    }
    answered.recv().map_err(|_| gone())
}

fn io(step: &'static str) -> impl Fn(Errno) -> TargetError {
    move |e| refused(step, e.into(), "Raise the limit of open files (`ulimit -n`) or run fewer workers")
}

/// Moves a descriptor of the child's out of the way of the places it will get.
fn lift(fd: OwnedFd) -> Result<OwnedFd, TargetError> {
    let lifted = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(FLOOR)).map_err(io("placing descriptors"))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(lifted) })
}

/// Where a child has what it always gets. Its standard error is a pipe, but where the terminal is.
pub(super) struct Places {
    /// The pipes it reads from and writes to.
    pub(super) pipes: [RawFd; 2],
    /// The outside terminal, if it has one.
    pub(super) terminal: Vec<RawFd>,
}

/// Makes the child and sees it through to its `execve`.
pub(super) fn start(
    namespaces: libc::c_int,
    ids: Option<Ids>,
    places: Places,
    terminal: Option<Terminal>,
    extra: &[(RawFd, Arc<OwnedFd>)],
    prepare: impl FnOnce(Streams) -> Result<Prepared, TargetError>,
) -> Result<Jailed, TargetError> {
    let pipe = || nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(io("making pipes"));
    let ((in_read, stdin), (stdout, out_write), (stderr, err_write)) = (pipe()?, pipe()?, pipe()?);
    fcntl(&stderr, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(io("making pipes"))?;
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(io("making the report socket"))?;
    let theirs = lift(theirs)?;

    let [input, output] = places.pipes;
    let mut lifted = vec![(input, lift(in_read)?), (output, lift(out_write)?)];
    if terminal.is_none() || !places.terminal.contains(&libc::STDERR_FILENO) {
        lifted.push((libc::STDERR_FILENO, lift(err_write)?));
    }
    // Only where it is the standard input. An agent makes it its own session's by itself: a layer's process above it, which
    // would be that session's leader then, is not to be seen in it.
    let as_input = |fd: &RawFd| *fd == libc::STDIN_FILENO;
    let session_terminal = terminal.as_ref().and_then(|_| places.terminal.iter().copied().find(as_input));
    for (place, terminal) in places.terminal.iter().zip(terminal.iter().cycle()) {
        let slave = terminal.slave().try_clone().map_err(|e| refused("copying a descriptor", e, ""))?;
        lifted.push((*place, lift(slave)?));
    }
    for (place, fd) in extra {
        if !(3..FLOOR).contains(place) {
            let step = format!("placing a descriptor at {place}");
            return Err(refused(&step, Errno::EBADF.into(), "Choose a place from 3 to 255"));
        }
        lifted.push((*place, lift(fd.try_clone().map_err(|e| refused("copying a descriptor", e, ""))?)?));
    }
    let places = lifted.iter().map(|(place, fd)| (fd.as_raw_fd(), *place)).collect();
    let (plan, held) = prepare(Streams { places, terminal: session_terminal, report: theirs.as_raw_fd() })?;

    let plan = Arc::new(plan);
    let for_child = Arc::clone(&plan);
    let child = on_keeper(move || sys::clone_child(namespaces, || setup::run(&for_child)))
        .and_then(|child| child.map_err(io::Error::from))
        .map_err(|e| {
            let hint = clone_hint(&e);
            refused("making the namespaces", e, hint)
        })?;
    drop((theirs, lifted, held));
    // From here on, any way out drops `jailed` and so ends the child.
    let mut jailed = Jailed::new(child, stdin, stdout, stderr);
    jailed.terminal = terminal;
    map_ids(jailed.pid, ids)?;
    send(ours.as_raw_fd(), &[1], MsgFlags::MSG_NOSIGNAL)
        .map_err(|e| refused("starting the child", e.into(), "It was killed from outside; try again"))?;
    jailed.listener = follow(&ours, &plan, &mut jailed)?;
    Ok(jailed)
}

/// Writes the child's id maps, as user_namespaces(7) has it, and makes it the first to go when memory runs out.
fn map_ids(pid: i32, ids: Option<Ids>) -> Result<(), TargetError> {
    // Not having it doesn't unprotect anything, so an error here is none.
    let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000");
    let Some(ids) = ids else { return Ok(()) };
    let write = |file: &str, text: String| {
        std::fs::write(format!("/proc/{pid}/{file}"), text).map_err(|e| {
            let hint = "The process needs CAP_SETUID and CAP_SETGID as root; as an ordinary user nothing. \
                        In a container, allow user namespaces";
            refused(&format!("writing the child's {file}"), e, hint)
        })
    };
    if !ids.privileged {
        // Else whoever is in a group that is *denied* something could leave it.
        write("setgroups", "deny".into())?;
    }
    write("uid_map", format!("0 {} 1", ids.uid))?;
    write("gid_map", format!("0 {} 1", ids.gid))
}

/// Reads the child's reports until its `execve` closes the socket. Gives the listener.
fn follow(socket: &OwnedFd, plan: &Plan, jailed: &mut Jailed) -> Result<Option<OwnedFd>, TargetError> {
    let deadline = Instant::now() + PATIENCE;
    let (mut ready, mut listener) = (false, None);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => {
                let hint = "The machine is overloaded or a file system hangs";
                return Err(refused("building the jail", Errno::ETIMEDOUT.into(), hint));
            }
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(e) => return Err(io("reading the child's report")(e)),
        }
        match receive(socket).map_err(io("reading the child's report"))? {
            Some(([READY, _], fd)) => (ready, listener) = (true, fd),
            Some(([number, errno], _)) => {
                let Some(step) = usize::try_from(number).ok().and_then(|n| plan.steps.get(n)) else {
                    return Err(refused("reading the child's report", Errno::EPROTO.into(), ""));
                };
                let errno = Errno::from_raw(errno);
                return Err(refused(&step.name, errno.into(), step_hint(&step.op, errno)));
            }
            None if ready => return Ok(listener),
            None => {
                let how = jailed.wait();
                let error = io::Error::other(format!("the child ended: {how}"));
                return Err(refused("building the jail", error, "Something outside killed it; try again"));
            }
        }
    }
}

type Report = ([i32; 2], Option<OwnedFd>);

fn receive(socket: &OwnedFd) -> nix::Result<Option<Report>> {
    let mut bytes = [0; 8];
    let mut control = nix::cmsg_space!(RawFd);
    let mut pieces = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message: RecvMsg<'_, '_, ()> = recvmsg(socket.as_raw_fd(), &mut pieces, Some(&mut control), flags)?;
    let mut listener = None;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = part {
            // SAFETY: the kernel has just made these descriptors for us.
            listener = fds.first().map(|&fd| unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
    let whole = message.bytes == bytes.len();
    let number = |at: usize| i32::from_ne_bytes(std::array::from_fn(|k| bytes[at + k]));
    Ok(whole.then(|| ([number(0), number(4)], listener)))
}

fn clone_hint(e: &io::Error) -> &'static str {
    match e.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM) => {
            "User namespaces are forbidden here. Run as root, or allow them: `sysctl kernel.unprivileged_userns_clone=1` \
             where that exists; in a container, a seccomp profile that lets `clone` make namespaces"
        }
        Some(Errno::ENOSPC) => "Raise `sysctl user.max_user_namespaces` (and its siblings in user.*)",
        Some(Errno::EAGAIN | Errno::ENOMEM) => {
            "Too many processes (`ulimit -u`) or too little memory: fewer workers"
        }
        Some(Errno::EINVAL | Errno::ENOSYS) => {
            "The kernel lacks a namespace: Linux 5.12 or newer with all of them is needed"
        }
        _ => "Run fewer workers",
    }
}

fn step_hint(op: &Op, errno: Errno) -> &'static str {
    match (op, errno) {
        (Op::Exec { .. }, Errno::ENOENT) => {
            "The program, its interpreter or its dynamic loader is not there as seen from inside"
        }
        (Op::Exec { .. }, Errno::EACCES) => "The file is not executable for everybody",
        (Op::Exec { .. }, Errno::ENOEXEC) => "The file is no program of this machine",
        (Op::Proc { .. }, Errno::EPERM) => {
            "Parts of /proc are hidden here, as containers do it; run outside of it or with /proc unmasked"
        }
        (
            Op::BindHost { .. } | Op::AttachTree { .. } | Op::TakeTree { .. } | Op::Descriptors { .. },
            Errno::ENOSYS,
        ) => "Linux 5.12 or newer is needed",
        (Op::TakeTree { .. }, Errno::EACCES) => {
            "The file's directory can't be entered: grant that, or run as root"
        }
        (Op::TakeTree { .. } | Op::Chdir(_), Errno::ENOENT) => "Check the path",
        (Op::Mount { .. } | Op::Pivot | Op::Hostname { .. }, Errno::EPERM | Errno::EACCES) => {
            "The system lets user namespaces be made but not used. On Ubuntu: \
             `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; or run as root"
        }
        (Op::Pin(_), _) => "That core is not among those this process may use",
        (Op::Filter(_) | Op::NoNewPrivileges, _) => "The kernel needs CONFIG_SECCOMP_FILTER",
        _ => "Nothing was run, since nothing runs without this step",
    }
}

#[cfg(test)]
mod tests {
    use super::unused;

    #[test]
    fn roots_jails_get_an_id_that_is_nobodys() {
        assert_eq!(unused("         0          0 4294967295\n"), Some(super::NOBODYS_ID));
        assert_eq!(unused("0 100000 65536\n"), Some(65533));
        assert_eq!(unused("0 1000 1\n1 100000 65536\n"), Some(65536));
        assert_eq!(unused("0 1000 1\n"), None);
        assert_eq!(unused(""), None);
    }
}
