//! The program's calls in C: for each, its buffers, what is stored into them at run time, and the call.

use super::RenderError;
use super::decode::{Decoded, Instr};
use super::literals::{comment, long, quoted};
use parallax_corpus::wire::*;
use parallax_corpus::{Code, Program, text};
use std::fmt::Write;

/// What buffers are filled with (see `parallax_corpus::compile`).
const FILL: u8 = 0xa5;
/// Bytes of a buffer on one line.
const LINE: usize = 48;
/// Shorter runs of filling or zeros are written as bytes like the rest.
const RUN: usize = 8;

/// `program()`: these calls of the compiled code.
pub fn render(code: &Code, decoded: &Decoded, calls: &[usize]) -> Result<String, RenderError> {
    let whole = Program { calls: code.calls.clone() };
    let boundaries = decoded.boundaries();
    let mut placed = vec![false; boundaries.len()];
    let mut c = String::from("static void program(void)\n{\n");
    for &k in calls {
        let probe = if k >= code.own { " (a probe: what the program left behind)" } else { "" };
        let _ = writeln!(c, "\t/* {k}: {}{probe} */", comment(&text::write_call(&whole, k)));
        let instrs = &decoded.calls[k];
        for (_, at) in instrs.iter().flat_map(|i| &i.words).filter(|(kind, _)| *kind == WORD_ARENA) {
            let Ok(n) = boundaries.binary_search(&(*at as usize)) else { continue };
            if let Some(end) = boundaries.get(n + 1).filter(|_| !std::mem::replace(&mut placed[n], true)) {
                let range = boundaries[n] - ARENA_START..*end - ARENA_START;
                buffer(&mut c, boundaries[n], &decoded.image[range]);
            }
        }
        let Some((call, stores)) = instrs.split_last() else { continue };
        for store in stores {
            let [value, (_, at), (_, size)] = store.words[..] else { continue };
            let _ = writeln!(c, "\tstore({}, {}, {at:#x}, {size});", made(&[value]), word(value));
        }
        let name = code.calls[k].id.name();
        let op = operation(call.op).ok_or(RenderError::NoForm(k, name))?;
        let _ = writeln!(
            c,
            "\trun({k}, {}, {op}, {}, {}, {});",
            made(&call.words),
            call.nr,
            flags(call.flags),
            arguments(call)
        );
        for (at, len) in &call.outs {
            let _ = writeln!(c, "\tkeep({k}, {at:#x}, {len});");
        }
    }
    c.push_str("}\n");
    Ok(c)
}

/// A buffer's content: the arena is zero to begin with, so zeros need no line.
fn buffer(c: &mut String, at: usize, bytes: &[u8]) {
    let mut start = 0;
    while start < bytes.len() {
        let byte = bytes[start];
        let run = bytes[start..].iter().take_while(|b| **b == byte).count();
        let last = start + run == bytes.len();
        if byte == FILL && (run >= RUN || last) {
            let _ = writeln!(c, "\tfill({:#x}, {run});", at + start);
            start += run;
        } else if byte == 0 && (run >= RUN || last) {
            start += run;
        } else {
            // Up to the next long run.
            let mut end = start + run.min(RUN);
            while end < bytes.len() && end - start < LINE && !long_run(&bytes[end..]) {
                end += 1;
            }
            let end = end.min(start + LINE).min(bytes.len());
            let piece = &bytes[start..end];
            let _ = writeln!(c, "\tput({:#x}, \"{}\", {});", at + start, quoted(piece), piece.len());
            start = end;
        }
    }
}
fn long_run(bytes: &[u8]) -> bool {
    bytes.len() >= RUN && matches!(bytes[0], 0 | FILL) && bytes[..RUN].iter().all(|b| *b == bytes[0])
}

/// The condition under which everything a call uses was made.
fn made(words: &[(u8, u64)]) -> String {
    let mut makers: Vec<u64> = words
        .iter()
        .filter_map(|(kind, value)| match *kind {
            WORD_RET => Some(*value),
            WORD_MEM32 => Some(value & 0xffff),
            _ => None,
        })
        .collect();
    makers.sort_unstable();
    makers.dedup();
    if makers.is_empty() {
        return "1".to_owned();
    }
    makers.iter().map(|k| format!("made({k})")).collect::<Vec<_>>().join(" && ")
}

fn word((kind, value): (u8, u64)) -> String {
    match kind {
        WORD_ARENA => format!("A({value:#x})"),
        WORD_RET => format!("R({value})"),
        WORD_MEM32 => format!("M({:#x})", value >> 16),
        WORD_HANDLER if value == 0 => "HANDLER".to_owned(),
        WORD_HANDLER => "RESTORER".to_owned(),
        _ => long(value),
    }
}

fn arguments(call: &Instr) -> String {
    if call.words.is_empty() {
        return "NO_ARGS".to_owned();
    }
    let words: Vec<String> = call.words.iter().map(|w| word(*w)).collect();
    format!("ARGS({})", words.join(", "))
}

fn operation(op: u8) -> Option<&'static str> {
    Some(match op {
        OP_SYSCALL => "SYSCALL",
        OP_VDSO => "VDSO",
        OP_SPIN => "SPIN",
        OP_SPAWN => "SPAWN",
        OP_STOP => "STOP",
        OP_PEEK => "PEEK",
        OP_POKE => "POKE",
        OP_LOAD => "LOAD",
        OP_WINDOW => "PAGES",
        OP_TREE => "FILES",
        OP_TERMINAL..=OP_SIGNAL => "OUTSIDE",
        _ => return None,
    })
}

fn flags(flags: u8) -> String {
    let names = [
        (INS_CLOCKS, "CLOCKS"),
        (INS_BLOCKS, "BLOCKS"),
        (INS_SETTLE, "SETTLE"),
        (INS_PROBE, "PROBE"),
        (INS_REWIND, "REWIND"),
    ];
    let set: Vec<&str> = names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    if set.is_empty() { "0".to_owned() } else { set.join(" | ") }
}
