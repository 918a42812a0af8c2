use libafl_bolts::rands::StdRand;
use parallax_corpus::*;
use parallax_fuzzer::generate::Generator;
use parallax_fuzzer::tally::Weights;
use parallax_harness::{pair::*, target::Slot, targets::native::Native};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::*;
fn main() {
    let mut pair = Pair::start(parallax_harness::targets::choose(&parallax_harness::targets::Choice{name:std::env::args().nth(1),..Default::default()}).unwrap(), Slot { worker: 0, cpu: if std::env::args().nth(2).is_some(){None}else{Some(0)} }).unwrap();
    let g = Generator::new(&[]);
    let w = Weights::even();
    let mut d = StdRand::with_seed(1);
    let mut by: BTreeMap<&str, (f64, u32)> = BTreeMap::new();
    let mut all = vec![];
    let mut tot = 0.0;
    for _ in 0..3000 {
        let mut p = g.generate(&mut d, &w);
        while p.calls.len() < 10 {
            g.append(&mut d, &w, &mut p, None);
        }
        p.calls.truncate(10);
        let t = Instant::now();
        let r = pair.run(std::slice::from_ref(&p), RunOptions::SEARCH).unwrap();
        let e = t.elapsed().as_secs_f64() * 1e6;
        tot += e;
        let b = r[0].native.outcomes.iter().position(|o| o.state == State::Blocked);
        let key = if let Some(b) = b {
            if b < 10 { format!("BLOCK {}", p.calls[b].id.name()) } else { format!("BLOCKPROBE") }
        } else if e > 1000.0 {
            format!(
                "SLOW {}",
                p.calls
                    .iter()
                    .map(|c| c.id.name())
                    .filter(|n| [
                        "spin",
                        "spawn",
                        "nanosleep",
                        "clock_nanosleep",
                        "poll",
                        "ppoll",
                        "epoll_wait",
                        "epoll_pwait",
                        "epoll_wait$one",
                        "rt_sigtimedwait",
                        "checkpoint",
                        "epoll_pwait2"
                    ]
                    .contains(n))
                    .next()
                    .unwrap_or("?")
            )
        } else if e > 150.0 {
            "mid".into()
        } else {
            "fast".into()
        };
        let k: &'static str = Box::leak(key.into_boxed_str());
        let x = by.entry(k).or_default();
        x.0 += e;
        x.1 += 1;
        all.push(e);
        if k == "SLOW ?" {
            println!("{e} {}", text::write(&p));
        }
    }
    all.sort_by(f64::total_cmp);
    println!("mean {} median {} p90 {}", tot / 3000.0, all[1500], all[2700]);
    let mut v: Vec<_> = by.into_iter().collect();
    v.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    for (k, (t, n)) in v {
        println!("{:6.1}% {k} n={n} mean={:.0}us", t / tot * 100.0, t / n as f64);
    }
}
