//! From a typed program to the flat instruction list the agent runs, with the probes that follow it.

mod fields;

pub use fields::{FieldAt, fields_of};

use crate::desc::{self, Desc, From, In, Kind, Op, Out, SField, Ty};
use crate::probes;
use crate::program::{Arg, Call, Program, ProgramError, ResRef};
use crate::questions::{self, has_far_terminal, has_timeout, may_stop, names_standard_fd, opens};
use crate::wire::{self, *};

/// Where one stretch of a call's out bytes comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index of the argument among all of the description's.
    pub arg: u8,
    /// Length in bytes.
    pub len: u16,
}

/// A compiled program.
#[derive(Clone, Debug)]
pub struct Code {
    /// The program's own calls, then the probes.
    pub calls: Vec<Call>,
    /// How many of them are the program's own.
    pub own: usize,
    /// For each call, how its outcome's out bytes are put together.
    pub spans: Vec<Vec<Span>>,
    /// Bytes that it reads may be a text of the kernel's, of which only lines are promised.
    pub raw_text: bool,
    /// What goes to the agent: header, instructions, image.
    pub bytes: Vec<u8>,
}

/// How to compile.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// A forked child rather than one that shares memory.
    pub fork: bool,
    /// How long a call may wait before it counts as blocked, µs.
    pub block_us: u32,
    /// Append the probes.
    pub probes: bool,
}

/// Why a program cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It is not well formed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Its buffers or outputs do not fit the agent's memory.
    #[error("the program's buffers need more than the agent's {0} bytes")]
    TooLarge(usize),
}

/// Compiles a program.
///
/// # Errors
/// It is malformed or too large.
pub fn compile(program: &Program, mode: Mode) -> Result<Code, CompileError> {
    program.check()?;
    let mut calls = program.calls.clone();
    let own = calls.len();
    if mode.probes {
        calls.extend(probes::of(program));
    }
    let mut b = Builder::of(program, &calls);
    for index in 0..calls.len() {
        b.call(index, index >= own)?;
    }
    let needs = program.needs();
    let mut flags = 0;
    for (need, flag) in [
        (desc::NEED_TTY, PROG_TTY),
        // In the agent's session a background process stops at its terminal (tcsetpgrp(3)).
        (desc::NEED_OUTER, PROG_OUTER | PROG_STOP),
        (desc::NEED_FS, PROG_FS),
        (desc::NEED_MEM, PROG_MEM),
        (desc::NEED_STOP, PROG_STOP),
        (desc::NEED_FORK, PROG_FORK),
        (desc::NEED_TASK, PROG_TASKS),
        (desc::NEED_IPC, PROG_IPC),
    ] {
        if needs & need != 0 {
            flags |= flag;
        }
    }
    if mode.fork {
        flags |= PROG_FORK;
    }
    if has_far_terminal(program) {
        flags |= PROG_FAR;
    }
    if may_stop(program) {
        flags |= PROG_STOP;
    }
    if program.calls.iter().any(names_standard_fd) {
        flags |= PROG_STD;
    }
    let (count, spans, instrs, image) = (b.count, b.spans, b.instrs, b.image);
    let outs: usize = spans.iter().flatten().map(|s| s.len as usize).sum();
    if outs + calls.len() * 48 + 64 > TRACE_SIZE || count > MAX_INSTRS {
        return Err(CompileError::TooLarge(TRACE_SIZE));
    }
    let mut bytes = Vec::with_capacity(20 + instrs.len() + image.len());
    for word in [flags, count as u32, instrs.len() as u32, image.len() as u32, mode.block_us] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&instrs);
    bytes.extend_from_slice(&image);
    Ok(Code { calls, own, spans, raw_text: questions::takes_text_raw(program), bytes })
}

/// Joins compiled programs to one request, its length in front. With `each`, every program is answered by itself.
pub fn request(codes: &[&Code], each: bool) -> Vec<u8> {
    let magic = if each { wire::MAGIC_RUN_EACH } else { wire::MAGIC_RUN };
    let len: usize = 8 + codes.iter().map(|c| c.bytes.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(4 + len);
    for word in [len as u32, magic, codes.len() as u32] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    codes.iter().for_each(|c| bytes.extend_from_slice(&c.bytes));
    bytes
}

struct Builder<'a> {
    program: &'a Program,
    calls: &'a [Call],
    at: usize,
    image: Vec<u8>,
    instrs: Vec<u8>,
    count: usize,
    spans: Vec<Vec<Span>>,
    /// Of the call at hand.
    task: u8,
    has_fifo: bool,
    /// Arena offset of every argument's buffer, by call and argument.
    places: Vec<Vec<u16>>,
}

#[derive(Clone, Copy)]
struct Word {
    kind: u8,
    value: u64,
}
impl Word {
    const fn new(kind: u8, value: u64) -> Word {
        Word { kind, value }
    }
}

/// Bytes that a call is expected to overwrite, or not to touch, start as this.
const FILL: u8 = 0xa5;
/// `SIGALRM` in a signal set: the agent's own.
const ALARM_BIT: u64 = 1 << 13;
const SA_RESTORER: u64 = 0x0400_0000;

impl<'a> Builder<'a> {
    fn of(program: &'a Program, calls: &'a [Call]) -> Builder<'a> {
        Builder {
            program,
            calls,
            at: ARENA_START,
            image: Vec::new(),
            instrs: Vec::new(),
            count: 0,
            spans: Vec::new(),
            task: 0,
            has_fifo: questions::makes_fifo(program),
            places: Vec::new(),
        }
    }

    /// Reserves arena bytes, filled, at an aligned place; gives the offset.
    fn reserve(&mut self, len: usize, fill: u8) -> Result<usize, CompileError> {
        let start = self.at.next_multiple_of(8);
        let end = start + len;
        if end > ARENA_SIZE {
            return Err(CompileError::TooLarge(ARENA_SIZE));
        }
        self.image.resize(start - ARENA_START, 0);
        self.image.resize(end - ARENA_START, fill);
        self.at = end;
        Ok(start)
    }
    fn place(&mut self, bytes: &[u8]) -> Result<usize, CompileError> {
        let at = self.reserve(bytes.len(), 0)?;
        self.image[at - ARENA_START..][..bytes.len()].copy_from_slice(bytes);
        Ok(at)
    }
    fn patch(&mut self, at: usize, value: u64, size: usize) {
        self.image[at - ARENA_START..][..size].copy_from_slice(&value.to_le_bytes()[..size]);
    }

    fn instr(&mut self, op: u8, flags: u8, nr: u32, words: &[Word], outs: &[(u16, u16)]) {
        self.instrs.extend_from_slice(&[op, flags, words.len() as u8, outs.len() as u8]);
        self.instrs.extend_from_slice(&nr.to_le_bytes());
        let mut kinds = [0; 8];
        for (k, w) in kinds.iter_mut().zip(words) {
            *k = w.kind;
        }
        kinds[TASK_AT] = self.task;
        self.instrs.extend_from_slice(&kinds);
        words.iter().for_each(|w| self.instrs.extend_from_slice(&w.value.to_le_bytes()));
        for (off, len) in outs {
            self.instrs.extend_from_slice(&off.to_le_bytes());
            self.instrs.extend_from_slice(&len.to_le_bytes());
        }
        self.count += 1;
    }

    /// The word of a resource.
    fn resource(&self, r: ResRef) -> Word {
        let Some(made) = self.calls[r.call as usize].id.desc().makes.get(r.slot as usize) else {
            return Word::new(WORD_CONST, u64::MAX);
        };
        let place = |arg: u8| self.places[r.call as usize].get(arg as usize).copied().unwrap_or(0) as u64;
        match made.from {
            From::Ret => Word::new(WORD_RET, r.call as u64),
            From::Out(arg, off) => {
                Word::new(WORD_MEM32, u64::from(r.call) | (place(arg) + u64::from(off)) << 16)
            }
            From::PathArg(arg) => match place(arg) {
                0 => Word::new(WORD_CONST, 0),
                at => Word::new(WORD_ARENA, at),
            },
        }
    }

    /// The word of a word-typed value.
    fn word(&self, ty: Ty, value: &Arg) -> Word {
        match value {
            Arg::Res(r) => self.resource(*r),
            Arg::Int(n) => match ty {
                Ty::Handler if *n == desc::HANDLER => Word::new(WORD_HANDLER, 0),
                Ty::SigSet => Word::new(WORD_CONST, n & !ALARM_BIT),
                _ => Word::new(WORD_CONST, *n),
            },
            _ => Word::new(WORD_CONST, 0),
        }
    }

    /// Fills a struct's fields in at `at`; what is known only when it runs becomes a store instruction.
    fn fields(&mut self, at: usize, fields: &[SField], values: &[Arg]) {
        let mut handled = false;
        for (field, value) in fields.iter().zip(values) {
            let place = at + field.off as usize;
            let mut word = self.word(field.ty, value);
            handled |= word.kind == WORD_HANDLER;
            if field.name == "sa_flags" && handled {
                word.value |= SA_RESTORER;
            }
            if word.kind == WORD_CONST {
                self.patch(place, word.value, field.size as usize);
            } else {
                self.store(word, place, field.size);
            }
            if field.name == "sa_flags" && handled {
                // struct sigaction of the kernel: handler, flags, restorer, mask
                self.store(Word::new(WORD_HANDLER, 1), place + 8, 8);
            }
        }
    }
    fn store(&mut self, word: Word, place: usize, size: u8) {
        let at = Word::new(WORD_CONST, place as u64);
        self.instr(OP_STORE, 0, 0, &[word, at, Word::new(WORD_CONST, size.into())], &[]);
    }

    fn call(&mut self, index: usize, is_probe: bool) -> Result<(), CompileError> {
        let calls = self.calls;
        let call = &calls[index];
        let desc = call.id.desc();
        self.task = call.task;
        self.places.push(vec![0; desc.args.len()]);
        let mut words = [Word::new(WORD_CONST, 0); 6];
        let mut lens = [0u64; 6];
        let mut outs: Vec<(u16, u16)> = Vec::new();
        let mut spans = Vec::new();
        let mut values = call.args.iter();
        for (k, argument) in desc.args.iter().enumerate().take(6) {
            let value = if argument.ty.is_written() { values.next() } else { None };
            let (word, len) = self.argument(index, k, argument.ty, value, &mut outs, &mut spans)?;
            words[k] = word;
            lens[k] = len;
        }
        // Lengths last: their buffer may stand behind them.
        for (k, argument) in desc.args.iter().enumerate().take(6) {
            if let Ty::Len(of) = argument.ty {
                words[k] = Word::new(WORD_CONST, lens.get(of as usize).copied().unwrap_or(0));
            }
        }
        for (k, argument) in desc.args.iter().enumerate().take(6) {
            if let Ty::Ptr(In::Message(message, size), after) = argument.ty {
                let at = self.message(message, size, &words, &lens)?;
                self.places[index][k] = at as u16;
                words[k] = Word::new(WORD_ARENA, at as u64);
                if matches!(after, Out::Fields(..)) {
                    outs.push((at as u16, size));
                    spans.push(Span { arg: k as u8, len: size });
                }
            }
        }
        let blocks = (desc.blocks || self.has_fifo && opens(call)) && !has_timeout(call);
        let settles = desc.settle && !is_probe && self.may_name_terminal(call);
        self.emit(desc, is_probe, settles, blocks, &words[..desc.args.len().min(6)], &outs);
        self.spans.push(spans);
        Ok(())
    }

    /// A `struct msghdr` that points at other arguments (sendmsg(2)); an address in their place is passed on.
    fn message(
        &mut self,
        message: desc::Message,
        size: u16,
        words: &[Word; 6],
        lens: &[u64; 6],
    ) -> Result<usize, CompileError> {
        let at = self.reserve(size as usize, 0)?;
        let pointed = |arg: u8| match words[arg as usize] {
            Word { kind: WORD_ARENA, value } => (ARENA + value, lens[arg as usize]),
            // A bad address, with a length that makes the kernel look there.
            word => (word.value, if word.value == 0 { 0 } else { 64 }),
        };
        // Name and its length, vector and its count, control data and its length.
        for (arg, off) in [(message.name, 0), (Some(message.iov), 16), (message.control, 32)] {
            if let Some((address, len)) = arg.map(pointed) {
                self.patch(at + off, address, 8);
                self.patch(at + off + 8, len, if off == 0 { 4 } else { 8 });
            }
        }
        Ok(at)
    }

    /// Whether a descriptor it takes may be a terminal's, or it takes none.
    fn may_name_terminal(&self, call: &Call) -> bool {
        if self.program.needs() & (desc::NEED_TTY | desc::NEED_OUTER) == 0 {
            return false;
        }
        let mut fds =
            call.id.desc().written().zip(&call.args).filter(|((_, a), _)| matches!(a.ty, Ty::Fd(_)));
        let mut none = true;
        let found = fds.any(|(_, value)| {
            none = false;
            match value {
                Arg::Int(n) => *n <= FD_PTM,
                Arg::Res(r) => match self.program.kind_of(*r) {
                    Some(Kind::Fd(kinds)) => kinds & (desc::FD_TTY | desc::FD_PTM) != 0,
                    _ => true,
                },
                _ => true,
            }
        });
        found || none
    }

    fn emit(
        &mut self,
        desc: &Desc,
        is_probe: bool,
        settles: bool,
        blocks: bool,
        words: &[Word],
        outs: &[(u16, u16)],
    ) {
        let mut flags = 0;
        if desc.timed() {
            flags |= INS_CLOCKS;
        }
        if blocks {
            flags |= INS_BLOCKS;
        }
        if settles {
            flags |= INS_SETTLE;
        }
        if is_probe {
            flags |= INS_PROBE;
        }
        if desc.args.iter().any(|a| matches!(a.ty, Ty::Ptr(_, Out::Dirents(_) | Out::Lines(..)))) {
            flags |= INS_REWIND;
        }
        let (op, nr) = match desc.op {
            Op::Sys(nr) => (OP_SYSCALL, nr),
            Op::Vdso(function) => (OP_VDSO, function),
            Op::Agent(op) => (op, 0),
        };
        self.instr(op, flags, nr, words, outs);
    }

    /// One argument: its word, and the length a `Len` of it has.
    fn argument(
        &mut self,
        index: usize,
        k: usize,
        ty: Ty,
        value: Option<&Arg>,
        outs: &mut Vec<(u16, u16)>,
        spans: &mut Vec<Span>,
    ) -> Result<(Word, u64), CompileError> {
        let zero = (Word::new(WORD_CONST, 0), 0);
        let mut out = |at: usize, len: u16| {
            if len > 0 {
                outs.push((at as u16, len));
                spans.push(Span { arg: k as u8, len });
            }
        };
        let (at, len) = match (ty, value) {
            (Ty::Const(n), _) => return Ok((Word::new(WORD_CONST, n), 0)),
            (Ty::Len(_), _) => return Ok(zero),
            (Ty::PathConst(path), _) => (self.path(path.as_bytes())?, path.len()),
            (Ty::Path, Some(Arg::Bytes(path))) => (self.path(path)?, path.len()),
            (Ty::Path, Some(Arg::Res(r))) => {
                let word = self.resource(*r);
                self.places[index][k] = word.value as u16;
                return Ok((word, 0));
            }
            (
                Ty::Ptr(_, Out::Dirents(max) | Out::Lines(max, _) | Out::Buf(max) | Out::Opaque(max)),
                Some(Arg::Out(n)),
            ) => {
                let len = (*n).min(max.into()) as usize;
                let at = self.reserve(len.max(1), FILL)?;
                if !matches!(ty, Ty::Ptr(_, Out::Opaque(_))) {
                    out(at, len as u16);
                }
                (at, len)
            }
            (Ty::Ptr(_, Out::Fields(_, size)), Some(Arg::Out(_))) => {
                let at = self.reserve(size as usize, FILL)?;
                out(at, size);
                (at, size as usize)
            }
            (Ty::Ptr(In::Bytes(_), after), Some(Arg::Bytes(bytes))) => {
                let at = self.place(bytes)?;
                if matches!(after, Out::Buf(_)) {
                    out(at, bytes.len() as u16);
                }
                (at, bytes.len())
            }
            (Ty::Ptr(In::Struct(fields, size), after), Some(Arg::Group(values))) => {
                let at = self.reserve(size as usize, 0)?;
                self.fields(at, fields, values);
                if matches!(after, Out::Fields(..)) {
                    out(at, size);
                }
                (at, size as usize)
            }
            (Ty::Ptr(In::Array(fields, stride, _), after), Some(Arg::Group(elements))) => {
                let at = self.reserve((stride as usize * elements.len()).max(1), 0)?;
                for (n, element) in elements.iter().enumerate() {
                    if let Arg::Group(values) = element {
                        self.fields(at + n * stride as usize, fields, values);
                    }
                }
                if matches!(after, Out::Array(..)) {
                    out(at, (stride as usize * elements.len()) as u16);
                }
                (at, elements.len())
            }
            (Ty::Ptr(In::IovIn | In::IovOut, _), Some(Arg::Group(elements))) => {
                let at = self.reserve((16 * elements.len()).max(1), 0)?;
                for (n, element) in elements.iter().enumerate() {
                    let (base, len) = match element {
                        Arg::Bytes(bytes) => (self.place(bytes)?, bytes.len()),
                        Arg::Out(len) => {
                            let base = self.reserve((*len as usize).max(1), FILL)?;
                            out(base, *len as u16);
                            (base, *len as usize)
                        }
                        _ => (0, 0),
                    };
                    self.patch(at + 16 * n, ARENA + base as u64, 8);
                    self.patch(at + 16 * n + 8, len as u64, 8);
                }
                (at, elements.len())
            }
            (ty, Some(value)) => return Ok((self.word(ty, value), 0)),
            (_, None) => return Ok(zero),
        };
        self.places[index][k] = at as u16;
        Ok((Word::new(WORD_ARENA, at as u64), len as u64))
    }

    fn path(&mut self, path: &[u8]) -> Result<usize, CompileError> {
        let mut bytes = path.to_vec();
        bytes.push(0);
        self.place(&bytes)
    }
}
