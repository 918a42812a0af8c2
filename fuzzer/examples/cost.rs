use parallax_corpus::*; use parallax_fuzzer::generate::Generator; use parallax_fuzzer::tally::Weights; use libafl_bolts::rands::StdRand;
use parallax_harness::{pair::*, target::Slot, targets::native::Native}; use std::sync::Arc; use std::collections::BTreeMap; use std::time::*;
fn cpu()->u64{ let me=std::process::id(); let mut t=0; for e in std::fs::read_dir("/proc").unwrap().flatten(){ if let Ok(s)=std::fs::read_to_string(e.path().join("stat")){ if let Some(i)=s.rfind(')'){ let f:Vec<&str>=s[i+2..].split(' ').collect(); if f[1].parse::<u32>().ok()==Some(me){ t+=f[11..15].iter().map(|x|x.parse::<u64>().unwrap()).sum::<u64>(); } } } } t*10000 }
fn main(){ let mut pair=Pair::start(Arc::new(Native),Slot{worker:0,cpu:Some(0)}).unwrap(); let g=Generator::new(&[]); let w=Weights::even(); let mut d=StdRand::with_seed(1);
 let mut ps=vec![]; for _ in 0..4000 { let mut p=g.generate(&mut d,&w); while p.calls.len()<10 { g.append(&mut d,&w,&mut p,None); } p.calls.truncate(10); ps.push(p); }
 let probes:usize=ps.iter().map(|p| compile(p,parallax_corpus::compile::Mode{fork:false,block_us:1,probes:true}).map(|c|c.calls.len()-c.own).unwrap_or(0)).sum(); println!("probes per program {:.1}", probes as f64/4000.0);
 let c0=cpu(); let t=Instant::now(); for b in ps.chunks(16){ pair.run(b,RunOptions::SEARCH).unwrap(); } println!("all: {:.0} us cpu/program, {:.0} wall", (cpu()-c0) as f64/4000.0, t.elapsed().as_secs_f64()*1e6/4000.0);
 let mut by:BTreeMap<String,Vec<Program>>=BTreeMap::new();
 for p in &ps { let n=p.needs(); let k=format!("{}{}{}{}{}", if n&1!=0{"tty "}else{""}, if n&2!=0{"fs "}else{""}, if n&4!=0{"mem "}else{""}, if n&72!=0{"fork "}else{""}, if p.calls.iter().any(|c|c.id.name()=="spawn"||c.id.name()=="spin"){"spin "}else{""}); by.entry(k).or_default().push(p.clone()); }
 for (k,v) in by { if v.len()<40 {continue} let reps=(4000/v.len()).max(1).min(20); let c0=cpu(); for _ in 0..reps { for b in v.chunks(16){ pair.run(b,RunOptions::SEARCH).unwrap(); } } println!("{:5.1}% {:.0} us cpu  [{k}]", v.len() as f64/40.0, (cpu()-c0) as f64/(v.len()*reps) as f64); }
}
