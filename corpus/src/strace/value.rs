//! What strace prints for one argument: numbers, names, strings, structs, lists.

use super::names::constant;
use crate::desc::FlagSet;
use crate::names::signal_named;

/// How deep structs and lists may nest. The kernel's do to about 6.
const MAX_DEPTH: usize = 24;

/// A printed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A number, negative ones as two's complement.
    Number(u64),
    /// A constant's name.
    Name(String),
    /// Names and numbers joined by `|`.
    Bits(Vec<Value>),
    /// A string, and whether strace cut it short.
    Text(Vec<u8>, bool),
    /// `{...}` (true) or `[...]`: values with their names, empty where there is none.
    List(bool, Vec<(String, Value)>),
    /// `~[...]`: all but these.
    Not(Vec<(String, Value)>),
    /// `makedev(1, 3)` and its like.
    Made(String, Vec<Value>),
    /// `{before} => {after}`.
    Change(Box<Value>, Box<Value>),
    /// Something that is no value: `WIFEXITED(s) && ...`, `...`.
    Unclear,
}

impl Value {
    /// What it was before the call.
    pub(super) fn before(&self) -> &Value {
        match self {
            Value::Change(before, _) => before,
            value => value,
        }
    }
    /// What it was after the call.
    pub(super) fn after(&self) -> &Value {
        match self {
            Value::Change(_, after) => after,
            value => value,
        }
    }
    /// Its entries, if it is a struct or a list.
    pub(super) fn entries(&self) -> &[(String, Value)] {
        match self {
            Value::List(_, entries) => entries,
            _ => &[],
        }
    }
    /// The entry of that name, in it or in what it holds.
    pub(super) fn entry(&self, name: &str) -> Option<&Value> {
        let direct = self.entries().iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v);
        direct.or_else(|| self.entries().iter().find_map(|(_, v)| v.entry(name)))
    }
    /// Whether it is a null pointer.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.before(), Value::Number(0)) || matches!(self.before(), Value::Name(n) if n == "NULL")
    }
    /// Whether it is printed as something other than a plain number or name.
    pub(super) fn is_pointee(&self) -> bool {
        matches!(self.before(), Value::Text(..) | Value::List(..) | Value::Not(_))
    }

    /// It as a word; names are looked up in `set` first.
    pub(super) fn word(&self, set: Option<&FlagSet>) -> Option<u64> {
        match self.before() {
            Value::Number(n) => Some(*n),
            Value::Name(name) => {
                let of_set = set.and_then(|set| set.names.iter().find(|(n, _)| n == name).map(|(_, v)| *v));
                of_set.or_else(|| constant(name))
            }
            Value::Bits(parts) => parts.iter().try_fold(0, |bits, part| Some(bits | part.word(set)?)),
            Value::Made(name, args) => {
                let arg = |k: usize| args.get(k).and_then(|a| a.word(None));
                match name.as_str() {
                    "makedev" => Some((arg(0)? & 0xfff) << 8 | (arg(1)? & 0xff)),
                    "htons" => Some(u64::from((arg(0)? as u16).swap_bytes())),
                    "htonl" => Some(u64::from((arg(0)? as u32).swap_bytes())),
                    "inet_addr" => match args.first() {
                        Some(Value::Text(text, _)) => {
                            let address: std::net::Ipv4Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
                            Some(u64::from(u32::from_le_bytes(address.octets())))
                        }
                        _ => None,
                    },
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// It as a signal set.
    pub(super) fn signal_set(&self) -> Option<u64> {
        let bits = |entries: &[(String, Value)]| {
            entries.iter().try_fold(0u64, |bits, (_, v)| {
                let signal = match v {
                    Value::Name(name) => signal_named(&format!("SIG{name}")).or_else(|| real_time(name)),
                    v => v.word(None),
                }?;
                (1..=64).contains(&signal).then(|| bits | 1 << (signal - 1))
            })
        };
        match self.before() {
            Value::List(_, entries) => bits(entries),
            Value::Not(entries) => bits(entries).map(|bits| !bits),
            _ => None,
        }
    }
}

/// `RTMIN`, `RT_3`, `SIGRT_3`: the kernel's first real-time signal is 32.
pub(super) fn real_time(name: &str) -> Option<u64> {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    match name {
        "RTMIN" => Some(32),
        "RTMAX" => Some(64),
        _ => name.strip_prefix("RT_")?.parse().ok().filter(|n| *n <= 32).map(|n: u64| 32 + n),
    }
}

/// Reads values from a line.
pub(super) struct Reader<'a> {
    line: &'a [u8],
    /// The next byte.
    pub(super) at: usize,
}

/// What is wrong, for a message.
type Read<T> = Result<T, String>;

impl<'a> Reader<'a> {
    pub(super) fn new(line: &'a str) -> Reader<'a> {
        Reader { line: line.as_bytes(), at: 0 }
    }
    fn rest(&self) -> &'a [u8] {
        self.line.get(self.at..).unwrap_or_default()
    }
    fn looking_at(&self, what: &str) -> bool {
        self.rest().starts_with(what.as_bytes())
    }
    /// Blanks and `/* comments */`.
    fn skip(&mut self) {
        loop {
            match self.rest() {
                [b' ' | b'\t', ..] => self.at += 1,
                [b'/', b'*', rest @ ..] => {
                    let end = rest.windows(2).position(|w| w == b"*/").map_or(rest.len(), |n| n + 2);
                    self.at += 2 + end;
                }
                _ => return,
            }
        }
    }
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.skip();
        self.rest().first().copied()
    }
    pub(super) fn take(&mut self, what: &str) -> bool {
        self.skip();
        let there = self.looking_at(what);
        if there {
            self.at += what.len();
        }
        there
    }
    fn need(&mut self, what: &str) -> Read<()> {
        if self.take(what) { Ok(()) } else { Err(format!("`{what}` is needed at column {}", self.at + 1)) }
    }

    /// The arguments up to and with the closing parenthesis.
    pub(super) fn args(&mut self) -> Read<Vec<Value>> {
        self.list(b')', 0).map(|entries| entries.into_iter().map(|(_, v)| v).collect())
    }

    fn list(&mut self, close: u8, depth: usize) -> Read<Vec<(String, Value)>> {
        let mut entries = Vec::new();
        loop {
            match self.peek() {
                None => return Err("the line ends inside a list".to_owned()),
                Some(c) if c == close => {
                    self.at += 1;
                    return Ok(entries);
                }
                Some(b',') => self.at += 1,
                Some(_) => {
                    let before = self.at;
                    entries.push(self.entry(depth)?);
                    if self.at == before {
                        return Err(format!("nothing readable at column {}", self.at + 1));
                    }
                }
            }
        }
    }

    /// `value`, `name=value` or `[INDEX]=value`.
    fn entry(&mut self, depth: usize) -> Read<(String, Value)> {
        let value = self.value(depth)?;
        self.skip();
        let named = self.looking_at("=") && !self.looking_at("=>") && !self.looking_at("==");
        if !named {
            return Ok((String::new(), value));
        }
        let name = match value {
            Value::Name(name) => name,
            Value::List(false, mut index) if index.len() == 1 => match index.remove(0).1 {
                Value::Name(name) => name,
                Value::Number(n) => n.to_string(),
                _ => String::new(),
            },
            _ => String::new(),
        };
        self.need("=")?;
        // No bit set, of a set without a name for that.
        if matches!(self.peek(), Some(b',' | b'}' | b']' | b')')) {
            return Ok((name, Value::Number(0)));
        }
        Ok((name, self.value(depth)?))
    }

    /// A value, and what is joined to it.
    pub(super) fn value(&mut self, depth: usize) -> Read<Value> {
        let mut value = self.single(depth)?;
        loop {
            self.skip();
            value = if self.take("=>") {
                Value::Change(Box::new(value), Box::new(self.single(depth)?))
            } else if self.take("&&") || self.take("==") || self.take("||") || self.take("?") {
                self.single(depth)?;
                Value::Unclear
            } else if self.take("<<") {
                arithmetic(value, self.single(depth)?, |a, b| a.checked_shl(b.try_into().ok()?))
            } else if self.take("*") {
                arithmetic(value, self.single(depth)?, u64::checked_mul)
            } else if self.take("|") {
                if matches!(self.peek(), Some(b',' | b'}' | b']' | b')')) {
                    return Ok(value);
                }
                let next = self.single(depth)?;
                match value {
                    Value::Bits(mut parts) => {
                        parts.push(next);
                        Value::Bits(parts)
                    }
                    first => Value::Bits(vec![first, next]),
                }
            } else if matches!(value, Value::Name(_)) && self.looking_at("or ") {
                // One number, several names: the one that is known.
                self.at += 3;
                let next = self.single(depth)?;
                if value.word(None).is_some() { value } else { next }
            } else if matches!(value, Value::Number(_) | Value::Name(_)) && self.looking_at("<") {
                // What -y adds: the file of a descriptor.
                self.annotation();
                value
            } else {
                return Ok(value);
            };
        }
    }

    fn annotation(&mut self) {
        let rest = self.rest();
        let ends = |k: usize| {
            rest[k] == b'>'
                && rest.get(k.wrapping_sub(1)) != Some(&b'-')
                && matches!(rest.get(k + 1), None | Some(b',' | b')' | b']' | b'}' | b' ' | b'='))
        };
        self.at += (1..rest.len()).find(|k| ends(*k)).map_or(1, |k| k + 1);
    }

    fn single(&mut self, depth: usize) -> Read<Value> {
        if depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        match self.peek() {
            None => Err("the line ends where a value is needed".to_owned()),
            Some(b'"') => self.text(),
            Some(b'{') => {
                self.at += 1;
                Ok(Value::List(true, self.list(b'}', depth + 1)?))
            }
            Some(b'[') => {
                self.at += 1;
                Ok(Value::List(false, self.list(b']', depth + 1)?))
            }
            Some(b'~') => {
                self.at += 1;
                self.need("[")?;
                Ok(Value::Not(self.list(b']', depth + 1)?))
            }
            Some(b'@') => {
                // An abstract socket's name: a NUL before it.
                self.at += 1;
                match self.text()? {
                    Value::Text(mut text, cut) => {
                        text.insert(0, 0);
                        Ok(Value::Text(text, cut))
                    }
                    value => Ok(value),
                }
            }
            Some(b'.') if self.take("...") => Ok(Value::Unclear),
            Some(b'!') => {
                self.at += 1;
                self.single(depth + 1)?;
                Ok(Value::Unclear)
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(c) if c.is_ascii_alphabetic() || c == b'_' => self.name(depth),
            Some(c) => Err(format!("`{}` is no value, at column {}", char::from(c), self.at + 1)),
        }
    }

    fn number(&mut self) -> Read<Value> {
        let negative = self.take("-");
        let rest = self.rest();
        let word = &rest[..rest.iter().take_while(|c| c.is_ascii_alphanumeric()).count()];
        let word = std::str::from_utf8(word).unwrap_or_default();
        let (digits, radix) = match word.strip_prefix("0x") {
            Some(digits) => (digits, 16),
            None if word.len() > 1 && word.starts_with('0') => (word, 8),
            None => (word, 10),
        };
        let number = u64::from_str_radix(digits, radix)
            .map_err(|_| format!("`{}` is no number", word.get(..40).unwrap_or(word)))?;
        self.at += word.len();
        Ok(Value::Number(if negative { number.wrapping_neg() } else { number }))
    }

    fn name(&mut self, depth: usize) -> Read<Value> {
        let rest = self.rest();
        let in_name = |c: &&u8| c.is_ascii_alphanumeric() || **c == b'_';
        let len = rest.iter().take_while(in_name).count();
        let name = String::from_utf8_lossy(&rest[..len]).into_owned();
        self.at += len;
        if self.looking_at("(") {
            self.at += 1;
            let args = self.list(b')', depth + 1)?;
            return Ok(Value::Made(name, args.into_iter().map(|(_, v)| v).collect()));
        }
        Ok(Value::Name(name))
    }

    /// `"..."`, its escapes as C has them, and `...` behind it where strace cut it.
    fn text(&mut self) -> Read<Value> {
        self.need("\"")?;
        let mut text = Vec::new();
        loop {
            let rest = self.rest();
            match rest {
                [] => return Err("a string has no end".to_owned()),
                [b'"', ..] => {
                    self.at += 1;
                    break;
                }
                [b'\\', b'x', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                    let digit = |c: u8| (c as char).to_digit(16).unwrap_or(0) as u8;
                    text.push(digit(*a) << 4 | digit(*b));
                    self.at += 4;
                }
                [b'\\', b'0'..=b'7', ..] => {
                    let digits = rest[1..].iter().take(3).take_while(|c| (b'0'..=b'7').contains(*c)).count();
                    let value = rest[1..=digits].iter().fold(0u32, |n, c| n * 8 + u32::from(c - b'0'));
                    text.push(value as u8);
                    self.at += 1 + digits;
                }
                [b'\\', c, ..] => {
                    text.push(match c {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'v' => 11,
                        b'f' => 12,
                        b'a' => 7,
                        b'b' => 8,
                        other => *other,
                    });
                    self.at += 2;
                }
                [c, ..] => {
                    text.push(*c);
                    self.at += 1;
                }
            }
        }
        let cut = self.looking_at("...");
        if cut {
            self.at += 3;
        }
        Ok(Value::Text(text, cut))
    }
}

fn arithmetic(a: Value, b: Value, f: impl Fn(u64, u64) -> Option<u64>) -> Value {
    match (&a, &b) {
        (Value::Number(a), Value::Number(b)) => f(*a, *b).map_or(Value::Unclear, Value::Number),
        _ => Value::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        Reader::new(text).value(0).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn what_strace_prints_is_read() {
        assert_eq!(read("-100").word(None), Some(-100i64 as u64));
        assert_eq!(read("0644").word(None), Some(0o644));
        assert_eq!(read("8192*1024").word(None), Some(8192 * 1024));
        assert_eq!(read("O_RDWR|O_CREAT").word(None), Some(0o102));
        assert_eq!(read("0x5401 /* TCGETS */").word(None), Some(0x5401));
        assert_eq!(read("makedev(0x1, 0x3)").word(None), Some(0x103));
        assert_eq!(read("3</dev/pts/0>").word(None), Some(3));
        assert_eq!(read("3<TCP:[127.0.0.1:1->127.0.0.1:2]>").word(None), Some(3));
        assert_eq!(read(r#""\x2f\x61\n"..."#), Value::Text(b"/a\n".to_vec(), true));
        assert_eq!(read("[CHLD TSTP]").signal_set(), Some(1 << 16 | 1 << 19));
        assert_eq!(read("~[RTMIN RT_1]").signal_set(), Some(!(3 << 31)));
        let termios = read("{c_line=N_TTY, c_cc=[[VINTR]=0x3, [VQUIT]=0x1c]}");
        assert_eq!(termios.entry("vquit").and_then(|v| v.word(None)), Some(0x1c));
        assert_eq!(read("SNDCTL_TMR_STOP or TCSETSW").word(None), Some(0x5403));
        assert_eq!(read("{c_iflag=, c_oflag=OPOST}").entry("c_iflag"), Some(&Value::Number(0)));
        assert!(matches!(read("{a=1} => {a=2}"), Value::Change(..)));
        assert_eq!(read("[{WIFEXITED(s) && WEXITSTATUS(s) == 0}]").entries().len(), 1);
    }

    #[test]
    fn what_nests_too_deep_is_refused() {
        for open in ["[", "{", "f(", "!", "~["] {
            assert!(Reader::new(&open.repeat(100_000)).value(0).is_err(), "{open}");
        }
    }
}
