//! The world a program finds: descriptors, limits, directory, terminal; and the report of it.

use crate::signals;
use crate::outer;
use crate::point;
use crate::sys::*;
use crate::vdso::Vdso;
use crate::wire::*;

/// Reads the initial stack (argument count, arguments, environment, auxiliary vector): whether `--filter` was
/// asked for (which comes first), and the vdso.
///
/// # Safety
/// `stack` is the initial stack pointer (System V ABI, "Process Initialization").
pub unsafe fn initial_stack(stack: *const u64) -> (bool, Vdso) {
    // SAFETY: the caller's promise; both vectors end in zero words.
    unsafe {
        let argc = *stack as usize;
        let argv = stack.add(1) as *const *const u8;
        let filter =
            argc > 1 && b"--filter\0".iter().enumerate().all(|(i, b)| *(*argv.add(1)).add(i) == *b);
        point::arguments(argc, argv);
        let mut at = stack.add(argc + 2);
        while *at != 0 {
            at = at.add(1);
        }
        at = at.add(1);
        let mut vdso = Vdso::NONE;
        const AT_SYSINFO_EHDR: u64 = 33;
        while *at != 0 {
            if *at == AT_SYSINFO_EHDR && *at.add(1) != 0 {
                vdso = Vdso::at(*at.add(1));
            }
            at = at.add(2);
        }
        (filter, vdso)
    }
}

/// Limits every program starts with, by RLIMIT number; those not named stay as they are.
const LIMITS: [(u64, u64); 5] = [(1, 16 << 20), (3, 8 << 20), (4, 0), (7, 256), (8, 64 << 10)];

/// Takes the agent's pipes away from 0 and 1, closes everything else, and sets what children inherit.
pub fn settle_in() {
    if !outer::adopt() {
        syscall(nr::DUP3, [0, FD_IN as u64, O_CLOEXEC, 0, 0, 0]);
        syscall(nr::DUP3, [1, FD_OUT as u64, O_CLOEXEC, 0, 0, 0]);
    }
    open_null();
    for fd in 3..FD_IN as i64 {
        close(fd);
    }
    for (limit, value) in LIMITS {
        let pair = [value, value];
        syscall(nr::PRLIMIT64, [0, limit, pair.as_ptr() as u64, 0, 0, 0]);
    }
    syscall(nr::UMASK, [0o22, 0, 0, 0, 0, 0]);
    let none = 0u64;
    syscall(nr::RT_SIGPROCMASK, [2, &none as *const u64 as u64, 0, 8, 0, 0]);
    syscall(nr::MKDIRAT, [AT_FDCWD, b"/w\0".as_ptr() as u64, 0o777, 0, 0, 0]);
    syscall(nr::CHDIR, [b"/w\0".as_ptr() as u64, 0, 0, 0, 0, 0]);
    // A layer may run us under a name of its own, and the timer slack is whoever's that started us.
    const SET_NAME: u64 = 15;
    const SET_TIMERSLACK: u64 = 29;
    syscall(nr::PRCTL, [SET_NAME, b"agent\0".as_ptr() as u64, 0, 0, 0, 0]);
    syscall(nr::PRCTL, [SET_TIMERSLACK, 50_000, 0, 0, 0, 0]);
    signals::install_alarm();
    outer::claim();
}

/// Makes descriptors 0 to 2 an open `/dev/null` of their own.
pub fn open_null() {
    let null = open(b"/dev/null\0", O_RDWR);
    for fd in 0..3 {
        if null >= 0 && null != fd {
            syscall(nr::DUP2, [null as u64, fd as u64, 0, 0, 0, 0]);
        }
    }
    if null > 2 {
        close(null);
    }
}

/// Bounds the programs where the layer around us is not bounded: no namespaces, mounts, tracing and the like. Ourselves,
/// too, unless we keep our rights.
pub fn install_filter() -> bool {
    crate::deny::read();
    point::keeps() || crate::deny::install()
}

/// Reports the world as it is.
pub fn hello(vdso: &Vdso, filtered: bool) {
    let mut message = [0u8; 8 + hello::WORDS * 8 + UTSNAME];
    let mut words = [0u64; hello::WORDS];
    words[hello::VERSION] = VERSION;
    for (word, number) in [
        (hello::PID, nr::GETPID),
        (hello::PPID, nr::GETPPID),
        (hello::UID, nr::GETUID),
        (hello::EUID, nr::GETEUID),
        (hello::GID, nr::GETGID),
        (hello::EGID, nr::GETEGID),
    ] {
        words[word] = syscall(number, [0; 6]) as u64;
    }
    words[hello::UMASK] = syscall(nr::UMASK, [0o22, 0, 0, 0, 0, 0]) as u64;
    words[hello::PAGE_SIZE] = 4096;
    for (k, function) in vdso.functions.iter().enumerate() {
        words[hello::VDSO] |= ((*function != 0) as u64) << k;
    }
    let mut statfs = [0u64; 32];
    syscall(nr::STATFS, [b".\0".as_ptr() as u64, statfs.as_mut_ptr() as u64, 0, 0, 0, 0]);
    words[hello::CWD_FS] = statfs[0];
    let capability_header = [0x2008_0522u32, 0];
    let mut capabilities = [0u32; 6];
    syscall(nr::CAPGET, [capability_header.as_ptr() as u64, capabilities.as_mut_ptr() as u64, 0, 0, 0, 0]);
    words[hello::CAPS] = capabilities[0] as u64 | (capabilities[3] as u64) << 32;
    let mut mask = 0u64;
    syscall(nr::RT_SIGPROCMASK, [0, 0, &mut mask as *mut u64 as u64, 8, 0, 0]);
    words[hello::SIGMASK] = mask;
    words[hello::PTY] = probe_pty() as u64;
    words[hello::WORLD] = exists(b"/proc/self/fd\0") | exists(b"/dev/null\0") << 1 | (filtered as u64) << 2;
    if outer::present() {
        words[hello::WORLD] |= hello::OUTER;
    }
    words[hello::PERSONALITY] = syscall(nr::PERSONALITY, [0xffff_ffff, 0, 0, 0, 0, 0]) as u64;
    for limit in 0..16 {
        let mut pair = [0u64; 2];
        syscall(nr::PRLIMIT64, [0, limit, 0, pair.as_mut_ptr() as u64, 0, 0]);
        words[hello::RLIMITS + limit as usize] = pair[0];
        words[hello::RLIMITS + 16 + limit as usize] = pair[1];
    }
    let len = message.len();
    message[..4].copy_from_slice(&(len as u32 - 4).to_le_bytes());
    message[4..8].copy_from_slice(&MAGIC_HELLO.to_le_bytes());
    for (k, word) in words.iter().enumerate() {
        message[8 + k * 8..][..8].copy_from_slice(&word.to_le_bytes());
    }
    let names = &mut message[8 + hello::WORDS * 8..];
    syscall(nr::UNAME, [names.as_mut_ptr() as u64, 0, 0, 0, 0, 0]);
    if !write_all(FD_OUT, message.as_ptr(), len) {
        exit_group(78);
    }
}

fn exists(path: &[u8]) -> u64 {
    (syscall(nr::FACCESSAT, [AT_FDCWD, path.as_ptr() as u64, 0, 0, 0, 0]) == 0) as u64
}

fn probe_pty() -> i64 {
    let master = open(b"/dev/ptmx\0", O_RDWR | O_NOCTTY);
    let slave = if master < 0 { master } else { open_slave(master) };
    if slave >= 0 {
        close(slave);
    }
    if master >= 0 {
        close(master);
    }
    slave.min(0)
}

const TIOCSPTLCK: u64 = 0x4004_5431;
const TIOCGPTN: u64 = 0x8004_5430;
const TIOCSCTTY: u64 = 0x540e;
const TIOCSWINSZ: u64 = 0x5414;

fn open_slave(master: i64) -> i64 {
    let unlock = 0u32;
    ioctl(master, TIOCSPTLCK, &unlock as *const u32 as u64);
    let mut number = 0u32;
    let r = ioctl(master, TIOCGPTN, &mut number as *mut u32 as u64);
    if r < 0 {
        return r;
    }
    let mut path = *b"/dev/pts/\0\0\0\0\0\0\0\0\0\0\0";
    let mut digits = [0u8; 10];
    let mut n = 0;
    loop {
        digits[n] = b'0' + (number % 10) as u8;
        n += 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    for k in 0..n {
        path[9 + k] = digits[n - 1 - k];
    }
    open(&path, O_RDWR | O_NOCTTY)
}

/// Gives a session leader a new terminal of 24 rows and 80 columns: descriptors 0 to 2 are it, 3 is its master.
/// Returns the step that failed and its negative errno, or 0.
pub fn open_terminal() -> (u64, i64) {
    let master = open(b"/dev/ptmx\0", O_RDWR | O_NOCTTY);
    if master < 0 {
        return (2, master);
    }
    let slave = open_slave(master);
    if slave < 0 {
        return (3, slave);
    }
    let r = ioctl(slave, TIOCSCTTY, 0);
    if r < 0 {
        return (4, r);
    }
    let size = [24u16, 80, 0, 0];
    ioctl(slave, TIOCSWINSZ, size.as_ptr() as u64);
    for fd in 0..3u64 {
        syscall(nr::DUP2, [slave as u64, fd, 0, 0, 0, 0]);
    }
    if master != FD_PTM as i64 {
        syscall(nr::DUP2, [master as u64, FD_PTM, 0, 0, 0, 0]);
        close(master);
    }
    if slave > FD_PTM as i64 {
        close(slave);
    }
    (0, 0)
}

/// Waits until kernel workers have carried everything across the program's terminals: `poll` on a terminal
/// flushes what was written at its other side, unless something can be read there already (n_tty_poll calls
/// tty_buffer_flush_work). Each is polled twice over, since an echo comes back. Where something can be read the
/// worker is given a moment instead: what it still does (a signal, an echo) is then done with near certainty, and
/// confirmation sorts the rest out. So it is with a terminal whose other side is `far`, not among the descriptors.
pub fn settle(vdso: &Vdso, far: bool) {
    let begin = vdso.now(MONOTONIC);
    const COUNT: usize = 12;
    let mut fds = [0u64; 2 * COUNT];
    for (k, fd) in fds.iter_mut().enumerate() {
        // struct pollfd: fd, events (POLLIN)
        *fd = (k % COUNT) as u64 | 1 << 32;
    }
    let ready = syscall(nr::POLL, [fds.as_mut_ptr() as u64, 2 * COUNT as u64, 0, 0, 0, 0]);
    const POLLIN: u64 = 1 << 48;
    if far {
        sleep_since(begin, 100_000, vdso);
    } else if ready > 0 && fds[..COUNT].iter().any(|fd| fd & POLLIN != 0) {
        sleep_since(begin, 20_000, vdso);
    }
}

const MONOTONIC: u64 = 1;

/// Sleeps until so many nanoseconds have passed since `begin`, which on a slow layer they have already (there a sleep
/// of microseconds takes milliseconds).
fn sleep_since(begin: i64, moment: i64, vdso: &Vdso) {
    if vdso.now(MONOTONIC) - begin < moment {
        sleep(moment as u64);
    }
}

/// Before the probes: waits until no queue changes any more. `poll` does not flush a terminal that can be read
/// already, nor the other side of a master that nobody has open; so the queues' lengths are watched until two
/// looks in a row find the same.
pub fn settle_for_good(vdso: &Vdso) {
    const ROUNDS: usize = 40;
    let mut ask = ALL_PROBED;
    let mut before = None;
    for _ in 0..ROUNDS {
        let begin = vdso.now(MONOTONIC);
        settle(vdso, false);
        let now = Some(queued(&mut ask));
        // Nothing that has a queue: nothing to wait for.
        if now == before || ask == 0 {
            return;
        }
        before = now;
        sleep_since(begin, 60_000, vdso);
    }
}

/// The first descriptors, a bit each.
const ALL_PROBED: u32 = (1 << 12) - 1;

/// The lengths of what can be read from the descriptors in `ask`, mixed into one number; those that have no such
/// length are taken out of it.
fn queued(ask: &mut u32) -> u64 {
    const FIONREAD: u64 = 0x541b;
    let mut all = 0u64;
    for fd in 0..ALL_PROBED.count_ones() {
        if *ask >> fd & 1 == 0 {
            continue;
        }
        let mut length = 0u32;
        if ioctl(fd as i64, FIONREAD, &mut length as *mut u32 as u64) < 0 {
            *ask &= !(1 << fd);
        }
        all = all.wrapping_mul(0x1_0000_01b3).wrapping_add(length as u64 + 1);
    }
    all
}

/// Removes whatever a program left in the working directory.
pub fn empty_working_directory() {
    // First of all: a program may have taken away the right to look into it.
    syscall(nr::FCHMODAT, [AT_FDCWD, b"/w\0".as_ptr() as u64, 0o777, 0, 0, 0]);
    remove_attributes(b"/w\0");
    let dir = open(b"/w\0", O_DIRECTORY);
    if dir >= 0 {
        empty(dir, 0);
        close(dir);
    }
}

/// Removes the extended attributes of a path, which ends in NUL.
fn remove_attributes(path: &[u8]) {
    let at = path.as_ptr() as u64;
    let mut names = [0u8; 1024];
    let n = syscall(nr::LLISTXATTR, [at, names.as_mut_ptr() as u64, 1024, 0, 0, 0]);
    let mut name = 0usize;
    for k in 0..n.clamp(0, 1024) as usize {
        if names[k] == 0 {
            syscall(nr::LREMOVEXATTR, [at, names.as_ptr() as u64 + name as u64, 0, 0, 0, 0]);
            name = k + 1;
        }
    }
}

const AT_REMOVEDIR: u64 = 0x200;
/// Deeper trees than programs can make in one go.
const MAX_DEPTH: u32 = 24;
/// Bytes of the longest directory entry: header, 255 bytes of name, NUL, padding.
const LONGEST_ENTRY: usize = 280;

fn empty(dir: i64, depth: u32) {
    let mut entries = [0u8; 1024];
    // Removing while listing may skip entries, so list again until nothing is left (or nothing gives way).
    for _ in 0..32 {
        let n = syscall(nr::GETDENTS64, [dir as u64, entries.as_mut_ptr() as u64, 1024, 0, 0, 0]);
        if n <= 0 {
            return;
        }
        let mut at = 0usize;
        let mut removed = false;
        let mut left = false;
        while at + 19 <= n as usize {
            let len = u16::from_le_bytes([entries[at + 16], entries[at + 17]]) as usize;
            if len < 19 || at + len > n as usize {
                return;
            }
            let name = &entries[at + 19..at + len];
            at += len;
            if name.starts_with(b".\0") || name.starts_with(b"..\0") {
                continue;
            }
            let gone = remove(dir, name, depth);
            removed |= gone;
            left |= !gone;
        }
        // Where all that there was room for gave way, nothing was skipped: the end comes next.
        let all = !left && n as usize + LONGEST_ENTRY < entries.len();
        if removed && !all {
            // rewind
            syscall(nr::LSEEK, [dir as u64, 0, 0, 0, 0, 0]);
        }
    }
}

fn remove(dir: i64, name: &[u8], depth: u32) -> bool {
    let at = name.as_ptr() as u64;
    if syscall(nr::UNLINKAT, [dir as u64, at, 0, 0, 0, 0]) == 0 {
        return true;
    }
    if syscall(nr::UNLINKAT, [dir as u64, at, AT_REMOVEDIR, 0, 0, 0]) == 0 {
        return true;
    }
    if depth >= MAX_DEPTH {
        return false;
    }
    syscall(nr::FCHMODAT, [dir as u64, at, 0o700, 0, 0, 0]);
    let sub = syscall(nr::OPENAT, [dir as u64, at, O_DIRECTORY | O_NOFOLLOW, 0, 0, 0]);
    if sub >= 0 {
        empty(sub, depth + 1);
        close(sub);
    }
    syscall(nr::UNLINKAT, [dir as u64, at, AT_REMOVEDIR, 0, 0, 0]) == 0
}

/// Removes every System V object and the message queue that programs may have left: they outlive whoever made them. The
/// agent is alone in its ipc namespace.
pub fn remove_ipc() {
    /// The keys that programs have (`KEY1`, `KEY2`).
    const KEYS: [u64; 2] = [1, 2];
    const IPC_RMID: u64 = 0;
    // Per mechanism: *_INFO gives the highest index in use, *_STAT_ANY (or, before 4.17, *_STAT) an index's id.
    // shmctl(2) and msgctl(2) take the buffer third, semctl(2) fourth.
    let mechanisms = [
        (nr::SHMGET, nr::SHMCTL, 14, [15, 13]),
        (nr::MSGGET, nr::MSGCTL, 12, [13, 11]),
        (nr::SEMGET, nr::SEMCTL, 19, [20, 18]),
    ];
    for (get, call, info, stats) in mechanisms {
        let mut buffer = [0u64; 16];
        let to = buffer.as_mut_ptr() as u64;
        let ask = |index: u64, command: u64| {
            let semaphores = call == nr::SEMCTL;
            let (third, fourth) = if semaphores { (command, to) } else { (to, 0) };
            let second = if semaphores { 0 } else { command };
            syscall(call, [index, second, third, fourth, 0, 0])
        };
        // By key first: a layer may know no indices.
        for key in KEYS {
            let id = syscall(get, [key, 0, 0, 0, 0, 0]);
            if id >= 0 {
                ask(id as u64, IPC_RMID);
            }
        }
        let highest = ask(0, info);
        for index in 0..=highest.clamp(-1, 4096) {
            for stat in stats {
                let id = ask(index as u64, stat);
                if id >= 0 {
                    ask(id as u64, IPC_RMID);
                    break;
                }
            }
        }
    }
    syscall(nr::MQ_UNLINK, [QUEUE_NAME.as_ptr() as u64, 0, 0, 0, 0, 0]);
}
