//! The generator: typed programs that mostly succeed.
//!
//! A call that fails at the door sees nothing behind it, so arguments are taken from what the program already
//! made, and where nothing fits, a call that makes it comes first.

use crate::arguments::Builder;
use crate::dice::Dice;
use crate::resources::{has_outer, has_tty, made};
use crate::scenes;
use crate::tally::Weights;
use crate::tasks;
use parallax_corpus::desc::{self, FdKinds, Kind};
use parallax_corpus::{Area, Call, CallId, Program, Ty, tables};

/// Most calls the search lets a program have; fewer than [`parallax_corpus::program::MAX_CALLS`], since long
/// programs hide differences behind the first one.
pub const LONGEST: usize = 24;

/// How many of a hundred programs about terminals have the outside one.
const OUTSIDE: usize = 10;
/// How many of a hundred calls of such a program happen outside.
const EVENTS: usize = 25;
/// How often a call that has a scene (see [`crate::scenes`]) comes in it.
const STAGED: usize = 60;

/// One way to make a thing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maker {
    /// The call.
    pub id: CallId,
    /// Which of the things it makes.
    pub slot: u8,
    /// What that is; never [`Kind::SameAs`].
    pub kind: Kind,
}

/// Makes programs and parts of programs. Holds no state but what the tables and the target allow.
#[derive(Clone, Debug)]
pub struct Generator {
    allowed: Vec<bool>,
    /// Every program is to have a checkpoint.
    points: bool,
    areas: Vec<(Area, Vec<CallId>)>,
    makers: Vec<Maker>,
    writers: Vec<CallId>,
    observers: Vec<Observer>,
    /// What happens at the outside terminal: drawn by the choice of that terminal, not as calls of their area.
    outside: Vec<CallId>,
}

/// A call that looks at a descriptor and passes nothing in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observer {
    /// The call.
    pub id: CallId,
    /// Which written argument is the descriptor.
    pub argument: usize,
    /// The kinds it takes.
    pub kinds: FdKinds,
}

impl Generator {
    /// A generator of calls `i` of the tables with `allowed[i]`; missing entries count as allowed.
    pub fn new(allowed: &[bool]) -> Generator {
        let ids = || (0..tables::all().len()).filter_map(CallId::from_index);
        let on = |id: CallId| allowed.get(id.index()).copied().unwrap_or(true);
        let used = ids().filter(|id| on(*id) && id.desc().weight > 0);
        let (outside, used): (Vec<CallId>, Vec<CallId>) =
            used.partition(|id| id.desc().needs & desc::NEED_OUTER != 0);
        let areas = Area::ALL
            .into_iter()
            .map(|area| (area, used.iter().copied().filter(|id| id.desc().area == area).collect::<Vec<_>>()))
            .filter(|(_, calls)| !calls.is_empty())
            .collect();
        let makers =
            used.iter().flat_map(|&id| {
                let made = id.desc().makes.iter().enumerate();
                made.filter(|(_, made)| !matches!(made.kind, Kind::SameAs(_)))
                    .map(move |(slot, made)| Maker { id, slot: slot as u8, kind: made.kind })
            });
        Generator {
            makers: makers.collect(),
            // The keys of a user and plain writes: what makes a read return.
            observers: used.iter().filter_map(|id| observer(*id)).collect(),
            writers: used.iter().copied().filter(|id| is_writer(*id)).collect(),
            areas,
            outside,
            points: false,
            allowed: ids().map(on).collect(),
        }
    }

    /// The same, of programs that all have a checkpoint.
    #[must_use]
    pub fn with_points(self, points: bool) -> Generator {
        Generator { points, ..self }
    }

    /// Whether every program is to have a checkpoint.
    pub fn has_points(&self) -> bool {
        self.points
    }

    /// Whether the search may make this call.
    pub fn allows(&self, id: CallId) -> bool {
        self.allowed.get(id.index()).copied().unwrap_or(false)
    }

    /// Whether the search may make every call of a program.
    pub fn allows_program(&self, program: &Program) -> bool {
        program.calls.iter().all(|call| self.allows(call.id))
    }

    pub(crate) fn makers(&self) -> &[Maker] {
        &self.makers
    }

    pub(crate) fn observers(&self) -> &[Observer] {
        &self.observers
    }

    pub(crate) fn writers(&self) -> &[CallId] {
        &self.writers
    }

    /// A fresh program, typically of 2 to 12 calls. Empty only if no call is allowed.
    ///
    /// It has a main area, drawn evenly, so that its calls have something to do with each other; a quarter of
    /// them come from anywhere.
    pub fn generate<D: Dice>(&self, dice: &mut D, weights: &Weights) -> Program {
        let mut program = Program::default();
        let Some(main) = dice.pick(&self.areas).map(|(area, _)| *area) else { return program };
        let length = 2 + dice.below(6) + dice.below(6);
        if dice.percent(tasks::SHARE) {
            tasks::begin(dice, self, &mut program);
        }
        if main == Area::Tty && dice.percent(OUTSIDE) {
            if let Some(id) = self.event(dice, weights) {
                Builder::new(self, weights, dice, &mut program).push(id);
            }
        }
        // Each round adds a call, unless weights forbid all; then there is nothing to wait for.
        for _ in 0..2 * length {
            if program.calls.len() >= length {
                break;
            }
            let area = if dice.percent(75) { Some(main) } else { None };
            self.append(dice, weights, &mut program, area);
        }
        program
    }

    /// The calls it makes.
    pub fn calls(&self) -> impl Iterator<Item = CallId> + '_ {
        self.areas.iter().flat_map(|(_, calls)| calls.iter().copied())
    }

    /// Appends that call, after the calls that make what it needs. Returns its index, if there is room for it.
    pub fn push<D: Dice>(
        &self,
        dice: &mut D,
        weights: &Weights,
        program: &mut Program,
        id: CallId,
    ) -> Option<usize> {
        Builder::new(self, weights, dice, program).push(id)
    }

    /// Appends one call of that area (or of any, evenly), after the calls that make what it needs.
    /// Returns its index, if there is a call to make and room for it.
    pub fn append<D: Dice>(
        &self,
        dice: &mut D,
        weights: &Weights,
        program: &mut Program,
        area: Option<Area>,
    ) -> Option<usize> {
        let id = self.choose(dice, weights, program, area)?;
        let from = program.calls.len();
        let at = self.append_call(dice, weights, program, id);
        tasks::hand_out(dice, program, from);
        at
    }

    /// Appends this call, in a scene of its own or after the calls that make what it needs. Returns its index, if there
    /// is room for it.
    pub fn append_call<D: Dice>(
        &self,
        dice: &mut D,
        weights: &Weights,
        program: &mut Program,
        id: CallId,
    ) -> Option<usize> {
        if dice.percent(STAGED) {
            if let Some(index) = scenes::stage(self, dice, weights, program, id) {
                // A detail of it changed now and then: the arguments of a scene are one choice of many.
                let last = program.calls[index].args.len();
                if last > 0 && dice.percent(40) {
                    let k = dice.below(last);
                    self.replace_argument(dice, weights, program, index, k);
                }
                return Some(program.calls.len() - 1);
            }
        }
        Builder::new(self, weights, dice, program).push(id)
    }

    /// Replaces one argument of call `index`: the `k`th written one. Calls that make what it needs come before.
    /// Returns whether the program changed.
    pub fn replace_argument<D: Dice>(
        &self,
        dice: &mut D,
        weights: &Weights,
        program: &mut Program,
        index: usize,
        k: usize,
    ) -> bool {
        let before = program.clone();
        let mut call = program.calls[index].clone();
        splice_in(program, index, 1, |head| {
            Builder::new(self, weights, dice, head).renew(&mut call, k);
            head.calls.push(call);
        });
        *program != before
    }

    /// Draws something that happens at the outside terminal.
    fn event<D: Dice>(&self, dice: &mut D, weights: &Weights) -> Option<CallId> {
        dice.weighted(self.outside.iter().map(|id| weights.of(*id))).map(|i| self.outside[i])
    }

    /// Appends a call of the same area that is about the same things as call `at`, as far as it can be.
    pub(crate) fn append_like<D: Dice>(
        &self,
        dice: &mut D,
        weights: &Weights,
        program: &mut Program,
        at: usize,
    ) -> Option<usize> {
        let model = program.calls[at].clone();
        let id = self.choose(dice, weights, program, Some(model.id.desc().area))?;
        Builder::new(self, weights, dice, program).push_like(id, &model, Some(at))
    }

    /// Draws a call: mostly one that uses what the program already made.
    fn choose<D: Dice>(
        &self,
        dice: &mut D,
        weights: &Weights,
        program: &Program,
        area: Option<Area>,
    ) -> Option<CallId> {
        if has_outer(program) && dice.percent(EVENTS) {
            if let Some(id) = self.event(dice, weights) {
                return Some(id);
            }
        }
        let (_, calls) = match area.and_then(|area| self.areas.iter().find(|(a, _)| *a == area)) {
            Some(found) => found,
            None => dice.pick(&self.areas)?,
        };
        if dice.percent(70) {
            let has = Has::of(program);
            let linked = |id: &CallId| if has.serves(*id) { weights.of(*id) } else { 0 };
            if let Some(i) = dice.weighted(calls.iter().map(linked)) {
                return Some(calls[i]);
            }
        }
        dice.weighted(calls.iter().map(|id| weights.of(*id))).map(|i| calls[i])
    }
}

/// Puts calls into the middle of a program: `grow` appends to the first `at` calls, then the rest follows,
/// without its first `skip` calls. `grow` must append at least `skip` calls, of which the last ones replace
/// the skipped ones. The program may become longer than [`LONGEST`].
pub fn splice_in(program: &mut Program, at: usize, skip: usize, grow: impl FnOnce(&mut Program)) {
    let mut tail = Program { calls: program.calls.split_off(at) };
    tail.calls.drain(..skip);
    grow(program);
    let added = (program.calls.len() - at - skip) as u16;
    tail.rewrite_refs(|mut r| {
        if r.call as usize >= at {
            r.call += added;
        }
        Some(r)
    });
    program.calls.append(&mut tail.calls);
}

/// Summary of what a program has: which calls could use it.
struct Has {
    fds: FdKinds,
    pid: bool,
    timer: bool,
    page: bool,
    path: bool,
    ids: Vec<desc::Id>,
}

impl Has {
    fn of(program: &Program) -> Has {
        let mut has = Has { fds: 0, pid: false, timer: false, page: false, path: false, ids: Vec::new() };
        if has_tty(program) {
            has.fds = if has_outer(program) { desc::FD_TTY } else { desc::FD_TTY | desc::FD_PTM };
        }
        for thing in made(program, program.calls.len()).iter().filter(|thing| !thing.closed) {
            match thing.kind {
                Kind::Fd(kinds) => has.fds |= kinds,
                Kind::Pid => has.pid = true,
                Kind::Timer => has.timer = true,
                Kind::Page => has.page = true,
                Kind::Path => has.path = true,
                Kind::Id(id) => has.ids.push(id),
                Kind::SameAs(_) => {}
            }
        }
        has
    }

    fn serves(&self, id: CallId) -> bool {
        id.desc().args.iter().any(|arg| match arg.ty {
            Ty::Fd(kinds) => self.fds & kinds != 0,
            Ty::Pid => self.pid,
            Ty::Timer => self.timer,
            Ty::Page => self.page,
            Ty::Path => self.path,
            Ty::Id(id) => self.ids.contains(&id),
            _ => false,
        })
    }
}

/// The call as an observer, if it is one.
fn observer(id: CallId) -> Option<Observer> {
    let desc = id.desc();
    let looks = |ty: &Ty| matches!(ty, Ty::Ptr(desc::In::Nothing, _) | Ty::Fd(_) | Ty::Const(_) | Ty::Len(_));
    if !desc.makes.is_empty() || desc.base_name() == "close" || !desc.args.iter().all(|a| looks(&a.ty)) {
        return None;
    }
    desc.written().enumerate().find_map(|(argument, (_, a))| match a.ty {
        Ty::Fd(kinds) => Some(Observer { id, argument, kinds }),
        _ => None,
    })
}

/// A plain write: a descriptor, bytes, and their count.
fn is_writer(id: CallId) -> bool {
    let mut written = id.desc().written();
    id.desc().base_name() == "write"
        && matches!(written.next().map(|(_, a)| a.ty), Some(Ty::Fd(_)))
        && matches!(written.next().map(|(_, a)| a.ty), Some(Ty::Ptr(desc::In::Bytes(_), desc::Out::Nothing)))
        && written.next().is_none()
}

/// A call as written by `args`, of which there must be one for each written argument.
pub(crate) fn call(id: CallId, args: Vec<parallax_corpus::Arg>) -> Call {
    debug_assert_eq!(args.len(), id.desc().written().count());
    Call::new(id, args)
}
