//! A seed gives one campaign, however many pairs run it. In a test program of its own, so that nothing else runs
//! meanwhile: on a machine under load a terminal's kernel worker may come late, which is an outcome like any other.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

fn corpus(jobs: &str) -> BTreeSet<String> {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("out");
    let words =
        ["fuzz", "--target", "native", "--execs", "500", "--seed", "7", "--quiet", "--jobs", jobs, "--out"];
    let run = Command::new(env!("CARGO_BIN_EXE_parallax"))
        .args(words)
        .arg(&out)
        .stdin(Stdio::null())
        .output()
        .expect("parallax starts");
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
    let files = std::fs::read_dir(out.join("corpus")).expect("a corpus");
    files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn the_seed_decides_and_not_the_number_of_pairs() {
    // On a busy machine a program in some thousands ends in another way, and then all that follows is another campaign.
    // What hangs on the number of pairs would do so every time.
    const TRIES: usize = 6;
    for jobs in ["2", "8"] {
        let alike = (0..TRIES).any(|_| {
            let one = corpus("1");
            assert!(one.len() > 100, "{} programs are no corpus", one.len());
            one == corpus(jobs)
        });
        assert!(alike, "not once in {TRIES} tries the same corpus with {jobs} pairs");
    }
}
