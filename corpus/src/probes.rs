//! The probes that follow a program: calls of the same language that look at what it left behind (see
//! `docs/decisions/0003-probes-are-calls.md`).

use crate::desc::{self, Kind};
use crate::program::{Arg, Call, CallId, Program, ResRef};
use crate::wire::{FD_PTM, FD_TTY};

/// Most descriptors that are probed after a program.
const MAX_PROBED: usize = 10;

/// The probes of a program: calls of the same language that look at what it left behind.
pub(crate) fn of(program: &Program) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut probe = |name: &str, args: Vec<Arg>| push(&mut calls, name, args);
    let needs = program.needs();
    let mut fds: Vec<(Arg, u32)> = Vec::new();
    if needs & desc::NEED_TTY != 0 {
        fds.push((Arg::Int(FD_TTY), desc::FD_TTY));
        fds.push((Arg::Int(FD_PTM), desc::FD_PTM));
    }
    if needs & desc::NEED_OUTER != 0 {
        // 1 and 2 are the same open file.
        fds.push((Arg::Int(FD_TTY), desc::FD_TTY));
        // First of all, since a probe may not show what the others do.
        probe("outside$shown", vec![Arg::Out(256)]);
    }
    for (i, call) in program.calls.iter().enumerate() {
        for slot in 0..call.id.desc().makes.len() {
            let r = ResRef { call: i as u16, slot: slot as u8 };
            if let Some(Kind::Fd(kinds)) = program.kind_of(r) {
                fds.push((Arg::Res(r), kinds));
            }
        }
    }
    fds.truncate(MAX_PROBED);
    for (fd, kinds) in fds {
        let fd = || fd.clone();
        // Once closed, the number may be another one's, which has its own probes.
        if program.calls.iter().any(|c| c.id.name() == "close" && c.args.first() == Some(&fd())) {
            probe("fcntl$getfd", vec![fd()]);
            continue;
        }
        probe("fcntl$getfl", vec![fd()]);
        probe("fcntl$getfd", vec![fd()]);
        if kinds & (desc::FD_TTY | desc::FD_PTM) != 0 {
            probe("ioctl$tcgets", vec![fd(), Arg::Out(0)]);
            probe("ioctl$tiocgwinsz", vec![fd(), Arg::Out(0)]);
            probe("ioctl$fionread", vec![fd(), Arg::Out(0)]);
        } else if kinds & desc::FD_PIPE != 0 {
            probe("ioctl$fionread", vec![fd(), Arg::Out(0)]);
        } else if kinds & desc::FD_FILE != 0 {
            probe("lseek", vec![fd(), Arg::Int(0), Arg::Int(SEEK_CUR)]);
            probe("fstat", vec![fd(), Arg::Out(0)]);
        }
    }
    if needs & desc::NEED_SIG != 0 {
        probe("rt_sigprocmask$get", vec![Arg::Out(0)]);
        probe("rt_sigpending", vec![Arg::Out(0)]);
        probe("signal_log", vec![Arg::Out(0)]);
    }
    if needs & desc::NEED_FS != 0 {
        let r = ResRef { call: (program.calls.len() + calls.len()) as u16, slot: 0 };
        push(&mut calls, "openat$dir", vec![Arg::Bytes(b"/w".to_vec()), Arg::Int(O_DIRECTORY)]);
        push(&mut calls, "getdents64", vec![Arg::Res(r), Arg::Out(2048)]);
        push(&mut calls, "tree", vec![Arg::Out(0)]);
    }
    // Last, since it writes to pages that may be a file's.
    if needs & desc::NEED_MEM != 0 {
        push(&mut calls, "window", vec![Arg::Out(0)]);
    }
    calls
}

/// Adds a probe. The names are the tables' own: a test sees to it that each is there.
fn push(calls: &mut Vec<Call>, name: &str, args: Vec<Arg>) {
    if let Some(id) = CallId::named(name) {
        calls.push(Call::new(id, args));
    }
}

const SEEK_CUR: u64 = 1;
const O_DIRECTORY: u64 = 0o200000;
