//! Whether a program is well formed, argument by argument. Passing means: it compiles (if it fits the agent's
//! memory), it has a text form, and running it cannot scribble over the agent, take its descriptors or its alarm,
//! or signal processes outside the jail.

use crate::desc::{ArgDesc, HANDLER, Id, In, Kind, NO_PID, Op, Out, SField, SHM_PAGES, Ty};
use crate::program::{Arg, Call, MAX_BYTES, Program, ProgramError, ResRef};
use crate::wire;

/// Most bytes of a path, without its NUL (NAME_MAX: longer ones only ever give ENAMETOOLONG).
pub const MAX_PATH: usize = 255;
/// Most elements of an iovec array.
pub const MAX_IOV: usize = 8;
/// Most bytes all buffers of a program may carry in. More would not fit the agent's arena, and the cap keeps the
/// written forms small.
pub const MAX_CARRIED: usize = wire::ARENA_SIZE;

/// The lowest address of the kernel's half: always a bad pointer for a program.
const KERNEL_HALF: u64 = 0xffff_8000_0000_0000;
/// Descriptor constants at and below this are fine: the agent's own begin at [`wire::FD_IN`].
const LAST_SMALL_FD: u64 = 63;
/// A descriptor that is never open.
pub const NO_FD: u64 = 99;
/// The agent's own signal.
const SIGALRM: u32 = 14;
/// Arguments with these names are lengths of mappings where a call has a page argument.
const LENGTHS: [&str; 7] = ["length", "len", "size", "old_len", "new_len", "old_size", "new_size"];

type Checked = Result<(), String>;

impl Program {
    /// See [`MAX_CARRIED`].
    pub(crate) fn check_carried(&self) -> Result<(), ProgramError> {
        let carried = self.calls.iter().flat_map(|c| &c.args).map(carried).sum();
        if carried > MAX_CARRIED { Err(ProgramError::TooManyBytes(carried)) } else { Ok(()) }
    }
}

impl Call {
    /// Checks this call as the `index`th of `program`.
    pub(crate) fn check(&self, index: usize, program: &Program) -> Result<(), ProgramError> {
        let desc = self.id.desc();
        let fail = |arg: String, what| ProgramError::Arg { call: index, name: desc.name, arg, what };
        let written: Vec<&ArgDesc> = desc.written().map(|(_, a)| a).collect();
        if written.len() != self.args.len() {
            let number = written.len().min(self.args.len()) + 1;
            let what = format!("{} given, {} needed", plural(self.args.len(), "argument"), written.len());
            return Err(fail(number.to_string(), what));
        }
        self.check_task(index, program).map_err(|what| ProgramError::Task {
            call: index,
            name: desc.name,
            what,
        })?;
        let at = Site { program, index };
        for (described, arg) in written.iter().zip(&self.args) {
            if matches!((desc.op, described.ty, arg), (Op::Vdso(_), Ty::Ptr(..), Arg::Int(_))) {
                let what =
                    "vdso functions run in user mode: what a bad pointer does there is nobody's promise";
                return Err(fail(described.name.to_owned(), what.to_owned()));
            }
            at.arg(&described.ty, arg).map_err(|what| fail(described.name.to_owned(), what))?;
        }
        self.check_mapping(&written).map_err(|(name, what)| fail(name.to_owned(), what))
    }

    /// Lengths of a call on pages stay inside the window, since behind it may lie the agent's own memory.
    /// A page that is a resource may lie anywhere in the window; nothing of the agent's lies within a window's
    /// length above it, so there the length alone is bounded.
    fn check_mapping(&self, written: &[&'static ArgDesc]) -> Result<(), (&'static str, String)> {
        if !written.iter().any(|a| a.ty == Ty::Page) {
            return Ok(());
        }
        let named = || written.iter().zip(&self.args);
        let furthest = named()
            .filter_map(|(a, v)| match v {
                Arg::Int(page) if a.ty == Ty::Page => page.checked_sub(wire::WINDOW),
                _ => None,
            })
            .max()
            .unwrap_or(0);
        // shmat(2) is told no length: a segment comes as a whole.
        let segment = SHM_PAGES * 4096;
        if self.id.desc().base_name() == "shmat" && furthest + segment > wire::WINDOW_SIZE {
            return Err((written[0].name, "a segment there leaves the window".to_owned()));
        }
        for (described, value) in named().filter(|(a, _)| LENGTHS.contains(&a.name)) {
            match value {
                Arg::Int(len) if furthest.saturating_add(*len) <= wire::WINDOW_SIZE => {}
                Arg::Int(len) => {
                    let room = wire::WINDOW_SIZE.saturating_sub(furthest);
                    let what = format!("a length of {len} leaves the window: at most {room} here");
                    return Err((described.name, what));
                }
                _ => return Err((described.name, "the length of a mapping must be a number".to_owned())),
            }
        }
        Ok(())
    }
}

/// Where an argument stands: what it may refer to depends on it.
struct Site<'a> {
    program: &'a Program,
    index: usize,
}

impl Site<'_> {
    fn arg(&self, ty: &Ty, arg: &Arg) -> Checked {
        match (ty, arg) {
            (Ty::Path, Arg::Bytes(path)) if path.contains(&0) => Err("a path has no NUL inside".to_owned()),
            (Ty::Path, Arg::Bytes(path)) => at_most(path.len(), MAX_PATH, "byte"),
            (Ty::Path, Arg::Res(r)) => self.resource(ty, *r),
            (Ty::Path | Ty::Ptr(..), Arg::Int(address)) => raw_address(*address),
            (Ty::Ptr(before, after), _) => self.pointee(before, after, ty, arg),
            _ => self.word(ty, arg, 8),
        }
    }

    fn pointee(&self, before: &In, after: &Out, ty: &Ty, arg: &Arg) -> Checked {
        match (before, after, arg) {
            (In::Bytes(_), _, Arg::Bytes(bytes)) => at_most(bytes.len(), MAX_BYTES, "byte"),
            (In::Struct(fields, _), _, Arg::Group(parts)) => self.fields(fields, parts),
            (In::Array(fields, _, max), _, Arg::Group(elements)) => {
                at_most(elements.len(), usize::from(*max), "element")?;
                elements.iter().enumerate().try_for_each(|(n, element)| {
                    let checked = match element {
                        Arg::Group(parts) => self.fields(fields, parts),
                        _ => Err("must be a struct `{...}`".to_owned()),
                    };
                    checked.map_err(|what| format!("element {n}: {what}"))
                })
            }
            (In::IovIn, _, Arg::Group(elements)) => {
                at_most(elements.len(), MAX_IOV, "element")?;
                elements.iter().try_for_each(|e| match e {
                    Arg::Bytes(bytes) => at_most(bytes.len(), MAX_BYTES, "byte"),
                    _ => Err("every element must be bytes".to_owned()),
                })
            }
            (In::IovOut, _, Arg::Group(elements)) => {
                at_most(elements.len(), MAX_IOV, "element")?;
                elements.iter().try_for_each(|e| match e {
                    Arg::Out(len) => at_most(*len as usize, MAX_BYTES, "byte"),
                    _ => Err("every element must be a buffer `out[n]`".to_owned()),
                })
            }
            (In::Nothing, Out::Dirents(room), Arg::Out(len)) if *len != u32::from(*room) => {
                Err(format!("a directory is listed into a buffer of {room} bytes: write `out[{room}]`"))
            }
            (In::Nothing, Out::Lines(room, _), Arg::Out(len)) if *len != u32::from(*room) => {
                Err(format!("a text is read into a buffer of {room} bytes: write `out[{room}]`"))
            }
            (
                In::Nothing,
                Out::Buf(max) | Out::Lines(max, _) | Out::Dirents(max) | Out::Opaque(max),
                Arg::Out(len),
            ) => at_most(*len as usize, usize::from(*max), "byte"),
            (In::Nothing, Out::Fields(..) | Out::Array(..), Arg::Out(0)) => Ok(()),
            (In::Nothing, Out::Fields(..) | Out::Array(..), Arg::Out(_)) => {
                Err("the struct's size is known: write `out`".to_owned())
            }
            _ => Err(misfit(ty, arg)),
        }
    }

    fn fields(&self, fields: &[SField], parts: &[Arg]) -> Checked {
        if fields.len() != parts.len() {
            let names: Vec<&str> = fields.iter().map(|f| f.name).collect();
            let given = plural(parts.len(), "field");
            return Err(format!("{given} given, {} needed: {{{}}}", fields.len(), names.join(", ")));
        }
        fields.iter().zip(parts).try_for_each(|(field, part)| {
            self.word(&field.ty, part, field.size).map_err(|what| format!("field {}: {what}", field.name))
        })
    }

    /// A word `size` bytes wide. What the kernel sees of it is what must be harmless.
    fn word(&self, ty: &Ty, arg: &Arg, size: u8) -> Checked {
        match (ty, arg) {
            (Ty::Fd(_) | Ty::Pid | Ty::Timer | Ty::Page | Ty::Id(_), Arg::Res(r)) => self.resource(ty, *r),
            (Ty::OneOf(values), Arg::Int(n)) if values.contains(n) => Ok(()),
            (Ty::Int(_) | Ty::Flags(_) | Ty::SigSet | Ty::Timer | Ty::Id(_), Arg::Int(_)) => Ok(()),
            // Closed: the tables keep the agent's own timer, a machine's hardware and the like out of programs by
            // leaving their names out of sets.
            (Ty::Enum(set), Arg::Int(n)) if set.names.iter().any(|(_, known)| known == n) => Ok(()),
            (Ty::Enum(set), Arg::Int(n)) => {
                let names: Vec<&str> = set.names.iter().map(|(name, _)| *name).collect();
                Err(format!("{n} is none of {}", names.join(", ")))
            }
            // Not written as arguments, but a struct has a place for each of its fields.
            (Ty::Const(fixed), Arg::Int(n)) if fixed == n => Ok(()),
            (Ty::Fd(_), Arg::Int(n)) => {
                if *n <= LAST_SMALL_FD || *n == NO_FD || (*n as i32) < 0 {
                    return Ok(());
                }
                Err(format!(
                    "{n} is no descriptor constant: 0 to {LAST_SMALL_FD}, {NO_FD} and negative ones are (others may be the agent's)"
                ))
            }
            (Ty::Pid, Arg::Int(n)) if matches!(*n, 0 | NO_PID) && fits(*n, size) => Ok(()),
            (Ty::Pid, Arg::Int(n)) => {
                Err(format!("{} is no pid constant: 0 and NO_PID are (others may be somebody's)", *n as i64))
            }
            (Ty::Signal, Arg::Int(n)) if seen(*n, size.min(4)) == u64::from(SIGALRM) => {
                Err("SIGALRM is the agent's".to_owned())
            }
            (Ty::Signal, Arg::Int(_)) => Ok(()),
            (Ty::Handler, Arg::Int(0..=HANDLER)) => Ok(()),
            (Ty::Handler, Arg::Int(n)) => {
                Err(format!("{n:#x} is no handler: SIG_DFL, SIG_IGN and HANDLER are"))
            }
            (Ty::Page, Arg::Int(n)) => {
                let inside = n.checked_sub(wire::WINDOW).is_some_and(|off| off < wire::WINDOW_SIZE);
                if inside && fits(*n, size) {
                    return Ok(());
                }
                Err(format!(
                    "{n:#x} is outside the window: PAGE0 to PAGE{} are in it",
                    wire::WINDOW_SIZE / 4096 - 1
                ))
            }
            _ => Err(misfit(ty, arg)),
        }
    }

    /// The resource exists, is made before this call, and is of the argument's sort. Any descriptor may stand for any
    /// other: a pipe where a terminal is wanted is worth a test.
    fn resource(&self, ty: &Ty, r: ResRef) -> Checked {
        let maker = usize::from(r.call);
        if maker >= self.index {
            return Err(format!("refers to call {maker}, which does not come before it"));
        }
        let Some(kind) = self.program.kind_of(r) else {
            let name = self.program.calls[maker].id.name();
            return Err(format!(
                "refers to the thing number {} that call {maker} ({name}) does not make",
                r.slot
            ));
        };
        match (ty, kind) {
            (Ty::Fd(_), Kind::Fd(_) | Kind::SameAs(_))
            | (Ty::Pid, Kind::Pid)
            | (Ty::Timer, Kind::Timer)
            | (Ty::Page, Kind::Page)
            | (Ty::Path, Kind::Path) => Ok(()),
            (Ty::Id(wanted), Kind::Id(made)) if *wanted == made => Ok(()),
            _ => Err(format!("{} is needed, and call {maker} makes {}", wanted(ty), kind_name(kind))),
        }
    }
}

/// A pointer that the kernel refuses, and so never one into memory that is the agent's.
fn raw_address(address: u64) -> Checked {
    if !(4096..KERNEL_HALF).contains(&address) {
        return Ok(());
    }
    Err(format!("{address:#x} may be mapped: a raw address is below 4096 or at least {KERNEL_HALF:#x}"))
}

fn at_most(n: usize, max: usize, unit: &str) -> Checked {
    if n <= max { Ok(()) } else { Err(format!("{}, at most {max} allowed", plural(n, unit))) }
}

fn plural(n: usize, unit: &str) -> String {
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

/// What of `n` is left in a word of `size` bytes.
fn seen(n: u64, size: u8) -> u64 {
    if size >= 8 { n } else { n & ((1 << (8 * u32::from(size))) - 1) }
}
fn fits(n: u64, size: u8) -> bool {
    seen(n, size) == n
}

fn carried(arg: &Arg) -> usize {
    match arg {
        Arg::Bytes(bytes) => bytes.len(),
        // Sixteen bytes is an iovec, and about a struct's element.
        Arg::Group(parts) => {
            parts.iter().map(|p| carried(p) + if matches!(p, Arg::Int(_)) { 0 } else { 16 }).sum()
        }
        _ => 0,
    }
}

fn misfit(ty: &Ty, arg: &Arg) -> String {
    let form = match arg {
        Arg::Int(_) => "a number",
        Arg::Res(_) => "a resource",
        Arg::Bytes(_) => "a string",
        Arg::Out(_) => "a buffer",
        Arg::Group(_) => "a group",
    };
    format!("{} is needed, not {form}", wanted(ty))
}

/// What an argument of that type looks like, in words.
pub fn wanted(ty: &Ty) -> &'static str {
    match ty {
        Ty::Const(_) | Ty::Len(_) | Ty::PathConst(_) => "the description's own value",
        Ty::Int(_) => "a number",
        Ty::OneOf(_) => "one of the call's few numbers",
        Ty::Flags(_) => "flags joined by `|`, or a number",
        Ty::Enum(_) => "one of the set's names",
        Ty::Fd(_) => "a descriptor (`r0`, 0, -1)",
        Ty::Pid => "a pid (`r0`, 0, NO_PID)",
        Ty::Timer => "a timer (`r0`, 0)",
        Ty::Id(_) => "a number that an earlier call was given (`r0`, -1)",
        Ty::Page => "a page (`r0`, PAGE0)",
        Ty::Signal => "a signal (SIGINT, 0)",
        Ty::Handler => "SIG_DFL, SIG_IGN or HANDLER",
        Ty::SigSet => "a signal set (`{SIGINT SIGTERM}`)",
        Ty::Path => "a path in quotes",
        Ty::Ptr(In::Bytes(_), _) => "a string in quotes",
        Ty::Ptr(In::Struct(..), _) => "a struct `{...}`",
        Ty::Ptr(In::Array(..), _) => "an array of structs `[{...}, {...}]`",
        Ty::Ptr(In::IovIn, _) => "an array of strings `[\"a\", \"b\"]`",
        Ty::Ptr(In::IovOut, _) => "an array of buffers `[out[8], out[8]]`",
        Ty::Ptr(In::Message(..), _) => "the description's own value",
        Ty::Ptr(In::Nothing, Out::Nothing) => "an address (NULL)",
        Ty::Ptr(In::Nothing, Out::Fields(..) | Out::Array(..)) => "`out`",
        Ty::Ptr(In::Nothing, _) => "a buffer `out[n]`",
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Fd(_) | Kind::SameAs(_) => "a descriptor",
        Kind::Pid => "a pid",
        Kind::Timer => "a timer",
        Kind::Page => "a page",
        Kind::Path => "a path",
        Kind::Id(Id::Shm) => "a shared memory segment",
        Kind::Id(Id::Sem) => "a semaphore set",
        Kind::Id(Id::Queue) => "a message queue",
        Kind::Id(Id::Port) => "a port",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desc::{FD_ANY, sf};
    use crate::program::CallId;

    const WINDOW: u64 = wire::WINDOW;
    const SIZE: u64 = wire::WINDOW_SIZE;
    const MINUS_ONE: u64 = u64::MAX;

    fn call(name: &str, args: Vec<Arg>) -> Call {
        Call::new(CallId::named(name).expect(name), args)
    }
    /// A program whose call 0 makes a descriptor, and what its call 1 may have for an argument of type `ty`.
    fn legal(ty: Ty, arg: Arg) -> bool {
        let program = Program { calls: vec![call("openat$tty", vec![Arg::Int(0)]), call("setsid", vec![])] };
        Site { program: &program, index: 1 }.arg(&ty, &arg).is_ok()
    }
    fn ints(ty: Ty, good: &[u64], bad: &[u64]) {
        good.iter().for_each(|n| assert!(legal(ty, Arg::Int(*n)), "{ty:?} {n:#x}"));
        bad.iter().for_each(|n| assert!(!legal(ty, Arg::Int(*n)), "{ty:?} {n:#x}"));
    }
    /// The same for a field of `size` bytes.
    fn field_ints(ty: Ty, size: u8, good: &[u64], bad: &[u64]) {
        let fields: &'static [SField] = Box::leak(Box::new([sf("f", 0, size, ty)]));
        let is_legal =
            |n: &u64| legal(Ty::Ptr(In::Struct(fields, 8), Out::Nothing), Arg::Group(vec![Arg::Int(*n)]));
        good.iter().for_each(|n| assert!(is_legal(n), "{ty:?} {n:#x}"));
        bad.iter().for_each(|n| assert!(!is_legal(n), "{ty:?} {n:#x}"));
    }

    #[test]
    fn constants_cannot_reach_the_agent_or_the_host() {
        let fds = (
            [0, 63, 99, MINUS_ONE, -100i64 as u64, 0xffff_ff9c, 0x1_8000_0000],
            [64, 98, 100, 200, 207, 1 << 32, (1 << 32) + 200, i32::MAX as u64, 0x7fff_ffff_0000_0003],
        );
        ints(Ty::Fd(FD_ANY), &fds.0, &fds.1);
        field_ints(Ty::Fd(FD_ANY), 4, &fds.0, &fds.1);
        ints(Ty::Pid, &[0, 99_999], &[1, MINUS_ONE, 1 << 32, (1 << 32) + 99_999]);
        field_ints(Ty::Pid, 4, &[0, 99_999], &[1, MINUS_ONE, 0xffff_ffff]);
        ints(Ty::Signal, &[0, 9, 13, 15, 64, 65, MINUS_ONE], &[14, (1 << 32) + 14]);
        field_ints(Ty::Signal, 1, &[0, 9], &[14, 256 + 14]);
        ints(Ty::Handler, &[0, 1, 2], &[3, WINDOW, MINUS_ONE]);
        ints(Ty::Page, &[WINDOW, WINDOW + 1, WINDOW + SIZE - 1], &[0, WINDOW - 1, WINDOW + SIZE, MINUS_ONE]);
        static SET: crate::desc::FlagSet =
            crate::desc::FlagSet { names: &[("A", 1), ("B", MINUS_ONE)], free: 0 };
        ints(Ty::Enum(&SET), &[1, MINUS_ONE], &[0, 2]);
        ints(Ty::Flags(&SET), &[0, 1, 2], &[]);
        ints(Ty::SigSet, &[0, MINUS_ONE], &[]);
        let addresses = ([0, 1, 4095, 0xffff_8000_0000_0000, MINUS_ONE], [4096, WINDOW, 0x7fff_ffff_f000]);
        ints(Ty::Path, &addresses.0, &addresses.1);
        for before in
            [In::Nothing, In::Bytes(8), In::Struct(&[], 8), In::Array(&[], 8, 2), In::IovIn, In::IovOut]
        {
            ints(Ty::Ptr(before, Out::Nothing), &addresses.0, &addresses.1);
        }
    }

    #[test]
    fn arguments_have_the_form_of_their_type() {
        let made = |call, slot| Arg::Res(ResRef { call, slot });
        let bytes = |n| Arg::Bytes(vec![1; n]);
        let group = Arg::Group;
        let ptr = |before, after| Ty::Ptr(before, after);
        let nothing = Out::Nothing;
        const TWO: &[SField] = &[sf("fd", 0, 4, Ty::Fd(FD_ANY)), sf("n", 4, 4, Ty::Int(&[]))];
        let two = || group(vec![made(0, 0), Arg::Int(7)]);
        for (ty, good, bad) in [
            (
                Ty::Fd(crate::desc::FD_PIPE),
                vec![made(0, 0)],
                vec![made(0, 1), made(1, 0), made(9, 0), bytes(1)],
            ),
            (Ty::Pid, vec![], vec![made(0, 0), Arg::Out(0), group(vec![])]),
            (Ty::Int(&[]), vec![], vec![made(0, 0), bytes(0)]),
            (
                Ty::Path,
                vec![bytes(0), bytes(255)],
                vec![bytes(256), Arg::Bytes(vec![0]), made(0, 0), Arg::Out(0)],
            ),
            (
                ptr(In::Bytes(8), Out::Buf(8)),
                vec![bytes(0), bytes(4096)],
                vec![bytes(4097), Arg::Out(8), made(0, 0)],
            ),
            (
                ptr(In::Struct(TWO, 8), nothing),
                vec![two()],
                vec![group(vec![]), group(vec![two(), two()]), bytes(8)],
            ),
            (
                ptr(In::Array(TWO, 8, 2), nothing),
                vec![group(vec![]), group(vec![two(), two()])],
                vec![two(), group(vec![two(), two(), two()])],
            ),
            (
                ptr(In::IovIn, nothing),
                vec![group(vec![bytes(4096); 8])],
                vec![group(vec![bytes(0); 9]), group(vec![Arg::Out(1)]), group(vec![bytes(4097)])],
            ),
            (
                ptr(In::IovOut, nothing),
                vec![group(vec![Arg::Out(4096); 8])],
                vec![group(vec![Arg::Out(0); 9]), group(vec![bytes(1)]), group(vec![Arg::Out(4097)])],
            ),
            (ptr(In::Nothing, Out::Buf(64)), vec![Arg::Out(0), Arg::Out(64)], vec![Arg::Out(65), bytes(1)]),
            (ptr(In::Nothing, Out::Fields(&[], 8)), vec![Arg::Out(0)], vec![Arg::Out(8)]),
            (ptr(In::Nothing, nothing), vec![], vec![Arg::Out(0), bytes(0)]),
        ] {
            good.into_iter().for_each(|arg| assert!(legal(ty, arg.clone()), "{ty:?} {arg:?}"));
            bad.into_iter().for_each(|arg| assert!(!legal(ty, arg.clone()), "{ty:?} {arg:?}"));
        }
    }

    #[test]
    fn mappings_stay_inside_the_window() {
        const MMAP: &[ArgDesc] = crate::args!["addr": Ty::Page, "length": Ty::Int(&[]), "prot": Ty::Int(&[])];
        let fits = |page: Arg, length: Arg| {
            let written: Vec<&'static ArgDesc> = MMAP.iter().collect();
            call("setsid", vec![page, length, Arg::Int(MINUS_ONE)]).check_mapping(&written).is_ok()
        };
        let made = Arg::Res(ResRef { call: 0, slot: 0 });
        assert!(fits(Arg::Int(WINDOW), Arg::Int(SIZE)));
        assert!(fits(Arg::Int(WINDOW + SIZE - 4096), Arg::Int(4096)));
        assert!(!fits(Arg::Int(WINDOW + SIZE - 4096), Arg::Int(4097)));
        assert!(!fits(Arg::Int(WINDOW), Arg::Int(SIZE + 1)));
        assert!(!fits(Arg::Int(WINDOW), Arg::Int(MINUS_ONE)));
        assert!(fits(made.clone(), Arg::Int(SIZE)));
        assert!(!fits(made.clone(), Arg::Int(SIZE + 1)));
        assert!(!fits(Arg::Int(WINDOW), made));
    }
}
