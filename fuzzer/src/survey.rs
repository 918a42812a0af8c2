//! The survey: each call of the tables with each of the values listed for its arguments, and a look at what it did.
//!
//! Chance alone leaves gaps for long: a flag of forty on a call of three hundred comes up late, and later still where
//! the call succeeds and somebody looks. The survey goes through all of them once, early, the calls by turns.

use crate::dice::Dice;
use crate::generate::{Generator, LONGEST, splice_in};
use crate::mutate::{Context, look_after, look_at, make_legal};
use crate::resources::fd_kinds_of;
use parallax_corpus::desc::In;
use parallax_corpus::{Area, Arg, CallId, Program, ResRef, Ty};
use std::collections::BTreeMap;

/// What is tried: a call, and a value at a place of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The call.
    pub id: CallId,
    /// The value; `None` for whatever the dice say.
    pub value: Option<Value>,
    /// What else there is.
    pub scene: Scene,
}

/// A value of a written argument, or of a field of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Which written argument.
    pub argument: usize,
    /// Which field of the struct it points to.
    pub field: Option<usize>,
    /// The value.
    pub value: u64,
    /// It is a bit that joins the others.
    pub bit: bool,
}

/// What else there is in a program of the survey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Nothing.
    Bare,
    /// What the call uses, made a second time, and looked at afterwards: it should not have changed.
    Twin,
    /// A checkpoint after the call.
    Checkpoint,
}

/// All there is to try. Areas take turns, and each has as many: one with fewer calls and values begins again, with
/// other dice. Within an area the first of each call comes first, then the second, and so on; and then all values with
/// a twin.
pub fn items(generator: &Generator) -> Vec<Item> {
    let mut areas: BTreeMap<Area, Vec<(bool, usize, Item)>> = BTreeMap::new();
    for id in generator.calls() {
        let plain =
            [Scene::Bare, Scene::Twin, Scene::Checkpoint].map(|scene| Item { id, value: None, scene });
        let listed = values(id).into_iter().map(|value| Item { id, value: Some(value), scene: Scene::Bare });
        let twins = listed.clone().map(|item| Item { scene: Scene::Twin, ..item });
        let all = areas.entry(id.desc().area).or_default();
        all.extend(plain.into_iter().chain(listed).enumerate().map(|(round, item)| (false, round, item)));
        all.extend(twins.enumerate().map(|(round, item)| (true, round, item)));
    }
    areas.values_mut().for_each(|all| all.sort_by_key(|(again, round, item)| (*again, *round, item.id)));
    let longest = areas.values().map(Vec::len).max().unwrap_or(0);
    let turn = |k: usize| areas.values().map(move |all| all[k % all.len()].2);
    (0..longest).flat_map(turn).collect()
}

fn values(id: CallId) -> Vec<Value> {
    let mut all = Vec::new();
    for (argument, (_, described)) in id.desc().written().enumerate() {
        match described.ty {
            Ty::Ptr(In::Struct(fields, _), _) => {
                for (k, field) in fields.iter().enumerate() {
                    of(field.ty, field.name, argument, Some(k), &mut all);
                }
            }
            ty => of(ty, described.name, argument, None, &mut all),
        }
    }
    all
}

fn of(ty: Ty, name: &str, argument: usize, field: Option<usize>, all: &mut Vec<Value>) {
    let (values, bit): (Vec<u64>, bool) = match ty {
        // How long to spin, and how long to wait, are known to matter and to cost.
        _ if name == "iterations" || name.contains("timeout") || name.contains("fd") => return,
        Ty::Flags(set) => (set.names.iter().map(|(_, value)| *value).collect(), true),
        Ty::Enum(set) => (set.names.iter().map(|(_, value)| *value).collect(), false),
        Ty::Int(values) | Ty::OneOf(values) => (values.to_vec(), false),
        Ty::Handler => (vec![0, 1, parallax_corpus::desc::HANDLER], false),
        _ => return,
    };
    all.extend(values.into_iter().map(|value| Value { argument, field, value, bit }));
}

/// A program that tries an item and looks around afterwards. `None` if the call cannot be made.
pub fn program<D: Dice>(item: &Item, dice: &mut D, context: &Context<'_>) -> Option<Program> {
    let mut program = Program::default();
    let mut at = context.generator.push(dice, context.weights, &mut program, item.id)?;
    let twin = if item.scene == Scene::Twin { twin(&mut program, at) } else { None };
    at += usize::from(twin.is_some());
    if let Some(value) = item.value {
        let before = program.clone();
        let place = match (program.calls[at].args.get_mut(value.argument), value.field) {
            (Some(Arg::Group(parts)), Some(field)) => parts.get_mut(field),
            (other, _) => other,
        };
        if let Some(Arg::Int(old)) = place {
            *old = if value.bit { *old | value.value } else { value.value };
        }
        make_legal(&mut program);
        // What the language does not allow is not tried.
        if program.check().is_err() {
            program = before;
        }
    }
    if item.scene == Scene::Checkpoint {
        if let Some(id) = CallId::named("checkpoint").filter(|id| context.generator.allows(*id)) {
            context.generator.push(dice, context.weights, &mut program, id);
        }
    }
    if let Some(twin) = twin {
        look_at(dice, context, &mut program, Arg::Res(twin));
    }
    for _ in 0..2 + dice.below(3) {
        if program.calls.len() < LONGEST {
            look_after(dice, context, &mut program, at);
        }
    }
    make_legal(&mut program);
    Some(program)
}

/// Makes the first descriptor that call `at` uses a second time, right after the first.
fn twin(program: &mut Program, at: usize) -> Option<ResRef> {
    let used = program.calls[at].args.iter().find_map(|arg| match arg {
        Arg::Res(used) if fd_kinds_of(program, arg) != 0 => Some(*used),
        _ => None,
    })?;
    let maker = program.calls[used.call as usize].clone();
    let place = used.call as usize + 1;
    splice_in(program, place, 0, |head| head.calls.push(maker));
    Some(ResRef { call: place as u16, slot: used.slot })
}
