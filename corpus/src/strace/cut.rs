//! Cutting a recording into programs: each carries the calls that make what it uses.

use super::files::{Files, relative};
use super::parts::*;
use super::walk::{TERMINAL, Walk};
use super::{Imported, Origin};
use crate::check::MAX_PATH;
use crate::compile::{Mode, compile};
use crate::desc::{From, Kind, NEED_TTY, Ty};
use crate::program::{Arg, Call, CallId, MAX_CALLS, Program, ResRef};
use std::collections::{BTreeMap, BTreeSet};

/// Calls one step may add before the program is cut; the rest of the room is for the terminal's call.
const LONGEST: usize = MAX_CALLS - 2;
/// How far ahead is looked for the read that a wait was for.
const AHEAD: usize = 24;
/// Most bytes a prepared file has.
const PREPARED: usize = 512;

/// What a file is in the program so far.
type There = Option<NodeKind>;

/// A program that grows.
#[derive(Clone, Default)]
struct Growing {
    calls: Vec<Call>,
    origins: Vec<Option<Origin>>,
    /// Index of the call of each item.
    index: BTreeMap<ItemId, usize>,
    /// Files that were made or taken away, or are known not to be there.
    there: BTreeMap<NodeId, There>,
    /// The working directory.
    cwd: Option<NodeId>,
    /// Bytes that wait to be read.
    waiting: BTreeMap<Source, usize>,
    closed: BTreeSet<ObjectId>,
    terminal: bool,
    recorded: usize,
}

/// Why a step has no place in the program.
enum Full {
    /// There is no room: it may have in a fresh one.
    Room,
    /// It never has.
    Never(String),
}

struct Cutter<'a> {
    walk: &'a Walk,
}

/// All programs of a walk.
pub(super) fn cut(walk: &Walk, stem: &str) -> (Vec<Imported>, Vec<(ItemId, String)>) {
    let cutter = Cutter { walk };
    let mut programs = Vec::new();
    let mut lost = Vec::new();
    for (pid, steps) in &walk.steps {
        let mut growing = Growing::default();
        let mut at = 0;
        let mut number = 0;
        while at < steps.len() {
            let mut tried = growing.clone();
            match cutter.step(&mut tried, steps, at) {
                Ok(()) => growing = tried,
                Err(Full::Room) if growing.recorded > 0 => {
                    cutter.finish(std::mem::take(&mut growing), stem, *pid, &mut number, &mut programs);
                    continue;
                }
                Err(Full::Room) => {
                    lost.push((steps[at], "needs more calls before it than a program has".to_owned()))
                }
                Err(Full::Never(why)) => lost.push((steps[at], why)),
            }
            at += 1;
        }
        if growing.recorded > 0 {
            cutter.finish(growing, stem, *pid, &mut number, &mut programs);
        }
    }
    (programs, lost)
}

impl Cutter<'_> {
    fn files(&self) -> &Files {
        &self.walk.files
    }

    fn finish(
        &self,
        growing: Growing,
        stem: &str,
        pid: u64,
        number: &mut usize,
        programs: &mut Vec<Imported>,
    ) {
        let (program, origins) = complete(growing);
        *number += 1;
        programs.push(Imported { name: format!("{stem}-{pid}-{number:03}"), program, origins });
    }

    /// Adds one recorded call with all it needs.
    fn step(&self, g: &mut Growing, steps: &[ItemId], at: usize) -> Result<(), Full> {
        let item = &self.walk.items[steps[at]];
        if item.waited == Some(true) {
            let ahead = steps[at + 1..].iter().take(AHEAD).map(|id| &self.walk.items[*id]);
            for later in ahead {
                if later.waited == Some(false) {
                    break;
                }
                if later.reads.is_some() {
                    self.feed(g, later)?;
                    break;
                }
            }
        }
        if let Some(closed) = item.closes {
            let ahead = steps[at + 1..].iter().take(AHEAD * 4).map(|id| &self.walk.items[*id]);
            let reads =
                |later: &&Item| matches!(later.reads, Some((Source::Peer(peer), _)) if peer == closed);
            if let Some(later) = ahead.clone().find(reads) {
                self.feed(g, later)?;
            }
        }
        self.feed(g, item)?;
        self.emit(g, steps[at], 0)?;
        g.recorded += 1;
        if let Some((source, data)) = &item.reads {
            let waiting = g.waiting.entry(*source).or_default();
            *waiting = waiting.saturating_sub(data.len());
        }
        if let Some((object, n)) = item.writes {
            *g.waiting.entry(Source::Peer(object)).or_default() += n;
        }
        if let Some(object) = item.closes {
            g.closed.insert(object);
        }
        let (program, _) = complete(g.clone());
        if program.calls.len() > MAX_CALLS {
            return Err(Full::Room);
        }
        program.check().map_err(|error| Full::Never(error.to_string()))?;
        compile(&program, Mode { fork: true, block_us: 0, probes: true }).map(drop).map_err(|_| Full::Room)
    }

    /// Sees to it that what an item reads is there to be read.
    fn feed(&self, g: &mut Growing, item: &Item) -> Result<(), Full> {
        let Some((source, data)) = &item.reads else { return Ok(()) };
        if g.waiting.get(source).copied().unwrap_or(0) >= data.len().min(1) {
            return Ok(());
        }
        let (name, fd, most) = match source {
            Source::Keys => ("write$keys", Arg::Int(3), 64),
            Source::Peer(peer) if g.closed.contains(peer) => return Ok(()),
            Source::Peer(peer) => ("write", self.object(g, *peer, 0)?, 512),
        };
        for part in data.chunks(most).take(4) {
            push(g, name, vec![fd.clone(), Arg::Bytes(part.to_vec())], None)?;
            *g.waiting.entry(*source).or_default() += part.len();
        }
        Ok(())
    }

    /// Adds an item after what it needs.
    fn emit(&self, g: &mut Growing, id: ItemId, depth: usize) -> Result<usize, Full> {
        if let Some(index) = g.index.get(&id) {
            return Ok(*index);
        }
        if depth > 16 {
            return Err(Full::Never("too long a chain of calls before it".to_owned()));
        }
        let item = &self.walk.items[id];
        for before in &item.after {
            self.emit(g, *before, depth + 1)?;
        }
        for (node, need, effect) in &item.files {
            self.prepare(g, *node, *need, *effect)?;
        }
        let desc = item.id.desc();
        let mut args = Vec::new();
        for (part, (_, described)) in item.args.iter().zip(desc.written()) {
            args.push(self.arg(g, part, &described.ty, depth)?);
        }
        let index = add(g, Call::new(item.id, args), item.origin.clone())?;
        g.index.insert(id, index);
        for (node, _, effect) in &item.files {
            match effect {
                Effect::Creates(kind) => drop(g.there.insert(*node, Some(*kind))),
                Effect::Removes => drop(g.there.insert(*node, None)),
                Effect::Nothing => {}
            }
        }
        if item.goes.is_some() {
            g.cwd = item.goes;
        }
        Ok(index)
    }

    fn arg(&self, g: &mut Growing, part: &Part, ty: &Ty, depth: usize) -> Result<Arg, Full> {
        Ok(match part {
            Part::Word(n) => Arg::Int(*n),
            Part::Bytes(bytes) => Arg::Bytes(bytes.clone()),
            Part::Out(n) => Arg::Out(*n),
            Part::Object(object) => self.object(g, *object, depth)?,
            Part::Group(parts) => {
                Arg::Group(parts.iter().map(|p| self.arg(g, p, ty, depth)).collect::<Result<_, _>>()?)
            }
            Part::Path(node, under) => {
                let text = self.path(g, *node, *under);
                match made_path(g, &text) {
                    Some(made) if under.is_none() && matches!(ty, Ty::Path) => Arg::Res(made),
                    _ => Arg::Bytes(text),
                }
            }
        })
    }

    fn object(&self, g: &mut Growing, object: ObjectId, depth: usize) -> Result<Arg, Full> {
        let object = &self.walk.objects[object];
        if object.kinds & TERMINAL != 0 && object.made.is_none() {
            g.terminal = true;
        }
        match object.made {
            None => Ok(Arg::Int(object.number)),
            Some((item, slot)) => {
                let call = self.emit(g, item, depth + 1)?;
                Ok(Arg::Res(ResRef { call: call as u16, slot }))
            }
        }
    }

    /// A file's path from where the program is, or from directory `under`.
    fn path(&self, g: &Growing, node: NodeId, under: Option<NodeId>) -> Vec<u8> {
        let name = |id: NodeId| self.files().nodes.get(id).map_or(".", |n| n.name.as_str());
        let from = under.or(g.cwd).map_or(".", name);
        let mut path = relative(from, name(node)).into_bytes();
        path.truncate(MAX_PATH);
        path
    }

    /// Makes a file that must be there, or takes one away that must not.
    fn prepare(&self, g: &mut Growing, id: NodeId, need: Need, effect: Effect) -> Result<(), Full> {
        let node = &self.files().nodes[id];
        if node.name == "." {
            return Ok(());
        }
        if need != Need::Absent || effect != Effect::Nothing {
            for above in self.files().above(id) {
                if !g.there.contains_key(&above) {
                    let path = self.path(g, above, None);
                    push(g, "mkdirat", vec![Arg::Bytes(path), Arg::Int(0o755)], None)?;
                    g.there.insert(above, Some(NodeKind::Dir));
                }
            }
        }
        let state = g.there.get(&id).copied();
        match (need, state) {
            (Need::There, None | Some(None)) => {}
            (Need::Absent, Some(Some(kind))) => {
                let path = self.path(g, id, None);
                let name = if kind == NodeKind::Dir { "unlinkat$rmdir" } else { "unlinkat" };
                push(g, name, vec![Arg::Bytes(path)], None)?;
                g.there.insert(id, None);
                return Ok(());
            }
            _ => return Ok(()),
        }
        let path = Arg::Bytes(self.path(g, id, None));
        match node.kind.unwrap_or(NodeKind::File) {
            NodeKind::Dir => drop(push(g, "mkdirat", vec![path, Arg::Int(0o755)], None)?),
            NodeKind::Link => {
                let target = if node.target.is_empty() { b"target".to_vec() } else { base(&node.target) };
                push(g, "symlinkat", vec![Arg::Bytes(target), path], None)?;
            }
            NodeKind::File => {
                let content = content_of(node);
                let file = push(g, "openat$create", vec![path, Arg::Int(0o644)], None)?;
                let fd = Arg::Res(ResRef { call: file as u16, slot: 0 });
                if !content.is_empty() {
                    push(g, "write$file", vec![fd.clone(), Arg::Bytes(content)], None)?;
                }
                push(g, "close", vec![fd], None)?;
            }
        }
        g.there.insert(id, Some(node.kind.unwrap_or(NodeKind::File)));
        Ok(())
    }
}

/// A link leads to a file beside it.
fn base(target: &[u8]) -> Vec<u8> {
    let last = target.rsplit(|b| *b == b'/').find(|part| !part.is_empty()).unwrap_or(b"target");
    last.iter().copied().filter(|b| *b != 0).take(60).collect()
}

/// What was read from the file, filled up to its recorded size, both capped.
fn content_of(node: &Node) -> Vec<u8> {
    let size = usize::try_from(node.size).unwrap_or(PREPARED).min(PREPARED);
    let mut content: Vec<u8> = node.content.iter().copied().take(size).collect();
    let filler = b"the quick brown fox jumps over the lazy dog\n".iter().cycle();
    let missing = size - content.len();
    content.extend(filler.take(missing));
    content
}

/// The call that made the file of that path, if its path can be named by it.
fn made_path(g: &Growing, text: &[u8]) -> Option<ResRef> {
    if g.cwd.is_some() {
        return None;
    }
    g.calls.iter().enumerate().rev().find_map(|(index, call)| {
        let desc = call.id.desc();
        let slot = desc.makes.iter().position(|m| m.kind == Kind::Path)?;
        let From::PathArg(arg) = desc.makes[slot].from else { return None };
        let written = desc.written().position(|(k, _)| k == arg as usize)?;
        let same = matches!(call.args.get(written), Some(Arg::Bytes(path)) if path == text);
        same.then_some(ResRef { call: index as u16, slot: slot as u8 })
    })
}

fn push(g: &mut Growing, name: &str, args: Vec<Arg>, origin: Option<Origin>) -> Result<usize, Full> {
    let id = CallId::named(name).ok_or_else(|| Full::Never(format!("{name} is not described")))?;
    add(g, Call::new(id, args), origin)
}

fn add(g: &mut Growing, call: Call, origin: Option<Origin>) -> Result<usize, Full> {
    if g.calls.len() >= LONGEST {
        return Err(Full::Room);
    }
    g.terminal |= call.id.desc().needs & NEED_TTY != 0;
    g.calls.push(call);
    g.origins.push(origin);
    Ok(g.calls.len() - 1)
}

/// The program as it is now. One that names the terminal says so by a call that needs it.
fn complete(g: Growing) -> (Program, Vec<Option<Origin>>) {
    let mut program = Program { calls: g.calls };
    let mut origins = g.origins;
    if g.terminal && program.needs() & NEED_TTY == 0 {
        if let Some(id) = CallId::named("ioctl$tcgets") {
            program.rewrite_refs(|r| Some(ResRef { call: r.call + 1, ..r }));
            program.calls.insert(0, Call::new(id, vec![Arg::Int(0), Arg::Out(0)]));
            origins.insert(0, None);
        }
    }
    (program, origins)
}
