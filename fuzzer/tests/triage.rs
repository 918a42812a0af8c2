//! `parallax triage` as people run it: killed, twice at once, on a full disk, fed with hostile files, asked for paths that are
//! none of its business. Nothing is lost and nothing leaks.

#[path = "../../dashboard/tests/common/mod.rs"]
mod pages;

use pages::{Server, cases};
use parallax_triage::db::{Db, Filter};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PARALLAX: &str = env!("CARGO_BIN_EXE_parallax");

fn folder() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let (campaign, store) = (dir.path().join("G"), dir.path().join("store.sqlite"));
    (dir, campaign, store)
}

fn import(campaign: &Path, store: &Path) -> Command {
    let mut command = Command::new(PARALLAX);
    command.args(["triage", "import"]).arg(campaign).arg("--store").arg(store);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// What it says on standard error; it must succeed.
fn succeeds(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    said
}

fn buckets(store: &Path) -> usize {
    let db = Db::open(store).expect("the store is whole");
    db.list(&Filter::default()).expect("listed").total
}

/// A server in a process of its own, which is killed at the end.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves the folder `G` of that one.
fn serve(dir: tempfile::TempDir) -> (Process, Server) {
    let mut child = Command::new(PARALLAX)
        .args(["triage", "serve", "G", "--store", "store.sqlite", "--listen", "127.0.0.1:0"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("parallax starts");
    let mut line = String::new();
    let out = child.stdout.take().expect("piped");
    let process = Process(child);
    BufReader::new(out).read_line(&mut line).expect("a line");
    let address = line.trim().trim_start_matches("http://").trim_end_matches('/');
    let address = address.parse().unwrap_or_else(|e| panic!("{e}: {line:?}"));
    (process, Server { address, dir })
}

#[test]
fn an_import_killed_at_any_time_leaves_all_or_nothing_and_again_takes_in_everything() {
    const CASES: usize = 600;
    let (dir, campaign, store) = folder();
    cases::campaign(&campaign, "gvisor", "runsc 1", CASES);
    let start = Instant::now();
    succeeds(import(&campaign, &dir.path().join("measured.sqlite")).output().expect("started"));
    let whole = start.elapsed();
    let mut cut = 0;
    for k in 1..=10 {
        let mut child = import(&campaign, &store).spawn().expect("started");
        std::thread::sleep(whole * k / 11);
        child.kill().expect("killed");
        child.wait().expect("ended");
        let kept = buckets(&store);
        assert!(kept == 0 || kept == CASES, "{kept} of {CASES} after {k}/11 of {whole:?}");
        cut += usize::from(kept == 0);
    }
    assert!(cut > 0, "no import was cut short");
    succeeds(import(&campaign, &store).output().expect("started"));
    assert_eq!(buckets(&store), CASES);
    assert_eq!(succeeds(import(&campaign, &store).output().expect("started")), "", "there is nothing new");
}

#[test]
fn a_server_killed_while_it_follows_and_changes_loses_no_decision_and_no_case() {
    let (dir, campaign, store) = folder();
    cases::campaign(&campaign, "gvisor", "runsc 1", 20);
    let (mut process, mut server) = serve(dir);
    let mut noted = Vec::new();
    for round in 0..4 {
        let listed: Value = serde_json::from_str(&server.get("/api/buckets").body).expect("JSON");
        let id = listed["buckets"][round]["id"].as_str().expect("an id").to_owned();
        // More cases come while it is told something and killed.
        for k in 0..150 {
            let own = format!("round {round} number {k}");
            cases::keep(&campaign, &cases::case(k, "gvisor", "runsc 1", &own, 1_700_000_000));
        }
        let json = "Content-Type: application/json";
        let order = format!(r#"{{"note":"said in round {round}"}}"#);
        assert_eq!(server.ask("POST", &format!("/api/bucket/{id}"), &[json], &order).status, 200);
        noted.push(id);
        // The folder is looked at every two seconds.
        std::thread::sleep(Duration::from_millis(1700 + 150 * round as u64));
        process.0.kill().expect("killed");
        drop(process);
        assert!(buckets(&store) >= 20);
        (process, server) = serve(server.dir);
    }
    for (round, id) in noted.iter().enumerate() {
        let page = server.get(&format!("/bucket/{id}")).body;
        assert!(page.contains(&format!("said in round {round}")), "{page}");
    }
    let total: Value = serde_json::from_str(&server.get("/api/buckets").body).expect("JSON");
    assert_eq!(total["total"], 20 + 4 * 150);
    // The decisions are also in the journal: the store can be made anew.
    drop(process);
    let mut command = Command::new(PARALLAX);
    command.args(["triage", "rebuild"]).arg(&campaign).arg("--store").arg(&store);
    succeeds(command.output().expect("started"));
    let db = Db::open(&store).expect("a store");
    for id in &noted {
        let history = db.bucket(id).expect("read").expect("there").history;
        assert_eq!(history.iter().filter(|h| h.text.starts_with("said in round")).count(), 1);
    }
}

#[test]
fn two_imports_at_once_wait_for_each_other() {
    let (dir, one, store) = folder();
    let two = dir.path().join("H");
    cases::campaign(&one, "gvisor", "runsc 1", 400);
    cases::campaign(&two, "qemu-user", "7.2", 400);
    let children = [(&one, &two), (&two, &one)].map(|(first, second)| {
        let mut command = import(first, &store);
        command.arg(second).spawn().expect("started")
    });
    let said = children.map(|child| succeeds(child.wait_with_output().expect("ended")));
    let took: usize = said.iter().filter_map(|s| s.split_whitespace().nth(2)?.parse::<usize>().ok()).sum();
    assert_eq!(took, 800, "{said:?}");
    assert_eq!(buckets(&store), 800);
}

#[test]
fn a_full_disk_is_told_loses_nothing_and_with_room_again_all_is_well() {
    let (dir, small, _) = folder();
    let large = dir.path().join("H");
    cases::campaign(&small, "gvisor", "runsc 1", 3);
    cases::campaign(&large, "gvisor", "runsc 1", 500);
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    // A disk of its own, in a mount namespace that goes with the process.
    let script = r#"mount -t tmpfs -o size=700k none "$1" || exit 99
        for step in small large room; do
            if [ $step = room ]; then mount -o remount,size=64m "$1" || exit 98; fi
            from=$3; if [ $step = small ]; then from=$2; fi
            "$0" triage import "$from" --store "$1/store.sqlite" 2>&1; echo "$step: $?"
        done
        "$0" triage export "$2" --store "$1/store.sqlite" --out "$1/pages" 2>&1; echo "export: $?""#;
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, PARALLAX])
        .args([&disk, &small, &large])
        .output()
        .expect("unshare starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.contains(&"small: 0"), "{said}");
    assert!(lines.contains(&"large: 2"), "{said}");
    assert!(
        said.contains("the disk is full: nothing of this import was kept; make room and import again"),
        "{said}"
    );
    assert!(said.contains("took in 500 cases") && lines.contains(&"room: 0"), "{said}");
    assert!(lines.contains(&"export: 0"), "{said}");
}

#[test]
fn two_gigabytes_named_as_a_case_are_refused_at_once() {
    let (dir, campaign, store) = folder();
    cases::campaign(&campaign, "gvisor", "runsc 1", 2);
    let huge = campaign.join("cases/huge.plx");
    std::fs::File::create(&huge).and_then(|file| file.set_len(2 << 30)).expect("2 GB, all of it a hole");
    // With less memory than the file has bytes.
    let limited = |args: &[&str]| {
        let start = Instant::now();
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v 1200000 && exec \"$0\" \"$@\"", PARALLAX]).args(args);
        let output = command.current_dir(dir.path()).output().expect("sh starts");
        assert!(start.elapsed() < Duration::from_secs(20), "{args:?}: {:?}", start.elapsed());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("huge.plx: no usable repro file: 2147483648 bytes, more than"),
            "{args:?}: {said}"
        );
        output.status.code()
    };
    let path = huge.to_str().expect("text");
    assert_eq!(limited(&["show", path]), Some(2));
    assert_eq!(limited(&["replay", "--recorded", path]), Some(2));
    assert_eq!(limited(&["minimize", path]), Some(2));
    // Among others it is told, and they are taken in.
    assert_eq!(limited(&["triage", "import", "G", "--store", "store.sqlite"]), Some(0));
    assert_eq!(buckets(&store), 2);
}

#[test]
fn no_address_leads_out_of_what_is_served() {
    let (dir, campaign, _) = folder();
    cases::campaign(&campaign, "gvisor", "runsc 1", 2);
    std::fs::write(dir.path().join("secret"), "a secret of this machine").expect("a file");
    std::os::unix::fs::symlink(dir.path().join("secret"), campaign.join("cases/link.plx")).expect("a link");
    let (_process, server) = serve(dir);
    assert_eq!(server.get("/").status, 200);
    let own = server.dir.path().join("secret");
    let own = own.to_str().expect("text");
    let wanted = [
        "secret",
        "../secret",
        "..%2fsecret",
        "%2e%2e/secret",
        "..\\secret",
        "..%5csecret",
        "store.sqlite",
        own,
    ];
    for base in
        ["/", "/assets/", "/bucket/", "/campaign/", "/api/bucket/", "/api/campaign/", "/matrix/", "//"]
    {
        for wanted in wanted {
            let answer = server.get(&format!("{base}{wanted}"));
            assert!((400..=405).contains(&answer.status), "{base}{wanted}: {}", answer.status);
            assert!(!answer.body.contains("a secret of this machine"), "{base}{wanted}");
            assert!(!answer.body.contains("SQLite format"), "{base}{wanted}");
        }
    }
    for address in ["file:///etc/passwd", "http://127.0.0.1/etc/passwd", "/etc/passwd%00.css", "*"] {
        let answer = server.get(address);
        assert!(answer.status >= 400 && !answer.body.contains("root:"), "{address}: {}", answer.status);
    }
}
