//! Talking without descriptors: System V shared memory, semaphores and message queues, POSIX message queues.
//! Sources: sysvipc(7), shmget(2), shmop(2), shmctl(2), semget(2), semop(2), semctl(2), msgget(2), msgop(2), msgctl(2),
//! mq_overview(7), mq_open(3).
//!
//! The objects outlive whoever made them, so the agent removes them after each program (`NEED_IPC`). Ids are the
//! kernel's choice. Sizes come from closed sets: the kernel writes as much as an object holds.

use super::shapes::*;
use crate::consts::*;
use crate::desc::*;
use crate::{args, makes};
use Meaning::{Exact, Fd, Flags, Opaque, Pid, SizeHint};

const KEY: Ty = Ty::Enum(&IPC_KEY);
/// `IPC_CREAT | 0600`, so that most calls find or make one.
const CREATE: Ty = Ty::Const(0o1600);
const FLAGS: Ty = Ty::Flags(&IPC_FLAGS);
/// `struct ipc64_perm`, which every `*id_ds` begins with. The sequence number is part of the id.
const fn perm(n: usize) -> OField {
    match n {
        0 => of("key", 0, 4, Exact),
        1 => of("uid", 4, 4, Exact),
        2 => of("gid", 8, 4, Exact),
        3 => of("cuid", 12, 4, Exact),
        4 => of("cgid", 16, 4, Exact),
        _ => of("mode", 20, 4, Exact),
    }
}
/// `struct shmid64_ds`. Its times vary.
const SHM_OUT: &[OField] = &[
    perm(0),
    perm(1),
    perm(2),
    perm(3),
    perm(4),
    perm(5),
    of("shm_segsz", 48, 8, Exact),
    of("shm_cpid", 80, 4, Pid),
    of("shm_lpid", 84, 4, Pid),
    of("shm_nattch", 88, 8, Exact),
];
/// `struct semid64_ds`.
const SEM_OUT: &[OField] =
    &[perm(0), perm(1), perm(2), perm(3), perm(4), perm(5), of("sem_nsems", 80, 8, Exact)];
/// `struct msqid64_ds`. How many bytes a queue may hold is a sysctl.
const QUEUE_OUT: &[OField] = &[
    perm(0),
    perm(1),
    perm(2),
    perm(3),
    perm(4),
    perm(5),
    of("msg_cbytes", 72, 8, Exact),
    of("msg_qnum", 80, 8, Exact),
    of("msg_qbytes", 88, 8, SizeHint),
    of("msg_lspid", 96, 4, Pid),
    of("msg_lrpid", 100, 4, Pid),
];
const SHM: Ty = Ty::Id(Id::Shm);
const SEM: Ty = Ty::Id(Id::Sem);
const QUEUE: Ty = Ty::Id(Id::Queue);
/// At most [`SHM_PAGES`] pages: a segment is mapped as a whole.
const SEGMENT: Ty = Ty::OneOf(&[4096, 4096, 8192, 1, 5000, 0]);
/// At most eight: `GETALL` fills as many words as there are semaphores.
const SEMAPHORES: Ty = Ty::OneOf(&[1, 2, 2, 4, 8, 0]);
const WHICH: Ty = Ty::OneOf(&[0, 0, 1, 2, 7, 8, 0xffff_ffff]);
/// `struct sembuf`.
const SEMBUF: &[SField] = &[
    sf("sem_num", 0, 2, Ty::OneOf(&[0, 0, 0, 1, 2, 8])),
    sf("sem_op", 2, 2, Ty::OneOf(&[1, 1, 1, 2, 0, 0, 0xffff, 0xfffe, 0x7fff])),
    sf("sem_flg", 4, 2, Ty::Flags(&SEM_FLG)),
];
const OPS: Ty = Ty::Ptr(In::Array(SEMBUF, 6, 3), Out::Nothing);
const VALUES_OUT: &[OField] = &[of("array", 0, 16, Exact)];
const VALUES_IN: &[SField] = &[
    sf("sem0", 0, 2, Ty::Int(&[0, 1, 5, 0x7fff, 0x8000])),
    sf("sem1", 2, 2, Ty::Int(&[0, 1, 5, 0x7fff, 0x8000])),
];
/// `struct msgbuf`: a type, which must be positive, and eight bytes of text.
const TEXT_IN: &[SField] = &[
    sf("mtype", 0, 8, Ty::Int(&[1, 1, 2, 5, 0, u64::MAX])),
    sf("mtext", 8, 8, Ty::Int(&[0x68_656c_6c6f, 0x61, 0])),
];
const TEXT_OUT: &[OField] = &[of("mtype", 0, 8, Exact), of("mtext", 8, 8, Exact)];
const TEXT_SIZE: Ty = Ty::OneOf(&[8, 8, 8, 5, 1, 0, u64::MAX]);
/// The queue's only name (`wire::QUEUE_NAME`), without the slash that mq_open(3) takes off.
const NAME: Ty = Ty::PathConst("parallax");
const MQ: Ty = Ty::Fd(FD_MQUEUE);
/// `struct mq_attr`: small ones, since what a user may have is a limit of the machine.
const ATTR_IN: &[SField] = &[
    sf("mq_flags", 0, 8, Ty::Flags(&MQ_FLAGS)),
    sf("mq_maxmsg", 8, 8, Ty::OneOf(&[4, 1, 4, 0, u64::MAX])),
    sf("mq_msgsize", 16, 8, Ty::OneOf(&[16, 16, 64, 0, u64::MAX])),
];
const FLAGS_IN: &[SField] = &[sf("mq_flags", 0, 8, Ty::Flags(&MQ_FLAGS))];
const ATTR_OUT: &[OField] = &[
    of("mq_flags", 0, 8, Flags(&MQ_FLAGS)),
    of("mq_maxmsg", 8, 8, Exact),
    of("mq_msgsize", 16, 8, Exact),
    of("mq_curmsgs", 24, 8, Exact),
];
const ATTR_SIZE: u16 = 64;
const PRIORITY: Ty = Ty::OneOf(&[0, 1, 5, 32_767, 32_768]);
const PRIORITY_OUT: &[OField] = &[of("msg_prio", 0, 4, Exact)];
/// `struct timespec` of the epoch: it is over, so nothing waits.
const PAST_IN: &[SField] = &[sf("tv_nsec", 8, 8, Ty::OneOf(&[1, 0, 1_000_000_000]))];
/// `struct sigevent` that says nothing when a message comes.
const NOTIFY_IN: &[SField] = &[sf("sigev_notify", 12, 4, Ty::OneOf(&[1, 1, 3]))];

/// A call of this area.
const fn ipc(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Ipc, args, Exact).needs(NEED_IPC)
}
/// A call that gives the id of an object, made or found.
const fn get(name: &'static str, nr: u32, made: Id, args: &'static [ArgDesc]) -> Desc {
    let makes: &'static [Made] = match made {
        Id::Shm => makes![made_ret(Kind::Id(Id::Shm))],
        Id::Sem => makes![made_ret(Kind::Id(Id::Sem))],
        _ => makes![made_ret(Kind::Id(Id::Queue))],
    };
    ipc(name, nr, args).ret(Opaque).makes(makes)
}

/// The table.
pub const CALLS: &[Desc] = &[
    get("shmget", 29, Id::Shm, args!["key": KEY, "segment": SEGMENT, "shmflg": CREATE]).weight(5),
    get("shmget$flags", 29, Id::Shm, args!["key": KEY, "segment": SEGMENT, "shmflg": FLAGS]).weight(1),
    ipc("shmat", 30, args!["shmid": SHM, "addr": Ty::Page, "shmflg": Ty::Flags(&SHM_AT)])
        .makes(makes![made_ret(Kind::Page)])
        .needs(NEED_MEM)
        .weight(6),
    ipc("shmdt", 67, args!["addr": Ty::Page]).needs(NEED_MEM).weight(3),
    ipc("shmctl$stat", 31, args!["shmid": SHM, "cmd": Ty::Const(2), "buf": out(SHM_OUT, 112)]).weight(4),
    ipc("shmctl$rmid", 31, args!["shmid": SHM, "cmd": ZERO, "buf": ZERO]).weight(2),
    get("semget", 64, Id::Sem, args!["key": KEY, "nsems": SEMAPHORES, "semflg": CREATE]).weight(5),
    get("semget$flags", 64, Id::Sem, args!["key": KEY, "nsems": SEMAPHORES, "semflg": FLAGS]).weight(1),
    ipc("semop", 65, args!["semid": SEM, "sops": OPS, "nsops": Ty::Len(1)]).blocks().weight(6),
    ipc("semtimedop", 220, args!["semid": SEM, "sops": OPS, "nsops": Ty::Len(1), "timeout": in_struct(SHORT_IN, 16)])
        .blocks()
        .weight(3),
    ipc("semctl$getval", 66, args!["semid": SEM, "semnum": WHICH, "cmd": Ty::Const(12)]).weight(4),
    ipc("semctl$setval", 66, args!["semid": SEM, "semnum": WHICH, "cmd": Ty::Const(16), "value": Ty::OneOf(&[0, 1, 5, 32_767, 32_768, 0xffff_ffff])])
        .weight(3),
    ipc("semctl$getpid", 66, args!["semid": SEM, "semnum": WHICH, "cmd": Ty::Const(11)]).ret(Pid).weight(2),
    ipc("semctl$getncnt", 66, args!["semid": SEM, "semnum": WHICH, "cmd": Ty::Const(14)]).weight(1),
    ipc("semctl$getzcnt", 66, args!["semid": SEM, "semnum": WHICH, "cmd": Ty::Const(15)]).weight(1),
    ipc("semctl$getall", 66, args!["semid": SEM, "semnum": ZERO, "cmd": Ty::Const(13), "array": out(VALUES_OUT, 16)])
        .weight(2),
    ipc("semctl$setall", 66, args!["semid": SEM, "semnum": ZERO, "cmd": Ty::Const(17), "array": in_struct(VALUES_IN, 16)])
        .weight(2),
    ipc("semctl$stat", 66, args!["semid": SEM, "semnum": ZERO, "cmd": Ty::Const(2), "buf": out(SEM_OUT, 104)]).weight(3),
    ipc("semctl$rmid", 66, args!["semid": SEM, "semnum": ZERO, "cmd": ZERO]).weight(2),
    get("msgget", 68, Id::Queue, args!["key": KEY, "msgflg": CREATE]).weight(5),
    get("msgget$flags", 68, Id::Queue, args!["key": KEY, "msgflg": FLAGS]).weight(1),
    ipc("msgsnd", 69, args!["msqid": QUEUE, "msgp": in_struct(TEXT_IN, 16), "msgsz": TEXT_SIZE, "msgflg": Ty::Flags(&MSG_SND)])
        .blocks()
        .weight(6),
    ipc("msgrcv", 70, args!["msqid": QUEUE, "msgp": out(TEXT_OUT, 16), "msgsz": TEXT_SIZE, "msgtyp": Ty::Int(&[0, 0, 1, 2, 5, u64::MAX - 1]), "msgflg": Ty::Flags(&MSG_RCV)])
        .blocks()
        .weight(5),
    ipc("msgctl$stat", 71, args!["msqid": QUEUE, "cmd": Ty::Const(2), "buf": out(QUEUE_OUT, 120)]).weight(4),
    ipc("msgctl$rmid", 71, args!["msqid": QUEUE, "cmd": ZERO, "buf": ZERO]).weight(2),
    // O_CREAT | O_RDWR
    ipc("mq_open", 240, args!["name": NAME, "oflag": Ty::Const(0o102), "mode": Ty::Const(0o600), "attr": in_struct(ATTR_IN, ATTR_SIZE)])
        .ret(Fd)
        .makes(makes![made_fd(FD_MQUEUE)])
        .weight(6).since("2.6.6"),
    ipc("mq_open$excl", 240, args!["name": NAME, "oflag": Ty::Const(0o302), "mode": Ty::Const(0o600), "attr": in_struct(ATTR_IN, ATTR_SIZE)])
        .ret(Fd)
        .makes(makes![made_fd(FD_MQUEUE)])
        .weight(2).since("2.6.6"),
    ipc("mq_open$again", 240, args!["name": NAME, "oflag": Ty::Flags(&MQ_OPEN), "mode": ZERO, "attr": ZERO])
        .ret(Fd)
        .makes(makes![made_fd(FD_MQUEUE)])
        .weight(3).since("2.6.6"),
    ipc("mq_unlink", 241, args!["name": NAME]).weight(2).since("2.6.6"),
    ipc("mq_timedsend", 242, args!["mqdes": MQ, "msg_ptr": in_bytes(64), "msg_len": Ty::Len(1), "msg_prio": PRIORITY, "abs_timeout": ZERO])
        .blocks()
        .weight(5).since("2.6.6"),
    ipc("mq_timedsend$past", 242, args!["mqdes": MQ, "msg_ptr": in_bytes(64), "msg_len": Ty::Len(1), "msg_prio": PRIORITY, "abs_timeout": in_struct(PAST_IN, 16)])
        .blocks()
        .weight(2).since("2.6.6"),
    ipc("mq_timedreceive", 243, args!["mqdes": MQ, "msg_ptr": out_buf(64), "msg_len": Ty::Len(1), "msg_prio": out(PRIORITY_OUT, 4), "abs_timeout": ZERO])
        .blocks()
        .weight(5).since("2.6.6"),
    ipc("mq_timedreceive$past", 243, args!["mqdes": MQ, "msg_ptr": out_buf(64), "msg_len": Ty::Len(1), "msg_prio": ZERO, "abs_timeout": in_struct(PAST_IN, 16)])
        .blocks()
        .weight(2).since("2.6.6"),
    ipc("mq_notify", 244, args!["mqdes": MQ, "sevp": in_struct(NOTIFY_IN, 64)]).weight(2).since("2.6.6"),
    ipc("mq_notify$off", 244, args!["mqdes": MQ, "sevp": ZERO]).weight(1).since("2.6.6"),
    ipc("mq_getsetattr", 245, args!["mqdes": MQ, "newattr": in_struct(FLAGS_IN, ATTR_SIZE), "oldattr": out(ATTR_OUT, ATTR_SIZE)])
        .weight(3).since("2.6.6"),
    ipc("mq_getsetattr$get", 245, args!["mqdes": MQ, "newattr": ZERO, "oldattr": out(ATTR_OUT, ATTR_SIZE)]).weight(3).since("2.6.6"),
];
