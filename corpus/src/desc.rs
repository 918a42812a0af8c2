//! The vocabulary of the description tables: one [`Desc`] a call, in which every argument has a type and
//! every output a meaning that the comparison obeys.

mod area;
mod kinds;
mod lines;
mod shorthand;
mod words;

pub use area::*;
pub use kinds::*;
pub use lines::*;
pub use shorthand::*;
pub use words::Output;

/// A named set of constants: bits to be joined, or values to choose one of.
#[derive(Debug, PartialEq, Eq)]
pub struct FlagSet {
    /// Name and value. A value that contains others must stand before them (`O_SYNC` before `O_DSYNC`).
    pub names: &'static [(&'static str, u64)],
    /// Bits that promise nothing to a program: an output may differ in them.
    pub free: u64,
}

/// What a number that comes out of a kernel means, and so how two of them may be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Equal on both sides, bit by bit.
    Exact,
    /// Text: equal on both sides up to its first NUL.
    Text,
    /// Equal on both sides but for the set's free bits; differences are named by its bits.
    Flags(&'static FlagSet),
    /// A descriptor number. The lowest free one is promised (open(2)), so it is compared exactly.
    Fd,
    /// A process id: equal up to renaming; 0 and negative values exactly.
    Pid,
    /// An inode number in a `struct stat`, whose first word is the device: together they are equal up to renaming.
    Inode,
    /// An address in the program: compared only for being an error or not.
    Address,
    /// A reading of a clock: never compared, but bounded by the clocks around the call.
    Clock(Clk, Unit),
    /// An amount of CPU time: never compared, but bounded by the wall time of the program.
    Duration(Dur, Unit),
    /// Equal on both sides where the two bytes at that offset of the same struct say on both sides that it means
    /// something; else not compared. What a size or a link count means depends on the type, and only the kernel's own
    /// answer says what a path or a reused descriptor number really was.
    Where(u16, Given),
    /// A device number (makedev(3)), 64 bits: equal on both sides, but which of the machine's pseudo-terminals it is
    /// is nobody's promise.
    Device,
    /// A size the kernel chooses (blocks, buffer sizes): compared only for being an error or not.
    SizeHint,
    /// Not compared.
    Opaque,
}

/// What the two bytes say under which a field of the same struct means something ([`Meaning::Where`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// `st_mode`: no directory, whose size and link count are the file system's choice.
    NotDirectory,
    /// `st_mode`: no device, whose number and owner are up to who mounted it, and no file without a type (eventfd, epoll
    /// and their like), which the kernel's own root owns, whoever that is inside.
    NotDevice,
    /// `sa_family`: the address of a UNIX socket. Another family's has its port there, which the kernel may choose.
    Unix,
}

impl Given {
    /// Whether these two bytes, as a number, say so.
    pub const fn holds(self, word: u16) -> bool {
        // stat(2): the type is in the upper four bits. socket(2): AF_UNIX is 1.
        match self {
            Given::NotDirectory => word >> 12 != 4,
            Given::NotDevice => !matches!(word >> 12, 0 | 2 | 6),
            Given::Unix => word == 1,
        }
    }
}

/// Which clock a reading comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clk {
    /// `CLOCK_REALTIME`
    Realtime,
    /// The clock whose id is the call's argument of that index (among all arguments).
    Arg(u8),
}

/// Whose CPU time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dur {
    /// User time of the calling process.
    SelfUser,
    /// System time of the calling process.
    SelfSys,
    /// User or system time of waited-for children: zero where there are none (getrusage(2), times(2)).
    Children,
    /// A time left: compared to the minute, since what programs arm runs much longer.
    Left,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `struct timespec`: two i64, seconds and nanoseconds.
    Timespec,
    /// `struct timeval`: two i64, seconds and microseconds.
    Timeval,
    /// One i64 of seconds.
    Secs,
    /// One i64 of `USER_HZ` ticks, 100 a second.
    Ticks,
}

/// What a call makes for later calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A descriptor of these kinds.
    Fd(FdKinds),
    /// A descriptor of the same kind as the call's written argument of that index.
    SameAs(u8),
    /// A process id.
    Pid,
    /// A POSIX timer id.
    Timer,
    /// An address of mapped pages.
    Page,
    /// A path in the file system.
    Path,
    /// A number that the kernel chose and that names something.
    Id(Id),
}

/// What a number names that the kernel chooses as it likes, so that a program can only pass it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// A shared memory segment (shmget(2)).
    Shm,
    /// A set of semaphores (semget(2)).
    Sem,
    /// A message queue (msgget(2)).
    Queue,
    /// The first four bytes of a `struct sockaddr_in` or `sockaddr_in6`: family and port, an ephemeral one (ip(7)).
    Port,
}

/// Where a made thing is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The return value.
    Ret,
    /// The 32-bit out field at that byte offset of that argument (index among all arguments).
    Out(u8, u16),
    /// The path argument of that index (among all arguments) names it.
    PathArg(u8),
}

/// One thing a call makes.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// What.
    pub kind: Kind,
    /// Where it is.
    pub from: From,
}

/// A field of a struct that is passed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SField {
    /// The kernel's name of it.
    pub name: &'static str,
    /// Byte offset.
    pub off: u16,
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Its type: one of the word types.
    pub ty: Ty,
}

/// A field of a struct that comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OField {
    /// The kernel's name of it.
    pub name: &'static str,
    /// Byte offset.
    pub off: u16,
    /// Bytes: 1, 2, 4, 8, or 16 for a timespec or timeval, or more for exact bytes.
    pub size: u16,
    /// What it means.
    pub meaning: Meaning,
}

/// What a pointer argument points at before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum In {
    /// Nothing.
    Nothing,
    /// Up to so many bytes.
    Bytes(u16),
    /// A struct of so many bytes; bytes no field covers are zero.
    Struct(&'static [SField], u16),
    /// Up to `.2` structs of `.1` bytes each.
    Array(&'static [SField], u16, u8),
    /// An array of `struct iovec`, each pointing at bytes.
    IovIn,
    /// An array of `struct iovec`, each pointing at a buffer to fill.
    IovOut,
    /// A `struct msghdr` of so many bytes, or the `struct mmsghdr` that begins with one, which points at the call's
    /// own arguments of these indices. Not written in programs: what it points at stands where arguments do, in
    /// registers that the call does not look at.
    Message(Message, u16),
}

/// Which arguments a `struct msghdr` points at (sendmsg(2)), by index among all arguments; none is a null pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// `msg_iov`: an [`In::IovIn`] or [`In::IovOut`].
    pub iov: u8,
    /// `msg_control`: a struct.
    pub control: Option<u8>,
    /// `msg_name`: a struct.
    pub name: Option<u8>,
}

/// What a pointer argument points at after the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// Nothing of interest.
    Nothing,
    /// These fields in a struct of so many bytes.
    Fields(&'static [OField], u16),
    /// These fields, for each element of the `In::Array`.
    Array(&'static [OField], u16),
    /// Exact bytes: a buffer of up to so many, the program says how many.
    Buf(u16),
    /// A buffer of exactly so many bytes filled with `struct linux_dirent64`, from the directory's start: compared as a
    /// set of names and types. With less room the entries' order, which is free, would decide which ones come; and
    /// whether a listing under way shows what is made or removed meanwhile is unspecified (readdir(3p)).
    Dirents(u16),
    /// A buffer of exactly so many bytes, which a text file is read into from its start: compared by these lines only,
    /// whatever else it says and in whatever order (proc(5)).
    Lines(u16, &'static [Line]),
    /// A buffer of up to so many bytes whose content is not compared.
    Opaque(u16),
}

/// An argument's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    /// A fixed word. Not written in programs.
    Const(u64),
    /// A number; these values are the interesting ones.
    Int(&'static [u64]),
    /// One of these numbers and no other: any other would block for long, reach the agent's own, or ask for more
    /// than the two sides have alike.
    OneOf(&'static [u64]),
    /// Joined bits of the set.
    Flags(&'static FlagSet),
    /// One value of the set.
    Enum(&'static FlagSet),
    /// A descriptor of one of these kinds.
    Fd(FdKinds),
    /// A process id. Constants: 0 (itself, or its group) or [`NO_PID`].
    Pid,
    /// A POSIX timer id.
    Timer,
    /// A number that an earlier call was given.
    Id(Id),
    /// An address in the window: a resource, or `PAGE0` and so on.
    Page,
    /// A signal number. `SIGALRM` is the agent's and not allowed.
    Signal,
    /// A signal's disposition: `SIG_DFL`, `SIG_IGN`, or the agent's counting handler.
    Handler,
    /// A 64-bit signal set; the agent's `SIGALRM` is taken out.
    SigSet,
    /// Bytes (or elements, for arrays and iovecs) of the argument of that index among all arguments.
    /// Computed, not written in programs.
    Len(u8),
    /// A pointer to a NUL-terminated path.
    Path,
    /// A pointer to this fixed path. Not written in programs.
    PathConst(&'static str),
    /// A pointer to something.
    Ptr(In, Out),
}

impl Ty {
    /// Whether programs write this argument (constants and computed lengths are not).
    pub const fn is_written(&self) -> bool {
        !matches!(self, Ty::Const(_) | Ty::Len(_) | Ty::PathConst(_) | Ty::Ptr(In::Message(..), _))
    }
}

/// A pid that never exists in the jail.
pub const NO_PID: u64 = 99_999;
/// Written for the agent's counting handler.
pub const HANDLER: u64 = 2;

/// An argument: name and type.
#[derive(Clone, Copy, Debug)]
pub struct ArgDesc {
    /// The man page's name of it.
    pub name: &'static str,
    /// Its type.
    pub ty: Ty,
}

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The system call of that number (x86-64).
    Sys(u32),
    /// A vdso function, `wire::VDSO_*`.
    Vdso(u32),
    /// Something the agent does itself, `wire::OP_*`.
    Agent(u8),
}

/// Needs a controlling terminal: descriptors 0 to 2 are it, 3 is its master.
pub const NEED_TTY: u32 = 1;
/// Leaves files behind.
pub const NEED_FS: u32 = 2;
/// Maps pages.
pub const NEED_MEM: u32 = 4;
/// Stops the child.
pub const NEED_STOP: u32 = 8;
/// Changes signal state.
pub const NEED_SIG: u32 = 16;
/// Needs vdso functions.
pub const NEED_VDSO: u32 = 32;

/// Changes what belongs to the address space itself (`prctl(PR_SET_DUMPABLE)`): a child that shares the
/// agent's would leak it into later programs, so it must be forked.
pub const NEED_FORK: u32 = 64;
/// Starts a task.
pub const NEED_TASK: u32 = 128;
/// Needs the outside terminal: descriptors 0 to 2 are it, and its master is held from outside. A program with it
/// never has a terminal of its own as well (see [`crate::Program::needs`]).
pub const NEED_OUTER: u32 = 256;

/// Leaves System V objects or a POSIX message queue behind, which outlive whoever made them.
pub const NEED_IPC: u32 = 1 << 16;

/// The most pages a shared memory segment may have: it is mapped as a whole.
pub const SHM_PAGES: u64 = 2;

/// The last page of the window that programs may name as a constant (`PAGE0` to `PAGE12`): the longest length
/// in the memory table, four pages, still ends inside.
pub const LAST_PAGE: u64 = 12;

/// The description of one call or variant.
#[derive(Clone, Copy, Debug)]
pub struct Desc {
    /// Its name: the system call's, with `$variant` where there are several.
    pub name: &'static str,
    /// How it is made.
    pub op: Op,
    /// Where it belongs.
    pub area: Area,
    /// All arguments, the unwritten ones too.
    pub args: &'static [ArgDesc],
    /// What the return value means when it is no error.
    pub ret: Meaning,
    /// What it makes.
    pub makes: &'static [Made],
    /// What the program needs, `NEED_*`.
    pub needs: u32,
    /// May wait without end.
    pub blocks: bool,
    /// Puts something into a queue that a kernel worker moves on (terminals).
    pub settle: bool,
    /// Its generation weight within its area; 0 for probes that are only appended.
    pub weight: u8,
    /// First kernel that has it.
    pub since: &'static str,
}

impl Desc {
    /// A system call. Defaults: weight 4, nothing made, nothing needed, Linux 2.6.
    pub const fn sys(
        name: &'static str,
        nr: u32,
        area: Area,
        args: &'static [ArgDesc],
        ret: Meaning,
    ) -> Desc {
        Desc::with(name, Op::Sys(nr), area, args, ret)
    }
    /// A call made in any way.
    pub const fn with(
        name: &'static str,
        op: Op,
        area: Area,
        args: &'static [ArgDesc],
        ret: Meaning,
    ) -> Desc {
        Desc {
            name,
            op,
            area,
            args,
            ret,
            makes: &[],
            needs: 0,
            blocks: false,
            settle: false,
            weight: 4,
            since: "2.6",
        }
    }
    /// Says what it makes.
    pub const fn makes(mut self, makes: &'static [Made]) -> Desc {
        self.makes = makes;
        self
    }
    /// Says what it needs.
    pub const fn needs(mut self, needs: u32) -> Desc {
        self.needs |= needs;
        self
    }
    /// What its return value means.
    pub const fn ret(mut self, ret: Meaning) -> Desc {
        self.ret = ret;
        self
    }
    /// It may wait without end.
    pub const fn blocks(mut self) -> Desc {
        self.blocks = true;
        self
    }
    /// It queues something for a kernel worker.
    pub const fn settles(mut self) -> Desc {
        self.settle = true;
        self
    }
    /// Its generation weight.
    pub const fn weight(mut self, weight: u8) -> Desc {
        self.weight = weight;
        self
    }
    /// First kernel that has it.
    pub const fn since(mut self, since: &'static str) -> Desc {
        self.since = since;
        self
    }

    /// The written arguments with their index among all.
    pub fn written(&self) -> impl Iterator<Item = (usize, &'static ArgDesc)> {
        self.args.iter().enumerate().filter(|(_, a)| a.ty.is_written())
    }
    /// The `k`th written argument.
    pub fn written_arg(&self, k: usize) -> Option<&'static ArgDesc> {
        self.written().nth(k).map(|(_, a)| a)
    }
    /// The system call's name without the variant.
    pub fn base_name(&self) -> &'static str {
        self.name.split('$').next().unwrap_or(self.name)
    }
    /// Whether an output is a clock reading or a CPU time, so that the agent must read the clocks around it.
    pub fn timed(&self) -> bool {
        let timed = |m: &Meaning| matches!(m, Meaning::Clock(..) | Meaning::Duration(..));
        timed(&self.ret)
            || self.args.iter().any(|a| match a.ty {
                Ty::Ptr(_, Out::Fields(f, _) | Out::Array(f, _)) => f.iter().any(|f| timed(&f.meaning)),
                _ => false,
            })
    }
}
