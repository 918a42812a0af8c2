//! Named constants for the tables and the text form. Values are x86-64's (include/uapi/asm-generic/*.h).

use crate::desc::FlagSet;

macro_rules! flags {
    ($($(#[$doc:meta])* $set:ident { $($name:ident = $value:expr),* $(,)? })*) => {
        $($(#[$doc])* pub static $set: FlagSet = FlagSet { names: &[$((stringify!($name), $value as u64)),*], free: 0 };)*
    };
}

/// What F_GETFL can show. `O_LARGEFILE` is free: it is 0 in a 64-bit program's headers, so it can neither ask for it
/// nor name it, and whether the kernel sets the bit itself depends on how the descriptor came to be.
pub static O_STATUS: FlagSet = FlagSet {
    names: &[
        ("O_SYNC", 0o4010000),
        ("O_RDWR", 2),
        ("O_WRONLY", 1),
        ("O_RDONLY", 0),
        ("O_APPEND", 0o2000),
        ("O_NONBLOCK", 0o4000),
        ("O_DSYNC", 0o10000),
        ("O_ASYNC", 0o20000),
        ("O_DIRECT", 0o40000),
        ("O_LARGEFILE", 0o100000),
        ("O_DIRECTORY", 0o200000),
        ("O_NOFOLLOW", 0o400000),
        ("O_NOATIME", 0o1000000),
        ("O_PATH", 0o10000000),
    ],
    free: 0o100000,
};

flags! {
    /// Flags for opening a terminal.
    O_TTY { O_RDWR = 2, O_WRONLY = 1, O_RDONLY = 0, O_NOCTTY = 0o400, O_NONBLOCK = 0o4000, O_CLOEXEC = 0o2000000, O_APPEND = 0o2000 }
    /// termios c_iflag.
    TERMIOS_I { IGNBRK = 1, BRKINT = 2, IGNPAR = 4, PARMRK = 0o10, INPCK = 0o20, ISTRIP = 0o40, INLCR = 0o100, IGNCR = 0o200,
        ICRNL = 0o400, IUCLC = 0o1000, IXON = 0o2000, IXANY = 0o4000, IXOFF = 0o10000, IMAXBEL = 0o20000, IUTF8 = 0o40000 }
    /// termios c_oflag.
    TERMIOS_O { OPOST = 1, OLCUC = 2, ONLCR = 4, OCRNL = 0o10, ONOCR = 0o20, ONLRET = 0o40, XTABS = 0o14000 }
    /// termios c_cflag.
    TERMIOS_C { B38400 = 0o17, B9600 = 0o15, CS8 = 0o60, CS7 = 0o40, CSTOPB = 0o100, CREAD = 0o200, PARENB = 0o400, HUPCL = 0o2000, CLOCAL = 0o4000 }
    /// termios c_lflag.
    TERMIOS_L { ISIG = 1, ICANON = 2, XCASE = 4, ECHO = 0o10, ECHOE = 0o20, ECHOK = 0o40, ECHONL = 0o100, NOFLSH = 0o200,
        TOSTOP = 0o400, ECHOCTL = 0o1000, ECHOPRT = 0o2000, ECHOKE = 0o4000, IEXTEN = 0o100000, EXTPROC = 0o200000 }
    /// tcflow(3).
    TCFLOW { TCOOFF = 0, TCOON = 1, TCIOFF = 2, TCION = 3 }
    /// tcflush(3).
    TCFLUSH { TCIFLUSH = 0, TCOFLUSH = 1, TCIOFLUSH = 2 }
    /// open(2), without what only some file systems have (O_DIRECT, O_TMPFILE).
    O_OPEN { O_SYNC = 0o4010000, O_RDWR = 2, O_WRONLY = 1, O_RDONLY = 0, O_CREAT = 0o100, O_EXCL = 0o200, O_TRUNC = 0o1000,
        O_APPEND = 0o2000, O_NONBLOCK = 0o4000, O_DSYNC = 0o10000, O_DIRECTORY = 0o200000, O_NOFOLLOW = 0o400000,
        O_NOATIME = 0o1000000, O_CLOEXEC = 0o2000000, O_PATH = 0o10000000 }
    /// Flags for opening a text of the kernel's.
    O_TEXT { O_RDONLY = 0, O_CLOEXEC = 0o2000000, O_NONBLOCK = 0o4000 }
    /// Flags for opening what may be a named pipe.
    O_FIFO { O_RDWR = 2, O_WRONLY = 1, O_RDONLY = 0, O_NONBLOCK = 0o4000, O_CLOEXEC = 0o2000000 }
    /// openat2(2).
    RESOLVE { RESOLVE_NO_XDEV = 1, RESOLVE_NO_MAGICLINKS = 2, RESOLVE_NO_SYMLINKS = 4, RESOLVE_BENEATH = 8,
        RESOLVE_IN_ROOT = 0x10 }
    /// sync_file_range(2).
    SYNC_RANGE { SYNC_FILE_RANGE_WAIT_BEFORE = 1, SYNC_FILE_RANGE_WRITE = 2, SYNC_FILE_RANGE_WAIT_AFTER = 4 }
    /// setxattr(2).
    XATTR { XATTR_CREATE = 1, XATTR_REPLACE = 2 }
    /// `S_IFMT` and rights of mknodat(2), without devices, which need a privilege.
    NODE_MODE { S_IFREG = 0o100644, S_IFSOCK = 0o140644, NONE = 0o644, S_IFDIR = 0o40755 }
    /// Flags for opening a directory.
    O_DIR { O_DIRECTORY = 0o200000, O_RDONLY = 0, O_NONBLOCK = 0o4000, O_NOFOLLOW = 0o400000, O_CLOEXEC = 0o2000000 }
    /// What F_SETFL changes, and some of what it must ignore. O_NOATIME is the owner's only (open(2)), and who owns an
    /// eventfd or a host's device depends on the user namespace.
    O_SETFL { O_APPEND = 0o2000, O_NONBLOCK = 0o4000, O_ASYNC = 0o20000, O_RDWR = 2, O_WRONLY = 1, O_RDONLY = 0,
        O_CREAT = 0o100, O_TRUNC = 0o1000, O_DSYNC = 0o10000 }
    /// What F_SETFL changes on a terminal.
    O_SETFL_TTY { O_NONBLOCK = 0o4000, O_APPEND = 0o2000, O_RDWR = 2, O_RDONLY = 0 }
    /// pipe2(2).
    O_PIPE { O_NONBLOCK = 0o4000, O_CLOEXEC = 0o2000000, O_DIRECT = 0o40000 }
    /// dup3(2).
    O_DUP { O_CLOEXEC = 0o2000000 }
    /// F_GETFD and F_SETFD.
    FD_FLAGS { FD_CLOEXEC = 1 }
    /// `l_type` of a record lock.
    LOCK_TYPE { F_RDLCK = 0, F_WRLCK = 1, F_UNLCK = 2 }
    /// flock(2).
    LOCK_OP { LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4, LOCK_UN = 8 }
    /// Seals (fcntl(2)).
    SEALS { F_SEAL_SEAL = 1, F_SEAL_SHRINK = 2, F_SEAL_GROW = 4, F_SEAL_WRITE = 8 }
    /// lseek(2) and `l_whence`.
    SEEK { SEEK_SET = 0, SEEK_CUR = 1, SEEK_END = 2 }
    /// Flags of newfstatat(2) and statx(2).
    AT_STAT { AT_SYMLINK_NOFOLLOW = 0x100, AT_NO_AUTOMOUNT = 0x800, AT_EMPTY_PATH = 0x1000 }
    /// Flags of faccessat2(2).
    AT_ACCESS { AT_SYMLINK_NOFOLLOW = 0x100, AT_EACCESS = 0x200, AT_EMPTY_PATH = 0x1000 }
    /// Flags of the calls that only choose whether to follow a link.
    AT_LINK { AT_SYMLINK_NOFOLLOW = 0x100 }
    /// linkat(2).
    AT_FOLLOW { AT_SYMLINK_FOLLOW = 0x400 }
    /// unlinkat(2).
    AT_REMOVE { AT_REMOVEDIR = 0x200 }
    /// access(2).
    ACCESS { R_OK = 4, W_OK = 2, X_OK = 1, F_OK = 0 }
    /// statx(2).
    STATX { STATX_BASIC_STATS = 0x7ff, STATX_TYPE = 1, STATX_MODE = 2, STATX_NLINK = 4, STATX_UID = 8, STATX_GID = 0x10,
        STATX_ATIME = 0x20, STATX_MTIME = 0x40, STATX_CTIME = 0x80, STATX_INO = 0x100, STATX_SIZE = 0x200,
        STATX_BLOCKS = 0x400, STATX_BTIME = 0x800 }
    /// fallocate(2), without the modes that only some file systems have.
    FALLOC { FALLOC_FL_KEEP_SIZE = 1, FALLOC_FL_PUNCH_HOLE = 2 }
    /// posix_fadvise(2).
    FADVISE { POSIX_FADV_NORMAL = 0, POSIX_FADV_RANDOM = 1, POSIX_FADV_SEQUENTIAL = 2, POSIX_FADV_WILLNEED = 3,
        POSIX_FADV_DONTNEED = 4, POSIX_FADV_NOREUSE = 5 }
    /// Owners 0 and -1: the only ones that need no further user ids in the jail.
    OWNER { ROOT = 0, UNCHANGED = 0xffff_ffffu32 }
    /// renameat2(2); RENAME_WHITEOUT makes a device, which needs a privilege.
    RENAME { RENAME_NOREPLACE = 1, RENAME_EXCHANGE = 2 }
    /// preadv2(2) and pwritev2(2); RWF_NOWAIT's success depends on the file system.
    RWF { RWF_HIPRI = 1, RWF_DSYNC = 2, RWF_SYNC = 4 }
    /// shutdown(2).
    SHUT { SHUT_RD = 0, SHUT_WR = 1, SHUT_RDWR = 2 }
    /// send(2).
    MSG_SEND { MSG_DONTWAIT = 0x40, MSG_EOR = 0x80, MSG_NOSIGNAL = 0x4000, MSG_MORE = 0x8000 }
    /// recv(2).
    MSG_RECV { MSG_PEEK = 2, MSG_TRUNC = 0x20, MSG_DONTWAIT = 0x40, MSG_WAITALL = 0x100 }
    /// Socket options with an exact int.
    SO_GET { SO_TYPE = 3, SO_ERROR = 4, SO_BROADCAST = 6, SO_KEEPALIVE = 9, SO_PASSCRED = 16, SO_ACCEPTCONN = 30,
        SO_PROTOCOL = 38, SO_DOMAIN = 39 }
    /// Socket options whose int the kernel chooses.
    SO_SIZE { SO_SNDBUF = 7, SO_RCVBUF = 8 }
    /// Socket options to set.
    SO_SET { SO_BROADCAST = 6, SO_KEEPALIVE = 9, SO_PASSCRED = 16, SO_TYPE = 3 }
    /// Address families.
    FAMILY { AF_UNIX = 1, AF_INET = 2, AF_UNSPEC = 0 }
    /// `sun_path`: names of files, and abstract ones (a NUL, then a name).
    UN_PATH { PATH_S0 = 0x3073, PATH_T0 = 0x3074, ABSTRACT_A = 0x6100, ABSTRACT_B = 0x6200, PATH_F0 = 0x3066,
        PATH_EMPTY = 0 }
    /// `sin_addr`, in network order: this host, and any of its addresses.
    IN_ADDR { LOOPBACK = 0x0100_007f, INADDR_ANY = 0 }
    /// socket(2) of AF_UNIX.
    SOCK_TYPE { SOCK_SEQPACKET = 5, SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_NONBLOCK = 0o4000, SOCK_CLOEXEC = 0o2000000 }
    /// A stream.
    SOCK_STREAM_TYPE { SOCK_STREAM = 1, SOCK_NONBLOCK = 0o4000, SOCK_CLOEXEC = 0o2000000 }
    /// Datagrams.
    SOCK_DGRAM_TYPE { SOCK_DGRAM = 2, SOCK_NONBLOCK = 0o4000, SOCK_CLOEXEC = 0o2000000 }
    /// accept4(2).
    ACCEPT { SOCK_NONBLOCK = 0o4000, SOCK_CLOEXEC = 0o2000000 }
    /// cmsg(3).
    CMSG_LEVEL { SOL_SOCKET = 1 }
    /// unix(7), control data with a descriptor.
    CMSG_TYPE { SCM_RIGHTS = 1 }
    /// unix(7), control data with ids.
    CMSG_CREDS { SCM_CREDENTIALS = 2 }
    /// `msg_flags` that come back.
    MSG_OUT { MSG_OOB = 1, MSG_CTRUNC = 8, MSG_TRUNC = 0x20, MSG_EOR = 0x80, MSG_ERRQUEUE = 0x2000,
        MSG_CMSG_CLOEXEC = 0x4000_0000 }
    /// recvmsg(2).
    MSG_RECVMSG { MSG_PEEK = 2, MSG_TRUNC = 0x20, MSG_DONTWAIT = 0x40, MSG_WAITALL = 0x100,
        MSG_CMSG_CLOEXEC = 0x4000_0000 }
    /// ip(7), whose values are ints that a program sets.
    IP_OPTIONS { IP_TOS = 1, IP_TTL = 2, IP_RECVOPTS = 6, IP_PKTINFO = 8, IP_MTU_DISCOVER = 10, IP_RECVERR = 11,
        IP_RECVTTL = 12, IP_RECVTOS = 13, IP_MULTICAST_TTL = 33, IP_MULTICAST_LOOP = 34 }
    /// tcp(7), whose defaults no sysctl changes.
    TCP_OPTIONS { TCP_NODELAY = 1, TCP_CORK = 3, TCP_KEEPINTVL = 5, TCP_KEEPCNT = 6, TCP_SYNCNT = 7, TCP_LINGER2 = 8 }
    /// socket(7), flags and small numbers.
    SO_FLAGS { SO_REUSEADDR = 2, SO_DONTROUTE = 5, SO_BROADCAST = 6, SO_KEEPALIVE = 9, SO_OOBINLINE = 10, SO_PRIORITY = 12,
        SO_REUSEPORT = 15, SO_PASSCRED = 16, SO_RCVLOWAT = 18, SO_TIMESTAMP = 29, SO_RXQ_OVFL = 40 }
    /// socket(7), times.
    SO_TIMEO { SO_RCVTIMEO = 20, SO_SNDTIMEO = 21 }
    /// splice(2) and tee(2).
    SPLICE { SPLICE_F_MOVE = 1, SPLICE_F_NONBLOCK = 2, SPLICE_F_MORE = 4 }
    /// memfd_create(2).
    MFD { MFD_CLOEXEC = 1, MFD_ALLOW_SEALING = 2 }
    /// close_range(2).
    CLOSE_RANGE { CLOSE_RANGE_UNSHARE = 2, CLOSE_RANGE_CLOEXEC = 4 }
    /// poll(2).
    POLL { POLLIN = 1, POLLPRI = 2, POLLOUT = 4, POLLERR = 8, POLLHUP = 0x10, POLLNVAL = 0x20, POLLRDNORM = 0x40,
        POLLRDBAND = 0x80, POLLWRNORM = 0x100, POLLWRBAND = 0x200, POLLRDHUP = 0x2000 }
    /// epoll_create1(2).
    EPOLL_CREATE { EPOLL_CLOEXEC = 0o2000000 }
    /// epoll_ctl(2).
    EPOLL { EPOLLIN = 1, EPOLLPRI = 2, EPOLLOUT = 4, EPOLLERR = 8, EPOLLHUP = 0x10, EPOLLRDNORM = 0x40, EPOLLWRNORM = 0x100,
        EPOLLRDHUP = 0x2000, EPOLLONESHOT = 1 << 30, EPOLLET = 1u32 << 31 }
    /// eventfd2(2).
    EFD { EFD_SEMAPHORE = 1, EFD_NONBLOCK = 0o4000, EFD_CLOEXEC = 0o2000000 }
    /// timerfd_create(2).
    TFD { TFD_NONBLOCK = 0o4000, TFD_CLOEXEC = 0o2000000 }
    /// Clocks of a timerfd.
    TFD_CLOCK { CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_BOOTTIME = 7 }
    /// signalfd4(2).
    SFD { SFD_NONBLOCK = 0o4000, SFD_CLOEXEC = 0o2000000 }
    /// inotify_init1(2).
    IN_INIT { IN_NONBLOCK = 0o4000, IN_CLOEXEC = 0o2000000 }
    /// inotify(7): what to watch, and what comes back.
    IN_MASK { IN_ACCESS = 1, IN_MODIFY = 2, IN_ATTRIB = 4, IN_CLOSE_WRITE = 8, IN_CLOSE_NOWRITE = 0x10, IN_OPEN = 0x20,
        IN_MOVED_FROM = 0x40, IN_MOVED_TO = 0x80, IN_CREATE = 0x100, IN_DELETE = 0x200, IN_DELETE_SELF = 0x400,
        IN_MOVE_SELF = 0x800, IN_UNMOUNT = 0x2000, IN_Q_OVERFLOW = 0x4000, IN_IGNORED = 0x8000, IN_ONLYDIR = 0x0100_0000,
        IN_DONT_FOLLOW = 0x0200_0000, IN_EXCL_UNLINK = 0x0400_0000, IN_MASK_ADD = 0x2000_0000, IN_ISDIR = 0x4000_0000,
        IN_ONESHOT = 0x8000_0000u32 }
    /// clock_gettime(2); without the alarm clocks, which need an RTC.
    CLOCK { CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_PROCESS_CPUTIME_ID = 2, CLOCK_THREAD_CPUTIME_ID = 3,
        CLOCK_MONOTONIC_RAW = 4, CLOCK_REALTIME_COARSE = 5, CLOCK_MONOTONIC_COARSE = 6, CLOCK_BOOTTIME = 7, CLOCK_TAI = 11 }
    /// Clocks to sleep on, and one that refuses.
    CLOCK_SLEEP { CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_BOOTTIME = 7 }
    /// Clocks of timer_create(2).
    CLOCK_TIMER { CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_PROCESS_CPUTIME_ID = 2, CLOCK_THREAD_CPUTIME_ID = 3,
        CLOCK_BOOTTIME = 7 }
    /// `sigev_notify`: nothing is sent.
    SIGEV { SIGEV_NONE = 1 }
    /// setitimer(2), without ITIMER_REAL, which is the agent's.
    ITIMER { ITIMER_VIRTUAL = 1, ITIMER_PROF = 2 }
    /// Limits that the environment sets on both sides.
    RLIMIT_SET { RLIMIT_FSIZE = 1, RLIMIT_STACK = 3, RLIMIT_CORE = 4, RLIMIT_NOFILE = 7 }
    /// Limits whose defaults depend on the machine.
    RLIMIT_KERNEL { RLIMIT_CPU = 0, RLIMIT_DATA = 2, RLIMIT_RSS = 5, RLIMIT_NPROC = 6, RLIMIT_MEMLOCK = 8, RLIMIT_AS = 9,
        RLIMIT_LOCKS = 10, RLIMIT_SIGPENDING = 11, RLIMIT_MSGQUEUE = 12, RLIMIT_NICE = 13, RLIMIT_RTPRIO = 14,
        RLIMIT_RTTIME = 15 }
    /// Mode and creation bits of shmget(2), semget(2), msgget(2): always the owner's to read and write.
    IPC_FLAGS { IPC_CREAT = 0o1600, MODE = 0o600, IPC_EXCL = 0o2000 }
    /// Keys of System V objects.
    IPC_KEY { IPC_PRIVATE = 0, KEY1 = 1, KEY2 = 2 }
    /// shmat(2), which always says where.
    SHM_AT { SHM_REMAP = 0o40000, SHM_RND = 0o20000, SHM_RDONLY = 0o10000 }
    /// semop(2).
    SEM_FLG { IPC_NOWAIT = 0o4000, SEM_UNDO = 0o10000 }
    /// msgsnd(2).
    MSG_SND { IPC_NOWAIT = 0o4000 }
    /// msgrcv(2).
    MSG_RCV { IPC_NOWAIT = 0o4000, MSG_NOERROR = 0o10000, MSG_EXCEPT = 0o20000 }
    /// mq_open(3).
    MQ_OPEN { O_RDWR = 2, O_WRONLY = 1, O_RDONLY = 0, O_NONBLOCK = 0o4000, O_CLOEXEC = 0o2000000 }
    /// `mq_flags`.
    MQ_FLAGS { O_NONBLOCK = 0o4000 }
    /// capget(2): the versions of its structs.
    CAP_VERSION { _LINUX_CAPABILITY_VERSION_3 = 0x2008_0522u32, _LINUX_CAPABILITY_VERSION_1 = 0x1998_0330u32,
        _LINUX_CAPABILITY_VERSION_2 = 0x2007_1026u32, NO_VERSION = 0 }
    /// personality(2), without what changes how addresses are laid out or read (those would reach the agent).
    PERSONA { UNAME26 = 0x002_0000, SHORT_INODE = 0x100_0000, WHOLE_SECONDS = 0x200_0000, STICKY_TIMEOUTS = 0x400_0000 }
    /// sched_setscheduler(2): what needs no privilege and what does. Not SCHED_IDLE: on a busy machine it never ends.
    SCHED_SET { SCHED_OTHER = 0, SCHED_BATCH = 3, SCHED_FIFO = 1, SCHED_RR = 2 }
    /// sched_setattr(2).
    SCHED_FLAGS { SCHED_FLAG_RESET_ON_FORK = 1 }
    /// ioprio_set(2), whose process.
    IOPRIO_WHO { IOPRIO_WHO_PROCESS = 1 }
    /// ioprio_set(2): classes and levels that need no privilege, and one that does.
    IOPRIO { IOPRIO_NONE = 0, IOPRIO_BE_0 = 0x4000, IOPRIO_BE_4 = 0x4004, IOPRIO_BE_7 = 0x4007, IOPRIO_IDLE = 0x6000,
        IOPRIO_RT_0 = 0x2000, IOPRIO_BAD = 0x8000 }
    /// membarrier(2), without the commands that keep the whole machine waiting.
    MEMBARRIER { MEMBARRIER_CMD_PRIVATE_EXPEDITED = 8, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED = 0x10 }
    /// arch_prctl(2), what is asked for.
    ARCH_GET { ARCH_GET_FS = 0x1003, ARCH_GET_GS = 0x1004 }
    /// seccomp(2): what a filter may return.
    SECCOMP_RET { SECCOMP_RET_KILL_PROCESS = 0x8000_0000u32, SECCOMP_RET_KILL_THREAD = 0, SECCOMP_RET_TRAP = 0x3_0000,
        SECCOMP_RET_ERRNO = 0x5_0000, SECCOMP_RET_ALLOW = 0x7fff_0000, NO_ACTION = 0x1234_0000 }
    /// set_mempolicy(2) and mbind(2): modes that need no node mask, and one that does.
    MPOL { MPOL_DEFAULT = 0, MPOL_PREFERRED = 1, MPOL_LOCAL = 4, MPOL_BIND = 2 }
    /// mlockall(2); what it would lock is more than the limit.
    MCL { MCL_CURRENT = 1, MCL_FUTURE = 2, MCL_ONFAULT = 4 }
    /// sigaltstack(2).
    SS { SS_ONSTACK = 1, SS_DISABLE = 2, SS_AUTODISARM = 1u32 << 31 }
    /// `si_code` of rt_sigqueueinfo(2): what a program may claim, and what only the kernel may say to others.
    SI_CODE { SI_QUEUE = -1i64 as u32, SI_TIMER = -2i64 as u32, SI_MESGQ = -3i64 as u32, SI_USER = 0 }
    /// kcmp(2) has no names here; what futex(2) compares in FUTEX_WAKE_OP: add one to the second word, wake if it was 0.
    WAKE_OP { ADD_1_EQ_0 = 0x1000_1000, SET_5_NE_0 = 0x0100_5000, OR_1_LT_9 = 0x2200_1009, BAD_OP = 0x7000_0000 }
    /// The largest file that the agent allows, which no program may raise, and no limit.
    RLIM { FSIZE_MAX = 16 << 20, RLIM_INFINITY = u64::MAX }
    /// The only hard limit of descriptors that programs set: raising one again needs a privilege.
    NOFILE_MAX { NOFILE_MAX = 256 }
    /// Scheduling policies.
    SCHED { SCHED_OTHER = 0, SCHED_FIFO = 1, SCHED_RR = 2, SCHED_BATCH = 3, SCHED_IDLE = 5, SCHED_DEADLINE = 6 }
    /// getrandom(2).
    GRND { GRND_NONBLOCK = 1, GRND_RANDOM = 2 }
    /// wait4(2).
    WAIT { WNOHANG = 1, WUNTRACED = 2, WCONTINUED = 8, __WALL = 0x4000_0000 }
    /// waitid(2).
    WAITID { WNOHANG = 1, WSTOPPED = 2, WEXITED = 4, WCONTINUED = 8, WNOWAIT = 0x0100_0000 }
    /// waitid(2), whom to wait for.
    P_ID { P_ALL = 0, P_PID = 1 }
    /// Page protections.
    PROT { PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 }
    /// Page protections of file mappings: executable ones depend on how the file system is mounted.
    PROT_FILE { PROT_READ = 1, PROT_WRITE = 2 }
    /// Lengths of mappings, in bytes: a closed set, so that nothing outside the window can be named.
    LENGTH { LEN_0 = 0, LEN_1 = 1, LEN_1P = 4096, LEN_2P = 8192, LEN_3P = 12288, LEN_4P = 16384, LEN_5000 = 5000 }
    /// madvise(2).
    MADV { MADV_NORMAL = 0, MADV_RANDOM = 1, MADV_SEQUENTIAL = 2, MADV_WILLNEED = 3, MADV_DONTNEED = 4, MADV_REMOVE = 9,
        MADV_DONTFORK = 10, MADV_DOFORK = 11 }
    /// madvise(2) from Linux 5.4.
    MADV_RECLAIM { MADV_COLD = 20, MADV_PAGEOUT = 21 }
    /// madvise(2) from Linux 5.14.
    MADV_POPULATE { MADV_POPULATE_READ = 22, MADV_POPULATE_WRITE = 23 }
    /// msync(2).
    MS { MS_ASYNC = 1, MS_INVALIDATE = 2, MS_SYNC = 4 }
    /// mlock2(2).
    MLOCK { MLOCK_ONFAULT = 1 }
    /// `sa_flags` to set; SA_RESTORER is the compiler's.
    SA { SA_NOCLDSTOP = 1, SA_NOCLDWAIT = 2, SA_SIGINFO = 4, SA_ONSTACK = 0x0800_0000, SA_RESTART = 0x1000_0000,
        SA_NODEFER = 0x4000_0000, SA_RESETHAND = 0x8000_0000u32 }
    /// `sa_flags` that come back.
    SA_OUT { SA_NOCLDSTOP = 1, SA_NOCLDWAIT = 2, SA_SIGINFO = 4, SA_RESTORER = 0x0400_0000, SA_ONSTACK = 0x0800_0000,
        SA_RESTART = 0x1000_0000, SA_NODEFER = 0x4000_0000, SA_RESETHAND = 0x8000_0000u32 }
    /// sigprocmask(2).
    SIG_HOW { SIG_BLOCK = 0, SIG_UNBLOCK = 1, SIG_SETMASK = 2 }
}

/// What a page of the window is (`wire::PAGE_*`).
pub static PAGE: FlagSet = FlagSet { names: &[("mapped", 1), ("readable", 2), ("writable", 4)], free: 0 };
