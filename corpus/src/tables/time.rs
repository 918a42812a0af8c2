//! Clocks, CPU times, sleeps and timers, and a busy loop that uses time up.
//! Sources: clock_gettime(2), vdso(7), getrusage(2), times(2), nanosleep(2), timer_create(2), setitimer(2).

use super::shapes::*;
use crate::consts::*;
use crate::desc::*;
use crate::{args, makes, wire};
use Meaning::{Clock, Duration, Exact, Opaque};

/// A reading of the clock that argument 0 names.
const CLOCK_OUT: &[OField] = &[of("tp", 0, 16, Clock(Clk::Arg(0), Unit::Timespec))];
const TIMEVAL_OUT: &[OField] = &[of("tv", 0, 16, Clock(Clk::Realtime, Unit::Timeval))];
const TIME_OUT: &[OField] = &[of("tloc", 0, 8, Clock(Clk::Realtime, Unit::Secs))];
const ZONE_OUT: &[OField] = &[of("tz_minuteswest", 0, 4, Opaque), of("tz_dsttime", 4, 4, Opaque)];
/// A clock's resolution is the machine's.
const RES_OUT: &[OField] = &[of("res", 0, 16, Opaque)];
const CPU_OUT: &[OField] = &[of("cpu", 0, 4, Opaque)];
const NODE_OUT: &[OField] = &[of("node", 0, 4, Opaque)];
const TMS_OUT: &[OField] = &[
    of("tms_utime", 0, 8, Duration(Dur::SelfUser, Unit::Ticks)),
    of("tms_stime", 8, 8, Duration(Dur::SelfSys, Unit::Ticks)),
    of("tms_cutime", 16, 8, Duration(Dur::Children, Unit::Ticks)),
    of("tms_cstime", 24, 8, Duration(Dur::Children, Unit::Ticks)),
];
/// Sleeps of at most a few milliseconds; whole seconds are left zero, and some nanoseconds are refused.
const SLEEP_IN: &[SField] =
    &[sf("tv_nsec", 8, 8, Ty::OneOf(&[0, 1, 1000, 100_000, 1_000_000_000, u64::MAX]))];
const REM_OUT: &[OField] = &[of("rem", 0, 16, Duration(Dur::Left, Unit::Timespec))];
const ITIMERVAL_IN: &[SField] = &[
    sf("it_interval.tv_sec", 0, 8, Ty::OneOf(&[0, 1000])),
    sf("it_interval.tv_usec", 8, 8, Ty::OneOf(&[0, 999_999, 1_000_000])),
    sf("it_value.tv_sec", 16, 8, Ty::OneOf(&[1000, 0, 100_000])),
    sf("it_value.tv_usec", 24, 8, Ty::OneOf(&[0, 1_000_000])),
];
const ITIMERVAL_OUT: &[OField] =
    &[of("it_interval", 0, 16, Exact), of("it_value", 16, 16, Duration(Dur::Left, Unit::Timeval))];
/// The timer's id is the kernel's choice.
const TIMERID_OUT: &[OField] = &[of("timerid", 0, 4, Opaque)];

/// A call of this area.
const fn time(name: &'static str, nr: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::sys(name, nr, Area::Time, args, Exact)
}
/// A function of the vdso.
const fn vdso(name: &'static str, function: u32, args: &'static [ArgDesc]) -> Desc {
    Desc::with(name, Op::Vdso(function), Area::Time, args, Exact).needs(NEED_VDSO)
}

/// The table.
pub const CALLS: &[Desc] = &[
    time("clock_gettime", 228, args!["clockid": Ty::Enum(&CLOCK), "tp": out(CLOCK_OUT, 16)]).weight(8),
    vdso(
        "vdso_clock_gettime",
        wire::VDSO_CLOCK_GETTIME,
        args!["clockid": Ty::Enum(&CLOCK), "tp": out(CLOCK_OUT, 16)],
    )
    .weight(8),
    // Numbers no clock has had in any kernel.
    time("clock_gettime$bad", 228, args!["clockid": Ty::Int(&[10, 12, 15, 16]), "tp": out(RES_OUT, 16)])
        .weight(1),
    time("gettimeofday", 96, args!["tv": out(TIMEVAL_OUT, 16), "tz": ZERO]).weight(5),
    time("gettimeofday$tz", 96, args!["tv": out(TIMEVAL_OUT, 16), "tz": out(ZONE_OUT, 8)]).weight(1),
    vdso("vdso_gettimeofday", wire::VDSO_GETTIMEOFDAY, args!["tv": out(TIMEVAL_OUT, 16), "tz": ZERO])
        .weight(5),
    time("time", 201, args!["tloc": ZERO]).ret(Clock(Clk::Realtime, Unit::Secs)).weight(5),
    time("time$tloc", 201, args!["tloc": out(TIME_OUT, 8)]).ret(Clock(Clk::Realtime, Unit::Secs)).weight(2),
    vdso("vdso_time", wire::VDSO_TIME, args!["tloc": ZERO]).ret(Clock(Clk::Realtime, Unit::Secs)).weight(5),
    vdso("vdso_time$tloc", wire::VDSO_TIME, args!["tloc": out(TIME_OUT, 8)])
        .ret(Clock(Clk::Realtime, Unit::Secs))
        .weight(2),
    time("clock_getres", 229, args!["clockid": Ty::Enum(&CLOCK), "res": out(RES_OUT, 16)]).weight(2),
    vdso(
        "vdso_clock_getres",
        wire::VDSO_CLOCK_GETRES,
        args!["clockid": Ty::Enum(&CLOCK), "res": out(RES_OUT, 16)],
    )
    .weight(2),
    time("getcpu", 309, args!["cpu": out(CPU_OUT, 4), "node": out(NODE_OUT, 4), "tcache": ZERO])
        .weight(1)
        .since("2.6.19"),
    vdso(
        "vdso_getcpu",
        wire::VDSO_GETCPU,
        args!["cpu": out(CPU_OUT, 4), "node": out(NODE_OUT, 4), "tcache": ZERO],
    )
    .weight(1),
    time("getrusage$self", 98, args!["who": ZERO, "usage": out(RUSAGE_SELF, RUSAGE_SIZE)]).weight(8),
    time(
        "getrusage$children",
        98,
        args![
            "who": Ty::Const(u64::MAX), "usage": out(RUSAGE_CHILDREN, RUSAGE_SIZE),
        ],
    )
    .weight(8),
    time("getrusage$thread", 98, args!["who": Ty::Const(1), "usage": out(RUSAGE_SELF, RUSAGE_SIZE)])
        .since("2.6.26"),
    // Ticks since some moment in the past (times(2)).
    time("times", 100, args!["buf": out(TMS_OUT, 32)]).ret(Opaque).weight(5),
    // These wait: a changed number may name most of a second.
    time("nanosleep", 35, args!["req": in_struct(SLEEP_IN, 16), "rem": out(REM_OUT, 16)]).blocks(),
    time(
        "clock_nanosleep",
        230,
        args![
            "clockid": Ty::Enum(&CLOCK_SLEEP), "flags": ZERO, "req": in_struct(SLEEP_IN, 16),
            "rem": out(REM_OUT, 16),
        ],
    )
    .blocks(),
    // TIMER_ABSTIME with a moment long past.
    time(
        "clock_nanosleep$past",
        230,
        args![
            "clockid": Ty::Enum(&CLOCK_SLEEP), "flags": Ty::Const(1), "req": in_struct(SLEEP_IN, 16),
            "rem": ZERO,
        ],
    )
    .blocks()
    .weight(1),
    time(
        "timer_create",
        222,
        args![
            "clockid": Ty::Enum(&CLOCK_TIMER), "sevp": in_struct(SIGEVENT_IN, 64),
            "timerid": out(TIMERID_OUT, 4),
        ],
    )
    .makes(makes![Made { kind: Kind::Timer, from: From::Out(2, 0) }]),
    time(
        "timer_settime",
        223,
        args![
            "timerid": Ty::Timer, "flags": ZERO, "new_value": in_struct(ITIMERSPEC_IN, 32),
            "old_value": out(ITIMERSPEC_OUT, 32),
        ],
    ),
    time("timer_gettime", 224, args!["timerid": Ty::Timer, "curr_value": out(ITIMERSPEC_OUT, 32)]),
    time("timer_getoverrun", 225, args!["timerid": Ty::Timer]).weight(2),
    time("timer_delete", 226, args!["timerid": Ty::Timer]).weight(2),
    time(
        "setitimer",
        38,
        args![
            "which": Ty::Enum(&ITIMER), "new_value": in_struct(ITIMERVAL_IN, 32),
            "old_value": out(ITIMERVAL_OUT, 32),
        ],
    ),
    time("getitimer", 36, args!["which": Ty::Enum(&ITIMER), "curr_value": out(ITIMERVAL_OUT, 32)]),
    Desc::with("spin", Op::Agent(wire::OP_SPIN), Area::Time, args!["iterations": SPINS], Exact).weight(6),
];
