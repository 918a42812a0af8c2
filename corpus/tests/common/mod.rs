//! Well-formed programs for property tests, typed by whatever the description tables say.

use parallax_corpus::check::{MAX_IOV, NO_FD};
use parallax_corpus::desc::{HANDLER, In, Kind, NO_PID, Op, Out, SField};
use parallax_corpus::program::MAX_CALLS;
use parallax_corpus::{Arg, Call, CallId, Program, ResRef, Ty, tables, wire};
use proptest::prelude::*;

/// A well-formed program. It shrinks through the choices it is made from.
pub fn program() -> impl Strategy<Value = Program> {
    proptest::collection::vec(any::<u64>(), 0..400).prop_map(|choices| {
        let mut builder = Builder { choices, at: 0, program: Program::default() };
        while builder.program.calls.len() < MAX_CALLS && builder.at < builder.choices.len() {
            builder.call();
        }
        builder.program
    })
}

/// A program that has every described call once.
pub fn every_call(choices: Vec<u64>) -> Vec<Program> {
    let indexes: Vec<usize> = (0..tables::all().len()).collect();
    let mut builder = Builder { choices, at: 0, program: Program::default() };
    indexes
        .chunks(MAX_CALLS)
        .map(|chunk| {
            chunk.iter().for_each(|index| builder.push(*index));
            std::mem::take(&mut builder.program)
        })
        .collect()
}

struct Builder {
    choices: Vec<u64>,
    at: usize,
    program: Program,
}

impl Builder {
    /// The next choice; zeros when they have run out, which makes simple programs.
    fn any(&mut self) -> u64 {
        self.at += 1;
        self.choices.get(self.at - 1).copied().unwrap_or(0)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.any() % n.max(1) as u64) as usize
    }
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn call(&mut self) {
        let index = self.below(tables::all().len());
        self.push(index);
    }
    fn push(&mut self, index: usize) {
        let id = CallId::from_index(index).expect("an index of the table");
        let paged = id.desc().written().any(|(_, a)| a.ty == Ty::Page);
        let vdso = matches!(id.desc().op, Op::Vdso(_));
        let args = id.desc().written().map(|(_, a)| match a.ty {
            // Any length in the lower half of the window: no table has longer ones.
            Ty::Int(_) if paged => Arg::Int(self.any() % (wire::WINDOW_SIZE / 2 + 1)),
            Ty::Ptr(In::Nothing, Out::Fields(..)) if vdso => Arg::Out(0),
            ty => self.arg(&ty),
        });
        let args = args.collect();
        let task = (self.any() % 4) as u8;
        self.program.calls.push(Call { id, args, task });
        self.program.fit_tasks();
    }

    fn resource(&mut self, wanted: Kind) -> Option<Arg> {
        let mut all = Vec::new();
        for (n, call) in self.program.calls.iter().enumerate() {
            for slot in 0..call.id.desc().makes.len() {
                let r = ResRef { call: n as u16, slot: slot as u8 };
                let fits = match (self.program.kind_of(r), wanted) {
                    (Some(Kind::Fd(_)), Kind::Fd(_)) => true,
                    (kind, wanted) => kind == Some(wanted),
                };
                if fits {
                    all.push(r);
                }
            }
        }
        if all.is_empty() { None } else { Some(Arg::Res(self.pick(&all))) }
    }
    fn resource_or(&mut self, kind: Kind, constants: &[u64]) -> Arg {
        let constant = Arg::Int(self.pick(constants));
        if self.any() % 4 == 0 { constant } else { self.resource(kind).unwrap_or(constant) }
    }

    fn bytes(&mut self, max: usize) -> Vec<u8> {
        let len = self.below(max.min(40) + 1);
        (0..len).map(|_| self.any() as u8).collect()
    }

    fn arg(&mut self, ty: &Ty) -> Arg {
        if matches!(ty, Ty::Path | Ty::Ptr(..)) && self.any() % 8 == 7 {
            return Arg::Int(self.pick(&[0, 1, 4095, 0xffff_8000_0000_0000, u64::MAX]));
        }
        match ty {
            Ty::Path => {
                let path = self.bytes(40).into_iter().filter(|b| *b != 0).collect();
                let made = if self.any() % 2 == 0 { self.resource(Kind::Path) } else { None };
                made.unwrap_or(Arg::Bytes(path))
            }
            Ty::Ptr(In::Bytes(max), _) => Arg::Bytes(self.bytes(usize::from(*max))),
            Ty::Ptr(In::Struct(fields, _), _) => self.fields(fields),
            Ty::Ptr(In::Array(fields, _, max), _) => {
                Arg::Group((0..self.below(usize::from(*max) + 1)).map(|_| self.fields(fields)).collect())
            }
            Ty::Ptr(In::IovIn, _) => {
                Arg::Group((0..self.below(MAX_IOV + 1)).map(|_| Arg::Bytes(self.bytes(16))).collect())
            }
            Ty::Ptr(In::IovOut, _) => {
                Arg::Group((0..self.below(MAX_IOV + 1)).map(|_| Arg::Out(self.below(64) as u32)).collect())
            }
            Ty::Ptr(In::Nothing, Out::Dirents(room) | Out::Lines(room, _)) => Arg::Out(u32::from(*room)),
            Ty::Ptr(In::Nothing, Out::Buf(max) | Out::Opaque(max)) => {
                Arg::Out(self.below(usize::from(*max) + 1) as u32)
            }
            Ty::Ptr(In::Nothing, Out::Nothing) => Arg::Int(0),
            Ty::Ptr(In::Nothing, _) => Arg::Out(0),
            word => self.word(word),
        }
    }

    fn fields(&mut self, fields: &[SField]) -> Arg {
        Arg::Group(fields.iter().map(|f| self.word(&f.ty)).collect())
    }

    fn word(&mut self, ty: &Ty) -> Arg {
        let any = self.any();
        match ty {
            Ty::OneOf(values) => Arg::Int(values[(any % values.len() as u64) as usize]),
            Ty::Int(interesting) if any % 2 == 0 && !interesting.is_empty() => {
                Arg::Int(self.pick(interesting))
            }
            Ty::Int(_) | Ty::SigSet => Arg::Int(self.any() >> (any % 64)),
            Ty::Flags(set) => {
                let names = (0..any % 5).map(|_| self.pick(set.names).1).fold(0, |joined, n| joined | n);
                let extra = [0, 0, 0, self.any() >> (any % 64), u64::MAX];
                Arg::Int(names | self.pick(&extra))
            }
            Ty::Enum(set) => Arg::Int(self.pick(set.names).1),
            Ty::Fd(kinds) => {
                self.resource_or(Kind::Fd(*kinds), &[0, 3, 63, NO_FD, u64::MAX, -100i64 as u64, 0xffff_ff9c])
            }
            Ty::Pid => self.resource_or(Kind::Pid, &[0, NO_PID]),
            Ty::Id(id) => self.resource_or(Kind::Id(*id), &[0, 7, u64::MAX]),
            Ty::Timer => self.resource_or(Kind::Timer, &[0, 7, u64::MAX]),
            Ty::Page => {
                let page = wire::WINDOW + any % (wire::WINDOW_SIZE / 2 + 1);
                self.resource_or(Kind::Page, &[wire::WINDOW, page & !4095, page])
            }
            Ty::Signal => Arg::Int(if any % 80 == 14 { 0 } else { any % 80 }),
            Ty::Handler => Arg::Int(any % (HANDLER + 1)),
            Ty::Const(fixed) => Arg::Int(*fixed),
            other => panic!("no word: {other:?}"),
        }
    }
}
