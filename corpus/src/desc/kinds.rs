//! Kinds of descriptors, as bits: what a call makes and what an argument takes.

/// Bits of descriptor kinds.
pub type FdKinds = u32;
/// A regular file.
pub const FD_FILE: FdKinds = 1;
/// A directory.
pub const FD_DIR: FdKinds = 1 << 1;
/// Either end of a pipe.
pub const FD_PIPE: FdKinds = 1 << 2;
/// A terminal's own side.
pub const FD_TTY: FdKinds = 1 << 3;
/// A pseudo-terminal's master.
pub const FD_PTM: FdKinds = 1 << 4;
/// An eventfd.
pub const FD_EVENT: FdKinds = 1 << 5;
/// A timerfd.
pub const FD_TIMER: FdKinds = 1 << 6;
/// An epoll instance.
pub const FD_EPOLL: FdKinds = 1 << 7;
/// A signalfd.
pub const FD_SIGNAL: FdKinds = 1 << 8;
/// A socket.
pub const FD_SOCK: FdKinds = 1 << 9;
/// An inotify instance.
pub const FD_INOTIFY: FdKinds = 1 << 10;
/// A pidfd.
pub const FD_PID: FdKinds = 1 << 11;
/// A null-like device.
pub const FD_DEV: FdKinds = 1 << 12;
/// Opened by name without creating: a file, a directory, or `O_PATH`, whichever was there.
pub const FD_NODE: FdKinds = 1 << 13;
/// A memfd (always `FD_FILE` as well): the only file that promises seals.
pub const FD_MEMFD: FdKinds = 1 << 14;
/// A POSIX message queue.
pub const FD_MQUEUE: FdKinds = 1 << 15;
/// A text file of proc(5) about oneself.
pub const FD_PROC: FdKinds = 1 << 16;
/// Whatever can be read or written like a stream.
pub const FD_STREAM: FdKinds = FD_FILE | FD_PIPE | FD_TTY | FD_PTM | FD_SOCK | FD_DEV;
/// Any descriptor.
pub const FD_ANY: FdKinds = u32::MAX;
