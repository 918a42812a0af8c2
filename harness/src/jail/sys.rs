//! The floor: system calls as plain functions, and the only `unsafe` code of the jail.
//!
//! Every function here may run between `clone` and `execve` in a copy of a multi-threaded process, so none of them
//! allocates, locks, or goes through a libc wrapper that does more than its system call. (`setresuid(2)` for one:
//! glibc's wrapper signals every thread it knows of, and in the copy those don't exist.)

use nix::errno::Errno;
use std::ffi::{CStr, CString, c_long};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// What a system call gives.
pub(super) type Sys<T = ()> = Result<T, Errno>;

/// One system call, straight to the kernel.
///
/// # Safety
/// What the call's manual page asks of its arguments; those that are pointers must be valid while it runs.
unsafe fn call(nr: c_long, args: [usize; 6]) -> Sys<usize> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: passed on to the caller.
    match unsafe { libc::syscall(nr, a, b, c, d, e, f) } {
        -1 => Err(Errno::last()),
        r => Ok(r as usize),
    }
}

fn at(text: &CStr) -> usize {
    text.as_ptr() as usize
}

fn at_or_null(text: Option<&CStr>) -> usize {
    text.map_or(0, at)
}

/// An argument or environment vector: its strings and the pointers `execve` wants, made before the `clone`.
#[derive(Debug)]
pub(super) struct Strings {
    texts: Vec<CString>,
    // Addresses of `texts`' heap blocks (which don't move), then 0. As numbers, so that this can go to a thread.
    addresses: Vec<usize>,
}

impl Strings {
    pub(super) fn new(texts: Vec<CString>) -> Strings {
        let addresses = texts.iter().map(|t| at(t)).chain([0]).collect();
        Strings { texts, addresses }
    }

    pub(super) fn first(&self) -> Option<&CStr> {
        self.texts.first().map(|t| t.as_c_str())
    }
}

/// A child made by [`clone_child`].
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
}

/// `clone(2)` like a fork, with a pidfd: runs `child` in the new process, which never comes back.
///
/// `child` must not allocate, lock or panic: other threads of the parent may have held any lock.
pub(super) fn clone_child(flags: libc::c_int, child: impl FnOnce() -> i32) -> Sys<Child> {
    let mut pidfd: i32 = -1;
    let flags = (flags | libc::CLONE_PIDFD | libc::SIGCHLD) as u32 as usize;
    // SAFETY: without CLONE_VM and with a null stack this is a fork: the child goes on with a copy of this stack.
    // The third argument is where the pidfd goes.
    let pid = unsafe { call(libc::SYS_clone, [flags, 0, &raw mut pidfd as usize, 0, 0, 0])? };
    if pid == 0 {
        let code = child();
        exit(code);
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(Child { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
}

/// `_exit(2)` of all threads.
pub(super) fn exit(code: i32) -> ! {
    loop {
        // SAFETY: takes no pointers and doesn't return.
        let _ = unsafe { call(libc::SYS_exit_group, [code as usize, 0, 0, 0, 0, 0]) };
    }
}

/// `execve(2)`: comes back only with an error.
pub(super) fn execve(argv: &Strings, env: &Strings) -> Errno {
    let Some(path) = argv.first() else { return Errno::ENOENT };
    let (argv, env) = (argv.addresses.as_ptr() as usize, env.addresses.as_ptr() as usize);
    // SAFETY: a NUL-terminated path and two vectors of such strings that end in a null pointer; all outlive the call.
    unsafe { call(libc::SYS_execve, [at(path), argv, env, 0, 0, 0]) }.err().unwrap_or(Errno::EIO)
}

/// Every signal's action to the default (an ignored SIGPIPE or a handler would else be inherited), none blocked.
pub(super) fn reset_signals() -> Sys {
    let default = [0usize; 4];
    for signal in 1..=64 {
        // SAFETY: a zeroed kernel `struct sigaction` is SIG_DFL with an empty mask. SIGKILL and SIGSTOP refuse.
        let _ = unsafe { call(libc::SYS_rt_sigaction, [signal, default.as_ptr() as usize, 0, 8, 0, 0]) };
    }
    mask_signals(0)
}

/// Blocks exactly the signals of `mask` (bit n is signal n+1) in this thread.
pub(super) fn mask_signals(mask: u64) -> Sys {
    let how = libc::SIG_SETMASK as usize;
    // SAFETY: a kernel signal set is 8 bytes.
    unsafe { call(libc::SYS_rt_sigprocmask, [how, &raw const mask as usize, 0, 8, 0, 0]) }.map(drop)
}

/// `dup3(2)` without close-on-exec.
pub(super) fn dup_to(from: RawFd, to: RawFd) -> Sys {
    // SAFETY: no pointers. This replaces descriptors, but only in the child, which owns none.
    unsafe { call(libc::SYS_dup3, [from as usize, to as usize, 0, 0, 0, 0]) }.map(drop)
}

/// `close_range(2)`, both ends included.
pub(super) fn close_range(first: u32, last: u32) -> Sys {
    // SAFETY: no pointers; as `dup_to`.
    unsafe { call(libc::SYS_close_range, [first as usize, last as usize, 0, 0, 0, 0]) }.map(drop)
}

/// `mount(2)`.
pub(super) fn mount(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: u64,
    data: Option<&CStr>,
) -> Sys {
    let args = [at_or_null(source), at(target), at_or_null(kind), flags as usize, at_or_null(data), 0];
    // SAFETY: every pointer is null or a NUL-terminated string.
    unsafe { call(libc::SYS_mount, args) }.map(drop)
}

/// `open_tree(2)` that clones: a detached copy of the mount at `path`, as a raw descriptor the child leaves to `execve`
/// to close.
pub(super) fn open_tree(path: &CStr) -> Sys<RawFd> {
    let flags = libc::OPEN_TREE_CLONE as usize | libc::OPEN_TREE_CLOEXEC as usize;
    // SAFETY: a NUL-terminated path.
    unsafe { call(libc::SYS_open_tree, [libc::AT_FDCWD as usize, at(path), flags, 0, 0, 0]) }
        .map(|fd| fd as RawFd)
}

/// `open_tree` for the parent: owned.
pub(super) fn open_tree_owned(path: &CStr) -> Sys<OwnedFd> {
    // SAFETY: the kernel has just made this descriptor for us.
    open_tree(path).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `move_mount(2)`: attaches a detached mount.
pub(super) fn attach_mount(tree: RawFd, target: &CStr) -> Sys {
    let empty = c"".as_ptr() as usize;
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH as usize;
    let args = [tree as usize, empty, libc::AT_FDCWD as usize, at(target), flags, 0];
    // SAFETY: two NUL-terminated paths.
    unsafe { call(libc::SYS_move_mount, args) }.map(drop)
}

/// `mount_setattr(2)`: read-only, no setuid, no devices; for everything below `target` too.
pub(super) fn seal_mounts(target: &CStr) -> Sys {
    let set = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    // struct mount_attr: attr_set, attr_clr, propagation, userns_fd.
    let attr = [set, 0, 0, 0];
    let flags = libc::AT_RECURSIVE as usize;
    let args = [libc::AT_FDCWD as usize, at(target), flags, attr.as_ptr() as usize, size_of_val(&attr), 0];
    // SAFETY: a path and a struct mount_attr of the size given.
    unsafe { call(libc::SYS_mount_setattr, args) }.map(drop)
}

/// `pivot_root(".", ".")` and the old root detached (see "pivot_root(".", ".")" in pivot_root(2)).
pub(super) fn pivot_here() -> Sys {
    let here = c".".as_ptr() as usize;
    // SAFETY: NUL-terminated paths.
    unsafe {
        call(libc::SYS_pivot_root, [here, here, 0, 0, 0, 0])?;
        call(libc::SYS_umount2, [here, libc::MNT_DETACH as usize, 0, 0, 0, 0])?;
    }
    chdir(c"/")
}

/// `chdir(2)`.
pub(super) fn chdir(path: &CStr) -> Sys {
    // SAFETY: a NUL-terminated path.
    unsafe { call(libc::SYS_chdir, [at(path), 0, 0, 0, 0, 0]) }.map(drop)
}

/// `mkdir(2)`.
pub(super) fn mkdir(path: &CStr, mode: u32) -> Sys {
    // SAFETY: a NUL-terminated path.
    unsafe { call(libc::SYS_mkdir, [at(path), mode as usize, 0, 0, 0, 0]) }.map(drop)
}

/// `symlink(2)`.
pub(super) fn symlink(to: &CStr, path: &CStr) -> Sys {
    // SAFETY: NUL-terminated paths.
    unsafe { call(libc::SYS_symlink, [at(to), at(path), 0, 0, 0, 0]) }.map(drop)
}

/// Makes a new file with that content.
pub(super) fn create(path: &CStr, mode: u32, mut content: &[u8]) -> Sys {
    let flags = (libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC) as usize;
    // SAFETY: a NUL-terminated path; `content` is readable over its length; the descriptor is ours to close.
    unsafe {
        let fd = call(libc::SYS_open, [at(path), flags, mode as usize, 0, 0, 0])?;
        while !content.is_empty() {
            let n = call(libc::SYS_write, [fd, content.as_ptr() as usize, content.len(), 0, 0, 0])?;
            content = content.get(n..).unwrap_or_default();
        }
        call(libc::SYS_close, [fd, 0, 0, 0, 0, 0]).map(drop)
    }
}

/// A character device of mode 0666 that belongs to `owner`.
pub(super) fn make_device(path: &CStr, major: u32, minor: u32, owner: u32) -> Sys {
    let device = libc::makedev(major, minor) as usize;
    let mode = (libc::S_IFCHR | 0o666) as usize;
    // SAFETY: a NUL-terminated path, twice.
    unsafe {
        call(libc::SYS_mknod, [at(path), mode, device, 0, 0, 0])?;
        call(libc::SYS_chown, [at(path), owner as usize, owner as usize, 0, 0, 0]).map(drop)
    }
}

/// Root of the user namespace in all four ids, with no supplementary groups if `drop_groups`.
pub(super) fn become_inner_root(drop_groups: bool) -> Sys {
    // SAFETY: a list of 0 groups is never read; the rest takes no pointers.
    unsafe {
        if drop_groups {
            call(libc::SYS_setgroups, [0; 6])?;
        }
        call(libc::SYS_setresgid, [0; 6])?;
        call(libc::SYS_setresuid, [0; 6]).map(drop)
    }
}

/// `prctl(2)`, for options that take numbers only.
pub(super) fn prctl(option: i32, a: usize, b: usize) -> Sys<usize> {
    // SAFETY: the options used here (see `setup`) take no pointers.
    unsafe { call(libc::SYS_prctl, [option as usize, a, b, 0, 0, 0]) }
}

/// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h, and this process.
const CAP_HEADER: [u32; 2] = [0x2008_0522, 0];

/// `capset(2)`: exactly these permitted, effective and inheritable.
pub(super) fn set_capabilities(these: u64) -> Sys {
    let (low, high) = (these as u32, (these >> 32) as u32);
    capset(&[low, low, low, high, high, high])
}

/// `capget(2)` and `capset(2)`: exactly these inheritable, the rest as it was.
pub(super) fn set_inheritable(these: u64) -> Sys {
    let mut sets = [0u32; 6];
    let (header, data) = (CAP_HEADER, sets.as_mut_ptr() as usize);
    // SAFETY: the header of version 3, and room for its data.
    unsafe { call(libc::SYS_capget, [header.as_ptr() as usize, data, 0, 0, 0, 0])? };
    (sets[2], sets[5]) = (these as u32, (these >> 32) as u32);
    capset(&sets)
}

/// Two times (low and high halves) effective, permitted, inheritable.
fn capset(sets: &[u32; 6]) -> Sys {
    let header = CAP_HEADER;
    let args = [header.as_ptr() as usize, sets.as_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the header and data of version 3.
    unsafe { call(libc::SYS_capset, args) }.map(drop)
}

/// `prlimit64(2)` of this process.
pub(super) fn set_limit(resource: u32, soft: u64, hard: u64) -> Sys {
    let limit = [soft, hard];
    // SAFETY: a struct rlimit64 is two words.
    unsafe { call(libc::SYS_prlimit64, [0, resource as usize, limit.as_ptr() as usize, 0, 0, 0]) }.map(drop)
}

/// This process's hard limit, for the parent.
pub(super) fn hard_limit(resource: u32) -> Sys<u64> {
    let mut limit = [0u64; 2];
    // SAFETY: as `set_limit`; the kernel writes both words.
    unsafe { call(libc::SYS_prlimit64, [0, resource as usize, 0, limit.as_mut_ptr() as usize, 0, 0])? };
    Ok(limit[1])
}

/// `umask(2)`.
pub(super) fn umask(mask: u32) {
    // SAFETY: no pointers; never fails.
    let _ = unsafe { call(libc::SYS_umask, [mask as usize, 0, 0, 0, 0, 0]) };
}

/// `setsid(2)`.
pub(super) fn setsid() -> Sys {
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_setsid, [0; 6]) }.map(drop)
}

/// `ioctl(2)` with `TIOCSCTTY`: the terminal becomes the session's.
pub(super) fn take_terminal(fd: RawFd) -> Sys {
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_ioctl, [fd as usize, libc::TIOCSCTTY as usize, 0, 0, 0, 0]) }.map(drop)
}

/// `personality(2)`.
pub(super) fn personality(persona: i32) -> Sys {
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_personality, [persona as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// `sched_setaffinity(2)` of this thread; `cores` is a bit mask.
pub(super) fn pin(cores: &[u64; 16]) -> Sys {
    let args = [0, size_of_val(cores), cores.as_ptr() as usize, 0, 0, 0];
    // SAFETY: a mask of the size given.
    unsafe { call(libc::SYS_sched_setaffinity, args) }.map(drop)
}

/// The name and the domain of this UTS namespace.
pub(super) fn name_host(name: &CStr, domain: &CStr) -> Sys {
    // SAFETY: each name is readable over its length.
    unsafe {
        call(libc::SYS_sethostname, [at(name), name.count_bytes(), 0, 0, 0, 0])?;
        call(libc::SYS_setdomainname, [at(domain), domain.count_bytes(), 0, 0, 0, 0]).map(drop)
    }
}

/// Sets `IFF_UP` of `lo` (netdevice(7)), which a new network namespace leaves down. A kernel without IPv4 has none.
pub(super) fn loopback_up() -> Sys {
    const DOMAIN_TYPE: [usize; 2] =
        [libc::AF_INET as usize, (libc::SOCK_DGRAM | libc::SOCK_CLOEXEC) as usize];
    // struct ifreq: the name, then flags.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16..18].copy_from_slice(&(libc::IFF_UP as u16).to_le_bytes());
    // SAFETY: `request` is a struct ifreq; the descriptor is ours and closed here.
    unsafe {
        let socket = match call(libc::SYS_socket, [DOMAIN_TYPE[0], DOMAIN_TYPE[1], 0, 0, 0, 0]) {
            Ok(socket) => socket,
            Err(Errno::EAFNOSUPPORT) => return Ok(()),
            Err(error) => return Err(error),
        };
        let set =
            call(libc::SYS_ioctl, [socket, libc::SIOCSIFFLAGS as usize, request.as_ptr() as usize, 0, 0, 0]);
        let _ = call(libc::SYS_close, [socket, 0, 0, 0, 0, 0]);
        set.map(drop)
    }
}

/// Another network namespace with small tables of sockets: whoever lists sockets walks the whole table, and by default
/// that is the machine's, of some 100,000 entries (`tcp_child_ehash_entries` and `udp_child_hash_entries` of the kernel's
/// networking/ip-sysctl.rst, since Linux 6.1). A kernel that knows no such sizes, or does not let us, changes nothing.
pub(super) fn small_tables() -> Sys {
    let sizes: [(&CStr, &[u8]); 2] = [
        (c"/proc/sys/net/ipv4/tcp_child_ehash_entries", b"64"),
        (c"/proc/sys/net/ipv4/udp_child_hash_entries", b"128"),
    ];
    for (path, size) in sizes {
        if write(path, size).is_err() {
            return Ok(());
        }
    }
    // SAFETY: takes no pointers.
    unsafe { call(libc::SYS_unshare, [libc::CLONE_NEWNET as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// Writes to a file that is there, at once.
fn write(path: &CStr, content: &[u8]) -> Sys {
    let flags = (libc::O_WRONLY | libc::O_CLOEXEC) as usize;
    // SAFETY: a NUL-terminated path; `content` is readable over its length; the descriptor is ours to close.
    unsafe {
        let fd = call(libc::SYS_open, [at(path), flags, 0, 0, 0, 0])?;
        let written = call(libc::SYS_write, [fd, content.as_ptr() as usize, content.len(), 0, 0, 0]);
        let _ = call(libc::SYS_close, [fd, 0, 0, 0, 0, 0]);
        written.map(drop)
    }
}

/// `seccomp(2)`: installs a filter; with `SECCOMP_FILTER_FLAG_NEW_LISTENER` gives the listener.
pub(super) fn install_filter(program: &[libc::sock_filter], flags: u64) -> Sys<RawFd> {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    let args = [libc::SECCOMP_SET_MODE_FILTER as usize, flags as usize, &raw const program as usize, 0, 0, 0];
    // SAFETY: a struct sock_fprog whose program the kernel only reads.
    unsafe { call(libc::SYS_seccomp, args) }.map(|fd| fd as RawFd)
}

/// What the child tells the parent: two numbers and perhaps a descriptor. One `sendmsg(2)`, nothing else.
pub(super) fn send_report(socket: RawFd, report: [i32; 2], fd: Option<RawFd>) -> Sys {
    // A control message by hand: cmsg_len, cmsg_level and cmsg_type, one descriptor, padding.
    let control =
        [20u64, (libc::SCM_RIGHTS as u64) << 32 | libc::SOL_SOCKET as u64, fd.unwrap_or(-1) as u32 as u64];
    let piece = libc::iovec { iov_base: report.as_ptr().cast_mut().cast(), iov_len: size_of_val(&report) };
    // SAFETY: all zeros is a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = (&raw const piece).cast_mut();
    message.msg_iovlen = 1;
    if fd.is_some() {
        message.msg_control = control.as_ptr().cast_mut().cast();
        message.msg_controllen = size_of_val(&control);
    }
    let args = [socket as usize, &raw const message as usize, libc::MSG_NOSIGNAL as usize, 0, 0, 0];
    // SAFETY: a msghdr whose pointers are to locals that outlive the call.
    unsafe { call(libc::SYS_sendmsg, args) }.map(drop)
}

/// Takes one byte; `false` at the end of the file. With `peek` neither waits nor takes, and `true` also means
/// "nothing there, but still open".
pub(super) fn receive_byte(socket: RawFd, peek: bool) -> Sys<bool> {
    let mut byte = 0u8;
    let flags = if peek { libc::MSG_DONTWAIT | libc::MSG_PEEK } else { 0 } as usize;
    let args = [socket as usize, &raw mut byte as usize, 1, flags, 0, 0];
    // SAFETY: one byte to write to.
    match unsafe { call(libc::SYS_recvfrom, args) } {
        Ok(n) => Ok(n == 1),
        Err(Errno::EAGAIN) if peek => Ok(true),
        Err(e) => Err(e),
    }
}

/// `pidfd_send_signal(2)` with SIGKILL.
pub(super) fn kill_by(pidfd: BorrowedFd<'_>) -> Sys {
    let args = [pidfd.as_raw_fd() as usize, libc::SIGKILL as usize, 0, 0, 0, 0];
    // SAFETY: a null siginfo.
    unsafe { call(libc::SYS_pidfd_send_signal, args) }.map(drop)
}
