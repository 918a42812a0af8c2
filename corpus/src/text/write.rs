//! Programs to text.

use super::words::value;
use crate::desc::{In, SField, Ty};
use crate::program::{Arg, Program, ResRef};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

/// What is written for a reference to something no call makes. No well-formed program has one.
const DANGLING: &str = "?";

/// The whole program, a line a call.
pub fn write(program: &Program) -> String {
    let labels = Labels::of(program);
    let mut text = String::new();
    for index in 0..program.calls.len() {
        labels.line(&mut text, program, index);
        text.push('\n');
    }
    text
}

/// One call of a program, with the labels it has in the whole text. Empty if there is no such call.
pub fn write_call(program: &Program, index: usize) -> String {
    let mut text = String::new();
    if index < program.calls.len() {
        Labels::of(program).line(&mut text, program, index);
    }
    text
}

/// The numbers of all things that are used later.
pub(super) struct Labels(HashMap<ResRef, usize>);

impl Labels {
    pub(super) fn of(program: &Program) -> Labels {
        let mut used = BTreeSet::new();
        for index in 0..program.calls.len() {
            program.each_ref(index, |r| {
                let maker = program.calls.get(usize::from(r.call));
                if maker.is_some_and(|m| usize::from(r.slot) < m.id.desc().makes.len()) {
                    used.insert((r.call, r.slot));
                }
            });
        }
        let numbered = used.into_iter().enumerate();
        Labels(numbered.map(|(n, (call, slot))| (ResRef { call, slot }, n)).collect())
    }

    fn line(&self, text: &mut String, program: &Program, index: usize) {
        let call = &program.calls[index];
        let desc = call.id.desc();
        if call.task != 0 {
            push(text, format_args!("@{} ", call.task));
        }
        let label_of = |slot| self.0.get(&ResRef { call: index as u16, slot: slot as u8 });
        if let Some(last) = (0..desc.makes.len()).rev().find(|slot| label_of(*slot).is_some()) {
            let labels: Vec<String> =
                (0..=last).map(|s| label_of(s).map_or_else(|| "_".to_owned(), |n| format!("r{n}"))).collect();
            text.push_str(&labels.join(", "));
            text.push_str(" = ");
        }
        text.push_str(desc.name);
        let types = desc.written().map(|(_, a)| &a.ty);
        self.list(text, ['(', ')'], types, &call.args);
    }

    /// Parts between brackets. Parts beyond the types, in a malformed program, are shown as plain numbers.
    fn list<'t>(
        &self,
        text: &mut String,
        [open, close]: [char; 2],
        types: impl Iterator<Item = &'t Ty>,
        parts: &[Arg],
    ) {
        let mut types = types.fuse();
        text.push(open);
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                text.push_str(", ");
            }
            self.arg(text, types.next().unwrap_or(&Ty::Int(&[])), part);
        }
        text.push(close);
    }

    pub(super) fn arg(&self, text: &mut String, ty: &Ty, arg: &Arg) {
        match (arg, ty) {
            (Arg::Int(n), _) => text.push_str(&value(ty, *n)),
            (Arg::Res(r), _) => match self.0.get(r) {
                Some(n) => push(text, format_args!("r{n}")),
                None => text.push_str(DANGLING),
            },
            (Arg::Bytes(bytes), _) => quote(text, bytes),
            (Arg::Out(0), _) => text.push_str("out"),
            (Arg::Out(n), _) => push(text, format_args!("out[{n}]")),
            (Arg::Group(parts), Ty::Ptr(In::Struct(fields, _), _)) => self.fields(text, fields, parts),
            (Arg::Group(elements), Ty::Ptr(In::Array(fields, size, _), after)) => {
                let element = Ty::Ptr(In::Struct(fields, *size), *after);
                self.list(text, ['[', ']'], std::iter::repeat(&element), elements);
            }
            (Arg::Group(parts), _) => self.list(text, ['[', ']'], std::iter::empty(), parts),
        }
    }

    fn fields(&self, text: &mut String, fields: &[SField], parts: &[Arg]) {
        self.list(text, ['{', '}'], fields.iter().map(|f| &f.ty), parts);
    }
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = text.write_fmt(what);
}

fn quote(text: &mut String, bytes: &[u8]) {
    text.push('"');
    for &byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b'"' => text.push_str("\\\""),
            b' '..=b'~' => text.push(byte.into()),
            _ => push(text, format_args!("\\x{byte:02x}")),
        }
    }
    text.push('"');
}
