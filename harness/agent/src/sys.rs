//! System calls by number, and the few that the agent itself uses.

use crate::arch;
use crate::wire::FD_IN;

/// x86-64 system call numbers of the agent's own calls.
pub mod nr {
    pub const READ: u64 = 0;
    pub const WRITE: u64 = 1;
    pub const CLOSE: u64 = 3;
    pub const POLL: u64 = 7;
    pub const LSEEK: u64 = 8;
    pub const MMAP: u64 = 9;
    pub const MUNMAP: u64 = 11;
    pub const MINCORE: u64 = 27;
    pub const RT_SIGACTION: u64 = 13;
    pub const RT_SIGPROCMASK: u64 = 14;
    pub const IOCTL: u64 = 16;
    pub const SHMCTL: u64 = 31;
    pub const DUP2: u64 = 33;
    pub const NANOSLEEP: u64 = 35;
    pub const SETITIMER: u64 = 38;
    pub const GETPID: u64 = 39;
    pub const EXIT: u64 = 60;
    pub const WAIT4: u64 = 61;
    pub const KILL: u64 = 62;
    pub const UNAME: u64 = 63;
    pub const FCNTL: u64 = 72;
    pub const FTRUNCATE: u64 = 77;
    pub const EXECVE: u64 = 59;
    pub const CAPSET: u64 = 126;
    pub const CLOSE_RANGE: u64 = 436;
    pub const FLOCK: u64 = 73;
    pub const SEMCTL: u64 = 66;
    pub const MSGCTL: u64 = 71;
    pub const CHDIR: u64 = 80;
    pub const FCHMODAT: u64 = 268;
    pub const UMASK: u64 = 95;
    pub const GETUID: u64 = 102;
    pub const GETGID: u64 = 104;
    pub const GETEUID: u64 = 107;
    pub const GETEGID: u64 = 108;
    pub const SETPGID: u64 = 109;
    pub const SETSID: u64 = 112;
    pub const GETPGID: u64 = 121;
    pub const GETPPID: u64 = 110;
    pub const CAPGET: u64 = 125;
    pub const PERSONALITY: u64 = 135;
    pub const STATFS: u64 = 137;
    pub const PRCTL: u64 = 157;
    pub const GETTID: u64 = 186;
    pub const LLISTXATTR: u64 = 195;
    pub const LREMOVEXATTR: u64 = 198;
    pub const SHMGET: u64 = 29;
    pub const SEMGET: u64 = 64;
    pub const MSGGET: u64 = 68;
    pub const TKILL: u64 = 200;
    pub const FUTEX: u64 = 202;
    pub const RT_SIGQUEUEINFO: u64 = 129;
    pub const RT_TGSIGQUEUEINFO: u64 = 297;
    pub const PIDFD_SEND_SIGNAL: u64 = 424;
    pub const RT_SIGPENDING: u64 = 127;
    pub const RT_SIGTIMEDWAIT: u64 = 128;
    pub const EVENTFD2: u64 = 290;
    pub const GETDENTS64: u64 = 217;
    pub const TGKILL: u64 = 234;
    pub const WAITID: u64 = 247;
    pub const CLOCK_GETTIME: u64 = 228;
    pub const EXIT_GROUP: u64 = 231;
    pub const MQ_UNLINK: u64 = 241;
    pub const OPENAT: u64 = 257;
    pub const MKDIRAT: u64 = 258;
    pub const NEWFSTATAT: u64 = 262;
    pub const READLINKAT: u64 = 267;
    pub const PIPE2: u64 = 293;
    pub const UNLINKAT: u64 = 263;
    pub const FACCESSAT: u64 = 269;
    pub const DUP3: u64 = 292;
    pub const PRLIMIT64: u64 = 302;
    pub const SECCOMP: u64 = 317;
}

/// A raw system call; the return register as it is.
pub fn syscall(nr: u64, args: [u64; 6]) -> i64 {
    arch::syscall6(nr, args)
}

/// `open` relative to the working directory; `path` ends in NUL.
pub fn open(path: &[u8], flags: u64) -> i64 {
    syscall(nr::OPENAT, [AT_FDCWD, path.as_ptr() as u64, flags, 0, 0, 0])
}
pub const AT_FDCWD: u64 = -100i64 as u64;
pub const O_RDWR: u64 = 2;
pub const O_NOCTTY: u64 = 0o400;
pub const O_DIRECTORY: u64 = 0o200000;
pub const O_NOFOLLOW: u64 = 0o400000;
pub const O_CLOEXEC: u64 = 0o2000000;

pub fn close(fd: i64) {
    syscall(nr::CLOSE, [fd as u64, 0, 0, 0, 0, 0]);
}
pub fn ioctl(fd: i64, command: u64, arg: u64) -> i64 {
    syscall(nr::IOCTL, [fd as u64, command, arg, 0, 0, 0])
}

pub fn fcntl(fd: i32, command: u64, arg: u64) -> i64 {
    syscall(nr::FCNTL, [fd as u64, command, arg, 0, 0, 0])
}
pub const F_SETOWN: u64 = 8;

/// Sleeps for less than a second, or until a signal comes.
pub fn sleep(ns: u64) {
    let time = [0, ns.min(999_999_999)];
    syscall(nr::NANOSLEEP, [time.as_ptr() as u64, 0, 0, 0, 0, 0]);
}

/// How `mask` changes the set of blocked signals (sigprocmask(2)).
pub const SIG_BLOCK: u64 = 0;
pub const SIG_UNBLOCK: u64 = 1;
pub const SIG_SETMASK: u64 = 2;

/// Changes the set of blocked signals; gives the one before.
pub fn mask(how: u64, set: u64) -> u64 {
    let mut old = 0u64;
    let (set, old_at) = (&set as *const u64 as u64, &mut old as *mut u64 as u64);
    syscall(nr::RT_SIGPROCMASK, [how, set, old_at, 8, 0, 0]);
    old
}

/// Ends the process.
pub fn exit_group(code: u64) -> ! {
    loop {
        syscall(nr::EXIT_GROUP, [code, 0, 0, 0, 0, 0]);
    }
}

/// Maps zeroed memory at exactly that address.
pub fn mmap_fixed(at: u64, len: u64, shared: bool) -> bool {
    const RW: u64 = 3;
    const FIXED_ANONYMOUS: u64 = 0x10 | 0x20;
    let kind = if shared { 1 } else { 2 };
    syscall(nr::MMAP, [at, len, RW, FIXED_ANONYMOUS | kind, u64::MAX, 0]) == at as i64
}

/// Reads exactly that many bytes; false at the end of input or an error.
pub fn read_exact(fd: i32, mut to: *mut u8, mut len: usize) -> bool {
    while len > 0 {
        let n = syscall(nr::READ, [fd as u64, to as u64, len as u64, 0, 0, 0]);
        if n == -4 {
            continue;
        }
        if n <= 0 {
            return false;
        }
        to = to.wrapping_add(n as usize);
        len -= n as usize;
    }
    true
}

/// Writes all of it; false on an error.
pub fn write_all(fd: i32, mut from: *const u8, mut len: usize) -> bool {
    debug_assert!(fd != FD_IN);
    while len > 0 {
        let n = syscall(nr::WRITE, [fd as u64, from as u64, len as u64, 0, 0, 0]);
        if n == -4 {
            continue;
        }
        if n <= 0 {
            return false;
        }
        from = from.wrapping_add(n as usize);
        len -= n as usize;
    }
    true
}
