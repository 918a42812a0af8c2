//! Scenes: short programs that set up what their last call needs to succeed, where a random choice of arguments
//! hardly ever would: a connection takes a listening socket of the same name, a message needs somebody who sent one.

use crate::dice::Dice;
use crate::generate::{Generator, LONGEST};
use crate::tally::Weights;
use parallax_corpus::{CallId, Program, ResRef, text};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Two connected streams by way of a path: `r1` connects, `r0` listens.
macro_rules! connected {
    ($rest:literal) => {
        concat!(
            "r0 = socket$unix(SOCK_STREAM)\nbind$un(r0, {AF_UNIX, ABSTRACT_A}, 110)\nlisten(r0, 5)\n",
            "r1 = socket$unix(SOCK_STREAM)\nconnect$un(r1, {AF_UNIX, ABSTRACT_A}, 110)\n",
            $rest
        )
    };
}
/// A listening TCP socket `r0`, its port `r1`, and a client `r2` that is connected.
macro_rules! tcp {
    ($rest:literal) => {
        concat!(
            "r0 = socket$tcp(SOCK_STREAM, 0)\nbind$in(r0, {AF_INET, LOOPBACK}, 16)\nlisten(r0, 5)\n",
            "r1 = getsockname$in(r0, out, {16})\nr2 = socket$tcp(SOCK_STREAM, 0)\n",
            "connect$in(r2, {r1, LOOPBACK}, 16)\n",
            $rest
        )
    };
}
/// A UDP socket `r0` with port `r1`, and another one, `r2`.
macro_rules! udp {
    ($rest:literal) => {
        concat!(
            "r0 = socket$udp(SOCK_DGRAM, 0)\nbind$in(r0, {AF_INET, LOOPBACK}, 16)\n",
            "r1 = getsockname$in(r0, out, {16})\nr2 = socket$udp(SOCK_DGRAM, 0)\n",
            $rest
        )
    };
}
/// Two datagram sockets with names, `r0` and `r1`.
macro_rules! named {
    ($rest:literal) => {
        concat!(
            "r0 = socket$unix(SOCK_DGRAM)\nbind$un(r0, {AF_UNIX, PATH_S0}, 110)\n",
            "r1 = socket$unix(SOCK_DGRAM)\nbind$un(r1, {AF_UNIX, ABSTRACT_B}, 110)\n",
            $rest
        )
    };
}
/// A pair `r0`, `r1`.
macro_rules! pair {
    ($rest:literal) => {
        concat!("r0, r1 = socketpair$stream(out)\n", $rest)
    };
}
/// A file `r0` with the path `r1` and an attribute.
macro_rules! attribute {
    ($rest:literal) => {
        concat!("r0, r1 = openat$create(\"f0\", 0o644)\nsetxattr(r1, \"value\", XATTR_CREATE)\n", $rest)
    };
}
/// A message queue of its own.
macro_rules! queue {
    ($rest:literal) => {
        concat!("r0 = mq_open({0, 4, 16})\n", $rest)
    };
}
/// A signal that is blocked, and the program's pid `r0`.
macro_rules! blocked {
    ($rest:literal) => {
        concat!("r0 = getpid()\nrt_sigprocmask$block({{SIGUSR1}})\n", $rest)
    };
}

/// All scenes. The last call of each is what it is about.
pub const SCENES: &[&str] = &[
    connected!("accept(r0)"),
    connected!("accept4(r0, out, {16}, SOCK_CLOEXEC)"),
    connected!("r2 = accept(r0)\nsendto(r1, \"hello\", 0)\nrecvfrom(r2, out[16], 0)"),
    connected!("getpeername$un(r1, out, {128})"),
    connected!("getsockopt$peercred(r1, out, {12})"),
    connected!("shutdown(r1, SHUT_WR)"),
    "r0 = socket$unix(SOCK_STREAM)\nbind$un(r0, {AF_UNIX, PATH_S0}, 110)\nlisten(r0, 5)\n\
     r1 = socket$unix(SOCK_STREAM)\nconnect$un(r1, {AF_UNIX, PATH_S0}, 110)",
    "r0 = socket$unix(SOCK_SEQPACKET)\nbind$un(r0, {AF_UNIX, PATH_T0}, 110)\nlisten(r0, 0)",
    "r0 = socket$unix(SOCK_STREAM)\nbind$un(r0, {AF_UNIX, PATH_S0}, 110)\ngetsockname$un(r0, out, {128})",
    tcp!("r3 = accept4$in(r0, out, {16}, SOCK_CLOEXEC)"),
    tcp!("r3 = accept(r0)\nsendto(r2, \"hello\", 0)\nrecvfrom$in(r3, out[16], 0, out, {16})"),
    tcp!("r3 = accept(r0)\nshutdown(r3, SHUT_WR)\nrecvfrom(r2, out[16], 0)"),
    tcp!("getpeername$in(r2, out, {16})"),
    tcp!("setsockopt$tcp(r2, TCP_NODELAY, {1}, 4)"),
    tcp!("getsockopt$tcp(r2, TCP_NODELAY, out, {4})"),
    tcp!("ioctl$siocoutq(r2, out)"),
    "r0 = socket$udp(SOCK_DGRAM, 0)\nsetsockopt$flag(r0, SO_REUSEADDR, {1}, 4)\n\
     bind$in(r0, {AF_INET, LOOPBACK}, 16)\nr1 = getsockname$in(r0, out, {16})\n\
     r2 = socket$udp(SOCK_DGRAM, 0)\nsetsockopt$flag(r2, SO_REUSEADDR, {1}, 4)\n\
     bind$taken(r2, {r1, LOOPBACK}, 16)",
    udp!("sendto$in(r2, \"hello\", 0, {r1, LOOPBACK}, 16)"),
    udp!("sendto$in(r2, \"hello\", 0, {r1, LOOPBACK}, 16)\nrecvfrom$in(r0, out[16], 0, out, {16})"),
    udp!("connect$in(r2, {r1, LOOPBACK}, 16)\nsendmmsg(r2, 1, 0, [\"ab\", \"c\"])"),
    udp!("sendto$in(r2, \"hello\", 0, {r1, LOOPBACK}, 16)\nrecvmsg(r0, MSG_TRUNC, [out[2]])"),
    "r0 = socket$udp(SOCK_DGRAM, 0)\nsetsockopt$ip(r0, IP_TTL, {5}, 4)\ngetsockopt$ip(r0, IP_TTL, out, {4})",
    "r0 = socket$udp(SOCK_DGRAM, 0)\nsetsockopt$flag(r0, SO_REUSEADDR, {1}, 4)\n\
     getsockopt$flag(r0, SO_REUSEADDR, out, {4})",
    named!("sendto$un(r1, \"hello\", 0, {AF_UNIX, PATH_S0}, 110)"),
    named!("sendmsg$un(r1, 0, [\"hello\"], {AF_UNIX, PATH_S0})"),
    named!("sendto$un(r1, \"hello\", 0, {AF_UNIX, PATH_S0}, 110)\nrecvfrom$un(r0, out[16], 0, out, {128})"),
    named!("connect$un(r0, {AF_UNIX, ABSTRACT_B}, 110)"),
    pair!("sendmsg(r0, 0, [\"hello\"])"),
    pair!("sendmsg(r0, 0, [\"hello\"])\nrecvmsg(r1, MSG_PEEK, [out[16]])"),
    pair!("r2, _ = pipe(out)\nsendmsg$rights(r0, 0, [\"x\"], {20, SOL_SOCKET, SCM_RIGHTS, r2})"),
    pair!(
        "r2, _ = pipe(out)\nsendmsg$rights(r0, 0, [\"x\"], {20, SOL_SOCKET, SCM_RIGHTS, r2})\n\
         recvmsg$control(r1, MSG_CMSG_CLOEXEC, [out[16]], out)"
    ),
    pair!("r2 = getpid()\nsendmsg$creds(r0, 0, [\"x\"], {28, SOL_SOCKET, SCM_CREDENTIALS, r2, ROOT, ROOT})"),
    pair!(
        "setsockopt$flag(r1, SO_PASSCRED, {1}, 4)\nsendmsg(r0, 0, [\"x\"])\n\
         recvmsg$control(r1, 0, [out[16]], out)"
    ),
    pair!(
        "r2, _ = pipe(out)\nsendmsg$rights(r0, 0, [\"x\"], {20, SOL_SOCKET, SCM_RIGHTS, r2})\n\
         recvmsg$short(r1, 0, [out[16]], out)"
    ),
    pair!("sendmmsg(r0, 1, 0, [\"hello\"])\nrecvmmsg(r1, 1, 0, [out[16]])"),
    "mknodat$fifo(\"f0\")\nr0 = openat$fifo(\"f0\", O_RDWR|O_NONBLOCK)\nwrite(r0, \"x\")\nread(r0, out[16])",
    "mknodat$fifo(\"f1\")\nopenat$fifo(\"f1\", O_NONBLOCK)",
    attribute!("getxattr(r1, out[64])"),
    attribute!("lgetxattr(r1, out[64])"),
    attribute!("fgetxattr(r0, out[64])"),
    attribute!("setxattr(r1, \"other\", XATTR_REPLACE)"),
    attribute!("lsetxattr(r1, \"other\", 0)"),
    attribute!("removexattr(r1)"),
    attribute!("lremovexattr(r1)"),
    attribute!("fremovexattr(r0)"),
    attribute!("flistxattr(r0)"),
    "r0 = shmget(KEY1, 4096)\nr1 = shmat(r0, PAGE1, 0)\npoke(r1, 0x41, 16)\nload(r1)",
    "r0 = shmget(IPC_PRIVATE, 8192)\nr1 = shmat(r0, PAGE2, 0)\nshmdt(r1)",
    "r0 = shmget(IPC_PRIVATE, 4096)\nshmctl$rmid(r0)",
    "r0 = shmget(KEY1, 4096)\nshmat(r0, PAGE3, 0)\nshmctl$stat(r0, out)",
    "r0 = semget(KEY1, 2)\nsemop(r0, [{0, 2, 0}, {1, 1, SEM_UNDO}])\nsemctl$getall(r0, out)",
    "r0 = semget(KEY1, 2)\nsemop(r0, [{0, 1, 0}])\nsemctl$getpid(r0, 0)",
    "r0 = semget(IPC_PRIVATE, 1)\nsemtimedop(r0, [{0, 1, 0}], {1000})",
    "r0 = semget(IPC_PRIVATE, 2)\nsemctl$setall(r0, {5, 1})\nsemctl$getval(r0, 0)",
    "r0 = msgget(KEY1)\nmsgsnd(r0, {1, 0x61}, 8, 0)\nmsgrcv(r0, out, 8, 0, 0)",
    "r0 = msgget(KEY2)\nmsgsnd(r0, {2, 0x61}, 5, 0)\nmsgsnd(r0, {1, 0x62}, 5, 0)\nmsgrcv(r0, out, 8, 1, 0)",
    "r0 = msgget(KEY1)\nmsgsnd(r0, {2, 0x61}, 8, IPC_NOWAIT)\nmsgctl$stat(r0, out)",
    queue!("mq_timedsend(r0, \"hello\", 1)"),
    queue!("mq_timedsend(r0, \"a\", 1)\nmq_timedsend(r0, \"b\", 5)\nmq_timedreceive(r0, out[64], out)"),
    queue!("mq_timedsend$past(r0, \"hello\", 1, {1})"),
    queue!("mq_timedsend(r0, \"hello\", 0)\nmq_timedreceive$past(r0, out[64], {1})"),
    queue!("mq_open$again(O_RDONLY|O_NONBLOCK)"),
    queue!("mq_notify(r0, {1})"),
    queue!("mq_notify(r0, {1})\nmq_notify$off(r0)"),
    queue!("mq_getsetattr(r0, {O_NONBLOCK}, out)"),
    queue!("mq_unlink()"),
    blocked!(
        "rt_sigqueueinfo(r0, SIGUSR1, {SI_QUEUE, r0, ROOT, 7})\nrt_sigtimedwait$value({{SIGUSR1}}, out, {1000})"
    ),
    blocked!(
        "r1 = gettid()\nrt_tgsigqueueinfo(r0, r1, SIGUSR1, {SI_QUEUE, r0, ROOT, 7})\nrt_sigpending(out)"
    ),
    blocked!("r1 = gettid()\ntgkill(r0, r1, SIGUSR1)\nrt_sigtimedwait({{SIGUSR1}}, out, {1000})"),
    "r0 = mmap$private(PAGE4, 0x4000, PROT_READ|PROT_WRITE)\nsigaltstack({r0, 0, 16384}, out)\n\
     rt_sigaction$set(SIGUSR1, {HANDLER, SA_ONSTACK, {}})\nr1 = gettid()\ntkill(r1, SIGUSR1)\nsignal_log(out)",
    "r0, r1 = pipe(out)\nwrite(r1, \"x\")\nselect(4, {8}, {0}, {0})",
    "r0, r1 = pipe(out)\npselect6(5, {8}, {16}, {0}, {0})",
    "r0, r1 = pipe(out)\nvmsplice(r1, [\"hello\", \"you\"], 0)\nread(r0, out[16])",
    "r0, r1 = pipe(out)\nwrite(r1, \"hello\")\nvmsplice$from(r0, [out[4], out[4]], 0)",
    "futex$lock_pi({0}, 6)",
    "task$thread()\nr0 = mmap$private(PAGE1, 4096, PROT_READ|PROT_WRITE)\n@1 futex$wait_at(r0, 128, 0)\n\
     futex$wake_at(r0, 129, 1)",
    "task$thread()\nr0 = mmap$private(PAGE2, 4096, PROT_READ|PROT_WRITE)\n@1 futex$wake_at(r0, 129, 1)\n\
     futex$wait_at(r0, 128, 0)\n@1 futex$wake_at(r0, 129, 0x7fffffff)",
    "task$process()\n@1 setsid()",
    "setrlimit$fsize({4096, FSIZE_MAX})",
    "openat2(\"f0\", {O_RDWR|O_CREAT, 0o644, 0})",
    "mkdirat(\"d0\", 0o755)\nopenat2(\"d0\", {O_DIRECTORY, 0, RESOLVE_BENEATH})",
    "openat2$size({O_DIRECTORY, 0}, 24)",
    "r0 = gettid()\nrt_sigprocmask$block({{SIGUSR1}})\ntkill(r0, SIGUSR1)\nr1 = signalfd4({{SIGUSR1}}, SFD_NONBLOCK)\n\
     read$signal(r1, out)",
    "r0 = inotify_init1(IN_NONBLOCK)\ninotify_add_watch$cwd(r0, IN_CREATE)\nopenat$create(\"f0\", 0o644)\n\
     read$inotify(r0, out)",
    "r0 = inotify_init1(IN_NONBLOCK)\ninotify_add_watch$cwd(r0, IN_CREATE)\ninotify_rm_watch(r0, 1)",
    "r0 = spawn(1000, 0)\nsetpgid(r0, r0)",
    "rt_sigaction$set(SIGHUP, {SIG_IGN, 0, {}})\nioctl$tiocnotty(0)",
    "r0 = openat$create(\"f0\", 0o644)\nwrite$file(r0, \"hello\")\nlseek$data(r0, 0)",
    "r0, r1 = pipe(out)\nr2, r3 = pipe(out)\nwrite(r1, \"hello\")\nsplice(r0, r3, 100, 0)",
    "mlockall(MCL_FUTURE)",
    "socket$odd(AF_UNIX, 1, 1)",
    "umask(0o077)\nrt_sigprocmask$block({{SIGUSR1}})\nr0 = openat$status(O_RDONLY)\nread$lines(r0, out[2048])",
    "setrlimit$fsize({4096, FSIZE_MAX})\nr0 = openat$limits(O_RDONLY)\nread$lines(r0, out[2048])",
    "r0 = openat$append(\"f0\", 0o644)\nwrite$file(r0, \"hello\")\nr1 = openat$fdinfo3(O_RDONLY)\n\
     read$lines(r1, out[2048])",
    "r0, r1 = pipe2(out, O_NONBLOCK)\nr2 = openat$fdinfo4(O_CLOEXEC)\nread$lines(r2, out[2048])",
];

static BY_CALL: LazyLock<HashMap<CallId, Vec<Program>>> = LazyLock::new(|| {
    let mut scenes: HashMap<CallId, Vec<Program>> = HashMap::new();
    // A test sees to it that all of them can be read.
    for program in SCENES.iter().filter_map(|scene| text::parse(scene).ok()) {
        if let Some(last) = program.calls.last() {
            scenes.entry(last.id).or_default().push(program);
        }
    }
    scenes
});

/// Appends a scene that ends in that call, if there is one, all of it may be made, and it fits. Returns the call's index.
pub(crate) fn stage<D: Dice>(
    generator: &Generator,
    dice: &mut D,
    weights: &Weights,
    program: &mut Program,
    id: CallId,
) -> Option<usize> {
    let scene = dice.pick(BY_CALL.get(&id)?)?;
    let first = program.calls.len();
    let made = |id: CallId| generator.allows(id) && weights.of(id) > 0;
    if first + scene.calls.len() > LONGEST || !scene.calls.iter().all(|call| made(call.id)) {
        return None;
    }
    let mut scene = scene.clone();
    scene.rewrite_refs(|r| Some(ResRef { call: r.call + first as u16, ..r }));
    // The scene's tasks are not those that are there already.
    let begun = program.tasks(first).count() as u8;
    scene.calls.iter_mut().filter(|call| call.task > 0).for_each(|call| call.task += begun);
    program.calls.append(&mut scene.calls);
    program.fit_tasks();
    Some(program.calls.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scene_can_be_read_and_is_short() {
        for scene in SCENES {
            let program = text::parse(scene).unwrap_or_else(|error| panic!("{error}\n{scene}"));
            assert!((1..=10).contains(&program.calls.len()), "{scene}");
        }
    }
}
