//! Compiles the freestanding agent with the same `rustc` and embeds its bytes (see `docs/decisions/agent.md`).

use std::path::Path;
use std::process::Command;

fn main() {
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let root = Path::new("agent/src");
    println!("cargo::rerun-if-changed=agent/src");
    println!("cargo::rerun-if-changed=../corpus/src/wire.rs");
    let output = Path::new(&out).join("parallax-agent");
    let status = Command::new(rustc)
        .arg(root.join("main.rs"))
        .args(["--crate-name", "parallax_agent", "--crate-type", "bin", "--edition", "2021"])
        .args([
            "--target",
            "x86_64-unknown-linux-gnu",
            "-O",
            "-C",
            "panic=abort",
            "-C",
            "relocation-model=static",
        ])
        .args(["-C", "link-arg=-nostartfiles", "-C", "link-arg=-nostdlib", "-C", "link-arg=-static"])
        .args(["-C", "link-arg=-no-pie", "-C", "link-arg=-Wl,--build-id=none", "-C", "strip=symbols"])
        .arg("-o")
        .arg(&output)
        .status()
        .expect("rustc starts");
    assert!(status.success(), "the agent does not compile");
}
