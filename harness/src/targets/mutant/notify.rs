//! The unsafe floor of the mutant: the seccomp listener's ioctls and the calls that reach into another
//! process, each with a safe face. What a fault *does* is not decided here.
//!
//! Sources: seccomp_unotify(2), pidfd_open(2), pidfd_getfd(2), pidfd_send_signal(2), prlimit(2), getdents64(2).

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// `AUDIT_ARCH_X86_64`: `EM_X86_64` with the 64-bit and little-endian bits. libc has no name for it.
const ARCH_X86_64: u32 = 62 | 0x8000_0000 | 0x4000_0000;

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`. libc has no name for it.
const SYNC_WAKE_UP: libc::c_ulong = 1;

/// A program that waits in the kernel for our verdict on one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notice {
    /// The kernel's name for this waiting call; never used twice on one listener.
    pub id: u64,
    /// The caller's thread id, as we see it.
    pub pid: i32,
    /// The system call's number, or `None` if it was not made by the 64-bit convention.
    pub nr: Option<u32>,
    /// Its six argument registers.
    pub args: [u64; 6],
}

/// A verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The kernel runs the call as it stands.
    Continue,
    /// It returns this value, without having run.
    Value(i64),
    /// It fails with this error, without having run.
    Fail(Errno),
}

/// What woke the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// A call waits.
    Call,
    /// No process is left under the filter, or we were asked to stop.
    End,
}

/// The listener of one seccomp filter.
#[derive(Debug)]
pub(super) struct Listener {
    fd: OwnedFd,
}

/// The kernel writes as many bytes as *its* struct has, which a later kernel may have made longer.
#[repr(C)]
struct Roomy<T> {
    head: T,
    spare: [u64; 32],
}

impl<T> Roomy<T> {
    fn zeroed() -> Roomy<T>
    where
        T: Plain,
    {
        // SAFETY: `Plain` promises that zero bytes are a value of T; so they are of an array of integers.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }
}

/// A struct of integers, for which zero bytes are a value.
///
/// # Safety
/// That must be so.
unsafe trait Plain {}
// SAFETY: all fields are integers or such structs.
unsafe impl Plain for libc::seccomp_notif {}
// SAFETY: as above.
unsafe impl Plain for libc::seccomp_notif_resp {}

impl Listener {
    /// Takes a listener's descriptor.
    ///
    /// # Errors
    /// This kernel's notifications are longer than we have room for.
    pub(super) fn new(fd: OwnedFd) -> Result<Listener, Errno> {
        let mut sizes =
            libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
        // SAFETY: the operation writes one `seccomp_notif_sizes` (six bytes, fixed) to the last argument.
        let result =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, &raw mut sizes) };
        Errno::result(result)?;
        let fits = usize::from(sizes.seccomp_notif) <= size_of::<Roomy<libc::seccomp_notif>>()
            && usize::from(sizes.seccomp_notif_resp) <= size_of::<Roomy<libc::seccomp_notif_resp>>();
        if !fits {
            return Err(Errno::E2BIG);
        }
        // Tells the scheduler that caller and supervisor take turns (Linux 6.6); only slower without it.
        // SAFETY: this request takes an integer in the place of the pointer.
        unsafe { libc::ioctl(fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
        Ok(Listener { fd })
    }

    /// Waits for a call, the end of all its callers, or `stop` to become readable.
    pub(super) fn wait(&self, stop: BorrowedFd<'_>) -> Wake {
        loop {
            let mut fds =
                [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN), PollFd::new(stop, PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                Err(_) => return Wake::End,
                Ok(_) => {}
            }
            let [calls, stop] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
            if !stop.is_empty() {
                return Wake::End;
            }
            if calls.contains(PollFlags::POLLIN) {
                return Wake::Call;
            }
            if calls.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
                return Wake::End;
            }
        }
    }

    /// Takes the waiting call. To be used after [`Listener::wait`] said there is one: the kernel's count of
    /// calls never falls below the calls poll(2) sees, so this does not block even if the caller just died.
    ///
    /// # Errors
    /// `ENOENT`: the caller died meanwhile.
    pub(super) fn receive(&self) -> Result<Notice, Errno> {
        let mut room = Roomy::<libc::seccomp_notif>::zeroed();
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_RECV, (&raw mut room).cast())?;
        let notif = room.head;
        let nr = (notif.data.arch == ARCH_X86_64).then_some(notif.data.nr as u32);
        Ok(Notice { id: notif.id, pid: notif.pid as i32, nr, args: notif.data.args })
    }

    /// Lets the caller of `id` go on.
    ///
    /// # Errors
    /// `ENOENT`: it no longer waits; a signal took it away.
    pub(super) fn send(&self, id: u64, verdict: Verdict) -> Result<(), Errno> {
        let mut room = Roomy::<libc::seccomp_notif_resp>::zeroed();
        room.head.id = id;
        match verdict {
            Verdict::Continue => room.head.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            Verdict::Value(value) => room.head.val = value,
            Verdict::Fail(error) => room.head.error = -(error as i32),
        }
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_SEND, (&raw mut room).cast()).map(drop)
    }

    /// Whether the caller of `id` still waits, so that its pid still is its own.
    pub(super) fn waits(&self, id: u64) -> bool {
        let mut id = id;
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ID_VALID, (&raw mut id).cast()).is_ok()
    }

    /// Puts a copy of `fd` into the caller's descriptor table: at `at`, or at the lowest free number.
    ///
    /// # Errors
    /// `EMFILE`, `EBADF` (`at` is beyond its limit, or `fd` is only a path), `ENOENT` (it no longer waits).
    pub(super) fn add_fd(
        &self,
        id: u64,
        fd: BorrowedFd<'_>,
        at: Option<i32>,
        cloexec: bool,
    ) -> Result<i32, Errno> {
        let mut add = libc::seccomp_notif_addfd {
            id,
            flags: if at.is_some() { libc::SECCOMP_ADDFD_FLAG_SETFD as u32 } else { 0 },
            srcfd: fd.as_raw_fd() as u32,
            newfd: at.unwrap_or(0) as u32,
            newfd_flags: if cloexec { libc::O_CLOEXEC as u32 } else { 0 },
        };
        self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ADDFD, (&raw mut add).cast())
    }

    fn ioctl(&self, request: libc::Ioctl, arg: *mut libc::c_void) -> Result<i32, Errno> {
        // SAFETY: `arg` comes from the methods above: a live local of the type the request reads and writes,
        // with room for a longer one (checked in `new`) where the length is the kernel's choice. The ADDFD
        // and ID_VALID requests carry their length in their number.
        Errno::result(unsafe { libc::ioctl(self.fd.as_raw_fd(), request, arg) })
    }
}

/// Takes a new descriptor from a raw result.
fn owned(result: libc::c_long) -> Result<OwnedFd, Errno> {
    let fd = Errno::result(result)? as RawFd;
    // SAFETY: the callers pass the result of a call that makes a descriptor nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A handle on a process (not on one of its threads).
pub(super) fn pidfd_open(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: passes two integers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Our own copy of a process's descriptor: the same open file description. Closed on exec.
pub(super) fn pidfd_getfd(pidfd: BorrowedFd<'_>, fd: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: passes three integers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) })
}

/// Sends a signal to that very process, never to one that was given its number later.
pub(super) fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: libc::c_int) -> Result<(), Errno> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: passes integers and a null siginfo, which means the one kill(2) would make.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) };
    Errno::result(result).map(drop)
}

/// A process's soft and hard limit on a resource.
pub(super) fn limits(pid: i32, resource: u32) -> Result<[u64; 2], Errno> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the new limit is null, the old one is a live local of the right type.
    let result = unsafe {
        libc::syscall(libc::SYS_prlimit64, pid, resource, std::ptr::null::<libc::rlimit64>(), &raw mut limit)
    };
    Errno::result(result)?;
    Ok([limit.rlim_cur, limit.rlim_max])
}

/// Bytes ready to be read (`FIONREAD`).
pub(super) fn readable_bytes(fd: BorrowedFd<'_>) -> Result<i32, Errno> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes one int.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut bytes) })?;
    Ok(bytes)
}

/// Bytes of the kernel's `struct termios` (libc's own is another, longer one).
pub(super) const TERMIOS: usize = 36;

/// Sets a terminal's modes at once (`TCSETS`).
pub(super) fn set_terminal(fd: BorrowedFd<'_>, termios: &[u8; TERMIOS]) -> Result<(), Errno> {
    // SAFETY: the request reads a kernel termios of that many bytes.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TCSETS, termios.as_ptr()) }).map(drop)
}

/// The next directory entries, as the kernel lays them out.
pub(super) fn directory_entries(fd: BorrowedFd<'_>, room: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the call writes at most `room.len()` bytes to `room`.
    let result =
        unsafe { libc::syscall(libc::SYS_getdents64, fd.as_raw_fd(), room.as_mut_ptr(), room.len()) };
    Ok(Errno::result(result)? as usize)
}

/// A new eventfd, closed on exec.
pub(super) fn eventfd(value: u32, flags: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: passes two integers.
    owned(unsafe { libc::eventfd(value, flags | libc::EFD_CLOEXEC) }.into())
}
