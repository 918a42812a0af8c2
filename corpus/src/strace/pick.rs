//! Which description says a recorded call best, and its arguments. Nothing here knows a call by name: the tables' types
//! and constants decide.

mod pointees;

use super::lex::Event;
use super::parts::Part;
use super::value::Value;
use crate::desc::{Desc, FD_NODE, FdKinds, FlagSet, Id, Kind, Op, Ty};
use crate::program::CallId;
use crate::tables;

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
