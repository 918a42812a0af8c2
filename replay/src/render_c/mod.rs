//! A case as one C file: it performs the program by raw system calls, in a child that finds the same world as the
//! agent's, prints what became of each call, and compares the output that differs with what Linux recorded. So it
//! shows the divergence by itself: `gcc -static -o case case.c`, then run it on each side.
//!
//! `prelude.c` is what every such file needs to run a program (the agent in C), `report.c` what it needs to print and
//! judge, `look.c` the probes of the window and the files; `decode` reads the compiled program, `program` writes its calls down, `verdict` what is printed and
//! expected, `literals` C's way of writing constants.

mod decode;
mod literals;
mod program;
mod verdict;

use crate::render_text::sentence;
use crate::repro::Repro;
use literals::{Tables, comment};
use parallax_corpus::desc::{NEED_OUTER, NEED_TTY};
use parallax_corpus::names::{UNKNOWN_ERRNO, errno_name};
use parallax_corpus::{Code, CompileError, text};
use parallax_harness::pair::RunOptions;
use std::fmt::Write;

/// How long the C program waits for its child, in seconds. Blocked calls are given up much earlier.
const PATIENCE: u32 = 15;
const PRELUDE: &str = include_str!("prelude.c");
/// Where in the prelude [`LOOK`] stands.
const LOOK_HERE: &str = "/* LOOK */\n";
const LOOK: &str = include_str!("look.c");
const REPORT: &str = include_str!("report.c");

/// Why a case has no C rendering.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Its program cannot be compiled by this version.
    #[error("the program cannot be compiled: {0}. Use the Parallax version that wrote the file")]
    Compile(#[from] CompileError),
    /// The agent does something for it that the C form does not know.
    #[error("call {0} ({1}) has no C form: replay the case with `parallax replay`")]
    NoForm(usize, &'static str),
}

/// The case as a C program. Its exit code: 0 same as Linux, 1 diverges, 2 it cannot be run here.
///
/// # Errors
/// Its program cannot be compiled, or has no C form.
pub fn render_c(repro: &Repro) -> Result<String, RenderError> {
    let code = repro.code()?;
    let decoded = decode::decode(&code);
    // Probes look and change nothing: only the one that shows the case is of interest.
    let calls: Vec<usize> =
        (0..code.calls.len()).filter(|&k| k < code.own || k == repro.finding.call).collect();
    let mut tables = Tables::default();
    let program = program::render(&code, &decoded, &calls)?;
    let verdict = verdict::render(repro, &code, &calls, &mut tables);
    let out_bytes: usize = code.spans.iter().flatten().map(|s| s.len as usize).sum();
    let mut c = header(repro);
    // Writing to a string does not fail; so it is everywhere in this module.
    let _ = write!(
        c,
        "#define _GNU_SOURCE\n#define CALLS {}\n#define OUT_BYTES {}\n#define NEEDS_TTY {}\n#define USE_W {}\n\
         #define BLOCK_US {}\n#define PATIENCE {PATIENCE}\n",
        code.calls.len(),
        out_bytes.max(1),
        u8::from(repro.program.needs() & NEED_TTY != 0),
        u8::from(uses_w(&code, &decoded.image)),
        RunOptions::PATIENT.block_us,
    );
    let (before, after) = PRELUDE.split_once(LOOK_HERE).unwrap_or((PRELUDE, ""));
    for part in [before, LOOK, after] {
        c.push_str(part);
    }
    c.push_str("\n/* ---- The program ---- */\n\n");
    c.push_str(&program);
    c.push_str("\nstatic const char *const errors[] = {\n");
    let names = (1..=530).map(|n| (n, errno_name(n))).filter(|(_, name)| *name != UNKNOWN_ERRNO);
    for (k, (number, name)) in names.enumerate() {
        let _ = write!(c, "{}[{number}] = \"{name}\",", if k % 6 == 0 { "\n\t" } else { " " });
    }
    c.push_str("\n};\n");
    c.push_str(REPORT);
    c.push_str("\n/* ---- This case's outputs and expectation ---- */\n\n");
    c.push_str(&tables.render());
    c.push_str(&verdict);
    Ok(c)
}

/// Whether the program knows the name of its working directory.
fn uses_w(code: &Code, image: &[u8]) -> bool {
    let absolute = image.windows(3).any(|w| matches!(w, b"/w\0" | b"/w/"));
    absolute || code.calls[..code.own].iter().any(|c| c.id.desc().base_name() == "getcwd")
}

fn header(repro: &Repro) -> String {
    let target = if repro.target_name.is_empty() { "the target" } else { &repro.target_name };
    let mut lines = vec![
        format!("Parallax case {}", repro.id),
        sentence(&repro.finding, target),
        String::new(),
        format!("Native: Linux {}. Target: {target} {}", repro.kernel, repro.target_version),
        format!("Signature: {}", repro.signature),
        String::new(),
        "Build:  gcc -static -O1 -o case case.c".to_owned(),
        "Run it on Linux, then inside the layer. Exit code: 0 same as Linux, 1 diverges, 2 cannot be run here."
            .to_owned(),
        String::new(),
    ];
    if repro.program.needs() & NEED_OUTER != 0 {
        let note = [
            "Its terminal is given from outside: run it in a terminal that the layer got from its host. The calls named",
            "outside$... happen out there (keys, a new size, a signal from somebody else), which a C program inside cannot",
            "do: they are left out here, and return 0. `parallax replay` performs them.",
            "",
        ];
        lines.extend(note.map(str::to_owned));
    }
    lines.extend(text::write(&repro.program).lines().map(|l| format!("    {l}")));
    let mut c = String::from("/*\n");
    for line in lines {
        let _ = writeln!(c, "{}", format!(" * {}", comment(&line)).trim_end());
    }
    c.push_str(" */\n");
    c
}
