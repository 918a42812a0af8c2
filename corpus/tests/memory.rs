//! Hostile input with a right checksum costs bounded memory. Alone in its binary: it watches the allocator.

use parallax_corpus::pack::{self, PROGRAM_MAGIC};
use parallax_corpus::text;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;
static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands every request on to the system's allocator unchanged, and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(at, layout) }
    }
}
#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes allocated at once, at most, while `f` ran.
fn peak(f: impl FnOnce()) -> usize {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    f();
    PEAK.load(Relaxed) - before
}

fn sealed(body: &[u8]) -> Vec<u8> {
    let (version, len) = (1u16.to_le_bytes(), (body.len() as u32).to_le_bytes());
    let crc = crc32fast::hash(&[&version[..], &len, body].concat()).to_le_bytes();
    [&PROGRAM_MAGIC[..], &version, &len, &crc, body].concat()
}

const MIB: usize = 1 << 20;
const HUGE: [u8; 4] = [0xff; 4];
/// `{"calls": [{"id": "setsid", "args":`, after which comes the hostile part.
const BEFORE_ARGS: &[u8] = b"\x81\xa5calls\x91\x82\xa2id\xa6setsid\xa4args";

fn costs(hostile: &[&[u8]], at_most: usize) {
    let bytes = sealed(&hostile.concat());
    let cost = peak(|| assert!(pack::program_from_bytes(&bytes).is_err()));
    assert!(cost <= at_most, "{cost} bytes for {:?}", hostile[hostile.len() - 1].escape_ascii().to_string());
}

#[test]
fn lengths_of_4_gib_cost_little() {
    // Markers of MessagePack: 0xdd array 32, 0xdf map 32, 0xc6 bin 32, 0xdb str 32, 0xc9 ext 32.
    for marker in [0xdd, 0xdf, 0xc6, 0xdb, 0xc9] {
        costs(&[&[marker], &HUGE], 2 * MIB);
        costs(&[b"\x81\xa5calls", &[marker], &HUGE], 2 * MIB);
        costs(&[b"\x81", &[marker], &HUGE], 2 * MIB);
        costs(&[b"\x81\xa5calls\x91\x82\xa2id", &[marker], &HUGE], 2 * MIB);
        costs(&[BEFORE_ARGS, &[marker], &HUGE], 2 * MIB);
        costs(&[BEFORE_ARGS, b"\x91\x81\xa5Bytes", &[marker], &HUGE], 2 * MIB);
        costs(&[BEFORE_ARGS, b"\x91\x81\xa5Group", &[marker], &HUGE], 2 * MIB);
        costs(&[b"\x82\xa7unknown", &[marker], &HUGE], 2 * MIB);
    }
    // As deep as may be, each level claiming 4 Gi elements.
    let level = [b"\xdd".as_slice(), &HUGE, b"\x81\xa5Group"].concat();
    costs(&[BEFORE_ARGS, &level.repeat(1000)], (pack::MAX_DEPTH + 1) * MIB);
    costs(&[b"\x81\xa7unknown", &b"\x91".repeat(MIB / 2)], 4 * MIB);

    // A file full of the smallest arguments: 4 bytes and up in the file for each in memory.
    let mut full = [BEFORE_ARGS, b"\xdd\x00\x02\x00\x00"].concat();
    (0..0x20000).for_each(|_| full.extend_from_slice(b"\x81\xa3Int\x00"));
    costs(&[&full], 16 * MIB);

    // And the text: the longest lists and strings that are read.
    for hostile in [
        format!("write$keys(3, \"{}", "x".repeat(MIB - 20)),
        format!("write$keys(3, \"{}\")", "x".repeat(MIB - 20)),
        "[".repeat(MIB),
        "r".repeat(MIB),
        format!("getsid({})", "9".repeat(MIB - 20)),
        format!("ioctl$tcsets(0, {{{}", "1,".repeat(MIB / 2 - 20)),
        format!("openat$tty({}0)", "1|".repeat(MIB / 2 - 20)),
        format!("{}setsid()", "r0,".repeat(MIB / 3 - 20)),
        "setsid()\n".repeat(MIB / 9),
        "\n".repeat(MIB),
    ] {
        let start = &hostile[..20];
        let cost = peak(|| drop(text::parse(&hostile)));
        assert!(cost <= 16 * MIB, "{cost} bytes for {start:?}");
    }
}
