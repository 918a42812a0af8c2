//! Which description says a recorded call best, and its arguments. Nothing here knows a call by name: the tables' types
//! and constants decide.

use super::lex::Event;
use super::parts::{Part, Parts};
use super::value::Value;
use crate::check::MAX_IOV;
use crate::desc::{Desc, FD_NODE, FdKinds, FlagSet, Id, In, Kind, Op, Out, SField, Ty};
use crate::program::{CallId, MAX_BYTES};
use crate::{tables, wire};

/// What the recording knows: numbers of the recorded process to what made them.
pub(super) trait World {
    /// A descriptor: what stands for it, and its kinds (0 if unknown).
    fn fd(&mut self, number: u64) -> (Part, FdKinds);
    /// A pid. `ok`: the call it was given to succeeded.
    fn pid(&mut self, number: u64, ok: bool) -> Result<Part, String>;
    /// A timer.
    fn timer(&mut self, number: u64) -> Part;
    /// A number the kernel chose for something.
    fn id(&mut self, id: Id, number: u64) -> Part;
    /// A page: of an address, or for a new mapping.
    fn page(&mut self, address: u64, makes: bool) -> Part;
    /// A path below the directory of descriptor `dir` (`None`: the working directory).
    fn path(&mut self, dir: Option<u64>, text: &[u8]) -> Part;
    /// The kinds of a descriptor on what that path names.
    fn kinds_at(&mut self, dir: Option<u64>, text: &[u8]) -> FdKinds;
}

/// A call as the tables say it.
pub(super) struct Picked {
    /// Which.
    pub(super) id: CallId,
    /// Its written arguments.
    pub(super) args: Vec<Part>,
    /// Something was changed to what programs may say: a length cut, a flag left out.
    pub(super) adapted: bool,
    /// The path is one the description knows: a device, say.
    pub(super) known_path: bool,
    /// What it makes is of a kind the file is not known to be.
    pub(super) other_kind: bool,
}

/// Arguments that choose what a call does: another value would be another call.
const SELECTORS: [&str; 14] = [
    "cmd", "op", "option", "level", "domain", "type", "optname", "who", "which", "whence", "resource",
    "idtype", "how", "fd",
];
/// Arguments that are lengths of mappings.
const LENGTHS: [&str; 7] = ["length", "len", "size", "old_len", "new_len", "old_size", "new_size"];

/// The best description of `event`.
///
/// # Errors
/// Why there is none.
pub(super) fn pick(event: &Event, world: &mut dyn World) -> Result<Picked, String> {
    let mut best: Option<(i32, Picked)> = None;
    let mut closest: Option<(usize, String)> = None;
    for (index, desc) in tables::all().iter().enumerate() {
        if !matches!(desc.op, Op::Sys(_)) || desc.base_name() != event.name || desc.weight == 0 {
            continue;
        }
        let Some(id) = CallId::from_index(index) else { continue };
        let mut fit = Fit {
            event,
            desc,
            world,
            score: 0,
            adapted: false,
            known_path: false,
            other_kind: false,
            reached: 0,
        };
        match fit.args() {
            Ok(args) => {
                let Fit { score, adapted, known_path, other_kind, .. } = fit;
                if best.as_ref().is_none_or(|(other, _)| score > *other) {
                    best = Some((score, Picked { id, args, adapted, known_path, other_kind }));
                }
            }
            Err(why) => {
                let reached = fit.reached;
                if closest.as_ref().is_none_or(|(other, _)| reached > *other) {
                    closest = Some((reached, why));
                }
            }
        }
    }
    best.map(|(_, picked)| picked).ok_or_else(|| match closest {
        Some((_, why)) => why,
        None => "not described".to_owned(),
    })
}

/// One description tried on one call.
struct Fit<'a> {
    event: &'a Event,
    desc: &'static Desc,
    world: &'a mut dyn World,
    score: i32,
    adapted: bool,
    known_path: bool,
    other_kind: bool,
    reached: usize,
}

impl Fit<'_> {
    /// The recorded argument of that index. strace shows the two halves of an offset as one.
    fn recorded(&self, k: usize) -> &Value {
        let high = self.desc.args.iter().position(|a| a.name == "pos_h");
        match high {
            Some(high) if k == high => &Value::Number(0),
            Some(high) if k > high => self.event.arg(k - 1),
            _ => self.event.arg(k),
        }
    }

    fn adapt(&mut self, cost: i32) {
        self.adapted = true;
        self.score -= cost;
    }

    fn args(&mut self) -> Result<Vec<Part>, String> {
        let mut parts = Vec::new();
        for (k, arg) in self.desc.args.iter().enumerate() {
            let value = self.recorded(k).clone();
            let named = |why: String| format!("{}: {why}", arg.name);
            match arg.ty {
                Ty::Const(fixed) => self.fixed(arg.name, fixed, &value).map_err(named)?,
                Ty::Len(_) => {}
                Ty::PathConst(path) => match &value {
                    Value::Text(text, _) if text == path.as_bytes() => {
                        self.known_path = true;
                        self.score += 12;
                    }
                    Value::Text(..) if arg.name == "name" => self.adapt(1),
                    _ => return Err(named(format!("is not {path:?}"))),
                },
                ty => parts.push(self.arg(k, arg.name, ty, &value).map_err(named)?),
            }
            self.reached = k + 1;
        }
        for made in self.desc.makes {
            if let (Kind::Fd(kinds), Some(Ty::Path)) = (made.kind, self.path_type()) {
                let (dir, text) = self.path_place();
                let known = self.world.kinds_at(dir, &text);
                self.other_kind |= known & kinds & !FD_NODE == 0;
                self.score += match known & kinds {
                    0 => -6,
                    // Anything by a name, or just this.
                    _ if kinds & FD_NODE != 0 => 2,
                    _ => 4,
                };
            }
        }
        Ok(parts)
    }

    fn path_type(&self) -> Option<Ty> {
        self.desc.args.iter().map(|a| a.ty).find(|ty| *ty == Ty::Path)
    }
    fn path_place(&self) -> (Option<u64>, Vec<u8>) {
        let Some(k) = self.desc.args.iter().position(|a| a.ty == Ty::Path) else { return (None, Vec::new()) };
        match self.recorded(k) {
            Value::Text(text, _) => (self.dir_before(k), text.clone()),
            _ => (None, Vec::new()),
        }
    }

    /// The directory descriptor that stands before the path argument `k`.
    fn dir_before(&self, k: usize) -> Option<u64> {
        let before = k.checked_sub(1)?;
        if !self.desc.args[before].name.ends_with("dirfd") {
            return None;
        }
        self.recorded(before).word(None).filter(|n| *n as i32 != -100)
    }

    /// An argument the description has fixed.
    fn fixed(&mut self, name: &str, fixed: u64, value: &Value) -> Result<(), String> {
        let Some(word) = value.word(None) else {
            if let (true, Value::Name(symbol)) = (SELECTORS.contains(&name), value) {
                // Named like the variant: what the constants here do not know.
                let variant = self.desc.name.split('$').nth(1).unwrap_or_default();
                let symbol = symbol.to_ascii_lowercase();
                if symbol == variant || symbol.split_once('_').is_some_and(|(_, s)| s == variant) {
                    self.score += 6;
                    return Ok(());
                }
            }
            if fixed == 0 && value.is_pointee() {
                self.adapt(4);
                return Ok(());
            }
            return Err(format!("{} is not what any variant has", brief(value)));
        };
        if same_word(word, fixed) {
            self.score += 6;
            return Ok(());
        }
        let differ = (word ^ fixed).count_ones() as i32;
        if name == "type" && word & 0xf == fixed & 0xf {
            self.adapt(2 * differ);
            return Ok(());
        }
        if SELECTORS.contains(&name) || name.ends_with("dirfd") {
            return Err(format!("{} is not what any variant has", brief(value)));
        }
        self.adapt(if fixed == 0 { 4 } else { 2 * differ.min(8) });
        Ok(())
    }

    fn arg(&mut self, k: usize, name: &'static str, ty: Ty, value: &Value) -> Result<Part, String> {
        match ty {
            Ty::Path => match value {
                Value::Text(text, _) => {
                    self.score += 2;
                    let dir = self.dir_before(k);
                    Ok(self.world.path(dir, text))
                }
                value if value.is_null() => Ok(Part::Word(0)),
                _ => Err(format!("{} is no path", brief(value))),
            },
            Ty::Ptr(before, after) => self.pointer(k, before, after, value),
            ty => self.word(name, ty, value),
        }
    }

    fn word(&mut self, name: &'static str, ty: Ty, value: &Value) -> Result<Part, String> {
        if let Ty::SigSet = ty {
            return Ok(Part::Word(value.signal_set().or_else(|| value.word(None)).unwrap_or(0)));
        }
        let set = match ty {
            Ty::Flags(set) | Ty::Enum(set) => Some(set),
            _ => None,
        };
        if let (Ty::Handler, Value::Name(symbol)) = (ty, value) {
            return Ok(Part::Word(match symbol.as_str() {
                "SIG_DFL" => 0,
                "SIG_IGN" => 1,
                _ => crate::desc::HANDLER,
            }));
        }
        // A union, or a pointer to one word.
        let single = value.entry("u64").or_else(|| value.entries().first().map(|(_, v)| v)).unwrap_or(value);
        let Some(word) = single.word(set) else {
            return Err(format!("{} is nothing that can be said", brief(value)));
        };
        Ok(Part::Word(match ty {
            Ty::Const(fixed) if fixed == word => word,
            Ty::Const(fixed) => {
                self.adapt(1);
                fixed
            }
            Ty::Int(liked) => {
                self.score += i32::from(liked.contains(&word));
                word
            }
            Ty::OneOf(values) => {
                if SELECTORS.contains(&name) && !values.iter().any(|v| same_word(word, *v)) {
                    return Err(format!("{} is not what any variant has", brief(value)));
                }
                self.one_of(values, word)
            }
            Ty::Flags(set) => self.flags(set, word),
            Ty::Enum(set) => return self.one_named(name, set, word, value),
            // A number to be taken, whatever it names.
            Ty::Fd(_) if name == "newfd" && word <= 2 => word,
            Ty::Fd(kinds) => {
                let (part, known) = self.world.fd(word);
                self.score += match known & kinds {
                    0 if known == 0 => 0,
                    0 => -4,
                    _ => 8 - (kinds.count_ones().min(12) / 2) as i32,
                };
                if let Part::Word(n) = part {
                    if n > 63 && n as i32 > 0 && n != crate::check::NO_FD {
                        return Err(format!("{n} is a descriptor that programs cannot name"));
                    }
                }
                return Ok(part);
            }
            Ty::Pid => return self.world.pid(word, self.event.ok().is_some()),
            Ty::Timer => return Ok(self.world.timer(word)),
            Ty::Id(id) => return Ok(self.world.id(id, word)),
            Ty::Page => {
                let makes = self.desc.makes.iter().any(|made| made.kind == Kind::Page);
                return Ok(self.world.page(word, makes));
            }
            Ty::Signal if word & 0xffff_ffff == 14 => return Err("SIGALRM is the agent's own".to_owned()),
            Ty::Handler => word.min(crate::desc::HANDLER),
            _ => word,
        }))
    }

    fn one_of(&mut self, values: &[u64], word: u64) -> u64 {
        // Milliseconds and the like are ints: -1 may be printed either way.
        if let Some(same) = values.iter().find(|v| same_word(word, **v)) {
            self.score += 3;
            return *same;
        }
        self.adapt(1);
        // What is not zero must not become it, where there is another choice. The tables repeat what is usual, which
        // is what programs that succeed have.
        let usual =
            |v: u64| if self.event.ok().is_some() { values.iter().filter(|w| **w == v).count() } else { 0 };
        let real = values.iter().filter(|v| **v != 0 && (**v as i64) > 0);
        real.min_by_key(|v| (std::cmp::Reverse(usual(**v)), v.abs_diff(word)))
            .or(values.first())
            .copied()
            .unwrap_or(0)
    }

    fn flags(&mut self, set: &FlagSet, word: u64) -> u64 {
        let known = set.names.iter().fold(0, |bits, (_, v)| bits | v);
        let unknown = (word & !known).count_ones();
        if unknown == 0 {
            self.score += 3 - (set.names.len() / 8).min(2) as i32;
        } else {
            self.adapt(2 * unknown as i32);
        }
        word & known
    }

    fn one_named(&mut self, name: &str, set: &FlagSet, word: u64, value: &Value) -> Result<Part, String> {
        if let Some((_, same)) = set.names.iter().find(|(_, v)| same_word(word, *v)) {
            self.score += 4;
            return Ok(Part::Word(*same));
        }
        if LENGTHS.contains(&name) {
            self.adapt(1);
            let pages = word.div_ceil(4096).clamp(1, 4) * 4096;
            let among = set.names.iter().map(|(_, v)| *v);
            return Ok(Part::Word(among.min_by_key(|v| v.abs_diff(pages)).unwrap_or(4096)));
        }
        Err(format!(
            "{} is none of {}",
            brief(value),
            set.names.iter().map(|n| n.0).collect::<Vec<_>>().join(", ")
        ))
    }

    fn pointer(&mut self, k: usize, before: In, after: Out, value: &Value) -> Result<Part, String> {
        if value.is_null() {
            self.score -= 1;
            return Ok(Part::Word(0));
        }
        // The room a buffer has is another argument.
        let counted = self.desc.args.iter().position(|a| a.ty == Ty::Len(k as u8));
        let room = counted.and_then(|n| self.recorded(n).word(None));
        let limit = |most: u64| room.unwrap_or(most).min(most);
        match (before, after) {
            (In::Nothing, Out::Nothing) => Ok(Part::Word(0)),
            (In::Nothing, Out::Buf(max) | Out::Opaque(max)) => {
                let max = u64::from(max).min(MAX_BYTES as u64);
                let most = limit(max);
                if room.is_some_and(|room| room > max) {
                    self.adapt(1);
                } else {
                    // The smallest buffer that is large enough.
                    self.score += if max <= 512 { 1 } else { 0 };
                }
                Ok(Part::Out(most as u32))
            }
            (In::Nothing, Out::Dirents(room)) => Ok(Part::Out(room.into())),
            (In::Nothing, _) => Ok(Part::Out(0)),
            (In::Bytes(max), _) => match value {
                Value::Text(text, cut) => {
                    let max = usize::from(max).min(MAX_BYTES);
                    if text.len() > max {
                        self.adapt(1);
                    }
                    let mut bytes = text[..text.len().min(max)].to_vec();
                    // What strace cut goes on as it began, as long as it was.
                    if let (true, Some(room), false) = (*cut, room, bytes.is_empty()) {
                        let whole = usize::try_from(room).unwrap_or(max).min(max);
                        bytes = bytes.iter().copied().cycle().take(whole.max(bytes.len())).collect();
                    }
                    Ok(Part::Bytes(bytes))
                }
                _ => Err(format!("{} is not the bytes", brief(value))),
            },
            (In::Struct(fields, _), _) => self.group(fields, value),
            (In::Array(fields, _, max), _) => {
                let entries = value.entries();
                if entries.len() > usize::from(max) {
                    self.adapt(2);
                }
                let groups: Result<Parts, String> =
                    entries.iter().take(max.into()).map(|(_, entry)| self.group(fields, entry)).collect();
                if matches!(value, Value::List(..)) {
                    groups.map(Part::Group)
                } else {
                    Err("is no array".to_owned())
                }
            }
            (In::IovIn | In::IovOut, _) => self.iovec(before == In::IovIn, value),
            #[allow(unreachable_patterns)]
            _ => Err("is of a form that is not imported".to_owned()),
        }
    }

    fn iovec(&mut self, given: bool, value: &Value) -> Result<Part, String> {
        let entries = value.entries();
        if entries.len() > MAX_IOV {
            self.adapt(1);
        }
        let part = |(_, entry): &(String, Value)| {
            let len = entry.entry("iov_len").and_then(|v| v.word(None)).unwrap_or(0).min(512);
            match entry.entry("iov_base") {
                Some(Value::Text(text, _)) if given => Part::Bytes(text[..text.len().min(512)].to_vec()),
                _ if given => Part::Bytes(Vec::new()),
                _ => Part::Out(len as u32),
            }
        };
        match value {
            Value::List(..) => Ok(Part::Group(entries.iter().take(MAX_IOV).map(part).collect())),
            _ => Err("is no array".to_owned()),
        }
    }

    /// A struct's fields by their names; positions where strace prints a list.
    fn group(&mut self, fields: &'static [SField], value: &Value) -> Result<Part, String> {
        if let Value::Number(_) = value {
            // An address: strace does not look at what lies there.
            self.adapt(3);
            return Ok(Part::Group(fields.iter().map(|field| self.usual(field)).collect()));
        }
        if !value.is_pointee() {
            return Err(format!("{} is not the struct: record with -v", brief(value)));
        }
        let mut parts = Vec::new();
        let mut groups: Vec<&str> = Vec::new();
        for field in fields {
            let (group, last) = field.name.rsplit_once('.').unwrap_or(("", field.name));
            if !groups.contains(&group) {
                groups.push(group);
            }
            let nth = groups.iter().position(|g| *g == group).unwrap_or(0);
            let found = match value {
                // Lists of structs, and of one number.
                Value::List(false, entries) if fields.len() == 1 => match (field.ty, entries.first()) {
                    (Ty::SigSet, _) => Some(value),
                    (_, Some((_, Value::List(..)))) => value.entry(last),
                    (_, first) => first.map(|(_, v)| v),
                },
                Value::List(false, entries) => entries.get(nth).and_then(|(_, v)| v.entry(last)),
                Value::Not(_) if fields.len() == 1 => Some(value),
                _ if group.is_empty() => value.entry(last),
                _ => value.entry(group).and_then(|v| v.entry(last)).or_else(|| value.entry(last)),
            };
            // Fields that wait a while may be printed in another unit.
            let found = found.or_else(|| addressed(last, value));
            let short = found.and_then(|found| shortened(fields, last, value, found.before()));
            let named = found.and_then(|found| socket_name(last, found.before()));
            let found = short.as_ref().or(named.as_ref()).or(found.map(Value::before));
            let part = match found {
                Some(found) => match self.word(field.name, field.ty, found) {
                    Ok(part) => part,
                    Err(_) if matches!(field.ty, Ty::Enum(_) | Ty::OneOf(_)) => self.usual(field),
                    Err(why) => return Err(format!("{}: {why}", field.name)),
                },
                None => self.usual(field),
            };
            parts.push(part);
        }
        Ok(Part::Group(parts))
    }

    /// What stands in a field that the recording does not show, or that may not be said.
    fn usual(&mut self, field: &SField) -> Part {
        self.adapt(1);
        Part::Word(match field.ty {
            Ty::Const(fixed) => fixed,
            Ty::Enum(set) => set.names.first().map_or(0, |(_, v)| *v),
            Ty::OneOf(values) => {
                if values.contains(&0) {
                    0
                } else {
                    values.first().copied().unwrap_or(0)
                }
            }
            Ty::Page => wire::WINDOW,
            Ty::Fd(_) => u64::MAX,
            _ => 0,
        })
    }
}

/// The family of a socket's address, which strace calls by one name for all of them.
fn addressed<'v>(name: &str, address: &'v Value) -> Option<&'v Value> {
    if matches!(name, "sun_family" | "sin_family") { address.entry("sa_family") } else { None }
}

/// A socket's name as one of the few that programs have: abstract where it was.
fn socket_name(name: &str, found: &Value) -> Option<Value> {
    match found {
        Value::Text(text, _) if name == "sun_path" => {
            let known = if text.first().is_none_or(|b| *b == 0) { "ABSTRACT_A" } else { "PATH_S0" };
            Some(Value::Name(known.to_owned()))
        }
        _ => None,
    }
}

/// A time whose seconds a description leaves out: as short as it may be, but not nothing, and no invalid one.
fn shortened(fields: &[SField], name: &str, of: &Value, found: &Value) -> Option<Value> {
    let most = match name {
        "tv_nsec" => 100_000,
        "tv_usec" => 1000,
        _ => return None,
    };
    if fields.iter().any(|field| field.name.ends_with("tv_sec")) {
        return None;
    }
    let seconds = of.before().entry("tv_sec").and_then(|v| v.word(None)).unwrap_or(0);
    let part = found.word(None).filter(|n| *n < 10_000 * most)?;
    Some(Value::Number(if seconds > 0 { most } else { part.min(most) }))
}

/// Whether two words are the same to a kernel that may look at the low half only.
fn same_word(recorded: u64, fixed: u64) -> bool {
    recorded == fixed || (recorded as i32 as i64 as u64) == fixed && recorded <= u64::from(u32::MAX)
}

/// A value in a message.
fn brief(value: &Value) -> String {
    match value {
        Value::Number(n) if (*n as i64) < 0 => (*n as i64).to_string(),
        Value::Number(n) if *n > 4096 => format!("{n:#x}"),
        Value::Number(n) => n.to_string(),
        Value::Name(name) => name.chars().take(40).collect(),
        Value::Bits(parts) => parts.iter().take(6).map(brief).collect::<Vec<_>>().join("|"),
        Value::Text(..) => "a string".to_owned(),
        Value::List(true, _) => "a struct".to_owned(),
        Value::List(false, _) | Value::Not(_) => "a list".to_owned(),
        Value::Made(name, _) => name.chars().take(40).collect(),
        Value::Change(before, _) => brief(before),
        Value::Unclear => "what strace left out".to_owned(),
    }
}
