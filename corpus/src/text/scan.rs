//! One line of text, read from left to right.

use super::TextError;

/// The words' characters: names of calls, constants and labels, and numbers.
fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

/// Messages quote a word, never a megabyte of one.
pub(super) fn clip(word: &str) -> &str {
    word.get(..40).unwrap_or(word)
}

/// A line and how far it is read.
pub(super) struct Scanner<'a> {
    line: &'a str,
    number: usize,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The `number`th line of a text.
    pub(super) fn new(line: &'a str, number: usize) -> Scanner<'a> {
        Scanner { line, number, at: 0 }
    }

    /// An error at byte `at` of the line.
    pub(super) fn error_at(&self, at: usize, what: impl Into<String>) -> TextError {
        let (line, column) = self.spot(at);
        TextError { line, column, what: what.into() }
    }
    /// An error at the next thing of the line, which it names.
    pub(super) fn expected(&mut self, what: &str) -> TextError {
        let at = self.place();
        let found = match self.line[at..].chars().next() {
            None | Some('#') => "the end of the line".to_owned(),
            Some(c) => match clip(self.word_at(at)) {
                "" => format!("`{c}`"),
                word => format!("`{word}`"),
            },
        };
        self.error_at(at, format!("{what} is needed here, not {found}"))
    }
    /// The line and column of byte `at`.
    pub(super) fn spot(&self, at: usize) -> (usize, usize) {
        (self.number, self.line[..at].chars().count() + 1)
    }

    /// Where the next thing of the line begins: always between characters.
    pub(super) fn place(&mut self) -> usize {
        let rest = &self.line[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.at
    }
    /// The next character, skipping blanks.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let at = self.place();
        self.line.as_bytes().get(at).copied()
    }
    /// Whether nothing but a comment is left.
    pub(super) fn is_done(&mut self) -> bool {
        matches!(self.peek(), None | Some(b'#'))
    }
    /// Takes the next character if it is this (ASCII) one.
    pub(super) fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }
    /// Takes this character or says what is needed.
    pub(super) fn need(&mut self, wanted: u8, what: &str) -> Result<(), TextError> {
        if self.take(wanted) { Ok(()) } else { Err(self.expected(what)) }
    }

    fn word_at(&self, at: usize) -> &'a str {
        let rest = &self.line[at..];
        let end = rest.bytes().position(|b| !in_word(b)).unwrap_or(rest.len());
        &rest[..end]
    }
    /// The next word, without taking it; empty if there is none.
    pub(super) fn peek_word(&mut self) -> &'a str {
        let at = self.place();
        self.word_at(at)
    }
    /// Takes the next word.
    pub(super) fn word(&mut self) -> &'a str {
        let word = self.peek_word();
        self.at += word.len();
        word
    }

    /// Takes a number: decimal, `0x`, `0o`, or any of them behind a `-`.
    pub(super) fn number(&mut self, wanted: &str) -> Result<u64, TextError> {
        let at = self.place();
        let negative = self.take(b'-');
        let word = self.peek_word();
        if !word.starts_with(|c: char| c.is_ascii_digit()) {
            self.at = at;
            return Err(self.expected(wanted));
        }
        self.word();
        let (digits, radix) = match word.get(..2) {
            Some("0x" | "0X") => (&word[2..], 16),
            Some("0o") => (&word[2..], 8),
            Some(two) if two.starts_with('0') => {
                let what =
                    format!("`{}`: write 0o for octal, and decimals without leading zeros", clip(word));
                return Err(self.error_at(at, what));
            }
            _ => (word, 10),
        };
        // `from_str_radix` takes a sign, which no word has.
        let magnitude = u64::from_str_radix(digits, radix)
            .map_err(|_| self.error_at(at, format!("`{}` is no number of 64 bits", clip(word))))?;
        match (negative, magnitude) {
            (false, n) => Ok(n),
            (true, n) if n <= 1 << 63 => Ok(n.wrapping_neg()),
            _ => Err(self.error_at(at, format!("`-{word}` is below the smallest number of 64 bits"))),
        }
    }

    /// Takes a quoted string.
    pub(super) fn string(&mut self) -> Result<Vec<u8>, TextError> {
        let start = self.place();
        let bytes = self.line.as_bytes();
        let mut value = Vec::new();
        let mut at = start + 1;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match rest {
                [] => return Err(self.error_at(start, "the string does not end: `\"` is missing")),
                [b'"', ..] => break,
                [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    let digit = |c: &u8| (*c as char).to_digit(16).unwrap_or_default() as u8;
                    value.push(digit(high) << 4 | digit(low));
                    at += 4;
                }
                [b'\\', escape, ..] => {
                    value.push(match escape {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'\\' | b'"' => *escape,
                        _ => {
                            return Err(self
                                .error_at(at, "unknown escape: \\n \\r \\t \\\\ \\\" and \\xNN are known"));
                        }
                    });
                    at += 2;
                }
                [byte, ..] => {
                    value.push(*byte);
                    at += 1;
                }
            }
        }
        self.at = at + 1;
        Ok(value)
    }
}
