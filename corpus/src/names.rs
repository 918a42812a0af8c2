//! The kernel's names for errors and signals, as x86-64 numbers them
//! (include/uapi/asm-generic/errno*.h, include/linux/errno.h, include/uapi/asm-generic/signal.h).

/// What [`errno_name`] says of a number that is no errno.
pub const UNKNOWN_ERRNO: &str = "E?";

/// The name of an errno, [`UNKNOWN_ERRNO`] if it has none.
///
/// The kernel's internal ones (512 and up) are included: no program should ever see them, which makes a layer that
/// lets one out a finding.
pub fn errno_name(errno: i32) -> &'static str {
    let Ok(index) = usize::try_from(errno) else { return UNKNOWN_ERRNO };
    let name = match index {
        0..=133 => ERRNOS[index],
        512..=530 => INTERNAL[index - 512],
        _ => "",
    };
    if name.is_empty() { UNKNOWN_ERRNO } else { name }
}

/// The number of an errno by its name; `EWOULDBLOCK`-like second names are not known.
pub fn errno_named(name: &str) -> Option<i32> {
    let of = |table: &[&str], first: i32| {
        table.iter().position(|n| !n.is_empty() && *n == name).map(|at| at as i32 + first)
    };
    of(&ERRNOS, 0).or_else(|| of(&INTERNAL, 512))
}

/// The name of a classic signal (1 to 31). Real-time ones have none: libraries disagree on which is the first.
pub fn signal_name(signal: u64) -> Option<&'static str> {
    SIGNALS.get(usize::try_from(signal.checked_sub(1)?).ok()?).copied()
}

/// The number of a signal by its name.
pub fn signal_named(name: &str) -> Option<u64> {
    SIGNALS.iter().position(|n| *n == name).map(|at| at as u64 + 1)
}

/// By number. 41 and 58 are empty, as are 0 and the gap in the internal ones.
const ERRNOS: [&str; 134] = [
    "",
    "EPERM",
    "ENOENT",
    "ESRCH",
    "EINTR",
    "EIO",
    "ENXIO",
    "E2BIG",
    "ENOEXEC",
    "EBADF",
    "ECHILD",
    "EAGAIN",
    "ENOMEM",
    "EACCES",
    "EFAULT",
    "ENOTBLK",
    "EBUSY",
    "EEXIST",
    "EXDEV",
    "ENODEV",
    "ENOTDIR",
    "EISDIR",
    "EINVAL",
    "ENFILE",
    "EMFILE",
    "ENOTTY",
    "ETXTBSY",
    "EFBIG",
    "ENOSPC",
    "ESPIPE",
    "EROFS",
    "EMLINK",
    "EPIPE",
    "EDOM",
    "ERANGE",
    "EDEADLK",
    "ENAMETOOLONG",
    "ENOLCK",
    "ENOSYS",
    "ENOTEMPTY",
    "ELOOP",
    "",
    "ENOMSG",
    "EIDRM",
    "ECHRNG",
    "EL2NSYNC",
    "EL3HLT",
    "EL3RST",
    "ELNRNG",
    "EUNATCH",
    "ENOCSI",
    "EL2HLT",
    "EBADE",
    "EBADR",
    "EXFULL",
    "ENOANO",
    "EBADRQC",
    "EBADSLT",
    "",
    "EBFONT",
    "ENOSTR",
    "ENODATA",
    "ETIME",
    "ENOSR",
    "ENONET",
    "ENOPKG",
    "EREMOTE",
    "ENOLINK",
    "EADV",
    "ESRMNT",
    "ECOMM",
    "EPROTO",
    "EMULTIHOP",
    "EDOTDOT",
    "EBADMSG",
    "EOVERFLOW",
    "ENOTUNIQ",
    "EBADFD",
    "EREMCHG",
    "ELIBACC",
    "ELIBBAD",
    "ELIBSCN",
    "ELIBMAX",
    "ELIBEXEC",
    "EILSEQ",
    "ERESTART",
    "ESTRPIPE",
    "EUSERS",
    "ENOTSOCK",
    "EDESTADDRREQ",
    "EMSGSIZE",
    "EPROTOTYPE",
    "ENOPROTOOPT",
    "EPROTONOSUPPORT",
    "ESOCKTNOSUPPORT",
    "EOPNOTSUPP",
    "EPFNOSUPPORT",
    "EAFNOSUPPORT",
    "EADDRINUSE",
    "EADDRNOTAVAIL",
    "ENETDOWN",
    "ENETUNREACH",
    "ENETRESET",
    "ECONNABORTED",
    "ECONNRESET",
    "ENOBUFS",
    "EISCONN",
    "ENOTCONN",
    "ESHUTDOWN",
    "ETOOMANYREFS",
    "ETIMEDOUT",
    "ECONNREFUSED",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "EALREADY",
    "EINPROGRESS",
    "ESTALE",
    "EUCLEAN",
    "ENOTNAM",
    "ENAVAIL",
    "EISNAM",
    "EREMOTEIO",
    "EDQUOT",
    "ENOMEDIUM",
    "EMEDIUMTYPE",
    "ECANCELED",
    "ENOKEY",
    "EKEYEXPIRED",
    "EKEYREVOKED",
    "EKEYREJECTED",
    "EOWNERDEAD",
    "ENOTRECOVERABLE",
    "ERFKILL",
    "EHWPOISON",
];
/// From 512.
const INTERNAL: [&str; 19] = [
    "ERESTARTSYS",
    "ERESTARTNOINTR",
    "ERESTARTNOHAND",
    "ENOIOCTLCMD",
    "ERESTART_RESTARTBLOCK",
    "EPROBE_DEFER",
    "EOPENSTALE",
    "ENOPARAM",
    "",
    "EBADHANDLE",
    "ENOTSYNC",
    "EBADCOOKIE",
    "ENOTSUPP",
    "ETOOSMALL",
    "ESERVERFAULT",
    "EBADTYPE",
    "EJUKEBOX",
    "EIOCBQUEUED",
    "ERECALLCONFLICT",
];
/// From 1.
pub(crate) const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_signals_have_the_kernels_names() {
        for (number, name) in
            [(1, "EPERM"), (11, "EAGAIN"), (38, "ENOSYS"), (95, "EOPNOTSUPP"), (133, "EHWPOISON")]
        {
            assert_eq!(errno_name(number), name);
            assert_eq!(errno_named(name), Some(number));
        }
        assert_eq!(errno_name(516), "ERESTART_RESTARTBLOCK");
        assert_eq!(errno_name(524), "ENOTSUPP");
        for unknown in [i32::MIN, -1, 0, 41, 58, 134, 511, 520, 531, i32::MAX] {
            assert_eq!(errno_name(unknown), UNKNOWN_ERRNO, "{unknown}");
        }
        assert_eq!(errno_named(""), None);
        assert_eq!(signal_name(0), None);
        assert_eq!(signal_name(14), Some("SIGALRM"));
        assert_eq!(signal_named("SIGSYS"), Some(31));
        assert_eq!(signal_name(32), None);
    }
}
