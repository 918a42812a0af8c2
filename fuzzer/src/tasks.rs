//! Programs of several tasks: who makes which call, and who wakes whom.

use crate::dice::Dice;
use crate::generate::{Generator, LONGEST, splice_in};
use parallax_corpus::tasks::TaskKind;
use parallax_corpus::{Call, CallId, Program};

/// Share of new programs that begin with a second task, in percent. More would show more of waiting and waking, and less
/// of everything else: a call that is left waiting costs as much as ten programs.
pub(crate) const SHARE: usize = 6;
/// Share of calls that another task makes, where there is one, in percent.
const OTHERS: usize = 45;
/// Share of waiting calls that come before what would end their waiting, in percent.
const FIRST: usize = 40;

/// Starts a task, mostly a thread.
pub(crate) fn begin<D: Dice>(dice: &mut D, generator: &Generator, program: &mut Program) {
    let name = if dice.percent(75) { "task$thread" } else { "task$process" };
    if let Some(id) = CallId::named(name).filter(|id| generator.allows(*id)) {
        program.calls.push(Call::new(id, Vec::new()));
    }
    program.fit_tasks();
}

/// Gives the calls from `from` on, of which the last one was wanted and the others make what it needs, to tasks.
pub(crate) fn hand_out<D: Dice>(dice: &mut D, program: &mut Program, from: usize) {
    let kinds: Vec<TaskKind> = program.tasks(from).map(|(_, kind)| kind).collect();
    if kinds.is_empty() || from >= program.calls.len() {
        return program.fit_tasks();
    }
    if dice.percent(FIRST) {
        wait_first(dice, program, from);
    }
    if dice.percent(OTHERS) {
        let task = dice.below(kinds.len());
        let last = program.calls.len() - 1;
        // What a process opens is its own, so it opens it itself.
        let first = if kinds[task] == TaskKind::Process { from } else { last };
        program.calls[first..].iter_mut().for_each(|call| call.task = task as u8 + 1);
    }
    program.fit_tasks();
}

/// Where the last call waits and the one before it would have ended that, they change places, in two tasks.
fn wait_first<D: Dice>(dice: &mut D, program: &mut Program, from: usize) {
    let last = program.calls.len() - 1;
    if last <= from || !program.calls[last].id.desc().blocks {
        return;
    }
    let feeder = last - 1;
    let mut depends = !program.calls[feeder].id.desc().makes.is_empty();
    program.each_ref(last, |r| depends |= r.call as usize == feeder);
    if depends {
        return;
    }
    program.calls.swap(feeder, last);
    let (waits, wakes) = if dice.percent(70) { (1, 0) } else { (0, 1) };
    program.calls[feeder].task = waits;
    program.calls[last].task = wakes;
}

/// Another task makes a call of the program; if there is none yet, one begins before it.
pub(crate) fn change<D: Dice>(dice: &mut D, generator: &Generator, program: &mut Program) {
    let mut index = dice.below(program.calls.len());
    let mut begun = program.tasks(index).count();
    if begun == 0 {
        if program.calls.len() >= LONGEST {
            return;
        }
        let at = dice.below(index + 1);
        splice_in(program, at, 0, |head| begin(dice, generator, head));
        index += 1;
        begun = program.tasks(index).count();
    }
    if begun > 0 && index < program.calls.len() {
        let now = program.calls[index].task;
        let other = dice.below(begun) as u8;
        // One of the others, so that it changes.
        program.calls[index].task = other + u8::from(other >= now);
    }
    program.fit_tasks();
}
