//! Looking at what a program left behind where no single call shows it: the pages of the window, the files in the working
//! directory. Both come down to a few words, so that every program can afford them.

use crate::sys::{close, nr, open, syscall, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW};
use crate::wire::*;

const PAGE: u64 = 4096;

/// What each page of the window is, and a digest of what it holds. The kernel itself says what may be done with a page:
/// it refuses to take a byte from one that cannot be read and to put one into one that cannot be written. Returns 0, or
/// a negative errno where it cannot be asked.
pub fn window(to: u64) -> i64 {
    let mut ends = [0i32; 2];
    let made = syscall(nr::PIPE2, [ends.as_mut_ptr() as u64, O_CLOEXEC, 0, 0, 0, 0]);
    if made < 0 {
        return made;
    }
    let [from, into] = ends.map(|fd| fd as i64);
    for k in 0..WINDOW_SIZE / PAGE {
        let at = WINDOW + k * PAGE;
        let (state, digest) = page(at, from, into);
        let place = (to + k * 8) as *mut u32;
        // SAFETY: the program's own out buffer has room for all pages (the table says its size).
        unsafe {
            place.write_unaligned(state);
            place.add(1).write_unaligned(digest);
        }
    }
    close(from);
    close(into);
    0
}

fn page(at: u64, from: i64, into: i64) -> (u32, u32) {
    let mut resident = 0u8;
    if syscall(nr::MINCORE, [at, PAGE, &mut resident as *mut u8 as u64, 0, 0, 0]) < 0 {
        return (0, 0);
    }
    if syscall(nr::WRITE, [into as u64, at, 1, 0, 0, 0]) != 1 {
        return (PAGE_MAPPED, 0);
    }
    let mut digest = Digest::new(0);
    for k in 0..PAGE / 8 {
        // SAFETY: the kernel has just read from this page, so it is there, and nobody else maps or unmaps.
        digest.add(unsafe { ((at + k * 8) as *const u64).read_volatile() });
    }
    // The same byte back again.
    if syscall(nr::READ, [from as u64, at, 1, 0, 0, 0]) == 1 {
        return (PAGE_MAPPED | PAGE_READ | PAGE_WRITE, digest.fold());
    }
    let mut byte = 0u8;
    syscall(nr::READ, [from as u64, &mut byte as *mut u8 as u64, 1, 0, 0, 0]);
    (PAGE_MAPPED | PAGE_READ, digest.fold())
}

/// FNV-1a over words, good enough to tell two contents apart.
#[derive(Clone, Copy)]
struct Digest(u64);

impl Digest {
    fn new(seed: u64) -> Digest {
        Digest(seed ^ 0xcbf2_9ce4_8422_2325)
    }
    fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.add(*byte as u64);
        }
        self.add(bytes.len() as u64 | 1 << 32);
    }
    fn fold(self) -> u32 {
        (self.0 ^ self.0 >> 32) as u32
    }
}

/// Everything below the working directory, as sums over the entries, whose order is free.
struct Tree {
    words: [u32; TREE_WORDS],
}

/// Deeper trees and more entries are not looked at: programs of a few dozen calls make none.
const MAX_DEPTH: u32 = 12;
const MAX_ENTRIES: u32 = 256;
/// Bytes of a file that are looked at.
const HEAD: usize = 4096;

/// Looks at the tree below `/w`.
pub fn tree(to: u64) -> i64 {
    let mut tree = Tree { words: [0; TREE_WORDS] };
    let dir = open(b"/w\0", O_DIRECTORY | O_CLOEXEC);
    if dir < 0 {
        return dir;
    }
    tree.walk(dir, 0, 0);
    close(dir);
    // SAFETY: the program's own out buffer has room for the words (the table says its size).
    unsafe { core::ptr::copy_nonoverlapping(tree.words.as_ptr() as *const u8, to as *mut u8, 4 * TREE_WORDS) };
    0
}

impl Tree {
    fn add(&mut self, word: usize, path: u64, value: u64) {
        let mut digest = Digest::new(path);
        digest.add(value);
        self.words[word] = self.words[word].wrapping_add(digest.fold());
    }

    fn walk(&mut self, dir: i64, path: u64, depth: u32) {
        let mut entries = [0u8; 2048];
        loop {
            let n = syscall(nr::GETDENTS64, [dir as u64, entries.as_mut_ptr() as u64, 2048, 0, 0, 0]);
            if n <= 0 {
                return;
            }
            let mut at = 0usize;
            while at + 19 <= n as usize {
                let len = u16::from_le_bytes([entries[at + 16], entries[at + 17]]) as usize;
                if len < 19 || at + len > n as usize || self.words[0] >= MAX_ENTRIES {
                    return;
                }
                let name = &entries[at + 19..at + len];
                at += len;
                let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
                if end < name.len() && !matches!(&name[..end], b"." | b"..") {
                    self.entry(dir, &name[..end + 1], path, depth);
                }
            }
        }
    }

    /// One entry; `name` ends in NUL.
    fn entry(&mut self, dir: i64, name: &[u8], path: u64, depth: u32) {
        let mut here = Digest::new(path);
        here.bytes(name);
        let here = here.0;
        self.words[0] += 1;
        self.add(1, here, 0);
        const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
        let mut stat = [0u64; 18];
        let at = name.as_ptr() as u64;
        let r = syscall(nr::NEWFSTATAT, [dir as u64, at, stat.as_mut_ptr() as u64, AT_SYMLINK_NOFOLLOW, 0, 0]);
        if r < 0 {
            return self.add(2, here, r as u64);
        }
        // struct stat of x86-64: st_nlink, st_mode and st_size.
        let (nlink, mode, size) = (stat[2], stat[3] as u32 as u64, stat[6]);
        let kind = mode >> 12 & 15;
        const DIRECTORY: u64 = 4;
        const REGULAR: u64 = 8;
        const LINK: u64 = 10;
        self.add(2, here, kind);
        if kind != LINK {
            self.add(3, here, mode & 0o7777);
        }
        if kind != DIRECTORY {
            self.add(4, here, size);
            self.add(5, here, nlink);
        }
        match kind {
            DIRECTORY if depth < MAX_DEPTH => {
                let sub = syscall(nr::OPENAT, [dir as u64, at, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0, 0, 0]);
                if sub >= 0 {
                    self.walk(sub, here, depth + 1);
                    close(sub);
                } else {
                    self.add(6, here, sub as u64);
                }
            }
            REGULAR => self.content(dir, at, here),
            LINK => {
                let mut target = [0u8; 512];
                let n = syscall(nr::READLINKAT, [dir as u64, at, target.as_mut_ptr() as u64, 512, 0, 0]);
                let mut digest = Digest::new(n as u64);
                digest.bytes(&target[..n.clamp(0, 512) as usize]);
                self.add(7, here, digest.0);
            }
            _ => {}
        }
    }

    fn content(&mut self, dir: i64, at: u64, here: u64) {
        let fd = syscall(nr::OPENAT, [dir as u64, at, O_NOFOLLOW | O_CLOEXEC, 0, 0, 0]);
        if fd < 0 {
            return self.add(6, here, fd as u64);
        }
        let mut bytes = [0u8; HEAD];
        let n = syscall(nr::READ, [fd as u64, bytes.as_mut_ptr() as u64, HEAD as u64, 0, 0, 0]);
        let mut digest = Digest::new(n as u64);
        digest.bytes(&bytes[..n.clamp(0, HEAD as i64) as usize]);
        self.add(6, here, digest.0);
        close(fd);
    }
}
