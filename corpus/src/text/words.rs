//! Single values as people read them, in programs and in reports.

use crate::desc::{FlagSet, Meaning, Ty};
use crate::names::{SIGNALS, UNKNOWN_ERRNO, errno_name, signal_name};
use crate::{desc, wire};

/// A page of the window, as `PAGE0` counts them.
pub(super) const PAGE: u64 = 4096;
/// `AT_FDCWD`, the working directory in a descriptor's place.
pub(super) const AT_FDCWD: u64 = -100i64 as u64;
/// The handlers by value.
pub(super) const HANDLERS: [&str; 3] = ["SIG_DFL", "SIG_IGN", "HANDLER"];

/// A word of that type, as the text form writes it. Reading it back gives the same word.
pub fn value(ty: &Ty, v: u64) -> String {
    let named = match ty {
        Ty::Flags(set) => return flags(set, v),
        Ty::SigSet => return signal_set(v),
        Ty::Enum(set) => set.names.iter().find(|(_, n)| *n == v).map(|(name, _)| (*name).to_owned()),
        Ty::Fd(_) if v == AT_FDCWD => Some("AT_FDCWD".to_owned()),
        Ty::Pid if v == desc::NO_PID => Some("NO_PID".to_owned()),
        Ty::Page => page(v),
        Ty::Signal => signal_name(v).map(str::to_owned),
        Ty::Handler => usize::try_from(v).ok().and_then(|v| HANDLERS.get(v)).map(|&name| name.to_owned()),
        Ty::Path | Ty::Ptr(..) if v == 0 => Some("NULL".to_owned()),
        _ => None,
    };
    named.unwrap_or_else(|| number(v))
}

/// A value that came out of a kernel, as reports show it. `size` is the field's width in bytes, by which negative
/// numbers are known.
pub fn show_meaning(meaning: Meaning, value: u64, size: u16) -> String {
    let bits = u32::from(size.min(8)) * 8;
    let unused = 64 - bits.max(8);
    let unsigned = value << unused >> unused;
    let signed = (value << unused) as i64 >> unused;
    match meaning {
        Meaning::Flags(set) => flags(set, unsigned),
        Meaning::Address => format!("{unsigned:#x}"),
        Meaning::Inode | Meaning::SizeHint => unsigned.to_string(),
        Meaning::Fd | Meaning::Pid | Meaning::Clock(..) | Meaning::Duration(..) => signed.to_string(),
        // Plain numbers. Bytes and shorts of the kernel's structs are unsigned nearly everywhere (c_cc, st_mode).
        _ if size >= 4 && is_small_negative(signed as u64) => signed.to_string(),
        _ if unsigned < 1 << 20 => unsigned.to_string(),
        _ => format!("{unsigned:#x}"),
    }
}

/// A return register, as reports show it: the errno's name, or the value by its meaning.
pub fn show_ret(meaning: Meaning, ret: i64) -> String {
    if !is_small_negative(ret as u64) {
        return show_meaning(meaning, ret as u64, 8);
    }
    match errno_name(-ret as i32) {
        UNKNOWN_ERRNO => format!("errno {}", -ret),
        name => name.to_owned(),
    }
}

/// Decimal where people count, hexadecimal where they look at bits.
pub(super) fn number(v: u64) -> String {
    if v < 4096 {
        v.to_string()
    } else if is_small_negative(v) {
        (v as i64).to_string()
    } else {
        format!("{v:#x}")
    }
}

/// The range of the kernel's error returns.
fn is_small_negative(v: u64) -> bool {
    (-4095..0).contains(&(v as i64))
}

/// Joined names, then what no name covers. Each name's bits lie in `v` and together with the rest they are `v`, so
/// joining them gives it back however names overlap; that `O_SYNC` is not shown as `O_DSYNC|0x100000` is due to
/// the order of the set.
fn flags(set: &FlagSet, v: u64) -> String {
    if is_small_negative(v) {
        return number(v);
    }
    let mut rest = v;
    let mut parts = Vec::new();
    for &(name, bits) in set.names {
        if bits != 0 && rest & bits == bits {
            parts.push(name.to_owned());
            rest &= !bits;
        }
    }
    if parts.is_empty() && rest == 0 {
        let zero = set.names.iter().find(|(_, bits)| *bits == 0);
        parts.push(zero.map_or_else(|| "0".to_owned(), |(name, _)| (*name).to_owned()));
    } else if rest != 0 {
        parts.push(if parts.is_empty() { number(rest) } else { format!("{rest:#x}") });
    }
    parts.join("|")
}

fn page(v: u64) -> Option<String> {
    let offset = v.checked_sub(wire::WINDOW).filter(|o| *o < wire::WINDOW_SIZE && o % PAGE == 0)?;
    Some(format!("PAGE{}", offset / PAGE))
}

/// `{SIGINT SIGTERM}`, or `~{...}` for all but those. Signals without a name by number.
fn signal_set(v: u64) -> String {
    let (sign, members) = if v.count_ones() > 32 { ("~", !v) } else { ("", v) };
    let names: Vec<String> = (0..64)
        .filter(|bit| members >> bit & 1 == 1)
        .map(|bit| SIGNALS.get(bit).map_or_else(|| (bit + 1).to_string(), |name| (*name).to_owned()))
        .collect();
    format!("{sign}{{{}}}", names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desc::{Clk, FD_ANY, Unit};

    static OPEN: FlagSet = FlagSet {
        names: &[("O_RDONLY", 0), ("O_WRONLY", 1), ("O_RDWR", 2), ("O_SYNC", 0x101000), ("O_DSYNC", 0x1000)],
        free: 0,
    };

    #[test]
    fn flags_show_the_widest_names_and_keep_every_bit() {
        let shown = |v| value(&Ty::Flags(&OPEN), v);
        assert_eq!(shown(0), "O_RDONLY");
        assert_eq!(shown(3), "O_WRONLY|O_RDWR");
        assert_eq!(shown(0x101002), "O_RDWR|O_SYNC");
        assert_eq!(shown(0x1001), "O_WRONLY|O_DSYNC");
        assert_eq!(shown(0x100001), "O_WRONLY|0x100000");
        assert_eq!(shown(8), "8");
        assert_eq!(shown(u64::MAX), "-1");
        assert_eq!(value(&Ty::Enum(&OPEN), 3), "3");
        assert_eq!(value(&Ty::Enum(&OPEN), 0), "O_RDONLY");
    }

    #[test]
    fn words_show_the_names_people_know() {
        assert_eq!(value(&Ty::Fd(FD_ANY), AT_FDCWD), "AT_FDCWD");
        assert_eq!(value(&Ty::Fd(FD_ANY), u64::MAX), "-1");
        assert_eq!(value(&Ty::Pid, 99_999), "NO_PID");
        assert_eq!(value(&Ty::Page, wire::WINDOW + 0xf000), "PAGE15");
        assert_eq!(value(&Ty::Page, wire::WINDOW + 1), "0x100000001");
        assert_eq!(value(&Ty::Signal, 2), "SIGINT");
        assert_eq!(value(&Ty::Signal, 34), "34");
        assert_eq!(value(&Ty::Handler, 2), "HANDLER");
        assert_eq!(value(&Ty::SigSet, 0b10 | 1 << 14 | 1 << 33), "{SIGINT SIGTERM 34}");
        assert_eq!(value(&Ty::SigSet, !1), "~{SIGHUP}");
        assert_eq!(value(&Ty::SigSet, 0), "{}");
        assert_eq!(value(&Ty::Path, 0), "NULL");
        assert_eq!(value(&Ty::Int(&[]), 4096), "0x1000");
    }

    #[test]
    fn reports_show_values_by_their_meaning() {
        assert_eq!(show_meaning(Meaning::Flags(&OPEN), 0xffff_ffff_0000_0002, 4), "O_RDWR");
        assert_eq!(show_meaning(Meaning::Exact, 0xffff_ffff, 4), "-1");
        assert_eq!(show_meaning(Meaning::Exact, 0xffff, 2), "65535");
        assert_eq!(show_meaning(Meaning::Exact, 1 << 20, 8), "0x100000");
        assert_eq!(show_meaning(Meaning::Pid, 0xffff_ffff, 4), "-1");
        assert_eq!(show_meaning(Meaning::Address, 4096, 8), "0x1000");
        assert_eq!(show_meaning(Meaning::Clock(Clk::Realtime, Unit::Secs), 1_700_000_000, 8), "1700000000");
        assert_eq!(show_meaning(Meaning::Exact, 7, 0), "7", "a field of no width does not panic");
        assert_eq!(show_ret(Meaning::Exact, -11), "EAGAIN");
        assert_eq!(show_ret(Meaning::Flags(&OPEN), 2), "O_RDWR");
        assert_eq!(show_ret(Meaning::Fd, 3), "3");
        assert_eq!(show_ret(Meaning::Fd, -4000), "errno 4000");
        assert_eq!(show_ret(Meaning::Address, i64::MIN), "0x8000000000000000");
    }
}
