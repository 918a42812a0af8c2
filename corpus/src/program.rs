//! Programs: lists of typed calls whose arguments may name what earlier calls made.

use crate::desc::{Desc, In, Kind, NEED_OUTER, NEED_TTY, NO_PID, Ty};
use crate::tables;
use crate::wire;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most calls a program may have.
pub const MAX_CALLS: usize = 64;
/// Most bytes one buffer argument may have.
pub const MAX_BYTES: usize = 4096;

/// A call's place in the description table. Written as the call's name, so that tables may be reordered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallId(u16);

impl CallId {
    /// The call of that name, such as `openat$tty`.
    pub fn named(name: &str) -> Option<CallId> {
        tables::index_of(name).map(|i| CallId(i as u16))
    }
    /// The id of the `index`th table entry.
    pub fn from_index(index: usize) -> Option<CallId> {
        (index < tables::all().len()).then_some(CallId(index as u16))
    }
    /// Its place in [`tables::all`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
    /// Its description.
    pub fn desc(self) -> &'static Desc {
        tables::all()[self.0 as usize]
    }
    /// Its name.
    pub fn name(self) -> &'static str {
        self.desc().name
    }
}
impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
impl From<CallId> for String {
    fn from(id: CallId) -> String {
        id.name().to_owned()
    }
}
impl TryFrom<String> for CallId {
    type Error = String;
    fn try_from(name: String) -> Result<CallId, String> {
        CallId::named(&name).ok_or_else(|| format!("unknown call `{name}` (`parallax calls` lists them)"))
    }
}

/// What an earlier call made: its `slot`th resource (the order of [`Desc::makes`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResRef {
    /// Index of the making call in the program.
    pub call: u16,
    /// Which of the things it makes.
    pub slot: u8,
}

/// One argument. Which forms are legal where is said by the description's [`crate::desc::Ty`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Arg {
    /// A plain word: a number, flags, or a raw (usually bad) address in a pointer's place.
    Int(u64),
    /// Something an earlier call made.
    Res(ResRef),
    /// Bytes to point at; a path without its NUL.
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    /// A buffer of so many bytes to be filled by the call (0 where the size is the description's).
    Out(u32),
    /// The fields of a struct, or the elements of an array.
    Group(Vec<Arg>),
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Call {
    /// Which one.
    pub id: CallId,
    /// Its arguments, one for each written argument of the description.
    pub args: Vec<Arg>,
    /// Which task makes it: 0 is the program's first, the others are made by its calls (`task$thread`, ...).
    #[serde(default, skip_serializing_if = "is_first")]
    pub task: u8,
}

fn is_first(task: &u8) -> bool {
    *task == 0
}

impl Call {
    /// A call of the program's first task.
    pub fn new(id: CallId, args: Vec<Arg>) -> Call {
        Call { id, args, task: 0 }
    }
}

/// A program: what the fuzzer mutates, both sides run and a repro file keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Program {
    /// The calls, in order.
    pub calls: Vec<Call>,
}

/// Why a program is not well formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// More than [`MAX_CALLS`].
    #[error("{0} calls, more than the {MAX_CALLS} allowed")]
    TooManyCalls(usize),
    /// More bytes to carry in than the agent has room for.
    #[error("{0} bytes of buffers, more than the {max} allowed", max = crate::check::MAX_CARRIED)]
    TooManyBytes(usize),
    /// A call is made by a task that is not there.
    #[error("call {call} ({name}): {what}")]
    Task {
        /// Index of the call.
        call: usize,
        /// Its name.
        name: &'static str,
        /// What is wrong.
        what: String,
    },
    /// Something is wrong with one argument.
    #[error("call {call} ({name}), argument {arg}: {what}")]
    Arg {
        /// Index of the call.
        call: usize,
        /// Its name.
        name: &'static str,
        /// The argument's name, or its number.
        arg: String,
        /// What is wrong.
        what: String,
    },
}

impl Program {
    /// Checks the form: counts, kinds of arguments, sizes, and that resources are made before they are used.
    ///
    /// # Errors
    /// Names the first call and argument that is not as its description says.
    pub fn check(&self) -> Result<(), ProgramError> {
        if self.calls.len() > MAX_CALLS {
            return Err(ProgramError::TooManyCalls(self.calls.len()));
        }
        for (i, call) in self.calls.iter().enumerate() {
            call.check(i, self)?;
        }
        self.check_carried()
    }

    /// The kind of what `r` names, if the call makes such a thing. Follows `dup`-like calls to their source.
    pub fn kind_of(&self, r: ResRef) -> Option<Kind> {
        let mut r = r;
        for _ in 0..=MAX_CALLS {
            let call = self.calls.get(r.call as usize)?;
            let made = call.id.desc().makes.get(r.slot as usize)?;
            match made.kind {
                Kind::SameAs(arg) => match call.args.get(arg as usize)? {
                    Arg::Res(next) if next.call < r.call => r = *next,
                    Arg::Int(n) if *n <= 2 => return Some(Kind::Fd(crate::desc::FD_TTY)),
                    Arg::Int(3) => return Some(Kind::Fd(crate::desc::FD_PTM)),
                    _ => return Some(Kind::Fd(crate::desc::FD_FILE)),
                },
                kind => return Some(kind),
            }
        }
        None
    }

    /// Removes call `index`. If it starts a task, the first task makes that one's calls. Later references to it become missing resources, to later calls move down.
    pub fn remove_call(&mut self, index: usize) {
        self.end_task_of(index);
        self.calls.remove(index);
        self.fit_tasks();
        self.rewrite_refs(|r| {
            if r.call as usize == index {
                None
            } else {
                Some(ResRef { call: r.call - u16::from(r.call as usize > index), ..r })
            }
        });
    }

    /// Rewrites every resource reference; `None` turns one into a missing resource.
    ///
    /// That is the path `gone`, a pid that never exists, the window's first page, or `-1`, by the argument's type,
    /// so that the program stays well formed.
    pub fn rewrite_refs(&mut self, mut f: impl FnMut(ResRef) -> Option<ResRef>) {
        for call in &mut self.calls {
            for (arg, (_, described)) in call.args.iter_mut().zip(call.id.desc().written()) {
                arg.rewrite(&described.ty, &mut f);
            }
        }
    }

    /// Calls `f` with every resource reference of call `index`.
    pub fn each_ref(&self, index: usize, mut f: impl FnMut(ResRef)) {
        for arg in &self.calls[index].args {
            arg.each_ref(&mut f);
        }
    }

    /// All needs of its calls together (see `desc::NEED_*`). Whatever needs a terminal is content with the outside
    /// one, so where a call needs that, the program has no other.
    pub fn needs(&self) -> u32 {
        let all = self.calls.iter().fold(0, |n, c| n | c.id.desc().needs);
        if all & NEED_OUTER != 0 { all & !NEED_TTY } else { all }
    }
}

impl Arg {
    fn rewrite(&mut self, ty: &Ty, f: &mut impl FnMut(ResRef) -> Option<ResRef>) {
        if let Arg::Res(r) = self {
            *self = f(*r).map_or_else(|| Arg::missing(ty), Arg::Res);
            return;
        }
        match (self, ty) {
            (Arg::Group(parts), Ty::Ptr(In::Struct(fields, _), _)) => {
                parts.iter_mut().zip(*fields).for_each(|(part, field)| part.rewrite(&field.ty, f));
            }
            (Arg::Group(elements), Ty::Ptr(In::Array(fields, size, _), after)) => {
                let element_ty = Ty::Ptr(In::Struct(fields, *size), *after);
                elements.iter_mut().for_each(|element| element.rewrite(&element_ty, f));
            }
            _ => {}
        }
    }
    /// What stands for a resource that is no longer made.
    fn missing(ty: &Ty) -> Arg {
        match ty {
            Ty::Path => Arg::Bytes(b"gone".to_vec()),
            Ty::Pid => Arg::Int(NO_PID),
            Ty::Page => Arg::Int(wire::WINDOW),
            _ => Arg::Int(u64::MAX),
        }
    }
    /// Calls `f` with every resource reference inside.
    pub fn each_ref(&self, f: &mut impl FnMut(ResRef)) {
        match self {
            Arg::Res(r) => f(*r),
            Arg::Group(parts) => parts.iter().for_each(|p| p.each_ref(f)),
            _ => {}
        }
    }
}
