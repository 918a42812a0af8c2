//! Plain values for arguments: numbers, flags, bytes, signals. What refers to other calls is in [`crate::generate`].

use crate::dice::Dice;
use parallax_corpus::desc::{FlagSet, HANDLER, LAST_PAGE};
use parallax_corpus::wire;

/// Ways to spell a path that no call made. The first ones are names for new files and directories.
pub const NEW_PATHS: &[&[u8]] = &[b"f0", b"f1", b"d0", b"l0", b"f2", b"d1"];
const ODD_PATHS: &[&[u8]] =
    &[b".", b"/dev/null", b"missing/x", b"f0", b"", b"..", b"d0/f0", b"f0/x", b"./f0", b"/dev/tty", b"//"];

/// What may be typed at a terminal or written to a file: mostly lines, and the characters a line discipline acts on.
const PIECES: &[&[u8]] = &[
    b"hello\n",
    b"a",
    b"ab c",
    b"\n",
    b"x\n",
    b"\r",
    b"\t",
    b"\x7f",
    b"\x04",
    b"\x15",
    b"\x16",
    b"\x17",
    b"\x11",
    b"\x13",
    "\u{e9}".as_bytes(),
    b"\xff",
    b"\0",
    b"0123456789",
];

/// The characters that send signals: they mostly end the program.
const DEADLY: &[&[u8]] = &[b"\x03", b"\x1a", b"\x1c"];

/// Iterations of a spin that nobody notices.
pub const SHORT_SPIN: u64 = 100_000;

/// A number by its name, where the name says which numbers are taken: parts of a second, and how long to spin.
pub fn named_int(dice: &mut impl Dice, name: &str, interesting: &[u64], size: u8) -> u64 {
    let most = match name {
        // Nothing but a listed one: a number near the largest would spin for ever. Long ones are for now and then.
        "iterations" => {
            let most = if dice.percent(3) { u64::MAX } else { SHORT_SPIN };
            let some: Vec<u64> = interesting.iter().copied().filter(|n| *n <= most).collect();
            return dice.pick(&some).copied().unwrap_or(0);
        }
        _ => most(name),
    };
    let valid: Vec<u64> = interesting.iter().copied().filter(|n| *n <= most).collect();
    let among = if dice.percent(94) && !valid.is_empty() { &valid } else { interesting };
    int(dice, among, size)
}

/// The largest number a name allows: parts of a second are fewer than a second.
fn most(name: &str) -> u64 {
    match name {
        _ if name.ends_with("nsec") => 999_999_999,
        _ if name.ends_with("usec") => 999_999,
        _ => u64::MAX,
    }
}

/// One of the listed numbers, nearly always one that its name allows.
pub fn listed(dice: &mut impl Dice, name: &str, listed: &[u64]) -> u64 {
    let valid: Vec<u64> = listed.iter().copied().filter(|n| *n <= most(name)).collect();
    let among = if dice.percent(92) && !valid.is_empty() { &valid } else { listed };
    dice.pick(among).copied().unwrap_or(0)
}

/// A length of a mapping: mostly whole pages, since none is refused.
pub fn length(dice: &mut impl Dice, set: &FlagSet) -> u64 {
    let pages: Vec<u64> = set.names.iter().map(|(_, n)| *n).filter(|n| *n > 0 && n % 4096 == 0).collect();
    match dice.pick(&pages) {
        Some(length) if dice.percent(88) => *length,
        _ => one_of(dice, set),
    }
}

/// How many bytes a word of `size` bytes can carry, as a mask.
fn mask(size: u8) -> u64 {
    if size >= 8 { u64::MAX } else { (1 << (u32::from(size) * 8)) - 1 }
}

/// A number: nearly always one of the interesting ones, else near one. Fits into `size` bytes.
pub fn int(dice: &mut impl Dice, interesting: &[u64], size: u8) -> u64 {
    let base = dice.pick(interesting).copied().unwrap_or(0);
    let value = if dice.percent(95) {
        base
    } else {
        match dice.below(6) {
            0 => base.wrapping_add(1),
            1 => base.wrapping_sub(1),
            2 => base.wrapping_mul(2),
            3 => base ^ (1 << dice.below(32)),
            4 => u64::MAX,
            _ => dice.below(16) as u64,
        }
    };
    value & mask(size)
}

/// Joined bits of a set: none, one or two of them. In a set with an access mode one mode is always among them.
pub fn flags(dice: &mut impl Dice, set: &FlagSet) -> u64 {
    let has_mode = bit_named(set, |n| n == "O_RDWR").is_some();
    let mut value = if has_mode { access_mode(dice, set) } else { 0 };
    // A socket has one type, which is no bit.
    let kinds: Vec<u64> = set.names.iter().filter(|n| is_socket_type(n)).map(|(_, kind)| *kind).collect();
    value |= dice.pick(&kinds).copied().unwrap_or(0);
    // An empty mask asks for nothing and is refused.
    let watches = set.names.iter().any(|(name, _)| name.starts_with("IN_"));
    if watches || bit_named(set, |n| n == "EPOLLIN").is_some() {
        value |= one_of(dice, set);
    }
    for _ in 0..[0, 0, 0, 1, 1, 1, 1, 2, 2, 3][dice.below(10)] {
        let Some((name, bits)) = dice.pick(set.names) else { break };
        // Bits that turn an ordinary open into a special one would mostly fail.
        let special = ["O_DIRECTORY", "O_TMPFILE", "O_PATH", "EPOLLEXCLUSIVE", "IN_MASK_CREATE"]
            .iter()
            .any(|s| name.starts_with(s));
        let mode = matches!(*name, "O_RDWR" | "O_WRONLY" | "O_RDONLY");
        let of_socket = is_socket_type(&(*name, *bits)) && !dice.percent(5);
        if !(has_mode && mode || of_socket || special && !dice.percent(15)) {
            value |= bits;
        }
    }
    // A bit that no set has: some calls refuse it, some must ignore it.
    let known = set.names.iter().any(|(_, bits)| bits & UNKNOWN_BIT != 0);
    if !known && dice.below(1000) < 7 { value | UNKNOWN_BIT } else { value }
}

fn is_socket_type(named: &(&str, u64)) -> bool {
    named.0.starts_with("SOCK_") && named.1 < 16
}

/// No flag of any call has it, but for `SA_ONSTACK`.
const UNKNOWN_BIT: u64 = 1 << 27;

fn access_mode(dice: &mut impl Dice, set: &FlagSet) -> u64 {
    let wanted = match dice.below(20) {
        0..=15 => "O_RDWR",
        16..=17 => "O_WRONLY",
        _ => "O_RDONLY",
    };
    bit_named(set, |n| n == wanted).unwrap_or(0)
}

/// The value of the first constant whose name satisfies `wanted`.
pub fn bit_named(set: &FlagSet, wanted: impl Fn(&str) -> bool) -> Option<u64> {
    set.names.iter().find(|(name, _)| wanted(name)).map(|(_, value)| *value)
}

/// One value of a set.
pub fn one_of(dice: &mut impl Dice, set: &FlagSet) -> u64 {
    dice.pick(set.names).map_or(0, |(_, value)| *value)
}

/// A terminal's flag word: most often what a fresh terminal has with up to two bits turned, since a mode that
/// nobody uses hides the ones everybody does.
pub fn termios_flags(dice: &mut impl Dice, field: &str, set: &FlagSet) -> u64 {
    let usual: &[&str] = match field {
        "c_iflag" => &["ICRNL", "IXON"],
        "c_oflag" => &["OPOST", "ONLCR"],
        "c_cflag" => &["B38400", "CS8", "CREAD"],
        "c_lflag" => &["ISIG", "ICANON", "ECHO", "ECHOE", "ECHOK", "IEXTEN", "ECHOCTL", "ECHOKE"],
        _ => return flags(dice, set),
    };
    if dice.percent(25) {
        return flags(dice, set);
    }
    let mut value =
        usual.iter().filter_map(|name| bit_named(set, |n| n == *name)).fold(0, |all, bit| all | bit);
    for _ in 0..dice.below(3) {
        // Turning one bit of a field of several (CS8, B38400) would name no constant.
        let bit = one_of(dice, set);
        value = if bit.count_ones() == 1 { value ^ bit } else { value | bit };
    }
    value
}

/// Text of up to `max` bytes: 0 to 16 mostly, sometimes 64 to 256.
pub fn bytes(dice: &mut impl Dice, max: usize) -> Vec<u8> {
    let wanted = if dice.percent(5) { 64 + dice.below(193) } else { dice.below(17) }.min(max);
    let mut text = Vec::with_capacity(wanted + 8);
    while text.len() < wanted {
        // A long text of one kind is a line longer than a queue; a short one is a mixture.
        match dice.below(3) {
            0 if wanted > 16 => text.extend_from_slice(&[b'a'; 32]),
            1 if dice.percent(8) => text.extend_from_slice(dice.pick(DEADLY).copied().unwrap_or(b"\x03")),
            _ => text.extend_from_slice(dice.pick(PIECES).copied().unwrap_or(b"a")),
        }
    }
    text.truncate(wanted);
    text
}

/// A line: it ends in a newline, so that a reader of a terminal gets it.
pub fn line(dice: &mut impl Dice) -> Vec<u8> {
    let lines: [&[u8]; 4] = [b"hello\n", b"x\n", b"ab\x7fc\n", b"one\ntwo\n"];
    lines[dice.below(lines.len())].to_vec()
}

/// A size for a buffer to be filled, at most `max`.
pub fn room(dice: &mut impl Dice, max: u32) -> u32 {
    match dice.below(10) {
        0 => dice.below(max as usize + 1) as u32,
        1 => 0,
        2 => 1,
        3 => 4,
        4..=6 => 16,
        _ => max,
    }
    .min(max)
}

/// A path nobody made: rarely odd, else one of the usual names.
pub fn path(dice: &mut impl Dice) -> Vec<u8> {
    match dice.below(20) {
        0..=11 => dice.pick(NEW_PATHS).copied().unwrap_or(b"f0").to_vec(),
        12 => vec![b'n'; 255],
        _ => dice.pick(ODD_PATHS).copied().unwrap_or(b".").to_vec(),
    }
}

/// The signal that belongs to the agent.
pub const SIGALRM: u64 = 14;

/// A signal to send: one of those the program handles, or one that does nothing by default; rarely any.
pub fn signal_to_send(dice: &mut impl Dice, handled: &[u64]) -> u64 {
    const HARMLESS: &[u64] = &[17, 28, 23, 18];
    match dice.pick(handled) {
        Some(own) if dice.percent(60) => *own,
        _ if dice.percent(8) => signal(dice),
        _ => dice.pick(HARMLESS).copied().unwrap_or(17),
    }
}

/// Protections of pages: nearly always both readable and writable, since the first touch of others is the last.
pub fn protection(dice: &mut impl Dice, set: &FlagSet) -> u64 {
    let all =
        |names: &[&str]| names.iter().filter_map(|n| bit_named(set, |name| name == *n)).fold(0, |a, b| a | b);
    match dice.below(20) {
        0 => flags(dice, set),
        1..=2 => all(&["PROT_READ"]),
        _ => all(&["PROT_READ", "PROT_WRITE"]),
    }
}

/// A signal: mostly one that does not end the program, never the agent's.
pub fn signal(dice: &mut impl Dice) -> u64 {
    const MILD: &[u64] = &[10, 12, 17, 28, 23, 18, 10, 12];
    let signal = match dice.below(20) {
        0 => 0,
        1..=2 => 1 + dice.below(64) as u64,
        3 => *dice.pick(&[1, 2, 15, 13, 22, 21, 20]).unwrap_or(&15),
        _ => dice.pick(MILD).copied().unwrap_or(10),
    };
    if signal == SIGALRM { 12 } else { signal }
}

/// A set of signals without the agent's.
pub fn signal_set(dice: &mut impl Dice) -> u64 {
    let mut set = 0;
    for _ in 0..dice.below(3) {
        set |= match signal(dice) {
            0 => 0,
            n => 1 << (n - 1),
        };
    }
    if dice.percent(3) { !(1 << (SIGALRM - 1)) } else { set }
}

/// A disposition: default, ignored, or the agent's handler.
pub fn handler(dice: &mut impl Dice) -> u64 {
    [0, 1, HANDLER, HANDLER][dice.below(4)]
}

/// The address of a page in the window; mostly one of the first few, so that calls meet on them.
pub fn page(dice: &mut impl Dice) -> u64 {
    let index = if dice.percent(80) { dice.below(4) } else { dice.below(LAST_PAGE as usize + 1) };
    wire::WINDOW + 4096 * index as u64
}

/// An address that is never mapped.
pub fn bad_address(dice: &mut impl Dice) -> u64 {
    [0, 0, 1, 4095, 0xffff_8000_0000_0000, u64::MAX][dice.below(6)]
}

/// A descriptor that nobody made; never one of the agent's.
pub fn stray_fd(dice: &mut impl Dice) -> u64 {
    [u64::MAX, 99, 0, 1, 2, 3][dice.below(6)]
}
