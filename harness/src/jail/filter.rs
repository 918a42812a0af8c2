//! The system-call filters, as BPF for `seccomp(2)`.
//!
//! The deny list is no wall against a clever attacker (the namespaces, the missing capabilities and the unmapped ids
//! are that): it keeps random calls away from those parts of the kernel that are about the whole machine, that hand out
//! new namespaces with all capabilities in them, or that crash often. The kernel remembers which calls are always
//! allowed (since 5.11), so an allowed call costs nothing more.

use libc::{c_long, sock_filter};
use nix::errno::Errno;

/// Denied with EPERM.
#[rustfmt::skip]
const DENIED: &[c_long] = &[
    // Namespaces and mounts.
    libc::SYS_unshare, libc::SYS_setns, libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_chroot,
    libc::SYS_move_mount, libc::SYS_open_tree, libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount,
    libc::SYS_fspick, libc::SYS_mount_setattr, OPEN_TREE_ATTR,
    // Other processes' insides.
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Large or often broken parts of the kernel, and memory nobody accounts for.
    libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_memfd_secret, libc::SYS_modify_ldt,
    // Keys: counted by user, alive after the jail.
    libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key,
    // The machine.
    libc::SYS_kexec_load, libc::SYS_kexec_file_load, libc::SYS_reboot, libc::SYS_init_module,
    libc::SYS_finit_module, libc::SYS_delete_module, libc::SYS_swapon, libc::SYS_swapoff,
    libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_clock_adjtime, libc::SYS_adjtimex, libc::SYS_syslog,
    libc::SYS_acct, libc::SYS_quotactl, libc::SYS_quotactl_fd, libc::SYS_iopl, libc::SYS_ioperm,
    libc::SYS_sethostname, libc::SYS_setdomainname, libc::SYS_vhangup, libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl, libc::SYS__sysctl,
    // Files past the path lookup, and events of whole file systems.
    libc::SYS_open_by_handle_at, libc::SYS_name_to_handle_at, libc::SYS_fanotify_init,
];

/// `open_tree_attr(2)`, Linux 6.15; not in `libc` yet.
const OPEN_TREE_ATTR: c_long = 467;
/// `CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET`. (`CLONE_NEWTIME` is for `clone3` and
/// `unshare` only: in `clone` that bit belongs to the exit signal.)
const CLONE_NEW_ANY: u32 = 0x7e02_0000;
/// `AUDIT_ARCH_X86_64` of linux/audit.h.
const X86_64: u32 = 0xc000_003e;
/// Numbers from here on are the x32 way in. Kernels without it say ENOSYS, so we do.
const X32: u32 = 0x4000_0000;

// Offsets in struct seccomp_data (seccomp(2)).
const NR: u32 = 0;
const ARCH: u32 = 4;
const ARG0_LOW: u32 = 16;

fn load(offset: u32) -> sock_filter {
    sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k: offset }
}

/// Jumps `jt` or `jf` instructions further.
fn jump(op: u32, k: u32, jt: usize, jf: usize) -> sock_filter {
    let near = |n: usize| u8::try_from(n).expect("the filter's jumps are short");
    sock_filter { code: (libc::BPF_JMP | op | libc::BPF_K) as u16, jt: near(jt), jf: near(jf), k }
}

fn give(action: u32) -> sock_filter {
    sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: action }
}

fn errno(e: Errno) -> u32 {
    libc::SECCOMP_RET_ERRNO | e as u32
}

/// The deny list as the agent takes it with `--filter`: a message of `struct sock_filter`s.
pub fn deny_list_message() -> Vec<u8> {
    let filter = deny_list();
    let mut bytes = ((filter.len() * size_of::<sock_filter>()) as u32).to_le_bytes().to_vec();
    for sock_filter { code, jt, jf, k } in filter {
        bytes.extend(code.to_le_bytes());
        bytes.extend([jt, jf]);
        bytes.extend(k.to_le_bytes());
    }
    bytes
}

/// The deny list. Calls of another architecture kill the process.
pub(super) fn deny_list() -> Vec<sock_filter> {
    let mut numbers: Vec<u32> = DENIED.iter().map(|&nr| nr as u32).collect();
    numbers.sort_unstable();
    numbers.dedup();
    // Neighbours become ranges: the kernel runs the filter once for every number when it is installed.
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for nr in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == nr => *last = nr,
            _ => ranges.push((nr, nr)),
        }
    }
    let mut program = vec![
        load(ARCH),
        jump(libc::BPF_JEQ, X86_64, 1, 0),
        give(libc::SECCOMP_RET_KILL_PROCESS),
        load(NR),
        jump(libc::BPF_JGE, X32, 0, 1),
        give(errno(Errno::ENOSYS)),
        // clone3's flags lie in memory, where a filter can't look. ENOSYS makes every libc fall back to clone.
        jump(libc::BPF_JEQ, libc::SYS_clone3 as u32, 0, 1),
        give(errno(Errno::ENOSYS)),
        jump(libc::BPF_JEQ, libc::SYS_clone as u32, 0, 4),
        load(ARG0_LOW),
        jump(libc::BPF_JSET, CLONE_NEW_ANY, 0, 1),
        give(errno(Errno::EPERM)),
        give(libc::SECCOMP_RET_ALLOW),
    ];
    let body: usize = ranges.iter().map(|(a, b)| if a == b { 1 } else { 2 }).sum();
    let mut left = body;
    for (first, last) in ranges {
        // `left - 1` more instructions and the ALLOW lie between this one and the EPERM.
        if first == last {
            program.push(jump(libc::BPF_JEQ, first, left, 0));
            left -= 1;
        } else {
            // Below the range: it is below all further ones too, but falling through is as right and simpler.
            program.push(jump(libc::BPF_JGE, first, 0, 1));
            program.push(jump(libc::BPF_JGT, last, 0, left - 1));
            left -= 2;
        }
    }
    program.extend([give(libc::SECCOMP_RET_ALLOW), give(errno(Errno::EPERM))]);
    program
}

/// Hands the calls in `numbers` to the listener. A `sendmsg` on descriptor `report` passes in any case: by it the
/// child, already under this filter, hands the listener to its parent.
pub(super) fn notify(numbers: &[u32], report: i32) -> Vec<sock_filter> {
    let mut program = vec![
        load(ARCH),
        jump(libc::BPF_JEQ, X86_64, 1, 0),
        give(libc::SECCOMP_RET_ALLOW),
        load(NR),
        jump(libc::BPF_JEQ, libc::SYS_sendmsg as u32, 0, 4),
        load(ARG0_LOW),
        jump(libc::BPF_JEQ, report as u32, 0, 1),
        give(libc::SECCOMP_RET_ALLOW),
        load(NR),
    ];
    for &nr in numbers {
        program.extend([jump(libc::BPF_JEQ, nr, 0, 1), give(libc::SECCOMP_RET_USER_NOTIF)]);
    }
    program.push(give(libc::SECCOMP_RET_ALLOW));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do with a call: enough of a BPF machine for the instructions above.
    fn run(program: &[sock_filter], arch: u32, nr: u32, arg0: u32) -> u32 {
        let (mut a, mut at) = (0u32, 0usize);
        loop {
            let i = program[at];
            at += 1;
            let yes = match u32::from(i.code) {
                0x20 => {
                    a = match i.k {
                        NR => nr,
                        ARCH => arch,
                        ARG0_LOW => arg0,
                        k => panic!("loads {k}"),
                    };
                    continue;
                }
                0x06 => return i.k,
                0x15 => a == i.k,
                0x25 => a > i.k,
                0x35 => a >= i.k,
                0x45 => a & i.k != 0,
                code => panic!("instruction {code:#x}"),
            };
            at += usize::from(if yes { i.jt } else { i.jf });
        }
    }

    #[test]
    fn exactly_the_listed_calls_are_denied() {
        let program = deny_list();
        for nr in 0..1000u32 {
            let want = match c_long::from(nr) {
                libc::SYS_clone3 => errno(Errno::ENOSYS),
                n if DENIED.contains(&n) => errno(Errno::EPERM),
                _ => libc::SECCOMP_RET_ALLOW,
            };
            assert_eq!(run(&program, X86_64, nr, 0), want, "call {nr}");
        }
    }

    #[test]
    fn clone_passes_only_without_namespaces() {
        let program = deny_list();
        let clone = |flags: i32| run(&program, X86_64, libc::SYS_clone as u32, flags as u32);
        assert_eq!(clone(libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD), libc::SECCOMP_RET_ALLOW);
        for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWCGROUP, libc::CLONE_NEWNET] {
            assert_eq!(clone(flag | libc::SIGCHLD), errno(Errno::EPERM), "{flag:#x}");
        }
    }

    #[test]
    fn other_ways_into_the_kernel_are_shut() {
        let program = deny_list();
        assert_eq!(run(&program, 0x4000_0003, 4, 0), libc::SECCOMP_RET_KILL_PROCESS);
        assert_eq!(run(&program, X86_64, X32 | 1, 0), errno(Errno::ENOSYS));
        assert_eq!(run(&program, X86_64, u32::MAX, 0), errno(Errno::ENOSYS));
    }

    #[test]
    fn the_listener_gets_its_calls_but_not_the_report() {
        let sendmsg = libc::SYS_sendmsg as u32;
        let program = notify(&[16, sendmsg], 300);
        assert_eq!(run(&program, X86_64, 16, 0), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(run(&program, X86_64, sendmsg, 3), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(run(&program, X86_64, sendmsg, 300), libc::SECCOMP_RET_ALLOW);
        assert_eq!(run(&program, X86_64, 17, 0), libc::SECCOMP_RET_ALLOW);
    }
}
