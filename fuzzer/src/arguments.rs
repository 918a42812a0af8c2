//! Building one call: its arguments, and the calls that make what it needs.

mod paths;

use crate::dice::Dice;
use crate::generate::{Generator, LONGEST, Maker, call};
use crate::knowledge::{self, Direction, Node};
use crate::resources::{Resource, fd_kinds_of, has_outer, has_tty, made};
use crate::tally::Weights;
use crate::values;
use parallax_corpus::desc::{self, FdKinds, In, Kind, NEED_TTY, NO_PID, Op, Out, SField};
use parallax_corpus::{Arg, ArgDesc, Call, CallId, Program, ResRef, Ty, wire};

/// How many makers of makers come before a call.
const DEPTH: usize = 3;

/// How often, in percent, a name that should be new is one that is taken.
const TAKEN: usize = 12;

/// Arguments with these names are lengths where a call has a page argument.
const LENGTHS: [&str; 7] = ["length", "len", "size", "old_len", "new_len", "old_size", "new_size"];

/// Keeps lengths of a call on pages inside the window: behind it may lie the agent's own memory.
pub fn fit_mapping(call: &mut Call) {
    let described: Vec<&ArgDesc> = call.id.desc().written().map(|(_, a)| a).collect();
    if !described.iter().any(|a| a.ty == Ty::Page) {
        return;
    }
    let page = |(a, v): (&&ArgDesc, &Arg)| match v {
        Arg::Int(page) if a.ty == Ty::Page => page.checked_sub(wire::WINDOW),
        _ => None,
    };
    let furthest = described.iter().zip(&call.args).filter_map(page).max().unwrap_or(0);
    let room = wire::WINDOW_SIZE.saturating_sub(furthest);
    for (a, value) in described.iter().zip(&mut call.args) {
        if let (true, Arg::Int(len)) = (LENGTHS.contains(&a.name), value) {
            *len = (*len).min(room);
        }
    }
}

/// Appends calls to a program.
pub(crate) struct Builder<'a, D: Dice> {
    pub(crate) generator: &'a Generator,
    pub(crate) weights: &'a Weights,
    pub(crate) dice: &'a mut D,
    pub(crate) program: &'a mut Program,
    depth: usize,
}

impl<'a, D: Dice> Builder<'a, D> {
    /// A builder at the end of `program`.
    pub(crate) fn new(
        generator: &'a Generator,
        weights: &'a Weights,
        dice: &'a mut D,
        program: &'a mut Program,
    ) -> Self {
        Builder { generator, weights, dice, program, depth: 0 }
    }

    /// Appends a call of that description, after what it needs. Returns its index if there was room.
    pub(crate) fn push(&mut self, id: CallId) -> Option<usize> {
        self.push_with(id, None)
    }

    /// Like [`Builder::push`], with the `.0`th written argument given.
    pub(crate) fn push_with(&mut self, id: CallId, given: Option<(usize, Arg)>) -> Option<usize> {
        let count = id.desc().written().count();
        let mut all = vec![None; count];
        if let Some((at, value)) = given {
            all[at] = Some(value);
        }
        self.push_given(id, &all)
    }

    /// Appends a call that has to do with `model`: it is about the same things, as far as it can be. What the model
    /// makes can be used if it is there already, as call `made`.
    pub(crate) fn push_like(&mut self, id: CallId, model: &Call, made: Option<usize>) -> Option<usize> {
        let shared: Vec<Option<Arg>> =
            id.desc().written().map(|(_, arg)| self.shared(arg, model, made)).collect();
        let given: Vec<Option<Arg>> =
            shared.into_iter().map(|arg| arg.filter(|_| self.dice.percent(88))).collect();
        self.push_given(id, &given)
    }

    /// What an argument has in common with a call: a thing it made or used, or the same choice.
    fn shared(&self, arg: &ArgDesc, model: &Call, made: Option<usize>) -> Option<Arg> {
        let fits = |kind: Kind| match (arg.ty, kind) {
            (Ty::Fd(wanted), Kind::Fd(kinds)) => wanted & kinds != 0,
            (Ty::Pid, Kind::Pid) | (Ty::Timer, Kind::Timer) => true,
            (Ty::Page, Kind::Page) | (Ty::Path, Kind::Path) => true,
            _ => false,
        };
        let things = made.into_iter().flat_map(|call| {
            let slots = 0..model.id.desc().makes.len();
            slots.map(move |slot| ResRef { call: call as u16, slot: slot as u8 })
        });
        for at in things {
            if self.program.kind_of(at).is_some_and(fits) {
                return Some(Arg::Res(at));
            }
        }
        let mut used = model.id.desc().written().zip(&model.args);
        let found = used.find(|((_, theirs), value)| match (arg.ty, theirs.ty) {
            (Ty::Fd(wanted), Ty::Fd(_)) => fd_kinds_of(self.program, value) & wanted != 0,
            (Ty::Path, Ty::Path) | (Ty::Pid, Ty::Pid) | (Ty::Timer, Ty::Timer) => true,
            (Ty::Page, Ty::Page) | (Ty::Signal, Ty::Signal) => true,
            (Ty::Enum(_) | Ty::Int(_) | Ty::OneOf(_), ours) => arg.name == theirs.name && arg.ty == ours,
            _ => false,
        });
        found.map(|(_, value)| value.clone())
    }

    /// Like [`Builder::push`], with some of the written arguments given.
    fn push_given(&mut self, id: CallId, given: &[Option<Arg>]) -> Option<usize> {
        let desc = id.desc();
        if knowledge::waits(id) && knowledge::children(self.program).is_empty() && self.dice.percent(95) {
            self.make(|m| knowledge::spawns(m.id));
        }
        let precedent = self.precedent(id);
        let mut args = Vec::new();
        for (k, (index, arg)) in desc.written().enumerate() {
            args.push(match (&given[k], &precedent) {
                (Some(value), _) => value.clone(),
                (_, Some(before)) if matches!(arg.ty, Ty::Fd(_)) && k < before.len() => before[k].clone(),
                _ => self.argument(id, index, arg, &args),
            });
        }
        if desc.blocks && !self.dice.percent(10) {
            self.keep_moving(desc, &mut args);
        }
        if self.program.calls.len() >= LONGEST {
            return None;
        }
        let mut call = call(id, args);
        fit_mapping(&mut call);
        self.program.calls.push(call);
        Some(self.program.calls.len() - 1)
    }

    /// The arguments of an earlier call without which this one would find nothing; made if need be.
    fn precedent(&mut self, id: CallId) -> Option<Vec<Arg>> {
        let wanted = knowledge::precedent(id).filter(|wanted| self.generator.allows(*wanted))?;
        if self.dice.percent(10) {
            return None;
        }
        if !self.program.calls.iter().any(|call| call.id == wanted) && self.depth < DEPTH {
            self.depth += 1;
            self.push(wanted);
            self.depth -= 1;
        }
        self.program.calls.iter().rfind(|call| call.id == wanted).map(|call| call.args.clone())
    }

    /// Draws the `k`th written argument of a call anew, or, in a struct or an array, one part of it.
    pub(crate) fn renew(&mut self, call: &mut Call, k: usize) {
        let id = call.id;
        let Some((index, arg)) = id.desc().written().nth(k) else { return };
        if let (Ty::Ptr(In::Struct(fields, _), _), Arg::Group(parts)) = (arg.ty, &mut call.args[k]) {
            if self.dice.percent(80) && !parts.is_empty() {
                let part = self.dice.below(parts.len().min(fields.len()));
                parts[part] = self.field(id, &fields[part]);
                return;
            }
        }
        let others: Vec<Arg> = call.args[..k].to_vec();
        call.args[k] = self.argument(id, index, arg, &others);
        fit_mapping(call);
    }

    fn argument(&mut self, id: CallId, index: usize, arg: &ArgDesc, before: &[Arg]) -> Arg {
        match arg.ty {
            Ty::Path => self.path(id, index),
            Ty::Ptr(In::Nothing, Out::Nothing) => Arg::Int(0),
            Ty::Ptr(..) if !matches!(id.desc().op, Op::Vdso(_)) && self.dice.below(1000) < 12 => {
                Arg::Int(values::bad_address(self.dice))
            }
            Ty::Ptr(into, out) => self.pointer(id, into, out),
            Ty::Fd(kinds) => {
                let liked =
                    if self.dice.percent(90) { knowledge::liked_kinds(id, arg.name, kinds) } else { kinds };
                if arg.name.ends_with("dirfd") && self.dice.percent(85) {
                    if let Some(here) = self.working_dir() {
                        return Arg::Res(here);
                    }
                }
                self.fd(liked, id.desc().needs & NEED_TTY != 0, Direction::of(id, arg.name))
            }
            Ty::Pid => self.pid(id),
            // Modes that lock the program itself out say little about what comes after.
            Ty::Int(modes) if arg.name == "mode" => {
                let own = if Node::made_by(id) == Node::Dir { 0o700 } else { 0o600 };
                let open: Vec<u64> = modes.iter().copied().filter(|mode| mode & own == own).collect();
                let among = if self.dice.percent(88) && !open.is_empty() { &open } else { modes };
                Arg::Int(values::int(self.dice, among, 8) & 0o7777)
            }
            Ty::Signal if knowledge::sends(id) => {
                let handled = knowledge::handled(self.program);
                Arg::Int(values::signal_to_send(self.dice, &handled))
            }
            // A mapping call is told where to map; the others want what is mapped.
            Ty::Page if id.desc().makes.iter().any(|m| m.kind == Kind::Page) => {
                Arg::Int(values::page(self.dice))
            }
            Ty::Flags(set) if values::bit_named(set, |n| n == "O_CREAT").is_some() => {
                let path = id.desc().written().zip(before).find(|((_, a), _)| a.ty == Ty::Path);
                self.open_flags(set, path.map(|(_, value)| value))
            }
            Ty::OneOf(values) if id.desc().blocks && arg.name == "timeout" => self.timeout(values),
            _ => self.word(arg.name, arg.ty, 8),
        }
    }

    /// A word of `size` bytes that is an argument itself or a field of a struct.
    fn word(&mut self, name: &str, ty: Ty, size: u8) -> Arg {
        let dice = &mut *self.dice;
        match ty {
            Ty::Flags(set) if name == "prot" => Arg::Int(values::protection(dice, set)),
            Ty::Flags(set) => Arg::Int(values::termios_flags(dice, name, set)),
            Ty::Enum(set) if LENGTHS.contains(&name) => Arg::Int(values::length(dice, set)),
            Ty::Enum(set) => Arg::Int(values::one_of(dice, set)),
            Ty::Signal => Arg::Int(values::signal(dice)),
            Ty::SigSet => Arg::Int(values::signal_set(dice)),
            Ty::Handler => Arg::Int(values::handler(dice)),
            Ty::Fd(kinds) => self.fd(kinds, false, Direction::Any),
            Ty::Pid => self.any_pid(),
            Ty::Timer => self.timer(),
            Ty::Id(id) => self.id(id),
            Ty::Page => self.page(),
            // Numbers of the agent's own descriptors are nobody's to name.
            Ty::OneOf(listed) => Arg::Int(values::listed(dice, name, listed)),
            Ty::Int(interesting) => Arg::Int(match values::named_int(dice, name, interesting, size) {
                200..208 if name.contains("fd") => 20,
                value => value,
            }),
            Ty::Const(value) => Arg::Int(value),
            Ty::Path | Ty::PathConst(_) | Ty::Ptr(..) | Ty::Len(_) => Arg::Int(0),
        }
    }

    fn field(&mut self, id: CallId, field: &SField) -> Arg {
        match field.ty {
            Ty::Pid => self.pid(id),
            ty => self.word(field.name, ty, field.size),
        }
    }

    fn pointer(&mut self, id: CallId, into: In, out: Out) -> Arg {
        match (into, out) {
            (In::Nothing, Out::Buf(max) | Out::Opaque(max)) => Arg::Out(values::room(self.dice, max.into())),
            (In::Nothing, Out::Dirents(room) | Out::Lines(room, _)) => Arg::Out(room.into()),
            (In::Nothing | In::Message(..), _) => Arg::Out(0),
            (In::Bytes(max), _) => Arg::Bytes(values::bytes(self.dice, max.into())),
            (In::Struct(fields, _), _) => Arg::Group(fields.iter().map(|f| self.field(id, f)).collect()),
            (In::Array(fields, _, max), _) => Arg::Group(
                (0..self.count(max.into()))
                    .map(|_| Arg::Group(fields.iter().map(|f| self.field(id, f)).collect()))
                    .collect(),
            ),
            (In::IovIn, _) => {
                Arg::Group((0..self.count(4)).map(|_| Arg::Bytes(values::bytes(self.dice, 64))).collect())
            }
            (In::IovOut, _) => {
                Arg::Group((0..self.count(4)).map(|_| Arg::Out(values::room(self.dice, 64))).collect())
            }
        }
    }

    /// How many elements: one or two, rarely none or all.
    fn count(&mut self, max: usize) -> usize {
        [1, 1, 1, 1, 1, 2, 2, 2, max, 0][self.dice.below(10)].min(max)
    }

    fn resources(&self) -> Vec<Resource> {
        made(self.program, self.program.calls.len())
    }

    /// A resource that satisfies `wanted`, with a liking for the latest.
    fn existing(&mut self, wanted: impl Fn(&Resource) -> bool) -> Option<ResRef> {
        let fitting: Vec<ResRef> = self.resources().iter().filter(|r| wanted(r)).map(|r| r.at).collect();
        if self.dice.percent(40) { fitting.last() } else { self.dice.pick(&fitting) }.copied()
    }

    /// Appends a call that makes such a thing.
    fn make(&mut self, wanted: impl Fn(&Maker) -> bool) -> Option<ResRef> {
        if self.depth >= DEPTH || self.program.calls.len() + 1 >= LONGEST {
            return None;
        }
        let makers: Vec<_> = self.generator.makers().iter().filter(|m| wanted(m)).collect();
        let maker = makers[self.dice.weighted(makers.iter().map(|m| self.weights.of(m.id)))?];
        self.depth += 1;
        let made = self.push(maker.id).map(|call| ResRef { call: call as u16, slot: maker.slot });
        self.depth -= 1;
        made
    }

    /// A descriptor of one of these kinds; rarely a wrong, closed or made-up one.
    fn fd(&mut self, kinds: FdKinds, tty: bool, way: Direction) -> Arg {
        match self.dice.below(100) {
            0..2 => return Arg::Int(values::stray_fd(self.dice)),
            2..4 => {
                if let Some(r) = self.existing(|r| matches!(r.kind, Kind::Fd(_))) {
                    return Arg::Res(r);
                }
            }
            _ => {}
        }
        let tty = tty || has_tty(self.program);
        let standing = if tty { self.terminal(kinds) } else { None };
        let share = if kinds == desc::FD_ANY { 25 } else { 65 };
        if standing.is_some() && self.dice.percent(share) {
            return Arg::Int(standing.unwrap_or(0));
        }
        let maker_of: Vec<CallId> = self.program.calls.iter().map(|call| call.id).collect();
        let right = |r: &Resource| {
            !r.closed
                && r.fd_kinds() & kinds != 0
                && way.fits(maker_of[r.at.call as usize], r.kind, r.at.slot)
        };
        if !self.dice.percent(10) {
            if let Some(r) = self.existing(right) {
                return Arg::Res(r);
            }
            if let Some(number) = standing {
                return Arg::Int(number);
            }
        }
        let made = self.make(|m| {
            matches!(m.kind, Kind::Fd(made) if made & kinds != 0) && way.fits(m.id, m.kind, m.slot)
        });
        match made {
            Some(r) => Arg::Res(r),
            None => Arg::Int(standing.unwrap_or(u64::MAX)),
        }
    }

    /// The number of the program's own terminal or its master, whichever is of these kinds.
    fn terminal(&mut self, kinds: FdKinds) -> Option<u64> {
        let own = if self.dice.percent(85) { 0 } else { 1 + self.dice.below(2) as u64 };
        if has_outer(self.program) {
            return (kinds & desc::FD_TTY != 0).then_some(own);
        }
        match (kinds & desc::FD_TTY != 0, kinds & desc::FD_PTM != 0) {
            (true, true) if self.dice.percent(30) => Some(3),
            (true, _) => Some(own),
            (false, true) => Some(3),
            (false, false) => None,
        }
    }

    /// A pid for that call: a child for one that waits, somebody for one that needs somebody.
    fn pid(&mut self, id: CallId) -> Arg {
        if knowledge::waits(id) {
            let children = knowledge::children(self.program);
            return self.dice.pick(&children).map_or(Arg::Int(NO_PID), |child| Arg::Res(*child));
        }
        if knowledge::needs_pid(id) && self.dice.percent(96) {
            let found = self.existing(|r| r.kind == Kind::Pid);
            // A group is led by whoever it is named after, and that is the program.
            let leads = id.name() == "ioctl$tiocspgrp";
            let made = |m: &Maker| m.kind == Kind::Pid && !(leads && knowledge::spawns(m.id));
            if let Some(r) = found.or_else(|| self.make(made)) {
                return Arg::Res(r);
            }
        }
        self.any_pid()
    }

    fn any_pid(&mut self) -> Arg {
        if self.dice.percent(50) {
            if let Some(r) = self.existing(|r| r.kind == Kind::Pid) {
                return Arg::Res(r);
            }
        }
        Arg::Int(if self.dice.percent(4) { NO_PID } else { 0 })
    }

    /// A descriptor of the working directory, where the program's paths begin.
    fn working_dir(&mut self) -> Option<ResRef> {
        let here = CallId::named("openat$cwd")?;
        let program = &*self.program;
        let open = made(program, program.calls.len());
        let found = open.iter().rfind(|r| !r.closed && program.calls[r.at.call as usize].id == here);
        found.map(|r| r.at).or_else(|| self.make(|m| m.id == here))
    }

    fn timer(&mut self) -> Arg {
        if self.dice.percent(3) {
            return Arg::Int([u64::MAX, 99][self.dice.below(2)]);
        }
        let found = self.existing(|r| r.kind == Kind::Timer && !r.closed);
        found.or_else(|| self.make(|m| m.kind == Kind::Timer)).map_or(Arg::Int(99), Arg::Res)
    }

    fn id(&mut self, id: desc::Id) -> Arg {
        if self.dice.percent(3) {
            return Arg::Int([u64::MAX, 99][self.dice.below(2)]);
        }
        let found = self.existing(|r| r.kind == Kind::Id(id) && !r.closed);
        found.or_else(|| self.make(|m| m.kind == Kind::Id(id))).map_or(Arg::Int(99), Arg::Res)
    }

    fn page(&mut self) -> Arg {
        if self.dice.percent(5) {
            return Arg::Int(values::page(self.dice));
        }
        let found = self.existing(|r| r.kind == Kind::Page && !r.closed);
        match found.or_else(|| self.make(|m| m.kind == Kind::Page)) {
            Some(r) => Arg::Res(r),
            None => Arg::Int(values::page(self.dice)),
        }
    }

    /// A time to wait that is over soon.
    fn timeout(&mut self, interesting: &[u64]) -> Arg {
        let soon: Vec<u64> = interesting.iter().copied().filter(|&ms| ms <= 10).collect();
        match self.dice.pick(&soon) {
            Some(ms) => Arg::Int(*ms),
            None => Arg::Int(values::int(self.dice, interesting, 8)),
        }
    }
}
