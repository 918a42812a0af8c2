//! What the C program prints of each call, and what it expects: the recorded native value, as far as the output's
//! meaning lets values be compared; bounds where it does not.

use super::literals::{Tables, long, quoted};
use crate::outcomes::listing;
use crate::repro::Repro;
use parallax_corpus::compile::{FieldAt, fields_of};
use parallax_corpus::desc::{Clk, Dur, Line, Op, Out, Ty, Unit};
use parallax_corpus::wire::OP_SPAWN;
use parallax_corpus::{Arg, Call, Code, End, Meaning, Outcome, Program, State, text};
use std::fmt::Write;

/// `report()` and `judge()`.
pub fn render(repro: &Repro, code: &Code, calls: &[usize], tables: &mut Tables) -> String {
    let whole = Program { calls: code.calls.clone() };
    let mut c = String::from("static void report(void)\n{\n");
    for &k in calls {
        let call = quoted(text::write_call(&whole, k).as_bytes());
        let native = &repro.native.outcomes[k];
        let (kind, names) = kind(code.calls[k].id.desc().ret, "ret", tables);
        let _ = writeln!(
            c,
            "\treturned({k}, \"{call}\", {kind}, {names}, {}, {});",
            state(native.state),
            long(native.ret as u64)
        );
        outputs(&mut c, code, k, tables);
    }
    let judge = Expectation { repro, code, tables }.render();
    let _ = write!(c, "}}\n\nstatic int judge(void)\n{{\n{judge}}}\n");
    c
}

/// The lines that print a call's outputs.
fn outputs(c: &mut String, code: &Code, k: usize, tables: &mut Tables) {
    let (call, spans) = (&code.calls[k], &code.spans[k]);
    let desc = call.id.desc();
    if let Some(line) = time(call, k, "ret", -1, desc.ret) {
        let _ = writeln!(c, "\t{line}");
    }
    for f in fields_of(desc, spans) {
        let (name, at, size) = (f.field.name, f.at, f.field.size);
        if let Some(line) = time(call, k, name, at as i64, f.field.meaning) {
            let _ = writeln!(c, "\t{line}");
        } else if f.field.meaning != Meaning::Opaque {
            let (kind, names) = kind(f.field.meaning, name, tables);
            let _ = writeln!(c, "\tfield({k}, \"{name}\", {at}, {size}, {kind}, {names});");
        }
    }
    let mut at = 0;
    for span in spans {
        let argument = &desc.args[span.arg as usize];
        if !matches!(
            argument.ty,
            Ty::Ptr(_, Out::Fields(..) | Out::Array(..) | Out::Dirents(_) | Out::Lines(..))
        ) {
            let _ = writeln!(c, "\tfield({k}, \"{}\", {at}, {}, BYTES, 0);", argument.name, span.len);
        }
        at += span.len as usize;
    }
}

/// The line that prints a time.
fn time(call: &Call, k: usize, name: &str, at: i64, meaning: Meaning) -> Option<String> {
    match meaning {
        Meaning::Clock(clock, unit) => {
            let id = clock_id(call, clock);
            Some(format!("clock_reading({k}, \"{name}\", {at}, {}, {id});", unit_name(unit)))
        }
        Meaning::Duration(_, unit) => Some(format!("cpu_time({k}, \"{name}\", {at}, {});", unit_name(unit))),
        _ => None,
    }
}

/// How values of a meaning are shown and compared, and the table of their names.
fn kind(meaning: Meaning, name: &str, tables: &mut Tables) -> (&'static str, String) {
    let none = || "0".to_owned();
    match meaning {
        // The handler's address is another one here than in the agent.
        Meaning::Exact if name == "sa_handler" => ("HANDLED", none()),
        Meaning::Exact | Meaning::Fd | Meaning::Device | Meaning::Where(..) => ("EXACT", none()),
        Meaning::Flags(set) => ("FLAGS", tables.name(set)),
        _ => ("FREE", none()),
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::NotRun => "NOTRUN",
        State::Done => "DONE",
        State::Blocked => "BLOCKED",
        State::Skipped => "SKIPPED",
        State::Died => "DIED",
        State::Absent => "ABSENT",
        // Only programs with tasks miss calls, and those have no C form.
        State::Missed => "MISSED",
    }
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Timespec => "TIMESPEC",
        Unit::Timeval => "TIMEVAL",
        Unit::Secs => "SECS",
        Unit::Ticks => "TICKS",
    }
}

/// The clock's number, -1 if only running the program tells.
fn clock_id(call: &Call, clock: Clk) -> i64 {
    let index = match clock {
        Clk::Realtime => return 0,
        Clk::Arg(index) => usize::from(index),
    };
    let desc = call.id.desc();
    if let Some(Ty::Const(id)) = desc.args.get(index).map(|a| a.ty) {
        return id as i64;
    }
    let written = desc.written().zip(&call.args).find(|((k, _), _)| *k == index);
    match written {
        Some((_, Arg::Int(id))) => *id as i32 as i64,
        _ => -1,
    }
}

struct Expectation<'a, 't> {
    repro: &'a Repro,
    code: &'a Code,
    tables: &'t mut Tables,
}

impl Expectation<'_, '_> {
    /// The body of `judge()`.
    fn render(mut self) -> String {
        let finding = &self.repro.finding;
        let k = finding.call;
        let desc = self.code.calls[k].id.desc();
        let native = &self.repro.native.outcomes[k];
        let field = self.field();
        let (at, meaning) = field.map_or((-1, desc.ret), |f| (f.at as i64, f.field.meaning));
        let name = field.map_or("ret", |f| f.field.name);
        match (finding.oracle.as_str(), finding.field.as_str(), meaning) {
            ("layer", ..) | (_, "end", _) => {
                let end = match self.repro.native.end {
                    End::Killed(signal) => signal.to_string(),
                    _ => "ENDED".to_owned(),
                };
                returns(format!("expect_end({end})"))
            }
            ("memory", ..) => returns(format!("expect_outcome({k}, EXACT, 0, DONE, 0)")),
            ("clocks", "monotonic", _) => returns("expect_forwards()".to_owned()),
            ("clocks", _, Meaning::Clock(clock, unit)) => {
                let (id, unit) = (clock_id(&self.code.calls[k], clock), unit_name(unit));
                returns(format!("expect_clock({k}, \"{name}\", {at}, {unit}, {id})"))
            }
            ("rusage", _, Meaning::Duration(whose, unit)) => {
                let spawn = |c: &Call| c.id.desc().op == Op::Agent(OP_SPAWN);
                let children = u8::from(self.code.calls[..=k].iter().any(spawn));
                let whose = match whose {
                    Dur::SelfUser | Dur::SelfSys => "SELF",
                    Dur::Children => "CHILDREN",
                    Dur::Left => "LEFT",
                };
                let unit = unit_name(unit);
                returns(format!("expect_cpu_time({k}, \"{name}\", {at}, {unit}, {whose}, {children})"))
            }
            (_, field, Meaning::Pid | Meaning::Inode) if field != "state" && native.ok() => {
                self.identity(k, at, meaning)
            }
            (_, "ret" | "state", _) => self.outcome(k, native),
            _ => match field {
                Some(f) => self.value(k, &f, native),
                None => self.buffer(k, native),
            },
        }
    }

    /// The described field the finding names: the first such that differs (arrays have several).
    fn field(&self) -> Option<FieldAt> {
        let k = self.repro.finding.call;
        let [native, target] = [&self.repro.native, &self.repro.target].map(|t| &t.outcomes[k].out);
        let of_name: Vec<FieldAt> = fields_of(self.code.calls[k].id.desc(), &self.code.spans[k])
            .into_iter()
            .filter(|f| f.field.name == self.repro.finding.field)
            .collect();
        let differs = |f: &&FieldAt| {
            let range = f.at..f.at + f.field.size as usize;
            native.get(range.clone()) != target.get(range)
        };
        of_name.iter().find(differs).or(of_name.first()).copied()
    }

    fn outcome(&mut self, k: usize, native: &Outcome) -> String {
        let (kind, names) = kind(self.code.calls[k].id.desc().ret, "ret", self.tables);
        let (state, ret) = (state(native.state), long(native.ret as u64));
        returns(format!("expect_outcome({k}, {kind}, {names}, {state}, {ret})"))
    }

    fn value(&mut self, k: usize, f: &FieldAt, native: &Outcome) -> String {
        let range = f.at..f.at + f.field.size as usize;
        let Some(bytes) = native.out.get(range) else { return self.outcome(k, native) };
        let (kind, names) = kind(f.field.meaning, f.field.name, self.tables);
        let (name, at, size) = (f.field.name, f.at, f.field.size);
        returns(format!(
            "expect_field({k}, \"{name}\", {at}, {size}, {kind}, {names}, \"{}\")",
            quoted(bytes)
        ))
    }

    /// A buffer of exact bytes or a directory listing, by its argument's name.
    fn buffer(&mut self, k: usize, native: &Outcome) -> String {
        let desc = self.code.calls[k].id.desc();
        let mut at = 0;
        let mut found = None;
        for span in &self.code.spans[k] {
            let range = at..at + span.len as usize;
            let argument = &desc.args[span.arg as usize];
            let theirs = self.repro.target.outcomes[k].out.get(range.clone());
            if let Ty::Ptr(_, Out::Lines(_, lines)) = argument.ty {
                if let Some(check) = self.line(k, lines, range.clone(), native) {
                    return check;
                }
            }
            if argument.name == self.repro.finding.field
                && (found.is_none() || native.out.get(range.clone()) != theirs)
            {
                found = Some((argument, range.clone()));
            }
            at = range.end;
        }
        let Some((argument, range)) = found else { return self.outcome(k, native) };
        let Some(bytes) = native.out.get(range.clone()) else { return self.outcome(k, native) };
        let (name, at, len) = (argument.name, range.start, range.len());
        if !matches!(argument.ty, Ty::Ptr(_, Out::Dirents(_))) {
            return returns(format!(
                "expect_field({k}, \"{name}\", {at}, {len}, BYTES, 0, \"{}\")",
                quoted(bytes)
            ));
        }
        let mut c = String::from("\tstatic const struct name entries[] = {\n");
        for (name, kind) in listing(bytes, native.ret) {
            let _ = writeln!(c, "\t\t{{ \"{}\", {kind} }},", quoted(&name));
        }
        c + "\t\t{ 0, 0 },\n\t};\n" + &returns(format!("expect_listing({k}, {at}, entries)"))
    }

    /// The line of a text that the finding names.
    fn line(
        &self,
        k: usize,
        lines: &'static [Line],
        range: std::ops::Range<usize>,
        native: &Outcome,
    ) -> Option<String> {
        let line = lines.iter().find(|line| line.key == self.repro.finding.field)?;
        let value = line.value(native.out.get(range.clone())?)?;
        let (base, free) = line.rest.number().unwrap_or((0, 0));
        let (key, value) = (quoted(line.key.as_bytes()), quoted(value.as_bytes()));
        Some(returns(format!(
            "expect_line({k}, {}, \"{key}\", \"{value}\", {base}, {free:#x}ul)",
            range.start
        )))
    }

    /// Pids and inodes: which earlier values are the same one as the finding's.
    fn identity(&mut self, k: usize, at: i64, meaning: Meaning) -> String {
        let mut all: Vec<(usize, i64, u16, u64)> = Vec::new();
        for call in 0..=k {
            let outcome = &self.repro.native.outcomes[call];
            let desc = self.code.calls[call].id.desc();
            if !outcome.ok() || call >= self.code.own && call != k {
                continue;
            }
            if desc.ret == meaning {
                all.push((call, -1, 8, outcome.ret as u64 & 0xffff_ffff));
            }
            for f in fields_of(desc, &self.code.spans[call]) {
                if let Some(bytes) = outcome.out.get(f.at..f.at + f.field.size as usize) {
                    if f.field.meaning == meaning && bytes.len() <= 8 {
                        let value = bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
                        all.push((call, f.at as i64, f.field.size, value));
                    }
                }
            }
        }
        let Some(mine) = all.iter().position(|(call, place, ..)| (*call, *place) == (k, at)) else {
            return self.outcome(k, &self.repro.native.outcomes[k]);
        };
        let last = all.remove(mine);
        let native = &self.repro.native.outcomes[k];
        if meaning == Meaning::Pid && (last.3 == 0 || (last.3 as i32) < 0) {
            // No name of a process, and so compared as it is.
            return match self.field() {
                Some(f) => self.value(k, &f, native),
                None => returns(format!("expect_outcome({k}, EXACT, 0, DONE, {})", long(native.ret as u64))),
            };
        }
        all.push(last);
        let mut c = String::from("\tstatic const struct identity all[] = {\n");
        for (call, place, size, value) in &all {
            let group = all.iter().position(|(.., v)| v == value).unwrap_or(0);
            let _ = writeln!(c, "\t\t{{ {call}, {place}, {size}, {group} }},");
        }
        let both_ways = u8::from(meaning == Meaning::Pid);
        c + "\t};\n" + &returns(format!("expect_identity(all, {}, {both_ways})", all.len()))
    }
}

fn returns(expression: String) -> String {
    format!("\treturn {expression};\n")
}
