//! Constants by the names strace prints.

use super::value::real_time;
use crate::desc::{FlagSet, In, Meaning, Out, Ty};
use crate::names::{errno_named, signal_named};
use crate::tables;
use std::collections::HashMap;
use std::sync::LazyLock;

static ALL: LazyLock<HashMap<&'static str, u64>> = LazyLock::new(|| {
    let mut all = HashMap::new();
    for desc in tables::all() {
        for arg in desc.args {
            sets_of(&arg.ty, &mut |set| all.extend(set.names.iter().copied()));
        }
    }
    // The kernel's own come last: what a table calls like one of them must mean the same to strace.
    let lines = include_str!("constants.txt").lines().filter(|line| !line.starts_with('#'));
    let words = lines.flat_map(str::split_whitespace).filter_map(|word| word.split_once('='));
    all.extend(words.filter_map(|(name, hex)| Some((name, u64::from_str_radix(hex, 16).ok()?))));
    all
});

fn sets_of(ty: &Ty, found: &mut impl FnMut(&'static FlagSet)) {
    match ty {
        Ty::Flags(set) | Ty::Enum(set) => found(set),
        Ty::Ptr(before, after) => {
            if let In::Struct(fields, _) | In::Array(fields, ..) = before {
                fields.iter().for_each(|field| sets_of(&field.ty, found));
            }
            if let Out::Fields(fields, _) | Out::Array(fields, _) = after {
                for field in *fields {
                    if let Meaning::Flags(set) = field.meaning {
                        found(set);
                    }
                }
            }
        }
        _ => {}
    }
}

/// The value of a constant, a signal or an errno.
pub(super) fn constant(name: &str) -> Option<u64> {
    ALL.get(name)
        .copied()
        .or_else(|| signal_named(name))
        .or_else(|| real_time(name))
        .or_else(|| errno_named(name).map(|n| n as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_kernels_numbers() {
        for (name, value) in [
            ("F_SETLK", 6),
            ("TCGETS", 0x5401),
            ("SIGCHLD", 17),
            ("SIGRT_2", 34),
            ("O_CLOEXEC", 0o2000000),
            ("MAP_DENYWRITE", 0x800),
            ("NULL", 0),
            ("RLIM64_INFINITY", u64::MAX),
        ] {
            assert_eq!(constant(name), Some(value), "{name}");
        }
        assert_eq!(constant("NO_SUCH_NAME"), None);
    }
}
