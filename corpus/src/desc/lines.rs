//! Text files of the kernel, such as those of proc(5), of which only some lines are promised.

/// A line that is looked at: it begins with the key and a colon or blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it begins with.
    pub key: &'static str,
    /// What the rest is.
    pub rest: Rest,
}

/// What stands behind a key, and so how two of them may be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Words, equal on both sides; how many blanks lie between them is free.
    Words,
    /// A hexadecimal signal set, equal but for the agent's own `SIGALRM`.
    Signals,
    /// Octal open flags, equal but for `O_LARGEFILE`, which 64-bit programs neither ask for nor see.
    OpenFlags,
    /// What a task does, a letter and a word. Running and sleeping are the same: the file is of the first task, which may
    /// do either while another one reads it.
    Activity,
}

/// Bits of a set that are not compared.
impl Rest {
    /// Its numbers' base and their free bits; `None` for words.
    pub fn number(self) -> Option<(u32, u64)> {
        match self {
            Rest::Words | Rest::Activity => None,
            Rest::Signals => Some((16, 1 << 13)),
            Rest::OpenFlags => Some((8, 0o100000)),
        }
    }
}

impl Line {
    /// What this line says in a text, in the form that is compared; `None` if the text has no such line.
    pub fn value(&self, text: &[u8]) -> Option<String> {
        let rest = text.split(|&b| b == b'\n').find_map(|line| {
            let rest = line.strip_prefix(self.key.as_bytes())?;
            matches!(rest.first(), Some(b':' | b' ' | b'\t')).then_some(rest)
        })?;
        let rest = String::from_utf8_lossy(rest);
        let words: Vec<&str> = rest.trim_start_matches(':').split_whitespace().collect();
        if self.rest == Rest::Activity && matches!(words.first(), Some(&("R" | "S"))) {
            return Some("R (running) or S (sleeping)".to_owned());
        }
        let (Some((base, free)), [word]) = (self.rest.number(), &words[..]) else {
            return Some(words.join(" "));
        };
        Some(u64::from_str_radix(word, base).map_or_else(
            |_| (*word).to_owned(),
            |n| if base == 8 { format!("{:#o}", n & !free) } else { format!("{:#x}", n & !free) },
        ))
    }
}

/// What a buffer of `ret` bytes says of each line that is looked at and that is there.
pub fn said(lines: &'static [Line], bytes: &[u8], ret: i64) -> Vec<(&'static Line, String)> {
    let text = &bytes[..(ret.max(0) as usize).min(bytes.len())];
    lines.iter().filter_map(|line| Some((line, line.value(text)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &[Line] = &[
        Line { key: "Umask", rest: Rest::Words },
        Line { key: "SigCgt", rest: Rest::Signals },
        Line { key: "flags", rest: Rest::OpenFlags },
        Line { key: "Max open files", rest: Rest::Words },
        Line { key: "Sig", rest: Rest::Words },
    ];

    #[test]
    fn a_task_that_sleeps_is_as_good_as_one_that_runs_but_not_as_one_that_is_stopped() {
        let state = Line { key: "State", rest: Rest::Activity };
        let [running, sleeping, stopped] =
            ["State:\tR (running)\n", "State:\tS (sleeping)\n", "State:\tT (stopped)\n"]
                .map(|text| state.value(text.as_bytes()));
        assert_eq!(running, sleeping);
        assert_eq!(stopped.as_deref(), Some("T (stopped)"));
    }

    #[test]
    fn a_line_is_found_by_its_whole_key_and_compared_in_the_form_of_what_it_says() {
        let text = b"Name:\tUmask\nUmask:\t0022\nSigCgt:\t0000000000002200\nflags:\t02100002\n\
            Max open files            256      256    files     \ncut of";
        let said: Vec<(&str, String)> = said(STATUS, text, text.len() as i64)
            .into_iter()
            .map(|(line, value)| (line.key, value))
            .collect();
        let expected = [
            ("Umask", "0022"),
            ("SigCgt", "0x200"),
            ("flags", "0o2000002"),
            ("Max open files", "256 256 files"),
        ];
        assert_eq!(said, expected.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn what_was_not_read_says_nothing() {
        assert!(said(STATUS, b"Umask:\t0022\n", 0).is_empty());
        assert!(said(STATUS, b"Umask:\t0022\n", -2).is_empty());
        assert_eq!(said(STATUS, b"SigCgt:\tnone\n", 100)[0].1, "none");
    }
}
