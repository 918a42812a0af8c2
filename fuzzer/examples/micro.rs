use parallax_corpus::text::parse;
use parallax_harness::{pair::*, target::Slot, targets::native::Native};
use std::sync::Arc;
use std::time::*;
fn main() {
    let mut pair = Pair::start(Arc::new(Native), Slot { worker: 0, cpu: Some(0) }).unwrap();
    let g10 = "getpid()\n".repeat(10);
    for (n, t) in [
        ("getpid10", g10.as_str()),
        ("tty", "ioctl$tiocgsid(0, out)\n"),
        ("fs", "openat$create(\"f0\", 511)\n"),
        ("mem", "mmap$private(PAGE3, LEN_4P, PROT_READ)\n"),
        ("sig", "tkill(0, SIGURG)\n"),
        ("pipe", "pipe2(out, 0)\n"),
        ("spin1k", "spin(1000)\n"),
        ("spawn", "spawn(0, 0)\n"),
        ("checkpoint", "checkpoint()\n"),
        ("poke", "mmap$private(PAGE3, LEN_4P, PROT_READ|PROT_WRITE)\npoke(PAGE3, 65, 0x1000)\n"),
        ("time", "clock_gettime(CLOCK_REALTIME, out)\n"),
        ("keys", "write$keys(3, \"a\\n\")\n"),
        ("sock", "socketpair$stream(0, out)\n"),
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
