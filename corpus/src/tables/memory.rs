//! Mappings inside the window of pages that programs own, and what is stored there.
//! Sources: mmap(2), mprotect(2), madvise(2), msync(2), mincore(2), mremap(2), mlock(2).
//!
//! Nothing may ever land outside the window: every mapping is MAP_FIXED by a constant, every length comes
//! from a closed set of at most four pages, and constants name pages up to [`LAST_PAGE`].
//! (MAP_FIXED_NOREPLACE is left out: kernels that don't know it take the address as a hint.)

use super::shapes::*;
use crate::consts::*;
use crate::desc::*;
use crate::{args, makes, wire};
use Meaning::{Exact, Opaque};

const LEN: Ty = Ty::Enum(&LENGTH);
const MAP_SHARED: u64 = 1;
const MAP_PRIVATE: u64 = 2;
const MAP_FIXED: u64 = 0x10;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_POPULATE: u64 = 0x8000;
const MAP_NORESERVE: u64 = 0x4000;
const NO_FD: Ty = Ty::Const(u64::MAX);
const FILE_OFFSET: Ty = Ty::Int(&[0, 4096, 8192, 1]);
/// Whether a page is in memory is the kernel's business.
const RESIDENT_OUT: &[OField] = &[of("vec", 0, 8, Opaque)];

/// A call of this area.
const fn mem(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Memory, args, Exact).needs(NEED_MEM)
}
/// An mmap, which with MAP_FIXED returns exactly the address it was given.
const fn mmap(name: &'static str, args: &'static [ArgDesc]) -> Desc {
    mem(name, 9, args).makes(makes![made_ret(Kind::Page)])
}

/// What the agent says of the window's pages (`wire::OP_WINDOW`): for each what may be done with it, and a digest.
const WINDOW_OUT: &[OField] = &{
    let mut fields = [of("protection", 0, 4, Meaning::Flags(&PAGE)); 32];
    let mut k = 0;
    while k < 16 {
        fields[2 * k] = of("protection", 8 * k as u16, 4, Meaning::Flags(&PAGE));
        fields[2 * k + 1] = of("content", 8 * k as u16 + 4, 4, Meaning::Exact);
        k += 1;
    }
    fields
};

/// The table.
pub const CALLS: &[Desc] = &[
    mmap(
        "mmap$private",
        args![
            "addr": Ty::Page, "length": LEN, "prot": Ty::Flags(&PROT),
            "flags": Ty::Const(MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS), "fd": NO_FD, "offset": ZERO,
        ],
    )
    .weight(12),
    mmap(
        "mmap$shared",
        args![
            "addr": Ty::Page, "length": LEN, "prot": Ty::Flags(&PROT),
            "flags": Ty::Const(MAP_SHARED | MAP_FIXED | MAP_ANONYMOUS), "fd": NO_FD, "offset": ZERO,
        ],
    )
    .weight(6),
    mmap(
        "mmap$populate",
        args![
            "addr": Ty::Page, "length": LEN, "prot": Ty::Flags(&PROT),
            "flags": Ty::Const(MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_POPULATE), "fd": NO_FD,
            "offset": ZERO,
        ],
    )
    .weight(2),
    mmap(
        "mmap$noreserve",
        args![
            "addr": Ty::Page, "length": LEN, "prot": Ty::Flags(&PROT),
            "flags": Ty::Const(MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE), "fd": NO_FD,
            "offset": ZERO,
        ],
    )
    .weight(1),
    mmap(
        "mmap$file",
        args![
            "addr": Ty::Page, "length": LEN, "prot": Ty::Flags(&PROT_FILE),
            "flags": Ty::Const(MAP_PRIVATE | MAP_FIXED), "fd": Ty::Fd(FD_FILE | FD_DEV),
            "offset": FILE_OFFSET,
        ],
    )
    .weight(6),
    mmap(
        "mmap$file_shared",
        args![
            "addr": Ty::Page, "length": LEN, "prot": Ty::Flags(&PROT_FILE),
            "flags": Ty::Const(MAP_SHARED | MAP_FIXED), "fd": Ty::Fd(FD_FILE), "offset": FILE_OFFSET,
        ],
    )
    .weight(8),
    // Neither shared nor private: refused.
    mmap(
        "mmap$neither",
        args![
            "addr": Ty::Page, "length": LEN, "prot": Ty::Flags(&PROT),
            "flags": Ty::Const(MAP_FIXED | MAP_ANONYMOUS), "fd": NO_FD, "offset": ZERO,
        ],
    )
    .weight(1),
    mem("munmap", 11, args!["addr": Ty::Page, "length": LEN]).weight(5),
    mem("mprotect", 10, args!["addr": Ty::Page, "len": LEN, "prot": Ty::Flags(&PROT)]).weight(6),
    // No MADV_FREE: it leaves to the kernel whether what was there is still read later.
    mem("madvise", 28, args!["addr": Ty::Page, "length": LEN, "advice": Ty::Enum(&MADV)]).weight(6),
    mem(
        "madvise$reclaim",
        28,
        args![
            "addr": Ty::Page, "length": LEN, "advice": Ty::Enum(&MADV_RECLAIM),
        ],
    )
    .weight(1)
    .since("5.4"),
    mem(
        "madvise$populate",
        28,
        args![
            "addr": Ty::Page, "length": LEN, "advice": Ty::Enum(&MADV_POPULATE),
        ],
    )
    .weight(1)
    .since("5.14"),
    mem("msync", 26, args!["addr": Ty::Page, "length": LEN, "flags": Ty::Flags(&MS)]).weight(3),
    mem("mincore", 27, args!["addr": Ty::Page, "length": LEN, "vec": out(RESIDENT_OUT, 8)]).weight(2),
    // In place: there is room for four pages from any page a program can name.
    mem(
        "mremap",
        25,
        args![
            "old_address": Ty::Page, "old_size": LEN, "new_size": LEN, "flags": ZERO,
            "new_address": ZERO,
        ],
    )
    .weight(3),
    // MREMAP_MAYMOVE | MREMAP_FIXED
    mem(
        "mremap$fixed",
        25,
        args![
            "old_address": Ty::Page, "old_size": LEN, "new_size": LEN, "flags": Ty::Const(3),
            "new_address": Ty::Page,
        ],
    )
    .makes(makes![made_ret(Kind::Page)])
    .weight(4),
    mem("mlock", 149, args!["addr": Ty::Page, "len": LEN]).weight(1),
    mem("mlock2", 325, args!["addr": Ty::Page, "len": LEN, "flags": Ty::Flags(&MLOCK)]).weight(1).since("4.4"),
    mem("munlock", 150, args!["addr": Ty::Page, "len": LEN]).weight(1),
    // Key -1 is no key: what mprotect does.
    mem(
        "pkey_mprotect",
        329,
        args![
            "addr": Ty::Page, "len": LEN, "prot": Ty::Flags(&PROT), "pkey": Ty::OneOf(&[u64::MAX, u64::MAX, u64::MAX, 15, 16]),
        ],
    )
    .weight(2)
    .since("4.9"),
    // Keys belong to the address space, and whether there are any to the processor.
    mem("pkey_alloc", 330, args!["flags": ZERO, "access_rights": Ty::OneOf(&[0, 1, 2, 3])])
        .ret(Opaque)
        .needs(NEED_FORK)
        .weight(1)
        .since("4.9"),
    mem("pkey_free", 331, args!["pkey": Ty::OneOf(&[0, 15, 16, u64::MAX])]).needs(NEED_FORK).weight(1).since("4.9"),
    mem("munlockall", 152, &[]).needs(NEED_FORK).weight(1),
    mem("mlockall", 151, args!["flags": Ty::Flags(&MCL)]).needs(NEED_FORK).weight(1),
    mem(
        "mbind",
        237,
        args![
            "addr": Ty::Page, "len": LEN, "mode": Ty::Enum(&MPOL), "nodemask": ZERO, "maxnode": ZERO,
            "flags": ZERO,
        ],
    )
    .weight(1)
    .since("2.6.7"),
    // Both may end in SIGSEGV or SIGBUS, which is an outcome like any other.
    Desc::with(
        "poke",
        Op::Agent(wire::OP_POKE),
        Area::Memory,
        args![
            "addr": Ty::Page, "byte": Ty::Int(&[0x41, 0, 0xff]), "count": Ty::OneOf(&[1, 16, 4096, 8192]),
        ],
        Exact,
    )
    .needs(NEED_MEM)
    .weight(10),
    Desc::with("load", Op::Agent(wire::OP_LOAD), Area::Memory, args!["addr": Ty::Page], Exact)
        .needs(NEED_MEM)
        .weight(10),
    // All pages of the window: mapped, readable, writable, and what they hold.
    Desc::with(
        "window",
        Op::Agent(wire::OP_WINDOW),
        Area::Memory,
        args!["pages": out(WINDOW_OUT, wire::WINDOW_LOOK as u16)],
        Meaning::Exact,
    )
    .needs(NEED_MEM)
    .weight(2),
];
