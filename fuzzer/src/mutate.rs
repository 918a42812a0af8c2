//! Mutators: small changes to a program that keep it well formed.
//!
//! Each change is a plain function over [`Dice`]; an [`Order`](crate::order::Order) stacks them. References always
//! point backwards, and a call that loses what it used gets another thing of the same kind where there is one.

use crate::arguments::{Builder, fit_mapping};
use crate::dice::Dice;
use crate::generate::{Generator, LONGEST, splice_in};
use crate::relations::Guide;
use crate::resources::{fd_kinds_of, made};
use crate::tally::Weights;
use crate::tasks;
use crate::values;
use parallax_corpus::desc::{FlagSet, In, Kind, NO_PID};
use parallax_corpus::{Arg, CallId, Program, ResRef, Ty, wire};

/// What a mutator may look at besides the program.
pub struct Context<'a> {
    /// Makes new calls and arguments.
    pub generator: &'a Generator,
    /// How likely each call is.
    pub weights: &'a Weights,
    /// Which calls have to do with which.
    pub guide: &'a Guide,
    /// Another program of the corpus.
    pub donor: &'a Program,
    /// Whether mutants look at other descriptors.
    pub observes: bool,
}

/// The kinds of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new call at a random place, with what it needs.
    Insert,
    /// A call less.
    Remove,
    /// A call twice.
    Duplicate,
    /// Two neighbours change places.
    Swap,
    /// An argument is drawn anew.
    Argument,
    /// A resource argument names another thing of the same kind.
    Retarget,
    /// A bit of a flags argument is turned.
    FlagBit,
    /// A few calls of another program, with all they depend on.
    Transplant,
    /// The beginning of this program and then all of another.
    Splice,
    /// The end is cut off.
    Truncate,
    /// At the end, a call that looks at a descriptor other than the last one used.
    Observe,
    /// Two things of the same kind change places in all later calls.
    Exchange,
    /// Another task makes a call; where there is no other, one is started.
    Task,
}

/// All kinds with their weights.
pub const CHANGES: [(Change, u32); 13] = [
    (Change::Insert, 24),
    (Change::Remove, 8),
    (Change::Duplicate, 5),
    (Change::Swap, 5),
    (Change::Argument, 24),
    (Change::Retarget, 8),
    (Change::FlagBit, 8),
    (Change::Transplant, 10),
    (Change::Splice, 4),
    (Change::Truncate, 2),
    (Change::Observe, 10),
    (Change::Exchange, 3),
    (Change::Task, 4),
];

/// How often, in percent, a new call is one that has to do with another.
const RELATED: usize = 30;

/// Applies one to four changes. Returns whether the program is another one now.
pub fn mutate<D: Dice>(dice: &mut D, context: &Context<'_>, program: &mut Program) -> bool {
    let before = program.clone();
    let weight = |(kind, weight): &(Change, u32)| match kind {
        Change::Observe if !context.observes => 0,
        _ => *weight,
    };
    for _ in 0..[1, 1, 1, 2, 2, 3, 4][dice.below(7)] {
        if let Some(i) = dice.weighted(CHANGES.iter().map(weight)) {
            change(CHANGES[i].0, dice, context, program);
        }
    }
    make_legal(program);
    shorten_spins(dice, program);
    *program != before
}

/// Takes most long spins out: a mutant inherits them, and each costs as much as hundreds of programs.
fn shorten_spins<D: Dice>(dice: &mut D, program: &mut Program) {
    for call in &mut program.calls {
        for ((_, described), arg) in call.id.desc().written().zip(&mut call.args) {
            if let (Ty::OneOf(listed), "iterations", Arg::Int(n)) = (described.ty, described.name, arg) {
                if *n > values::SHORT_SPIN && dice.percent(80) {
                    *n = listed.iter().copied().filter(|n| *n <= values::SHORT_SPIN).max().unwrap_or(0);
                }
            }
        }
    }
}

/// Applies one change, where it can be applied. The program stays well formed and within [`LONGEST`].
pub fn apply<D: Dice>(kind: Change, dice: &mut D, context: &Context<'_>, program: &mut Program) {
    change(kind, dice, context, program);
    make_legal(program);
}

/// Applies one change; references point backwards, but perhaps to things of the wrong sort.
fn change<D: Dice>(kind: Change, dice: &mut D, context: &Context<'_>, program: &mut Program) {
    if program.calls.is_empty() {
        *program = context.generator.generate(dice, context.weights);
        return;
    }
    match kind {
        Change::Insert => insert(dice, context, program),
        Change::Remove => remove(dice, program),
        Change::Duplicate => duplicate(dice, program),
        Change::Swap => swap(dice, program),
        Change::Argument => argument(dice, context, program),
        Change::Retarget => retarget(dice, program),
        Change::FlagBit => flag_bit(dice, program),
        Change::Transplant => transplant(dice, context.donor, program),
        Change::Splice => splice(dice, context.donor, program),
        Change::Truncate => {
            let keep = 1 + dice.below(program.calls.len());
            program.calls.truncate(keep);
        }
        Change::Observe => observe(dice, context, program),
        Change::Exchange => exchange(dice, program),
        Change::Task => tasks::change(dice, context.generator, program),
    }
    program.calls.truncate(LONGEST);
}

fn insert<D: Dice>(dice: &mut D, context: &Context<'_>, program: &mut Program) {
    // Half of the new calls stay with what the program is about; the others keep every area in the game.
    if dice.percent(RELATED) {
        let at = dice.below(program.calls.len());
        let model = program.calls[at].clone();
        let before = context.guide.before(model.id);
        let allowed = |(id, weight): &(CallId, u32)| if context.generator.allows(*id) { *weight } else { 0 };
        if let Some(i) = dice.weighted(before.iter().map(allowed)) {
            splice_in(program, at, 0, |head| {
                Builder::new(context.generator, context.weights, dice, head).push_like(
                    before[i].0,
                    &model,
                    None,
                );
            });
            return;
        }
    }
    let at = dice.below(program.calls.len() + 1);
    let near = program.calls[at.min(program.calls.len() - 1)].id.desc().area;
    let area = if dice.percent(50) { Some(near) } else { None };
    splice_in(program, at, 0, |head| {
        context.generator.append(dice, context.weights, head, area);
    });
}

fn remove<D: Dice>(dice: &mut D, program: &mut Program) {
    if program.calls.len() < 2 {
        return;
    }
    remove_healing(program, dice.below(program.calls.len()));
}

/// Removes a call. What used its things uses earlier things of the same kind, where there are any.
pub fn remove_healing(program: &mut Program, index: usize) {
    let before = made(program, index);
    let heirs: Vec<Option<ResRef>> = (0..program.calls[index].id.desc().makes.len())
        .map(|slot| {
            let kind = program.kind_of(ResRef { call: index as u16, slot: slot as u8 })?;
            before.iter().rev().find(|r| same_kind(r.kind, kind) && !r.closed).map(|r| r.at)
        })
        .collect();
    program.rewrite_refs(|r| match heirs.get(r.slot as usize) {
        Some(Some(heir)) if r.call as usize == index => Some(*heir),
        _ => Some(r),
    });
    program.remove_call(index);
    make_legal(program);
}

fn same_kind(a: Kind, b: Kind) -> bool {
    match (a, b) {
        (Kind::Fd(a), Kind::Fd(b)) => a & b != 0,
        _ => a == b,
    }
}

fn duplicate<D: Dice>(dice: &mut D, program: &mut Program) {
    let i = dice.below(program.calls.len());
    let call = program.calls[i].clone();
    splice_in(program, i + 1, 0, |head| head.calls.push(call));
}

fn swap<D: Dice>(dice: &mut D, program: &mut Program) {
    if program.calls.len() < 2 {
        return;
    }
    let first = dice.below(program.calls.len() - 1);
    let second = first + 1;
    let mut depends = false;
    program.each_ref(second, |r| depends |= r.call as usize == first);
    if depends {
        return;
    }
    program.calls.swap(first, second);
    program.rewrite_refs(|mut r| {
        if r.call as usize == first {
            r.call = second as u16;
        } else if r.call as usize == second {
            r.call = first as u16;
        }
        Some(r)
    });
}

fn argument<D: Dice>(dice: &mut D, context: &Context<'_>, program: &mut Program) {
    let with: Vec<usize> = (0..program.calls.len()).filter(|&i| !program.calls[i].args.is_empty()).collect();
    let Some(&i) = dice.pick(&with) else { return };
    let k = dice.below(program.calls[i].args.len());
    context.generator.replace_argument(dice, context.weights, program, i, k);
}

fn retarget<D: Dice>(dice: &mut D, program: &mut Program) {
    let places: Vec<(usize, usize)> = (0..program.calls.len())
        .flat_map(|i| (0..program.calls[i].args.len()).map(move |k| (i, k)))
        .filter(|&(i, k)| matches!(program.calls[i].args[k], Arg::Res(_)))
        .collect();
    let Some(&(i, k)) = dice.pick(&places) else { return };
    let Arg::Res(old) = program.calls[i].args[k] else { return };
    let Some(kind) = program.kind_of(old) else { return };
    // Another descriptor of any kind now and then: a layer should refuse it as Linux does.
    let any_fd = matches!(kind, Kind::Fd(_)) && dice.percent(15);
    let others: Vec<ResRef> = made(program, i)
        .iter()
        .filter(|r| r.at != old && (same_kind(r.kind, kind) || any_fd && matches!(r.kind, Kind::Fd(_))))
        .map(|r| r.at)
        .collect();
    if let Some(other) = dice.pick(&others) {
        program.calls[i].args[k] = Arg::Res(*other);
    }
}

fn flag_bit<D: Dice>(dice: &mut D, program: &mut Program) {
    let i = dice.below(program.calls.len());
    let call = &mut program.calls[i];
    let mut places: Vec<(&FlagSet, &mut u64)> = Vec::new();
    for ((_, described), arg) in call.id.desc().written().zip(&mut call.args) {
        match (described.ty, arg) {
            (Ty::Flags(set), Arg::Int(value)) => places.push((set, value)),
            (Ty::Ptr(In::Struct(fields, _), _), Arg::Group(parts)) => {
                for (field, part) in fields.iter().zip(parts) {
                    if let (Ty::Flags(set), Arg::Int(value)) = (field.ty, part) {
                        places.push((set, value));
                    }
                }
            }
            _ => {}
        }
    }
    let at = dice.below(places.len());
    if let Some((set, value)) = places.get_mut(at) {
        **value ^= values::one_of(dice, set);
    }
}

/// Inserts one of the donor's calls and all calls it depends on.
fn transplant<D: Dice>(dice: &mut D, donor: &Program, program: &mut Program) {
    if donor.calls.is_empty() {
        return;
    }
    let mut needed = vec![false; donor.calls.len()];
    let last = dice.below(donor.calls.len());
    needed[last] = true;
    for i in (0..=last).rev() {
        if needed[i] {
            donor.each_ref(i, |r| needed[r.call as usize] = true);
        }
    }
    let at = dice.below(program.calls.len() + 1);
    splice_in(program, at, 0, |head| {
        let mut places = vec![0u16; donor.calls.len()];
        let mut part = Program::default();
        for (i, call) in donor.calls.iter().enumerate().filter(|(i, _)| needed[*i]) {
            places[i] = (at + part.calls.len()) as u16;
            part.calls.push(call.clone());
        }
        part.rewrite_refs(|r| Some(ResRef { call: places[r.call as usize], ..r }));
        head.calls.append(&mut part.calls);
    });
}

fn splice<D: Dice>(dice: &mut D, donor: &Program, program: &mut Program) {
    let keep = 1 + dice.below(program.calls.len());
    program.calls.truncate(keep);
    let mut tail = donor.clone();
    tail.rewrite_refs(|r| Some(ResRef { call: r.call + keep as u16, ..r }));
    program.calls.append(&mut tail.calls);
}

/// Appends a call that reads from, or asks about, a descriptor other than the one the last call used: state
/// that two descriptors share by mistake is seen through the second one.
fn observe<D: Dice>(dice: &mut D, context: &Context<'_>, program: &mut Program) {
    if dice.percent(RELATED) {
        let at = dice.below(program.calls.len());
        if influenced(dice, context, program, at) {
            return;
        }
    }
    let last = program.calls.last().and_then(|call| call.args.first()).cloned();
    let things = made(program, program.calls.len());
    let mut fds: Vec<Arg> = things
        .iter()
        .filter(|r| matches!(r.kind, Kind::Fd(_)) && !r.closed)
        .map(|r| Arg::Res(r.at))
        .collect();
    if crate::resources::has_tty(program) {
        fds.push(Arg::Int(wire::FD_TTY));
        if !crate::resources::has_outer(program) {
            fds.push(Arg::Int(wire::FD_PTM));
        }
    }
    fds.retain(|fd| Some(fd) != last.as_ref());
    if let Some(fd) = dice.pick(&fds).cloned() {
        look_at(dice, context, program, fd);
    }
}

/// Appends a call that looks at a descriptor.
pub(crate) fn look_at<D: Dice>(dice: &mut D, context: &Context<'_>, program: &mut Program, fd: Arg) {
    let kinds = fd_kinds_of(program, &fd);
    let observers = context.generator.observers();
    let weights = observers.iter().map(|o| if o.kinds & kinds != 0 { context.weights.of(o.id) } else { 0 });
    let Some(i) = dice.weighted(weights) else { return };
    let (id, k) = (observers[i].id, observers[i].argument);
    Builder::new(context.generator, context.weights, dice, program).push_with(id, Some((k, fd)));
}

/// Appends a call that may show what call `at` did: one it is known to influence, one that looks at a descriptor it made
/// or used, or any of its area on the same things.
pub(crate) fn look_after<D: Dice>(dice: &mut D, context: &Context<'_>, program: &mut Program, at: usize) {
    let model = program.calls[at].clone();
    let way = dice.below(8);
    if way < 3 && influenced(dice, context, program, at) {
        return;
    }
    if way < 6 {
        let made = (0..model.id.desc().makes.len()).map(|slot| ResRef { call: at as u16, slot: slot as u8 });
        let fds: Vec<Arg> = made.map(Arg::Res).chain(model.args.iter().cloned()).collect();
        let fds: Vec<Arg> = fds.into_iter().filter(|fd| fd_kinds_of(program, fd) != 0).collect();
        if let Some(fd) = dice.pick(&fds).cloned() {
            return look_at(dice, context, program, fd);
        }
    }
    context.generator.append_like(dice, context.weights, program, at);
}

/// Appends a call that call `at` is known to influence. Returns whether there was one.
fn influenced<D: Dice>(dice: &mut D, context: &Context<'_>, program: &mut Program, at: usize) -> bool {
    let model = program.calls[at].clone();
    let after = context.guide.after(model.id);
    let allowed = |(id, weight): &(CallId, u32)| if context.generator.allows(*id) { *weight } else { 0 };
    let Some(i) = dice.weighted(after.iter().map(allowed)) else { return false };
    let mut builder = Builder::new(context.generator, context.weights, dice, program);
    builder.push_like(after[i].0, &model, Some(at)).is_some()
}

fn exchange<D: Dice>(dice: &mut D, program: &mut Program) {
    let things = made(program, program.calls.len());
    let Some(one) = dice.pick(&things).copied() else { return };
    let others: Vec<ResRef> =
        things.iter().filter(|r| r.at != one.at && same_kind(r.kind, one.kind)).map(|r| r.at).collect();
    let Some(&other) = dice.pick(&others) else { return };
    let first = one.at.call.max(other.call) as usize + 1;
    let mut tail = Program { calls: program.calls.split_off(first) };
    tail.rewrite_refs(|r| {
        Some(if r == one.at {
            other
        } else if r == other {
            one.at
        } else {
            r
        })
    });
    program.calls.append(&mut tail.calls);
}

/// Puts right what a change of places can break: a thing of the wrong sort, or words that are not theirs to name.
pub fn make_legal(program: &mut Program) {
    program.fit_tasks();
    for i in 0..program.calls.len() {
        // Only earlier calls are asked about, so this one may be taken out for a while.
        let id = program.calls[i].id;
        let mut args = std::mem::take(&mut program.calls[i].args);
        for ((_, described), arg) in id.desc().written().zip(&mut args) {
            match (described.ty, arg) {
                (Ty::Ptr(In::Struct(fields, _), _), Arg::Group(parts)) => {
                    fields.iter().zip(parts).for_each(|(f, part)| legalize(program, i, f.ty, part));
                }
                (Ty::Ptr(In::Array(fields, ..), _), Arg::Group(elements)) => {
                    for element in elements {
                        if let Arg::Group(parts) = element {
                            fields.iter().zip(parts).for_each(|(f, part)| legalize(program, i, f.ty, part));
                        }
                    }
                }
                (ty, arg) => legalize(program, i, ty, arg),
            }
        }
        program.calls[i].args = args;
        fit_mapping(&mut program.calls[i]);
    }
}

fn legalize(program: &Program, index: usize, ty: Ty, arg: &mut Arg) {
    let of_kind = |r: &ResRef| match (ty, program.kind_of(*r)) {
        _ if r.call as usize >= index => false,
        (Ty::Fd(_), Some(Kind::Fd(_))) => true,
        (Ty::Pid, Some(Kind::Pid)) | (Ty::Timer, Some(Kind::Timer)) => true,
        (Ty::Page, Some(Kind::Page)) | (Ty::Path, Some(Kind::Path)) => true,
        (Ty::Id(wanted), Some(Kind::Id(made))) => wanted == made,
        _ => false,
    };
    match (ty, &*arg) {
        (_, Arg::Res(r)) if of_kind(r) => {}
        (Ty::Pid, Arg::Int(0 | NO_PID)) => {}
        (Ty::Pid, _) => *arg = Arg::Int(NO_PID),
        (Ty::Page, Arg::Int(page))
            if page.checked_sub(wire::WINDOW).is_some_and(|off| off < wire::WINDOW_SIZE) => {}
        (Ty::Page, _) => *arg = Arg::Int(wire::WINDOW),
        (Ty::Path, Arg::Res(_)) => *arg = Arg::Bytes(b"gone".to_vec()),
        (_, Arg::Res(_)) => *arg = Arg::Int(u64::MAX),
        _ => {}
    }
}
