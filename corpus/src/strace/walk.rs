//! Going through a recording in order: who has which descriptors, and what each call becomes.

mod learn;
mod world;

use super::Origin;
use super::files::Files;
use super::lex::{Event, Happened, forks};
use super::parts::*;
use super::pick::{Picked, pick};
use super::say;
use super::value::Value;
use crate::desc::{
    self, FD_ANY, FD_DIR, FD_FILE, FD_NODE, FD_PIPE, FD_PTM, FD_SOCK, FD_TTY, FdKinds, From, Id, Kind, Ty,
};
use crate::program::CallId;
use crate::{tables, wire};
use std::collections::{BTreeMap, HashMap};

/// A descriptor of a recorded process.
#[derive(Clone, Debug)]
struct Held {
    object: ObjectId,
    node: Option<NodeId>,
    /// Where the next read is, while that is known.
    at: Option<u64>,
}

/// A recorded process, threads with it.
#[derive(Clone, Debug)]
struct Process {
    cwd: NodeId,
    moved: bool,
    fds: HashMap<u64, Held>,
    own: Option<ObjectId>,
    children: HashMap<u64, ObjectId>,
    timers: HashMap<u64, ObjectId>,
    /// What numbers of the kernel's choice name.
    ids: HashMap<(Id, u64), ObjectId>,
    /// Start, length and object of mappings.
    pages: Vec<(u64, u64, ObjectId, u64)>,
    next_page: u64,
}

/// What standard descriptors are, as far as the recording shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standard {
    Terminal,
    Other,
}

/// The whole walk.
pub(super) struct Walk {
    pub(super) files: Files,
    pub(super) items: Vec<Item>,
    pub(super) objects: Vec<Object>,
    /// The items of each process, in order.
    pub(super) steps: BTreeMap<u64, Vec<ItemId>>,
    pub(super) report: super::Report,
    standard: HashMap<u64, Standard>,
    codes: HashMap<u64, u64>,
    /// Threads: the process they belong to.
    leaders: HashMap<u64, u64>,
    processes: HashMap<u64, Process>,
    pending: Option<u64>,
    now: u64,
    hints: BTreeMap<u64, Standard>,
}

impl Walk {
    /// Goes through everything. `known`: the files as an earlier walk learned them.
    pub(super) fn new(known: Option<Walk>) -> Walk {
        let (files, standard) = match known {
            Some(walk) => (walk.files, walk.hints.into_iter().collect()),
            None => (Files::new(), HashMap::new()),
        };
        Walk {
            files,
            items: Vec::new(),
            objects: Vec::new(),
            steps: BTreeMap::new(),
            report: super::Report::default(),
            standard,
            codes: HashMap::new(),
            leaders: HashMap::new(),
            processes: HashMap::new(),
            pending: None,
            now: 0,
            hints: BTreeMap::new(),
        }
    }

    pub(super) fn run(&mut self, happened: &[Happened]) {
        for what in happened {
            if let Happened::Exit(pid, code) = what {
                self.codes.insert(*pid, *code);
            }
        }
        for what in happened {
            match what {
                Happened::Call(event) => self.event(event),
                Happened::Forks(pid) => self.pending = Some(self.leader(*pid)),
                Happened::Exit(..) => {}
            }
        }
    }

    fn leader(&self, pid: u64) -> u64 {
        self.leaders.get(&pid).copied().unwrap_or(pid)
    }

    fn process(&mut self) -> &mut Process {
        let pid = self.now;
        if !self.processes.contains_key(&pid) {
            let parent = self.pending.take().filter(|p| *p != pid);
            let made = match parent.and_then(|p| self.processes.get(&p)) {
                Some(parent) => child_of(parent),
                None => {
                    let start = self.files.start.clone();
                    Process {
                        cwd: self.files.node(&start),
                        moved: false,
                        fds: HashMap::new(),
                        own: None,
                        children: HashMap::new(),
                        timers: HashMap::new(),
                        ids: HashMap::new(),
                        pages: Vec::new(),
                        next_page: 0,
                    }
                }
            };
            self.processes.insert(pid, made);
        }
        self.processes.get_mut(&pid).unwrap_or_else(|| unreachable!("just put there"))
    }

    fn event(&mut self, event: &Event) {
        self.now = self.leader(event.pid);
        self.process();
        self.report.read += 1;
        self.learn(event);
        match self.landed(event) {
            Ok((item, adapted)) => {
                self.report.landed += 1;
                self.report.adapted += usize::from(adapted);
                self.steps.entry(self.now).or_default().push(item);
            }
            Err(why) => self.report.skip(&event.name, &why),
        }
    }

    fn origin(event: &Event) -> Origin {
        Origin { file: event.place.0, line: event.place.1, text: event.text.clone() }
    }

    /// The item of a call, if it can be said.
    fn landed(&mut self, event: &Event) -> Result<(ItemId, bool), String> {
        if forks(&event.name) {
            return self.forked(event);
        }
        if event.ret.is_none() {
            return Err(match event.name.as_str() {
                "exit_group" | "exit" => "the end of a process".to_owned(),
                _ => "it never returned".to_owned(),
            });
        }
        if let Some(why) = say::never(&event.name) {
            return Err(why.to_owned());
        }
        let event = &say::plainly(event);
        let first = pick(event, self);
        let other = say::otherwise(event).and_then(|other| Some((pick(&other, self).ok()?, other)));
        let (picked, event) = match (first, other) {
            // The newer call may have a variant for just this file.
            (Ok(first), Some((picked, other)))
                if picked.known_path && !first.known_path
                    || first.other_kind && !picked.other_kind && picked.adapted <= first.adapted =>
            {
                (picked, other)
            }
            (Ok(picked), _) => (picked, event.clone()),
            (Err(_), Some(other)) => other,
            (Err(why), None) => return Err(why),
        };
        let adapted = picked.adapted;
        Ok((self.place(&event, picked)?, adapted))
    }

    /// A call that makes a process is a child here that ends as its own did.
    fn forked(&mut self, event: &Event) -> Result<(ItemId, bool), String> {
        self.pending = None;
        let Some(pid) = event.ok().filter(|pid| *pid > 0) else {
            return Err("it made no process".to_owned());
        };
        let pid = pid as u64;
        let flags = |v: &Value| v.entry("flags").and_then(|f| f.word(None)).or_else(|| v.word(None));
        let all: u64 = event.args.iter().filter_map(flags).fold(0, |a, b| a | b);
        if all & 0x10000 != 0 {
            self.leaders.insert(pid, self.now);
            return Err("starts a thread, whose calls stand among its process's".to_owned());
        }
        if !self.processes.contains_key(&pid) {
            let child = child_of(self.process());
            self.processes.insert(pid, child);
        }
        let spawn = CallId::named("spawn").ok_or("not described")?;
        let code = self.codes.get(&pid).copied().unwrap_or(0);
        let mut item = Item::new(spawn, vec![Part::Word(1000), Part::Word(code)]);
        item.origin = Some(Walk::origin(event));
        let item = self.push(item);
        let object = self.object(item, 0, 0);
        self.process().children.insert(pid, object);
        Ok((item, true))
    }

    fn push(&mut self, item: Item) -> ItemId {
        self.items.push(item);
        self.items.len() - 1
    }

    fn object(&mut self, item: ItemId, slot: u8, kinds: FdKinds) -> ObjectId {
        self.objects.push(Object { made: Some((item, slot)), number: 0, kinds, peer: None });
        self.objects.len() - 1
    }

    /// A call the import adds, and the object in its slot.
    fn added(&mut self, name: &str, args: Parts, slot: u8, kinds: FdKinds) -> Option<ObjectId> {
        let item = self.push(Item::new(CallId::named(name)?, args));
        Some(self.object(item, slot, kinds))
    }

    /// The item, and what it makes, closes and leaves behind.
    fn place(&mut self, event: &Event, picked: Picked) -> Result<ItemId, String> {
        let desc = picked.id.desc();
        let mut item = Item::new(picked.id, picked.args);
        item.origin = Some(Walk::origin(event));
        item.files = self.files_of(event, desc, &item.args);
        self.waits(event, &mut item)?;
        let fd = event.arg(0).word(None);
        let held = fd.and_then(|n| self.process().fds.get(&n).cloned());
        if let (Some(held), Some(n)) = (&held, event.ok().filter(|n| *n > 0)) {
            let kinds = self.objects[held.object].kinds;
            let data = match (event.name.as_str(), event.args.get(1).map(Value::after)) {
                ("read" | "recvfrom", Some(Value::Text(data, _))) => Some(data.clone()),
                ("readv" | "recvmsg", Some(value)) => match value.entry("iov_base") {
                    Some(Value::Text(data, _)) => Some(data.clone()),
                    _ => None,
                },
                _ => None,
            };
            if let Some(data) = data {
                item.reads = if kinds & FD_TTY != 0 && kinds != FD_ANY {
                    Some((Source::Keys, data))
                } else {
                    self.objects[held.object].peer.map(|peer| (Source::Peer(peer), data))
                };
            } else if matches!(event.name.as_str(), "write" | "writev" | "sendto" | "sendmsg") {
                item.writes = Some((held.object, n as usize));
            }
        }
        if say::polls(&event.name) {
            item.waited = event.ok().map(|n| n > 0);
        }
        let closing = event.name == "close" && event.ok().is_some();
        if let (true, Some(held)) = (closing, &held) {
            item.closes = Some(held.object);
        }
        if event.ok().is_some() {
            item.goes = match event.name.as_str() {
                "chdir" => item.files.first().map(|(node, ..)| *node),
                "fchdir" => held.as_ref().and_then(|h| h.node),
                _ => None,
            };
        }
        let goes = item.goes;
        let node = item.files.last().map(|(node, ..)| *node);
        let id = self.push(item);
        if let (true, Some(fd)) = (closing, fd) {
            self.process().fds.remove(&fd);
        }
        if let Some(node) = goes {
            let process = self.process();
            process.cwd = node;
            process.moved = true;
            self.files.holds(node);
        }
        if event.ok().is_some() {
            self.made(event, id, desc, node, held.as_ref());
        }
        Ok(id)
    }

    /// Ties a wait to its child.
    fn waits(&mut self, event: &Event, item: &mut Item) -> Result<(), String> {
        if !matches!(event.name.as_str(), "wait4" | "waitid") {
            return Ok(());
        }
        match event.ok() {
            Some(0) if event.name == "wait4" => Err("asks about a child that still runs".to_owned()),
            Some(pid) => {
                let of_info =
                    event.args.get(2).and_then(|v| v.after().entry("si_pid")).and_then(|v| v.word(None));
                let pid = if pid > 0 { Some(pid as u64) } else { of_info };
                let child = pid.and_then(|pid| self.process().children.get(&pid).copied());
                let made = child.and_then(|object| self.objects[object].made);
                item.after.extend(made.map(|(item, _)| item));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What a call made: descriptors, pids, timers, pages.
    fn made(
        &mut self,
        event: &Event,
        item: ItemId,
        desc: &'static desc::Desc,
        node: Option<NodeId>,
        of: Option<&Held>,
    ) {
        let names_path = desc.args.iter().any(|a| matches!(a.ty, Ty::Path));
        let mut pair: Vec<ObjectId> = Vec::new();
        for (slot, made) in desc.makes.iter().enumerate() {
            let number = match made.from {
                From::Ret => event.ok().map(|n| n as u64),
                From::Out(arg, off) => out_word(event.args.get(arg as usize), off),
                From::PathArg(_) => None,
                #[allow(unreachable_patterns)]
                _ => None,
            };
            let Some(number) = number else { continue };
            let (kinds, node, at) = match made.kind {
                Kind::Fd(kinds) if names_path && kinds & (FD_NODE | FD_FILE) != 0 => {
                    let dir = node.is_some_and(|n| self.files.nodes[n].kind == Some(NodeKind::Dir));
                    (if dir { FD_DIR | FD_NODE } else { FD_FILE | FD_NODE }, node, Some(0))
                }
                Kind::Fd(kinds) => (kinds, node.filter(|_| names_path), None),
                Kind::SameAs(_) => {
                    let kinds = of.map_or(FD_ANY, |h| self.objects[h.object].kinds);
                    (kinds, of.and_then(|h| h.node), None)
                }
                _ => (0, None, None),
            };
            let object = self.object(item, slot as u8, kinds);
            if let (Kind::SameAs(_), Some(of)) = (made.kind, of) {
                self.objects[object].peer = self.objects[of.object].peer;
            }
            let own = self.now;
            let process = self.process();
            match made.kind {
                Kind::Fd(_) | Kind::SameAs(_) => {
                    process.fds.insert(number, Held { object, node, at });
                    pair.push(object);
                }
                Kind::Pid if number == own => process.own = Some(object),
                Kind::Pid => drop(process.children.insert(number, object)),
                Kind::Timer => drop(process.timers.insert(number, object)),
                Kind::Id(id) => drop(process.ids.insert((id, number), object)),
                Kind::Page => {
                    let length = event.arg(1).word(None).unwrap_or(4096);
                    let page = self.page_named(item);
                    self.process().pages.push((number, length, object, page));
                }
                _ => {}
            }
        }
        if let [a, b] = pair[..] {
            if self.objects[a].kinds & (FD_PIPE | FD_SOCK) != 0 {
                self.objects[a].peer = Some(b);
                if self.objects[a].kinds & FD_SOCK != 0 {
                    self.objects[b].peer = Some(a);
                }
            }
        }
    }

    fn page_named(&self, item: ItemId) -> u64 {
        match self.items[item].args.first() {
            Some(Part::Word(page)) => *page,
            _ => wire::WINDOW,
        }
    }

    /// The files a call names.
    fn files_of(
        &mut self,
        event: &Event,
        desc: &'static desc::Desc,
        args: &[Part],
    ) -> Vec<(NodeId, Need, Effect)> {
        let mut files = Vec::new();
        let stem = stem(desc.base_name());
        let flags = desc.args.iter().position(|a| matches!(a.name, "flags" | "how")).and_then(|k| {
            let value = event.arg(k);
            value.entry("flags").unwrap_or(value).word(None)
        });
        let opens = desc.makes.iter().any(|m| matches!(m.kind, Kind::Fd(_)));
        let excl = opens && flags.unwrap_or(0) & 0o200 != 0;
        for ((_, arg), part) in desc.written().zip(args) {
            let Part::Path(node, _) = part else { continue };
            if arg.name == "target" {
                continue;
            }
            let creates = match (opens, flags) {
                (true, Some(flags)) => flags & 0o100 != 0,
                _ => makes_path(desc, arg.name),
            };
            let renames = stem == "rename" && creates;
            let kind = match stem {
                "mkdir" => NodeKind::Dir,
                "symlink" => NodeKind::Link,
                "rename" => self.files.nodes[*node].kind.unwrap_or(NodeKind::File),
                _ => NodeKind::File,
            };
            let removes = matches!(stem, "unlink" | "rmdir") || stem == "rename" && !creates;
            let (need, effect) = match (event.ok().is_some(), event.errno()) {
                (true, _) if creates && (opens && !excl || renames) => (Need::Free, Effect::Creates(kind)),
                (true, _) if creates => (Need::Absent, Effect::Creates(kind)),
                (true, _) if removes => (Need::There, Effect::Removes),
                (true, _) => (Need::There, Effect::Nothing),
                (false, "ENOENT" | "ENOTDIR") => (Need::Absent, Effect::Nothing),
                (false, "EEXIST") => (Need::There, Effect::Nothing),
                (false, _) if creates => (Need::Free, Effect::Nothing),
                (false, _) => (Need::There, Effect::Nothing),
            };
            files.push((*node, need, effect));
        }
        files
    }
}

/// What calls of one family have in common: `rename` of renameat2.
fn stem(name: &str) -> &str {
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit());
    bare.strip_suffix("at").filter(|_| bare != "creat").unwrap_or(bare)
}

/// Whether a call makes what its argument of that name names: so says its description, or, where the path lies below a
/// directory, that of a sibling.
fn makes_path(desc: &'static desc::Desc, name: &str) -> bool {
    tables::all().iter().filter(|other| other.op == desc.op).any(|other| {
        other.makes.iter().any(|made| match made.from {
            From::PathArg(k) => other.args.get(usize::from(k)).is_some_and(|arg| arg.name == name),
            _ => false,
        })
    })
}

/// A child begins with its parent's descriptors.
fn child_of(parent: &Process) -> Process {
    Process {
        own: None,
        children: HashMap::new(),
        timers: HashMap::new(),
        pages: Vec::new(),
        ..parent.clone()
    }
}

/// The 32-bit word at `off` of what a call wrote: an entry of a list, or a descriptor in a message.
fn out_word(value: Option<&Value>, off: u16) -> Option<u64> {
    let value = value?.after();
    let at = usize::from(off) / 4;
    let entries = match value {
        Value::List(false, entries) => entries,
        other => other.entry("cmsg_data")?.entries(),
    };
    entries.get(at).or(entries.first())?.1.word(None)
}

/// Kinds of what a descriptor of the program's own terminal is.
pub(super) const TERMINAL: FdKinds = FD_TTY | FD_PTM;
