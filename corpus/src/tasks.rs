//! The tasks of a program: threads and processes besides the first one, whose calls come in the program's order.

use crate::desc::Op;
use crate::program::{Call, CallId, Program};
use crate::wire::{MAX_TASKS, OP_EXIT, OP_FORK, OP_STOP, OP_THREAD};

/// What a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// A thread of the program's process.
    Thread,
    /// A forked process.
    Process,
}

impl TaskKind {
    /// What a call starts, if it starts a task.
    pub fn started_by(id: CallId) -> Option<TaskKind> {
        match id.desc().op {
            Op::Agent(OP_THREAD) => Some(TaskKind::Thread),
            Op::Agent(OP_FORK) => Some(TaskKind::Process),
            _ => None,
        }
    }
}

impl Program {
    /// The tasks its first `upto` calls start, and where: the first one listed is task 1.
    pub fn tasks(&self, upto: usize) -> impl Iterator<Item = (usize, TaskKind)> + '_ {
        let calls = self.calls.iter().take(upto).enumerate();
        calls.filter_map(|(k, call)| TaskKind::started_by(call.id).map(|kind| (k, kind)))
    }

    /// Call `index` goes: if it starts a task, the first task makes that one's calls.
    pub(crate) fn end_task_of(&mut self, index: usize) {
        let Some(n) = self.tasks(self.calls.len()).position(|(k, _)| k == index) else { return };
        let gone = n as u8 + 1;
        for call in &mut self.calls {
            call.task = if call.task == gone { 0 } else { call.task - u8::from(call.task > gone) };
        }
    }

    /// Puts right what moving calls about breaks: a call of a task that has not begun becomes the first task's; what a
    /// task may not do, or one task too many, becomes a call that changes nothing.
    pub fn fit_tasks(&mut self) {
        let mut begun = 0;
        for call in &mut self.calls {
            match call.id.desc().op {
                Op::Agent(OP_THREAD | OP_FORK) if begun + 1 < MAX_TASKS => {
                    call.task = 0;
                    begun += 1;
                }
                // It made a pid, and so does this.
                Op::Agent(OP_THREAD | OP_FORK) => call.become_plain("gettid"),
                Op::Agent(OP_STOP) => call.task = 0,
                Op::Agent(OP_EXIT) if begun == 0 => call.become_plain("sched_yield"),
                Op::Agent(OP_EXIT) => call.task = call.task.clamp(1, begun as u8),
                _ => {}
            }
            if usize::from(call.task) > begun {
                call.task = 0;
            }
        }
    }
}

impl Call {
    /// Becomes a call without arguments.
    fn become_plain(&mut self, name: &str) {
        if let Some(id) = CallId::named(name) {
            *self = Call::new(id, Vec::new());
        }
    }

    /// Its task has begun, and only the first one starts tasks.
    pub(crate) fn check_task(&self, index: usize, program: &Program) -> Result<(), String> {
        let begun = program.tasks(index).count();
        if usize::from(self.task) > begun {
            return Err(format!("no task {} has begun: task$thread and task$process start one", self.task));
        }
        match self.id.desc().op {
            Op::Agent(OP_THREAD | OP_FORK) if self.task != 0 => {
                Err("only the first task starts others".to_owned())
            }
            Op::Agent(OP_THREAD | OP_FORK) if begun + 1 >= MAX_TASKS => {
                Err(format!("at most {} tasks", MAX_TASKS))
            }
            Op::Agent(OP_EXIT) if self.task == 0 => {
                Err("the first task ends with the program: only others exit".to_owned())
            }
            Op::Agent(OP_STOP) if self.task != 0 => Err("only the first task stops the program".to_owned()),
            _ => Ok(()),
        }
    }
}
