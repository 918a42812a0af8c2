//! Text to programs. Descends by the description's types, so that hostile text can neither nest deeper nor make
//! longer lists than they allow.

use super::scan::{Scanner, clip};
use super::words::{AT_FDCWD, HANDLERS, PAGE};
use super::{MAX_TEXT, TextError};
use crate::check::{MAX_IOV, wanted};
use crate::desc::{self, Desc, FlagSet, In, SField, Ty};
use crate::names::signal_named;
use crate::program::{Arg, Call, CallId, MAX_CALLS, Program, ProgramError, ResRef};
use crate::{tables, wire};
use std::collections::HashMap;

/// Reads a program.
///
/// # Errors
/// The text is too long, a line is not of the form the [module](super) describes, or the program is not well formed
/// ([`Program::check`]).
pub fn parse(text: &str) -> Result<Program, TextError> {
    if text.len() > MAX_TEXT {
        let what = format!("the text is {} bytes long, at most {MAX_TEXT} are read", text.len());
        return Err(TextError { line: 1, column: 1, what });
    }
    let mut parser = Parser::default();
    for (n, line) in text.lines().enumerate() {
        let mut scanner = Scanner::new(line, n + 1);
        if !scanner.is_done() {
            parser.line(&mut scanner)?;
        }
    }
    parser.program.check().map_err(|error| parser.locate(error))?;
    Ok(parser.program)
}

/// More labels than any call makes things.
const MAX_LABELS: usize = u8::MAX as usize;

/// A line and a column.
type Spot = (usize, usize);

/// Where a call stands in the text.
struct Place {
    /// Its name.
    call: Spot,
    /// Its arguments.
    args: Vec<Spot>,
}

#[derive(Default)]
pub(super) struct Parser<'a> {
    program: Program,
    pub(super) labels: HashMap<&'a str, ResRef>,
    places: Vec<Place>,
}

type Parsed<T> = Result<T, TextError>;

fn is_label(word: &str) -> bool {
    word.strip_prefix('r').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

impl<'a> Parser<'a> {
    fn line(&mut self, s: &mut Scanner<'a>) -> Parsed<()> {
        let mut labels = Vec::new();
        let task = self.task(s)?;
        let mut at = s.place();
        let mut name = s.word();
        while matches!(s.peek(), Some(b',' | b'=')) {
            if name != "_" && !is_label(name) {
                return Err(s.error_at(at, format!("`{name}` is no label: r0, r1, ... are, and `_`")));
            }
            if labels.len() == MAX_LABELS {
                return Err(s.error_at(at, "no call makes that many things"));
            }
            labels.push((at, name));
            let last = s.take(b'=');
            if !last {
                s.need(b',', "`,` or `=`")?;
            }
            at = s.place();
            name = s.word();
            if last {
                break;
            }
        }
        if name.is_empty() {
            return Err(s.expected("a call"));
        }
        let Some(id) = CallId::named(name) else {
            return Err(s.error_at(at, unknown_call(name)));
        };
        let index = self.program.calls.len();
        if index == MAX_CALLS {
            return Err(s.error_at(at, ProgramError::TooManyCalls(MAX_CALLS + 1).to_string()));
        }
        let mut place = Place { call: s.spot(at), args: Vec::new() };
        let args = self.args(s, id.desc(), &mut place)?;
        if !s.is_done() {
            return Err(s.expected("the end of the line"));
        }
        self.program.calls.push(Call { id, args, task });
        self.places.push(place);
        self.label(s, &labels, id.desc(), index)
    }

    /// `@1`, if the line begins with it.
    fn task(&self, s: &mut Scanner<'a>) -> Parsed<u8> {
        if !s.take(b'@') {
            return Ok(0);
        }
        let at = s.place();
        let word = s.word();
        word.parse().map_err(|_| s.error_at(at, format!("`{word}` is no task: @1, @2, ... are")))
    }

    /// Labels come to be after their call, which so cannot use them.
    fn label(
        &mut self,
        s: &Scanner<'a>,
        labels: &[(usize, &'a str)],
        desc: &Desc,
        call: usize,
    ) -> Parsed<()> {
        for (slot, &(at, label)) in labels.iter().enumerate() {
            if slot >= desc.makes.len() {
                let made = match desc.makes.len() {
                    0 => "nothing".to_owned(),
                    n => format!("{n}"),
                };
                let what = format!("`{}` makes {made}, so there is none for this label", desc.name);
                return Err(s.error_at(at, what));
            }
            let r = ResRef { call: call as u16, slot: slot as u8 };
            if label != "_" && self.labels.insert(label, r).is_some() {
                return Err(
                    s.error_at(at, format!("`{label}` is taken by an earlier call: choose another number"))
                );
            }
        }
        Ok(())
    }

    fn args(&mut self, s: &mut Scanner<'a>, desc: &'static Desc, place: &mut Place) -> Parsed<Vec<Arg>> {
        s.need(b'(', "`(`")?;
        let mut args = Vec::new();
        for (n, (_, described)) in desc.written().enumerate() {
            if s.peek() == Some(b')') || (n > 0 && !s.take(b',')) {
                return Err(if s.peek() == Some(b')') {
                    let names: Vec<&str> = desc.written().map(|(_, a)| a.name).collect();
                    s.expected(&format!(
                        "argument `{}` of {}({})",
                        described.name,
                        desc.name,
                        names.join(", ")
                    ))
                } else {
                    s.expected("`,`")
                });
            }
            let at = s.place();
            place.args.push(s.spot(at));
            args.push(self.arg(s, &described.ty)?);
        }
        if s.peek() == Some(b',') {
            let what = format!("`)`, since {} has {} arguments,", desc.name, args.len());
            return Err(s.expected(&what));
        }
        s.need(b')', "`)`")?;
        Ok(args)
    }

    pub(super) fn arg(&mut self, s: &mut Scanner<'a>, ty: &Ty) -> Parsed<Arg> {
        match (s.peek(), ty) {
            (Some(b'"'), _) => s.string().map(Arg::Bytes),
            (Some(b'{'), Ty::Ptr(In::Struct(fields, _), _)) => self.fields(s, fields),
            (Some(b'['), Ty::Ptr(In::Array(fields, _, max), _)) => {
                self.list(s, usize::from(*max), |parser, s| parser.fields(s, fields))
            }
            (Some(b'['), Ty::Ptr(In::IovIn | In::IovOut, _)) => {
                self.list(s, MAX_IOV, |parser, s| parser.arg(s, &Ty::Ptr(In::Bytes(0), desc::Out::Nothing)))
            }
            (_, Ty::Ptr(..)) if s.peek_word() == "out" => {
                s.word();
                if !s.take(b'[') {
                    return Ok(Arg::Out(0));
                }
                let at = s.place();
                let len = s.number("a length")?;
                let len = u32::try_from(len).map_err(|_| s.error_at(at, "no buffer is that long"))?;
                s.need(b']', "`]`")?;
                Ok(Arg::Out(len))
            }
            _ => self.word(s, ty),
        }
    }

    fn list(
        &mut self,
        s: &mut Scanner<'a>,
        max: usize,
        mut element: impl FnMut(&mut Self, &mut Scanner<'a>) -> Parsed<Arg>,
    ) -> Parsed<Arg> {
        s.need(b'[', "`[`")?;
        let mut elements = Vec::new();
        while !s.take(b']') {
            if !elements.is_empty() {
                s.need(b',', "`,` or `]`")?;
            }
            if elements.len() == max {
                let at = s.place();
                return Err(s.error_at(at, format!("at most {max} elements are allowed here")));
            }
            elements.push(element(self, s)?);
        }
        Ok(Arg::Group(elements))
    }

    fn fields(&mut self, s: &mut Scanner<'a>, fields: &[SField]) -> Parsed<Arg> {
        s.need(b'{', "`{`")?;
        let mut parts = Vec::with_capacity(fields.len());
        for (n, field) in fields.iter().enumerate() {
            if n > 0 {
                s.need(b',', &format!("`,` and field `{}`", field.name))?;
            }
            parts.push(self.word(s, &field.ty)?);
        }
        s.need(b'}', "`}`")?;
        Ok(Arg::Group(parts))
    }

    /// A word, or a resource. Whether a resource may stand here is for the check to say.
    fn word(&mut self, s: &mut Scanner<'a>, ty: &Ty) -> Parsed<Arg> {
        let word = s.peek_word();
        if is_label(word) {
            let at = s.place();
            s.word();
            return match self.labels.get(word) {
                Some(r) => Ok(Arg::Res(*r)),
                None => Err(s.error_at(
                    at,
                    format!("no earlier call is labelled `{word}`: put `{word} =` before one"),
                )),
            };
        }
        let named = match ty {
            Ty::Flags(set) => return flags(s, ty, set).map(Arg::Int),
            Ty::SigSet if matches!(s.peek(), Some(b'{' | b'~')) => return signal_set(s).map(Arg::Int),
            Ty::Enum(set) => return name_or_number(s, ty, set).map(Arg::Int),
            Ty::Fd(_) if word == "AT_FDCWD" => Some(AT_FDCWD),
            Ty::Pid if word == "NO_PID" => Some(desc::NO_PID),
            Ty::Page => page_named(word),
            Ty::Signal => signal_named(word),
            Ty::Handler => HANDLERS.iter().position(|name| *name == word).map(|n| n as u64),
            Ty::Path | Ty::Ptr(..) if word == "NULL" => Some(0),
            _ => None,
        };
        match named {
            Some(n) => {
                s.word();
                Ok(Arg::Int(n))
            }
            None => s.number(wanted(ty)).map(Arg::Int),
        }
    }

    /// Gives an error of the whole program its place in the text.
    fn locate(&self, error: ProgramError) -> TextError {
        let (spot, what) = match &error {
            ProgramError::Arg { call, name, arg, what } => {
                let spot = self.places.get(*call).map(|place| {
                    let described = self.program.calls[*call].id.desc().written();
                    let n = described.map(|(_, a)| a.name).position(|name| name == arg);
                    n.and_then(|n| place.args.get(n)).copied().unwrap_or(place.call)
                });
                (spot, format!("argument {arg} of {name}: {what}"))
            }
            ProgramError::Task { call, .. } => (self.places.get(*call).map(|p| p.call), error.to_string()),
            _ => (None, error.to_string()),
        };
        let (line, column) = spot.unwrap_or((1, 1));
        TextError { line, column, what }
    }
}

fn flags(s: &mut Scanner<'_>, ty: &Ty, set: &FlagSet) -> Parsed<u64> {
    let mut joined = name_or_number(s, ty, set)?;
    while s.take(b'|') {
        joined |= name_or_number(s, ty, set)?;
    }
    Ok(joined)
}

fn name_or_number(s: &mut Scanner<'_>, ty: &Ty, set: &FlagSet) -> Parsed<u64> {
    let word = s.peek_word();
    if !word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return s.number(wanted(ty));
    }
    if let Some((_, n)) = set.names.iter().find(|(name, _)| *name == word) {
        s.word();
        return Ok(*n);
    }
    let names = || set.names.iter().map(|(name, _)| *name);
    let hint = match nearest(word, names()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            let more = if set.names.len() > 8 { ", ..." } else { "" };
            format!("{}{more} may stand here", names().take(8).collect::<Vec<_>>().join(", "))
        }
    };
    let at = s.place();
    Err(s.error_at(at, format!("unknown name `{}`; {hint}", clip(word))))
}

fn signal_set(s: &mut Scanner<'_>) -> Parsed<u64> {
    let all_but = s.take(b'~');
    s.need(b'{', "`{`")?;
    let mut set = 0;
    while !s.take(b'}') {
        let at = s.place();
        let word = s.peek_word();
        let signal = match signal_named(word) {
            Some(n) => {
                s.word();
                n
            }
            None => s.number("a signal (SIGINT, 34) or `}`")?,
        };
        if !(1..=64).contains(&signal) {
            return Err(s.error_at(at, format!("signal {signal} is in no set: 1 to 64 are")));
        }
        set |= 1 << (signal - 1);
        s.take(b',');
    }
    Ok(if all_but { !set } else { set })
}

fn page_named(word: &str) -> Option<u64> {
    let pages = wire::WINDOW_SIZE / PAGE;
    (0..pages)
        .find(|n| word.strip_prefix("PAGE") == Some(n.to_string().as_str()))
        .map(|n| wire::WINDOW + n * PAGE)
}

fn unknown_call(name: &str) -> String {
    let names = || tables::all().iter().map(|d| d.name);
    let variant = names().find(|known| known.split('$').next() == Some(name));
    let hint = match nearest(name, names()).or(variant) {
        Some(known) => format!("did you mean `{known}`?"),
        None => "`parallax calls` lists the known ones".to_owned(),
    };
    format!("unknown call `{}`; {hint}", clip(name))
}

/// The known word that is a slip of the pen away, if one is.
fn nearest<'n>(word: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let far = (word.len() / 3).clamp(1, 3) + 1;
    known
        .filter(|name| name.len().abs_diff(word.len()) < far)
        .map(|name| (distance(word.as_bytes(), name.as_bytes()), name))
        .filter(|(d, _)| *d < far)
        .min_by_key(|(d, _)| *d)
        .map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
