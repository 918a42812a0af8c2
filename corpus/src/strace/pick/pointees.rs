//! What pointers point at: buffers, vectors, structs and arrays of them.

use super::{Fit, brief};
use crate::check::MAX_IOV;
use crate::desc::{In, Out, SField, Ty};
use crate::program::MAX_BYTES;
use crate::strace::parts::{Part, Parts};
use crate::strace::value::Value;
use crate::wire;

impl Fit<'_> {
    pub(super) fn pointer(
        &mut self,
        k: usize,
        before: In,
        after: Out,
        value: &Value,
    ) -> Result<Part, String> {
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
