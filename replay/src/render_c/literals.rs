//! C's way of writing constants, and the tables of flag names a file needs.

use parallax_corpus::desc::FlagSet;
use std::fmt::Write;

/// A string literal's inside. Octal escapes, since hexadecimal ones have no end; no `??`, which begins trigraphs.
pub fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'"' | b'\\' | b'?' => {
                text.push('\\');
                text.push(byte.into());
            }
            b' '..=b'~' => text.push(byte.into()),
            _ => {
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    text
}

/// A `long` by its bits.
pub fn long(value: u64) -> String {
    match value as i64 {
        small @ -4095..=4095 => small.to_string(),
        negative if negative < 0 => format!("(long){value:#x}UL"),
        _ => format!("{value:#x}L"),
    }
}

/// A text that may stand in a C comment.
pub fn comment(text: &str) -> String {
    text.escape_debug()
        .to_string()
        .replace("\\\"", "\"")
        .replace("\\'", "'")
        .replace("*/", "*\u{200b}/")
        .replace("/*", "/ *")
        .replace('\u{200b}', " ")
}

/// Name tables, each written once.
#[derive(Default)]
pub struct Tables {
    sets: Vec<&'static FlagSet>,
}

impl Tables {
    /// The C name of a flag set's table.
    pub fn name(&mut self, set: &'static FlagSet) -> String {
        let known = self.sets.iter().position(|s| std::ptr::eq(*s, set));
        let k = known.unwrap_or_else(|| {
            self.sets.push(set);
            self.sets.len() - 1
        });
        format!("names_{k}")
    }

    /// All tables.
    pub fn render(&self) -> String {
        let mut c = String::new();
        for (k, set) in self.sets.iter().enumerate() {
            let _ = write!(c, "static MAYBE const struct name names_{k}[] = {{");
            for (n, (name, value)) in set.names.iter().enumerate() {
                let _ = write!(c, "{}{{ \"{name}\", {value:#x} }},", if n % 4 == 0 { "\n\t" } else { " " });
            }
            c.push_str("\n\t{ 0, 0 }\n};\n");
        }
        c
    }
}
