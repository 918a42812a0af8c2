//! The pool: one runner a thread, and a queue of orders in front of them.
//!
//! An order says how programs are to be made; the thread that takes it makes them, runs them and works out their
//! classes. So whoever judges has little to do, and no runner waits for a program to be drawn. Answers come in any
//! order, each with the number of its order.

use crate::generate::Generator;
use crate::novelty::Classes;
use crate::order::Order;
use crate::relations::Pair;
use crate::runner::{CHUNK, Runner, lock, stopped};
use anyhow::ensure;
use parallax_corpus::Program;
use parallax_harness::pair::PairResult;
use parallax_harness::target::TargetError;
use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Orders in one message at most: a layer that falls asleep between messages is woken less often.
const LARGEST: usize = 4;

/// One program that was run.
pub struct Done {
    /// The program.
    pub program: Program,
    /// What both sides made of it.
    pub result: PairResult,
    /// The classes of that.
    pub classes: Classes,
    /// Which calls influenced which, as far as it says.
    pub relations: Vec<Pair>,
}

/// What became of an order.
pub struct Answer {
    /// The number it was handed in with.
    pub number: u64,
    /// Its programs; `None` if the campaign was stopped before they were run, an error if a runner failed for good.
    pub done: anyhow::Result<Option<Vec<Done>>>,
}

/// Runners on a thread pool, each used by one thread.
pub struct Pool<'a, R> {
    runners: Vec<Mutex<R>>,
    threads: rayon::ThreadPool,
    stop: &'a AtomicBool,
    deadline: Option<Instant>,
}

#[derive(Default)]
struct Waiting {
    orders: VecDeque<(u64, Arc<Order>)>,
    closed: bool,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Queue {
    fn close(&self) {
        lock(&self.waiting).closed = true;
        self.changed.notify_all();
    }
}

/// Closes the queue when dropped: should a runner panic, nobody waits for its answer.
struct Closing<'q>(&'q Queue);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Where programs are handed in, and their results handed out.
pub struct Desk<'q> {
    queue: &'q Queue,
    answers: Receiver<Answer>,
}

impl Desk<'_> {
    /// Hands in an order.
    pub fn hand_in(&self, number: u64, order: Arc<Order>) {
        lock(&self.queue.waiting).orders.push_back((number, order));
        self.queue.changed.notify_one();
    }

    /// Waits for an order that was carried out. `None` once the desk is closed and all answers are collected.
    pub fn collect(&self) -> Option<Answer> {
        self.answers.recv().ok()
    }

    /// Closes the desk: runners finish what they are at and take nothing new. Orders they had not begun get no answer.
    pub fn close(&self) {
        self.queue.close();
    }
}

impl<'a, R: Runner> Pool<'a, R> {
    /// A pool with a thread for each runner. `stop` and `deadline` end the work early.
    ///
    /// # Errors
    /// There is no runner, or no thread can be started.
    pub fn new(runners: Vec<R>, stop: &'a AtomicBool, deadline: Option<Instant>) -> anyhow::Result<Self> {
        ensure!(!runners.is_empty(), "no runner was given");
        let name = |i| format!("pair{i}");
        let threads = rayon::ThreadPoolBuilder::new().num_threads(runners.len()).thread_name(name).build()?;
        let runners: Vec<_> = runners.into_iter().map(Mutex::new).collect();
        threads.broadcast(|thread| lock(&runners[thread.index()]).settle_in());
        Ok(Pool { runners, threads, stop, deadline })
    }

    /// Whether the campaign was told to end.
    pub fn stopped(&self) -> bool {
        stopped(self.stop, self.deadline)
    }

    /// How often targets had to be started again so far.
    pub fn restarts(&self) -> u64 {
        self.runners.iter().map(|runner| lock(runner).restarts()).sum()
    }

    /// Runs one program. `None` if the campaign was stopped.
    ///
    /// # Errors
    /// The runner failed for good.
    pub fn run_one(&self, program: &Program) -> anyhow::Result<Option<PairResult>> {
        let results = self.run(&mut *lock(&self.runners[0]), std::slice::from_ref(program))?;
        Ok(results.and_then(|results| results.into_iter().next()))
    }

    /// Calls `boss` on this thread while the runners run what it hands in. Returns when all of them are idle again.
    pub fn serve<T>(&self, generator: &Generator, boss: impl FnOnce(&Desk<'_>) -> T) -> T {
        let queue = Queue::default();
        let (sender, answers) = channel();
        self.threads.in_place_scope(|scope| {
            for _ in &self.runners {
                let (queue, sender) = (&queue, sender.clone());
                scope.spawn(move |_| self.work(generator, queue, &sender));
            }
            drop(sender);
            let _closing = Closing(&queue);
            boss(&Desk { queue: &queue, answers })
        })
    }

    /// One thread's work, until the desk is closed.
    fn work(&self, generator: &Generator, queue: &Queue, answers: &Sender<Answer>) {
        let _closing = Closing(queue);
        // Never contended: a runner belongs to its thread.
        let mut runner = lock(&self.runners[rayon::current_thread_index().unwrap_or(0)]);
        while let Some(orders) = self.take(queue) {
            let mut programs = Vec::with_capacity(orders.len() * CHUNK);
            let mut ends = Vec::with_capacity(orders.len());
            for (_, order) in &orders {
                programs.extend(order.make(generator));
                ends.push(programs.len());
            }
            let (results, mut error) = match self.run(&mut *runner, &programs) {
                Ok(results) => (results, None),
                Err(error) => (None, Some(error)),
            };
            let mut all = results.map(|results| programs.into_iter().zip(results));
            let mut start = 0;
            for ((number, order), end) in orders.into_iter().zip(ends) {
                let part = all.as_mut().map(|all| {
                    all.take(end - start)
                        .map(|(program, result)| {
                            let classes = Classes::of(&program, &result);
                            let relations = order.relations(&program, &result.native.outcomes);
                            Done { program, result, classes, relations }
                        })
                        .collect()
                });
                start = end;
                // Nobody may be left to collect it.
                let _ = answers.send(Answer { number, done: error.take().map_or(Ok(part), Err) });
            }
        }
    }

    /// The next orders: more than one only if that leaves enough for the other runners. `None` once the desk is closed.
    fn take(&self, queue: &Queue) -> Option<Vec<(u64, Arc<Order>)>> {
        let mut waiting = lock(&queue.waiting);
        while waiting.orders.is_empty() && !waiting.closed {
            waiting = queue.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.closed {
            return None;
        }
        let many = (waiting.orders.len() / (2 * self.runners.len())).clamp(1, LARGEST);
        Some(waiting.orders.drain(..many).collect())
    }

    fn run(&self, runner: &mut R, programs: &[Program]) -> anyhow::Result<Option<Vec<PairResult>>> {
        if self.stopped() {
            return Ok(None);
        }
        if programs.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let results = match runner.run(programs) {
            Err(error) if matches!(error.downcast_ref(), Some(TargetError::Stopped)) => return Ok(None),
            other => other?,
        };
        let (got, sent) = (results.len(), programs.len());
        ensure!(got == sent, "a runner answered {got} of {sent} programs");
        Ok(Some(results))
    }
}
