use parallax_corpus::text::parse;
use parallax_harness::{pair::*, target::Slot, targets::native::Native};
use std::sync::Arc;
use std::time::*;
fn main() {
    let mut pair = Pair::start(parallax_harness::targets::choose(&parallax_harness::targets::Choice{name:std::env::args().nth(1),..Default::default()}).unwrap(), Slot { worker: 0, cpu: if std::env::args().nth(2).is_some(){None}else{Some(0)} }).unwrap();
    let g10 = "getpid()\n".repeat(10);
    for (n, t) in [("inotify","inotify_init1(IN_NONBLOCK)\n"),("inotifyw","r0 = inotify_init1(IN_NONBLOCK)\ninotify_add_watch$cwd(r0, IN_CREATE)\n"),("timerfd","timerfd_create(CLOCK_MONOTONIC, 0)\n"),("epoll","r0 = epoll_create1(0)\nr1 = eventfd2(0, 0)\nepoll_ctl$add(r0, r1, {EPOLLIN, 2})\n"),("segv","load(PAGE0)\n"),("pidfd","r0 = getpid()\npidfd_open(r0)\n"),("sigfd","signalfd4$new({SIGUSR1}, 0)\n"),("memfd","memfd_create(0)\n"),("flock","r0 = openat$create(\"f0\", 511)\nflock(r0, LOCK_EX)\n"),("ptmx","openat$ptmx(O_RDWR|O_NOCTTY)\n"),("timer","timer_create(CLOCK_MONOTONIC, {0, SIGEV_NONE}, out)\n"),
        ("getpid10", g10.as_str()),
        ("tty", "ioctl$tiocgsid(0, out)\n"),
        ("fs", "openat$create(\"f0\", 511)\n"),
        ("mem", "mmap$private(PAGE3, LEN_4P, PROT_READ)\n"),
        ("sig", "tkill(0, SIGURG)\n"),
        ("pipe", "pipe2(out, 0)\n"),
        ("spin1k", "spin(1000)\n"),
        ("spawn", "spawn(1000, 0)\n"),
        ("checkpoint", "checkpoint()\n"),
        ("poke", "mmap$private(PAGE3, LEN_4P, PROT_READ|PROT_WRITE)\npoke(PAGE3, 65, 0x1000)\n"),
        ("time", "clock_gettime(CLOCK_REALTIME, out)\n"),
        ("keys", "write$keys(3, \"a\\n\")\n"),
        ("spawnwait","r0 = spawn(1000, 0)\nwait4$pid(r0, out)\n"),("sock", "socketpair$stream(0, out)\n"),
    ] {
        let p = match parse(t) {
            Ok(p) => p,
            Err(e) => {
                println!("{n} {e}");
                continue;
            }
        };
        let v = vec![p; 16];
        let t0 = Instant::now();
        let mut k = 0;
        while t0.elapsed() < Duration::from_millis(500) {
            pair.run(&v, RunOptions::SEARCH).unwrap();
            k += 16;
        }
        println!("{n:12} {:.1} us/program (both sides)", t0.elapsed().as_secs_f64() * 1e6 / k as f64);
    }
}
