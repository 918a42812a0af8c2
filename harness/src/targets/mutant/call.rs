//! A call under interposition, as a fault's handler sees it: its arguments, and its caller's memory,
//! descriptors, files and past.
//!
//! Every method fails with an errno when the thing cannot be done. Handlers pass that on with `?`, and the
//! supervisor then lets the kernel run the call: a fault that cannot be injected faithfully is not injected,
//! so that an instance never shows a second fault.

use super::notify::{self, Listener, Notice};
use crate::targets::host;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Most callers remembered. An instance runs one program after the other, each in few processes.
const MAX_REMEMBERED: usize = 32;

/// Callers that passed a checkpoint. A pid alone does not name one, since numbers are used again: the time
/// the process started goes with it.
#[derive(Debug, Default)]
pub(super) struct Restored(VecDeque<(i32, i64)>);

/// One call of a program, waiting for an answer.
pub struct Call<'a> {
    pub(super) listener: &'a Listener,
    pub(super) notice: Notice,
    pub(super) nr: u32,
    /// Process 1 of the jail.
    pub(super) init: BorrowedFd<'a>,
    pub(super) restored: &'a mut Restored,
}

impl Call<'_> {
    /// The system call's number.
    pub(super) fn nr(&self) -> u32 {
        self.nr
    }

    /// The caller, as we number it.
    pub(super) fn pid(&self) -> i32 {
        self.notice.pid
    }

    /// An argument register.
    pub(super) fn arg(&self, index: usize) -> u64 {
        self.notice.args[index]
    }

    /// An argument of type int: the kernel ignores the upper half of its register.
    pub(super) fn int(&self, index: usize) -> i32 {
        self.notice.args[index] as i32
    }

    /// A file of the caller's in /proc. Opened files stay the caller's; names may pass to another process
    /// once it is dead, hence the check.
    pub(super) fn proc(&self, name: &str) -> Result<PathBuf, Errno> {
        self.still_waits()?;
        Ok(PathBuf::from(format!("/proc/{}/{name}", self.pid())))
    }

    /// The text of such a file.
    pub(super) fn proc_text(&self, name: &str) -> Result<String, Errno> {
        let text = host::proc_text(self.proc(name)?).map_err(errno)?;
        self.still_waits()?;
        Ok(text)
    }

    /// The value of a line of `/proc/PID/status`.
    pub(super) fn status(&self, key: &str) -> Result<String, Errno> {
        let text = self.proc_text("status")?;
        let value = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
        Ok(value.ok_or(Errno::ENODATA)?.trim().to_owned())
    }

    /// A field of `/proc/PID/stat`, numbered as in proc_pid_stat(5), from 3 on.
    pub(super) fn stat(&self, field: usize) -> Result<i64, Errno> {
        let text = self.proc_text("stat")?;
        // The second field, the name in parentheses, may itself hold blanks and parentheses.
        let (_, rest) = text.rsplit_once(')').ok_or(Errno::ENODATA)?;
        let word = rest.split_whitespace().nth(field - 3).ok_or(Errno::ENODATA)?;
        word.parse().map_err(|_| Errno::ENODATA)
    }

    /// Whether the caller's argument names the caller itself, in its own pid namespace.
    pub(super) fn is_own_pid(&self, pid: i32) -> Result<bool, Errno> {
        let inner = self.status("NSpid")?;
        Ok(inner.split_whitespace().next_back().and_then(|p| p.parse().ok()) == Some(pid))
    }

    /// Reads the caller's memory.
    pub(super) fn read<const N: usize>(&self, address: u64) -> Result<[u8; N], Errno> {
        let mut bytes = [0; N];
        match self.read_some(address, &mut bytes)? {
            n if n == N => Ok(bytes),
            _ => Err(Errno::EFAULT),
        }
    }

    fn read_some(&self, address: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        self.still_waits()?;
        let remote = RemoteIoVec { base: address as usize, len: bytes.len() };
        process_vm_readv(Pid::from_raw(self.pid()), &mut [IoSliceMut::new(bytes)], &[remote])
    }

    /// Reads a path from the caller's memory.
    pub(super) fn read_path(&self, address: u64) -> Result<PathBuf, Errno> {
        let mut path = Vec::new();
        // Page by page: what follows the terminator may not be mapped.
        while path.len() < libc::PATH_MAX as usize {
            let at = address + path.len() as u64;
            let mut page = vec![0; (4096 - at % 4096) as usize];
            let got = self.read_some(at, &mut page)?;
            if let Some(end) = page[..got].iter().position(|&b| b == 0) {
                path.extend_from_slice(&page[..end]);
                return Ok(OsString::from_vec(path).into());
            }
            path.extend_from_slice(&page[..got]);
        }
        Err(Errno::ENAMETOOLONG)
    }

    /// Writes the caller's memory, where the caller itself could: `EFAULT` else, as for a system call.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.still_waits()?;
        let remote = RemoteIoVec { base: address as usize, len: bytes.len() };
        match process_vm_writev(Pid::from_raw(self.pid()), &[IoSlice::new(bytes)], &[remote])? {
            n if n == bytes.len() => Ok(()),
            _ => Err(Errno::EFAULT),
        }
    }

    /// Our own copy of a descriptor of the caller's: flags, offset and lock state are shared, as by dup(2).
    pub(super) fn fd(&self, fd: i32) -> Result<OwnedFd, Errno> {
        let process = notify::pidfd_open(self.pid())?;
        self.still_waits()?;
        notify::pidfd_getfd(process.as_fd(), fd)
    }

    /// What a descriptor of the caller's is, in the words of `/proc/PID/fd`: `anon_inode:[timerfd]`.
    pub(super) fn fd_text(&self, fd: i32) -> Result<String, Errno> {
        let link = std::fs::read_link(self.proc(&format!("fd/{fd}"))?).map_err(errno)?;
        Ok(link.to_string_lossy().into_owned())
    }

    /// The caller's open descriptors.
    pub(super) fn open_fds(&self) -> Result<Vec<i32>, Errno> {
        let names = std::fs::read_dir(self.proc("fd")?).map_err(errno)?;
        let fds = names.filter_map(|n| n.ok()?.file_name().to_str()?.parse().ok()).collect();
        self.still_waits()?;
        Ok(fds)
    }

    /// The `count` lowest descriptor numbers from `least` on that the caller has free.
    ///
    /// # Errors
    /// `EMFILE`: its limit leaves too few.
    pub(super) fn free_fds(&self, least: i32, count: usize) -> Result<Vec<i32>, Errno> {
        let limit = self.limits(libc::RLIMIT_NOFILE)?[0].min(i32::MAX as u64) as i32;
        let used = self.open_fds()?;
        let free: Vec<i32> = (least.max(0)..limit).filter(|n| !used.contains(n)).take(count).collect();
        if free.len() == count { Ok(free) } else { Err(Errno::EMFILE) }
    }

    /// Gives the caller a descriptor under that number, which must be free. Our copy is closed before the
    /// caller goes on: it would keep a pipe's end open after the caller closed its own.
    pub(super) fn give(&self, fd: OwnedFd, at: i32, cloexec: bool) -> Result<i32, Errno> {
        self.listener.add_fd(self.notice.id, fd.as_fd(), Some(at), cloexec)
    }

    /// The caller's soft and hard limit.
    pub(super) fn limits(&self, resource: u32) -> Result<[u64; 2], Errno> {
        self.still_waits()?;
        notify::limits(self.pid(), resource)
    }

    /// Opens what the caller means by a path, without following a last symbolic link; only as a place
    /// (`O_PATH`). A path that leaves the caller's working directory or root is refused, so a link in the
    /// jail never leads us into the host's own files.
    pub(super) fn open_path(&self, directory: i32, path: &Path) -> Result<OwnedFd, Errno> {
        let place = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let base = if directory == libc::AT_FDCWD || path.is_absolute() {
            let start = self.proc(if path.is_absolute() { "root" } else { "cwd" })?;
            let base = nix::fcntl::open(&start, place | OFlag::O_DIRECTORY, Mode::empty())?;
            self.still_waits()?;
            base
        } else {
            self.fd(directory)?
        };
        let within =
            if path.is_absolute() { ResolveFlag::RESOLVE_IN_ROOT } else { ResolveFlag::RESOLVE_BENEATH };
        let how = OpenHow::new()
            .flags(place | OFlag::O_NOFOLLOW)
            .resolve(within | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(base, path, how)
    }

    /// Remembers that the caller passed a checkpoint.
    pub(super) fn remember_restore(&mut self) -> Result<(), Errno> {
        let who = (self.pid(), self.started()?);
        self.restored.0.retain(|other| other.0 != who.0);
        self.restored.0.push_back(who);
        if self.restored.0.len() > MAX_REMEMBERED {
            self.restored.0.pop_front();
        }
        Ok(())
    }

    /// Whether the caller passed a checkpoint.
    pub(super) fn was_restored(&self) -> Result<bool, Errno> {
        if !self.restored.0.iter().any(|who| who.0 == self.pid()) {
            return Ok(false);
        }
        Ok(self.restored.0.contains(&(self.pid(), self.started()?)))
    }

    /// When the caller started, in clock ticks since boot.
    fn started(&self) -> Result<i64, Errno> {
        self.stat(22)
    }

    /// Sends a signal to process 1 of the jail.
    pub(super) fn signal_init(&self, signal: libc::c_int) -> Result<(), Errno> {
        notify::pidfd_signal(self.init, signal)
    }

    fn still_waits(&self) -> Result<(), Errno> {
        if self.listener.waits(self.notice.id) { Ok(()) } else { Err(Errno::ESRCH) }
    }
}

/// The errno of an io error.
pub(super) fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// The device a descriptor's file *is* (not: lies on), of our own copy.
pub(super) fn is_device(fd: &OwnedFd, major: u64, minor: u64) -> bool {
    nix::sys::stat::fstat(fd).is_ok_and(|s| {
        s.st_mode & libc::S_IFMT == libc::S_IFCHR && s.st_rdev == nix::sys::stat::makedev(major, minor)
    })
}

/// Sets status flags on an open file description as fcntl(2) `F_SETFL` would, but leaves `O_ASYNC` as it
/// is: switching it on from here would have the kernel send the signals to us.
pub(super) fn set_status_flags(fd: &OwnedFd, flags: i32) -> Result<(), Errno> {
    use nix::fcntl::{FcntlArg, fcntl};
    let now = fcntl(fd, FcntlArg::F_GETFL)?;
    let flags = (flags & !libc::O_ASYNC) | (now & libc::O_ASYNC);
    fcntl(fd, FcntlArg::F_SETFL(OFlag::from_bits_retain(flags))).map(drop)
}
