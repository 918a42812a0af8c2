//! What CI is told: a layer that was mended and one that was broken are told apart, in exit codes and in every report.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const PARALLAX: &str = env!("CARGO_BIN_EXE_parallax");

/// What a replay of all cases said.
struct Said {
    code: i32,
    text: String,
    junit: String,
    sarif: Value,
    summary: String,
}

struct Cases {
    dir: tempfile::TempDir,
}

impl Cases {
    /// One case of each of these faults, found by fuzzing.
    fn of(faults: [&str; 2]) -> Cases {
        let dir = tempfile::tempdir().expect("a folder");
        let all = dir.path().join("cases");
        std::fs::create_dir(&all).expect("a folder");
        for fault in faults {
            let out = dir.path().join(fault);
            let target = format!("mutant:{fault}");
            let limits = ["--stop-after", "1", "--time", "240s", "--quiet"];
            let status = Command::new(PARALLAX)
                .args(["fuzz", "--target", &target, "--out"])
                .arg(&out)
                .args(limits)
                .status();
            assert_eq!(status.expect("parallax starts").code(), Some(1), "{fault} is found");
            let found = plx(&out.join("cases"));
            assert_eq!(found.len(), 1, "{found:?}");
            std::fs::copy(&found[0], all.join(found[0].file_name().expect("a name"))).expect("copied");
        }
        Cases { dir }
    }

    fn replay(&self, target: &str, more: &[&str]) -> Said {
        let path = |name: &str| self.dir.path().join(name);
        let (junit, sarif, summary) = (path("r.xml"), path("r.sarif"), path("summary.md"));
        for old in [&junit, &sarif, &summary] {
            let _ = std::fs::remove_file(old);
        }
        let output = Command::new(PARALLAX)
            .current_dir(self.dir.path())
            .args(["replay", "cases", "--target", target, "--runs", "3", "--github"])
            .args(["--junit", "r.xml", "--sarif", "r.sarif"])
            .args(more)
            .env("GITHUB_STEP_SUMMARY", &summary)
            .output()
            .expect("parallax starts");
        let read =
            |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{target} {more:?}\n{text}{}", String::from_utf8_lossy(&output.stderr));
        let sarif = serde_json::from_str(&read(&sarif)).expect("JSON");
        Said {
            code: output.status.code().unwrap_or(-1),
            text,
            junit: read(&junit),
            sarif,
            summary: read(&summary),
        }
    }
}

fn plx(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry").path());
    entries.filter(|path| path.extension().is_some_and(|e| e == "plx")).collect()
}

impl Said {
    fn results(&self) -> &[Value] {
        self.sarif["runs"][0]["results"].as_array().map_or(&[], Vec::as_slice)
    }

    fn lines(&self, start: &str) -> Vec<&str> {
        self.text.lines().filter(|line| line.starts_with(start)).collect()
    }
}

#[test]
fn a_mended_and_a_broken_layer_are_told_apart_in_every_report() {
    let cases = Cases::of(["winsize-zero", "ftruncate-negative-ok"]);

    // On a layer with the first fault alone one shows, the other is fixed.
    let broken = cases.replay("mutant:winsize-zero", &[]);
    assert_eq!(broken.code, 1);
    assert!(
        broken.junit.contains("tests=\"2\"") && broken.junit.contains("failures=\"1\""),
        "{}",
        broken.junit
    );
    assert_eq!(broken.junit.matches("<failure message=\"still diverges (3 of 3 runs)\"").count(), 1);
    assert_eq!(broken.junit.matches("fixed (0 of 3 runs)").count(), 1, "{}", broken.junit);
    assert_eq!(broken.results().len(), 1, "{}", broken.sarif);
    let result = &broken.results()[0];
    assert!(result["message"]["text"].as_str().is_some_and(|t| t.contains("TIOCGWINSZ")), "{result}");
    let place = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    let id = result["ruleId"].as_str().expect("a rule");
    assert_eq!(place, &format!("cases/{id}.plx"));
    assert_eq!(broken.lines("::error").len(), 1);
    assert!(broken.lines("::error")[0].contains(&format!("file=cases/{id}.plx::")), "{}", broken.text);
    assert!(broken.summary.contains("| still diverges | 1 |") && broken.summary.contains("| fixed | 1 |"));
    let signature = broken.sarif["runs"][0]["tool"]["driver"]["rules"][0]["name"].as_str().expect("a name");

    // On Linux itself both are fixed.
    let mended = cases.replay("native", &[]);
    assert_eq!(mended.code, 0);
    assert!(mended.junit.contains("failures=\"0\""), "{}", mended.junit);
    assert_eq!(mended.junit.matches("fixed (0 of 3 runs)").count(), 2);
    assert_eq!(mended.results(), &[] as &[Value]);
    assert!(mended.lines("::").is_empty(), "{}", mended.text);
    assert!(mended.summary.contains("| fixed | 2 |"), "{}", mended.summary);

    // Known of, it does not fail; mended, the list is out of date.
    let list = format!("[[expect]]\nsignature = '{signature}'\nreason = \"we know\"\n");
    std::fs::write(cases.dir.path().join("known.toml"), list).expect("a file");
    let known = cases.replay("mutant:winsize-zero", &["--expect", "known.toml"]);
    assert_eq!(known.code, 0);
    assert!(
        known.junit.contains("failures=\"0\"")
            && known.junit.contains("still diverges, as expected (3 of 3 runs)")
    );
    assert!(known.results().is_empty() && known.lines("::").is_empty());
    assert!(known.summary.contains("| still diverges | 1 (1 expected) |"), "{}", known.summary);
    let outdated = cases.replay("native", &["--expect", "known.toml"]);
    assert_eq!(outdated.code, 0);
    assert_eq!(outdated.lines("::notice").len(), 1);
    assert!(outdated.lines("::notice")[0].contains("take it off the list"), "{}", outdated.text);
    assert_eq!(outdated.results().len(), 1);
    assert_eq!(outdated.results()[0]["level"], "note");

    // Another fault in the same place is not the one that is known.
    let other = cases.replay("mutant:ftruncate-negative-ok", &["--expect", "known.toml"]);
    assert_eq!(other.code, 1);
    assert_eq!(other.lines("::error").len(), 1);
    assert_eq!(other.lines("::notice").len(), 1);

    // A layer that is not there is no success.
    let mut absent = Command::new(PARALLAX);
    absent.args(["replay", "cases", "--target", "gvisor", "--target-path", "/nowhere"]);
    assert_eq!(absent.current_dir(cases.dir.path()).output().expect("started").status.code(), Some(3));
}
