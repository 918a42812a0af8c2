//! The description tables are data; these tests are what a reader of a man page would check by hand.

use parallax_corpus::desc::*;
use parallax_corpus::{Area, Desc, Meaning, Ty, tables, wire};
use std::collections::{HashMap, HashSet};

/// All flag sets a description uses, with where.
fn flag_sets(d: &Desc) -> Vec<&'static FlagSet> {
    let mut sets = Vec::new();
    let mut of_ty = |ty: &Ty| match ty {
        Ty::Flags(s) | Ty::Enum(s) => sets.push(*s),
        _ => {}
    };
    for a in d.args {
        of_ty(&a.ty);
        in_fields(&a.ty).iter().for_each(|f| of_ty(&f.ty));
    }
    let outs = d.args.iter().flat_map(|a| out_fields(&a.ty).0).map(|f| f.meaning).chain([d.ret]);
    sets.extend(outs.filter_map(|m| match m {
        Meaning::Flags(s) => Some(s),
        _ => None,
    }));
    sets
}
fn in_fields(ty: &Ty) -> &'static [SField] {
    match ty {
        Ty::Ptr(In::Struct(f, _) | In::Array(f, _, _), _) => f,
        _ => &[],
    }
}
/// The fields that come out and the struct's size.
fn out_fields(ty: &Ty) -> (&'static [OField], u16) {
    match ty {
        Ty::Ptr(_, Out::Fields(f, n) | Out::Array(f, n)) => (f, *n),
        _ => (&[], 0),
    }
}
/// All types of a description, struct fields' too.
fn types(d: &Desc) -> impl Iterator<Item = Ty> {
    d.args.iter().flat_map(|a| std::iter::once(a.ty).chain(in_fields(&a.ty).iter().map(|f| f.ty)))
}

#[test]
fn names_are_unique_and_plain() {
    let mut seen = HashSet::new();
    for d in tables::all() {
        assert!(seen.insert(d.name), "{} is there twice", d.name);
        assert!(d.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_$".contains(&b)));
        assert!(d.name.matches('$').count() <= 1, "{}", d.name);
    }
}

#[test]
fn every_area_is_well_covered() {
    let syscalls: HashSet<&str> = tables::all().iter().map(|d| d.base_name()).collect();
    assert!(tables::all().len() >= 450, "only {} calls", tables::all().len());
    assert!(syscalls.len() >= 240, "only {} system calls", syscalls.len());
    for area in Area::ALL {
        let n = tables::of_area(area).count();
        assert!(n >= 8, "{} has only {n} calls", area.name());
    }
    // A table holds one area only, and tables stand in the areas' order.
    assert!(tables::all().is_sorted_by_key(|d| d.area));
}

#[test]
fn a_syscall_has_one_number_and_a_number_one_name() {
    let mut numbers = HashMap::new();
    let mut names = HashMap::new();
    for d in tables::all() {
        if let Op::Sys(nr) = d.op {
            assert_eq!(*numbers.entry(d.base_name()).or_insert(nr), nr, "{}", d.name);
            assert_eq!(*names.entry(nr).or_insert(d.base_name()), d.base_name(), "{nr}");
        }
    }
}

#[test]
fn nothing_that_could_hurt_the_agent_or_the_machine_is_described() {
    // brk, clone, fork, vfork, execve, ptrace, setuid and kin, alarm, pivot_root, chroot, mount, umount2, reboot,
    // module calls, unshare, setns, execveat, bpf, clone3.
    let never = [
        12, 37, 56, 57, 58, 59, 101, 105, 106, 113, 114, 116, 117, 119, 122, 123, 155, 161, 165, 166, 169,
        175, 176, 246, 272, 308, 313, 321, 322, 435,
    ];
    for d in tables::all() {
        assert!(!matches!(d.op, Op::Sys(nr) if never.contains(&nr)), "{}", d.name);
    }
}

#[test]
fn every_kind_of_thing_a_call_wants_is_made_by_some_call() {
    let made: Vec<Kind> = tables::all().iter().flat_map(|d| d.makes).map(|m| m.kind).collect();
    let fds = made.iter().fold(0, |all, k| if let Kind::Fd(kinds) = k { all | kinds } else { all });
    for d in tables::all() {
        for ty in types(d) {
            match ty {
                Ty::Fd(FD_ANY) => {}
                Ty::Fd(kinds) => assert_eq!(kinds & !fds, 0, "{}: kinds nobody makes", d.name),
                Ty::Pid => assert!(made.contains(&Kind::Pid)),
                Ty::Timer => assert!(made.contains(&Kind::Timer)),
                Ty::Page => assert!(made.contains(&Kind::Page)),
                Ty::Path => assert!(made.contains(&Kind::Path)),
                Ty::Id(id) => assert!(made.contains(&Kind::Id(id)), "{}", d.name),
                _ => {}
            }
        }
    }
}

#[test]
fn lengths_belong_to_pointers_the_program_sizes() {
    for d in tables::all() {
        assert!(d.args.len() <= 6, "{}", d.name);
        for a in d.args {
            if let Ty::Len(i) = a.ty {
                let target =
                    d.args.get(i as usize).unwrap_or_else(|| panic!("{}: {} of nothing", d.name, a.name));
                assert!(matches!(target.ty, Ty::Ptr(..)), "{}: {} is no pointer's", d.name, a.name);
            }
            // A buffer whose size a program chooses must be told to the kernel, or the kernel writes past it.
            let sized =
                matches!(a.ty, Ty::Ptr(_, Out::Buf(_) | Out::Opaque(_) | Out::Dirents(_) | Out::Lines(..)));
            let index = d.args.iter().position(|b| b.name == a.name).unwrap() as u8;
            assert!(!sized || d.args.iter().any(|b| b.ty == Ty::Len(index)), "{}: {}", d.name, a.name);
        }
    }
}

#[test]
fn struct_fields_lie_inside_and_apart() {
    for d in tables::all() {
        for a in d.args {
            let where_ = format!("{}: {}", d.name, a.name);
            let size = match a.ty {
                Ty::Ptr(In::Struct(_, n) | In::Array(_, n, _), _) => n,
                _ => 0,
            };
            let mut end = 0;
            for f in in_fields(&a.ty) {
                assert!(f.off >= end, "{where_}.{} overlaps", f.name);
                end = f.off + u16::from(f.size);
                assert!(end <= size, "{where_}.{} outside", f.name);
                assert!([1, 2, 4, 8].contains(&f.size), "{where_}.{}", f.name);
                let word =
                    !matches!(f.ty, Ty::Ptr(..) | Ty::Path | Ty::PathConst(_) | Ty::Len(_) | Ty::Const(_));
                assert!(word, "{where_}.{} is no written word", f.name);
            }
            let (fields, size) = out_fields(&a.ty);
            let mut end = 0;
            for f in fields {
                assert!(f.off >= end, "{where_}.{} overlaps", f.name);
                end = f.off + f.size;
                assert!(end <= size, "{where_}.{} outside", f.name);
                let fits = match f.meaning {
                    Meaning::Clock(_, unit) | Meaning::Duration(_, unit) => {
                        f.size == if matches!(unit, Unit::Timespec | Unit::Timeval) { 16 } else { 8 }
                    }
                    Meaning::Pid | Meaning::Fd => f.size == 4,
                    Meaning::Flags(_) => f.size <= 8,
                    Meaning::Where(at, _) => f.size <= 8 && at + 2 <= size,
                    _ => true,
                };
                assert!(fits, "{where_}.{} has {} bytes", f.name, f.size);
            }
        }
    }
}

#[test]
fn made_things_are_where_they_are_said_to_be() {
    for d in tables::all() {
        for m in d.makes {
            match m.from {
                From::Ret => assert!(
                    matches!(
                        (m.kind, d.ret),
                        (Kind::Fd(_) | Kind::SameAs(_), Meaning::Fd)
                            | (Kind::Pid, Meaning::Pid)
                            | (Kind::Page, Meaning::Exact | Meaning::Address)
                            | (Kind::Id(_), Meaning::Opaque)
                    ),
                    "{}: what returns is not what is made",
                    d.name
                ),
                From::Out(arg, off) => {
                    let (fields, size) = out_fields(&d.args[arg as usize].ty);
                    assert!(off + 4 <= size, "{}", d.name);
                    assert!(fields.iter().any(|f| f.off == off && f.size == 4), "{}: no field there", d.name);
                }
                From::PathArg(arg) => {
                    assert_eq!(m.kind, Kind::Path, "{}", d.name);
                    assert_eq!(d.args[arg as usize].ty, Ty::Path, "{}: not a path a program writes", d.name);
                    assert_ne!(d.needs & NEED_FS, 0, "{}: makes a path and leaves nothing behind?", d.name);
                }
            }
            if let Kind::SameAs(written) = m.kind {
                let a = d.written_arg(written as usize).expect("a written argument");
                assert!(matches!(a.ty, Ty::Fd(_)), "{}", d.name);
            }
        }
        // And what is a descriptor is made, or can't be used.
        if d.ret == Meaning::Fd {
            assert!(!d.makes.is_empty() || d.name == "signalfd4$mask", "{} makes no descriptor", d.name);
        }
    }
}

#[test]
fn clock_ids_are_arguments() {
    for d in tables::all() {
        let outs = d.args.iter().flat_map(|a| out_fields(&a.ty).0).map(|f| f.meaning).chain([d.ret]);
        for m in outs {
            if let Meaning::Clock(Clk::Arg(i), _) = m {
                assert!(matches!(d.args[i as usize].ty, Ty::Enum(_)), "{}", d.name);
            }
        }
    }
}

#[test]
fn kernel_versions_parse() {
    for d in tables::all() {
        let parts: Vec<u32> = d.since.split('.').map(|p| p.parse().expect(d.name)).collect();
        assert!((2..=3).contains(&parts.len()) && parts >= vec![2, 6], "{}: {}", d.name, d.since);
    }
}

#[test]
fn flag_sets_name_each_value_once_and_wide_ones_first() {
    for d in tables::all() {
        for set in flag_sets(d) {
            for (i, (name, value)) in set.names.iter().enumerate() {
                for (later, bits) in &set.names[i + 1..] {
                    assert_ne!(name, later, "{}", d.name);
                    assert_ne!(value, bits, "{}: {name} is {later}", d.name);
                }
            }
        }
        // Only joined bits can hide each other.
        let joined = |ty: Ty| if let Ty::Flags(s) = ty { Some(s) } else { None };
        for set in types(d).filter_map(joined) {
            for (i, (name, value)) in set.names.iter().enumerate() {
                for (later, bits) in &set.names[i + 1..] {
                    let hidden = *value != 0 && value & bits == *value;
                    assert!(!hidden, "{}: {later} contains {name}, so it must stand first", d.name);
                }
            }
        }
    }
}

#[test]
fn nothing_is_mapped_outside_the_window() {
    const PAGE: u64 = 4096;
    const { assert!((LAST_PAGE + 4) * PAGE <= wire::WINDOW_SIZE) };
    for d in tables::all() {
        if !d.args.iter().any(|a| a.ty == Ty::Page) {
            assert!(!matches!(d.op, Op::Sys(9 | 10 | 11 | 25)), "{} maps, but not at a page", d.name);
            continue;
        }
        assert_ne!(d.needs & NEED_MEM, 0, "{}", d.name);
        for a in d.args.iter().filter(|a| ["length", "len", "old_size", "new_size"].contains(&a.name)) {
            let Ty::Enum(set) = a.ty else { panic!("{}: {} is no closed set", d.name, a.name) };
            assert!(set.names.iter().all(|(_, n)| *n <= 4 * PAGE), "{}", d.name);
        }
        let flags = d.args.iter().find(|a| a.name == "flags").map(|a| a.ty);
        match d.base_name() {
            "mmap" => assert!(matches!(flags, Some(Ty::Const(f)) if f & 0x10 != 0), "{}", d.name),
            // In place, or MREMAP_FIXED at a page.
            "mremap" => assert!(matches!(flags, Some(Ty::Const(0 | 3))), "{}", d.name),
            _ => {}
        }
    }
}

#[test]
fn what_belongs_to_the_agent_is_not_offered() {
    for d in tables::all() {
        match d.base_name() {
            // ITIMER_REAL arms the block timer.
            "setitimer" | "getitimer" => {
                let Ty::Enum(set) = d.args[0].ty else { panic!("{}", d.name) };
                assert!(set.names.iter().all(|(_, which)| *which != 0));
            }
            "getppid" => assert!(d.makes.is_empty(), "programs could kill the agent"),
            _ => {}
        }
    }
}

#[test]
fn what_a_field_means_follows_the_mode() {
    assert!(!Given::NotDirectory.holds(0o040755));
    assert!(Given::NotDirectory.holds(0o100644));
    assert!(!Given::NotDevice.holds(0o020620));
    assert!(!Given::NotDevice.holds(0o060600));
    assert!(Given::NotDevice.holds(0o010600));
}

#[test]
fn every_entry_says_in_words_what_comes_out_since_when_and_where_that_is_written() {
    for d in tables::all() {
        assert!(!d.since.is_empty(), "{}", d.name);
        let page = d.page();
        let plain = page.ends_with("(2)") || ["(3)", "(5)", "(7)"].iter().any(|s| page.ends_with(s));
        assert!(plain || page.ends_with(".rst") || page.ends_with(".md"), "{}: {page}", d.name);
        let outputs = d.outputs();
        assert_eq!(outputs[0].name, "ret", "{}", d.name);
        for output in &outputs {
            assert!(output.meaning.contains(' '), "{}: {} means nothing", d.name, output.name);
        }
        // Whatever a pointer lets the kernel write is among them.
        for a in d.args {
            let writes = match a.ty {
                Ty::Ptr(before, after) => after != Out::Nothing || before == In::IovOut,
                _ => false,
            };
            let told = outputs.iter().any(|o| o.name.split('.').next() == Some(a.name));
            assert_eq!(writes, told, "{}: {}", d.name, a.name);
        }
    }
}

#[test]
fn what_writes_to_any_descriptor_may_write_to_a_terminal() {
    // Those that need a position never do (pwrite(2): ESPIPE).
    const WRITERS: [&str; 5] = ["write", "writev", "pwritev2", "sendfile", "splice"];
    let writers = tables::all().iter().filter(|d| WRITERS.contains(&d.base_name()));
    let forgetful: Vec<_> = writers.filter(|d| !d.settle).map(|d| d.name).collect();
    assert!(forgetful.is_empty(), "{forgetful:?}");
}
