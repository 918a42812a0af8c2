//! Going through a recording in order: who has which descriptors, and what each call becomes.

use super::Origin;
use super::files::{Files, absolute};
use super::lex::{Event, Happened, forks};
use super::parts::*;
use super::pick::{Picked, World, pick};
use super::say;
use super::value::Value;
use crate::check::NO_FD;
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

    /// What a call shows about files and descriptors.
    fn learn(&mut self, event: &Event) {
        let fd = event.arg(0).word(None).unwrap_or(u64::MAX);
        self.standard_hint(event, fd);
        let Some(ret) = event.ok() else { return };
        let held = self.process().fds.get(&fd).cloned();
        match event.name.as_str() {
            "getcwd" => {
                if let (false, Some(Value::Text(path, _))) =
                    (self.process().moved, event.args.first().map(Value::after))
                {
                    let path = String::from_utf8_lossy(path).into_owned();
                    self.files.started_in(&path);
                }
            }
            "read" | "pread64" => {
                if let (Some(held), Some(Value::Text(data, _))) = (&held, event.args.get(1).map(Value::after))
                {
                    let at = if event.name == "read" { held.at } else { event.arg(3).word(None) };
                    if let (Some(node), Some(at)) = (held.node, at) {
                        self.files.learn(node, at, data);
                    }
                }
                if event.name == "read" {
                    if let Some(held) = self.process().fds.get_mut(&fd) {
                        held.at = held.at.map(|at| at + ret.max(0) as u64);
                    }
                }
            }
            "lseek" => {
                if let Some(held) = self.process().fds.get_mut(&fd) {
                    held.at = Some(ret.max(0) as u64);
                }
            }
            "getdents64" | "fchdir" => {
                if let Some(node) = held.and_then(|h| h.node) {
                    self.files.holds(node);
                }
            }
            "mkdir" | "mkdirat" | "chdir" => self.learn_path(event, |files, node| files.holds(node)),
            "openat" | "open" => {
                let flags = event.args.iter().find_map(|v| v.word(None).filter(|_| is_flags(v))).unwrap_or(0);
                if flags & 0o200000 != 0 {
                    self.learn_path(event, |files, node| files.holds(node));
                }
            }
            "readlink" | "readlinkat" => {
                let target = event.args.iter().rev().find_map(|v| match v.after() {
                    Value::Text(target, _) => Some(target.clone()),
                    _ => None,
                });
                self.learn_path(event, |files, node| {
                    files.nodes[node].kind = Some(NodeKind::Link);
                    files.nodes[node].target = target.clone().unwrap_or_default();
                });
            }
            name if name.contains("stat") => self.learn_stat(event, held.and_then(|h| h.node)),
            _ => {}
        }
    }

    fn learn_stat(&mut self, event: &Event, of: Option<NodeId>) {
        let find = |names: [&str; 2]| {
            let value = |name: &str| event.args.iter().find_map(|v| v.after().entry(name)?.word(None));
            value(names[0]).or_else(|| value(names[1]))
        };
        let Some(mode) = find(["st_mode", "stx_mode"]) else { return };
        let size = find(["st_size", "stx_size"]).unwrap_or(0);
        let kind = match mode & 0o170000 {
            0o040000 => NodeKind::Dir,
            0o120000 => NodeKind::Link,
            _ => NodeKind::File,
        };
        let set = move |files: &mut Files, node: NodeId| {
            files.nodes[node].kind = Some(kind);
            files.nodes[node].size = size;
        };
        let named = event.args.iter().any(|v| matches!(v, Value::Text(t, _) if !t.is_empty()));
        match of {
            Some(node) if !named => set(&mut self.files, node),
            _ if named => self.learn_path(event, set),
            _ => {}
        }
    }

    fn learn_path(&mut self, event: &Event, set: impl FnOnce(&mut Files, NodeId)) {
        let Some(k) = event.args.iter().position(|v| matches!(v, Value::Text(..))) else { return };
        let Value::Text(text, _) = event.arg(k).clone() else { return };
        let dir = k.checked_sub(1).and_then(|k| event.arg(k).word(None)).filter(|n| *n as i32 != -100);
        let node = self.node_at(dir, &text);
        set(&mut self.files, node);
    }

    fn node_at(&mut self, dir: Option<u64>, text: &[u8]) -> NodeId {
        let below = dir.and_then(|fd| self.process().fds.get(&fd).and_then(|h| h.node));
        let base = below.unwrap_or(self.process().cwd);
        let base = self.files.nodes.get(base).map_or_else(|| self.files.start.clone(), |n| n.path.clone());
        let text: String = String::from_utf8_lossy(text).replace('\0', "?").chars().take(4096).collect();
        let path = absolute(&base, &text);
        self.files.node(&path)
    }

    /// Whether 0, 1 and 2 are a terminal.
    fn standard_hint(&mut self, event: &Event, fd: u64) {
        let opened = self.process().fds.get(&fd).map(|held| held.object);
        if fd > 2 || opened.is_some_and(|object| self.objects[object].made.is_some()) {
            return;
        }
        if event.name == "ioctl" {
            let is = match (event.ok(), event.errno()) {
                (Some(_), _) => Standard::Terminal,
                (None, "ENOTTY" | "EINVAL") => Standard::Other,
                _ => return,
            };
            self.hints.entry(fd).or_insert(is);
        }
    }

    /// What a standard descriptor is that nobody has opened.
    fn standard(&mut self, number: u64) -> Option<ObjectId> {
        let any = self.standard.values().any(|s| *s == Standard::Terminal);
        let is = match self.standard.get(&number) {
            Some(is) => *is,
            None if any => Standard::Terminal,
            None => Standard::Other,
        };
        match (is, number) {
            (Standard::Terminal, _) => {
                self.objects.push(Object { made: None, number, kinds: FD_TTY, peer: None });
                Some(self.objects.len() - 1)
            }
            (Standard::Other, 0) => self.added("openat$null", vec![Part::Word(0)], 0, desc::FD_DEV),
            (Standard::Other, _) => self.added("pipe", vec![Part::Out(0)], 1, FD_PIPE),
        }
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

fn is_flags(value: &Value) -> bool {
    matches!(value, Value::Bits(_)) || matches!(value, Value::Name(n) if n.starts_with("O_"))
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

impl World for Walk {
    fn fd(&mut self, number: u64) -> (Part, FdKinds) {
        if (number as i32) < 0 {
            return (Part::Word(number), 0);
        }
        if let Some(held) = self.process().fds.get(&number).cloned() {
            let object = &self.objects[held.object];
            let part =
                if object.made.is_some() { Part::Object(held.object) } else { Part::Word(object.number) };
            return (part, object.kinds);
        }
        if number <= 2 && !self.process().fds.contains_key(&number) {
            if let Some(object) = self.standard(number) {
                self.process().fds.insert(number, Held { object, node: None, at: None });
                return self.fd(number);
            }
        }
        (Part::Word(if number > 9 && number <= 63 || number == 100 { number } else { NO_FD }), 0)
    }

    fn pid(&mut self, number: u64, ok: bool) -> Result<Part, String> {
        if number == 0 {
            return Ok(Part::Word(0));
        }
        if (number as i32) < 0 {
            return Err("names a process group by a negative number".to_owned());
        }
        let own = self.now;
        if let Some(object) = self.process().children.get(&number).copied() {
            return Ok(Part::Object(object));
        }
        if number == own || self.leaders.get(&number) == Some(&own) {
            let object = match self.process().own {
                Some(object) => object,
                None => self.added("getpid", Vec::new(), 0, 0).ok_or("getpid is not described")?,
            };
            self.process().own = Some(object);
            return Ok(Part::Object(object));
        }
        Ok(Part::Word(if ok { 0 } else { desc::NO_PID }))
    }

    fn timer(&mut self, number: u64) -> Part {
        self.process().timers.get(&number).map_or(Part::Word(u64::MAX), |object| Part::Object(*object))
    }

    fn id(&mut self, id: Id, number: u64) -> Part {
        self.process().ids.get(&(id, number)).map_or(Part::Word(u64::MAX), |object| Part::Object(*object))
    }

    fn page(&mut self, address: u64, makes: bool) -> Part {
        let process = self.process();
        let inside = |(start, length, ..): &&(u64, u64, ObjectId, u64)| {
            address >= *start && address - start < (*length).max(1)
        };
        match process.pages.iter().rev().find(inside) {
            Some((start, _, object, page)) if !makes => {
                let offset = (address - start) / 4096;
                if offset == 0 { Part::Object(*object) } else { Part::Word(page + 4096 * offset.min(3)) }
            }
            Some((start, _, _, page)) => Part::Word(page + 4096 * ((address - start) / 4096).min(3)),
            None => {
                let page = process.next_page;
                process.next_page = (page + 1) % 9;
                Part::Word(wire::WINDOW + 4096 * page)
            }
        }
    }

    fn path(&mut self, dir: Option<u64>, text: &[u8]) -> Part {
        if text.is_empty() {
            return Part::Bytes(Vec::new());
        }
        let node = self.node_at(dir, text);
        let below = dir.and_then(|fd| self.process().fds.get(&fd).and_then(|h| h.node));
        Part::Path(node, below)
    }

    fn kinds_at(&mut self, dir: Option<u64>, text: &[u8]) -> FdKinds {
        let node = self.node_at(dir, text);
        match self.files.nodes.get(node).and_then(|n| n.kind) {
            Some(NodeKind::Dir) => FD_DIR | FD_NODE,
            _ => FD_FILE | FD_NODE,
        }
    }
}

/// Kinds of what a descriptor of the program's own terminal is.
pub(super) const TERMINAL: FdKinds = FD_TTY | FD_PTM;
