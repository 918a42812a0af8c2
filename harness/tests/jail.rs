//! What the jail promises. Every test holds for root and for an ordinary user: run them as both.

use parallax_harness::jail::{self, AGENT_PATH, ContainedSpec, JailSpec, Jailed, Root};
use parallax_harness::target::{Target, TargetError};
use parallax_harness::targets::native::Native;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn spec(argv: &[&str], root: Root, filter: bool) -> JailSpec {
    let argv = argv.iter().map(OsString::from).collect();
    JailSpec { filter, terminal: false, ..JailSpec::new(argv, root) }
}

fn shell(script: &str, filter: bool) -> JailSpec {
    spec(&["/bin/sh", "-c", script], Root::Host, filter)
}

/// Waits for its end.
fn finish(jailed: &mut Jailed) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(end) = jailed.exited() {
            return end;
        }
        assert!(Instant::now() < deadline, "still runs; it said {:?}", jailed.stderr_text());
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn read_all(fd: Option<OwnedFd>) -> String {
    let mut text = String::new();
    File::from(fd.expect("nobody took it")).read_to_string(&mut text).expect("a pipe reads");
    text
}

/// What a jail prints on its standard output, then on its standard error, and how it ended.
fn output(spec: &JailSpec) -> (String, String) {
    let mut jailed = jail::spawn(spec).expect("a jail");
    drop(jailed.stdin.take());
    let text = read_all(jailed.stdout.take());
    let end = finish(&mut jailed);
    (text + &jailed.stderr_text(), end)
}

/// Waits until the kernel has nothing of that pid any more, or only a zombie.
fn is_gone(pid: i32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Err(_) => return true,
            Ok(stat) if stat.contains(") Z ") => return true,
            Ok(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    false
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn inside_the_program_is_process_1_and_uid_0_of_a_host_named_parallax() {
    let script = "echo $$; id -u; id -g; id -G; hostname; pwd; umask; ls /proc/self/fd | wc -l; env | sort";
    let (text, end) = output(&shell(script, true));
    assert_eq!(end, "exit status 0", "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["1", "0", "0"], "{text}");
    if is_root() {
        assert_eq!(lines[3], "0", "root's groups are gone");
    }
    // Four: the standard streams, and the directory that `ls` reads.
    assert_eq!(lines[4..8], ["parallax", "/w", "0022", "4"], "{text}");
    // PWD is the shell's own.
    assert_eq!(
        lines[8..],
        ["HOME=/tmp", "PATH=/usr/local/bin:/bin:/usr/bin", "PWD=/w", "TERM=xterm", "TMPDIR=/tmp"],
        "{text}"
    );
}

#[test]
fn the_agent_starts_in_a_bare_jail_as_it_is() {
    let mut jailed = jail::spawn(&spec(&[AGENT_PATH], Root::Bare, true)).expect("a jail");
    // The agent ends when its input does.
    drop(jailed.stdin.take());
    assert_eq!(finish(&mut jailed), "exit status 0");
}

#[test]
fn a_bare_jail_holds_no_files_of_the_host() {
    let Some(busybox) = ["/bin/busybox", "/usr/bin/busybox"].iter().map(PathBuf::from).find(|p| p.exists())
    else {
        eprintln!("skipped: no static busybox here");
        return;
    };
    let mut bare = spec(&["/busybox", "ls", "-1", "/", "/dev"], Root::Bare, true);
    bare.bind.push((busybox, "/busybox".into()));
    let (text, end) = output(&bare);
    assert_eq!(end, "exit status 0", "{text}");
    let names: BTreeSet<&str> = text.split_whitespace().collect();
    let want = "/: agent busybox dev proc tmp w /dev: fd full null ptmx pts random stderr stdin stdout tty urandom zero";
    assert_eq!(names, want.split(' ').collect());
}

#[test]
fn all_namespaces_but_the_clocks_and_cgroups_are_new() {
    let names = ["user", "pid", "mnt", "net", "ipc", "uts"];
    let script = names.map(|n| format!("readlink /proc/self/ns/{n};")).concat();
    let (text, end) = output(&shell(&script, true));
    assert_eq!(end, "exit status 0", "{text}");
    assert_eq!(text.lines().count(), names.len());
    for (name, inside) in names.iter().zip(text.lines()) {
        let ours = fs::read_link(format!("/proc/self/ns/{name}")).expect("our own namespace");
        assert_ne!(ours.to_string_lossy(), inside);
    }
}

#[test]
fn the_network_has_no_device_of_the_hosts() {
    let (text, _) = output(&shell("cat /proc/self/net/dev", true));
    let devices: Vec<&str> =
        text.lines().skip(2).filter_map(|l| l.split(':').next()).map(str::trim).collect();
    // Some kernels add idle tunnels of their own (sit0).
    assert!(devices.contains(&"lo") && !devices.iter().any(|d| d.starts_with('e')), "{text}");
}

#[test]
fn nothing_is_left_of_roots_powers() {
    let script = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; \
                  cat /proc/self/personality /proc/self/oom_score_adj";
    let (text, _) = output(&shell(script, true));
    for line in text.lines().filter(|l| l.starts_with("Cap")) {
        assert!(line.ends_with("\t0000000000000000"), "{line}");
    }
    assert!(text.contains("NoNewPrivs:\t1") && text.contains("Seccomp:\t2"), "{text}");
    assert!(text.ends_with("00040000\n1000\n"), "{text}");
}

#[test]
fn the_hosts_files_cannot_be_written() {
    let home = std::env::var("HOME").unwrap_or("/root".into());
    let script = format!(
        "for f in /usr /etc /bin /var /home '{home}' /opt /var/tmp; do \
           [ -d $f ] && touch $f/parallax-was-here && echo WROTE $f; done; \
         echo x > /proc/sys/kernel/hostname && echo WROTE hostname; \
         echo x > /etc/passwd && echo WROTE passwd; \
         touch /w/a /tmp/a && echo own"
    );
    for filter in [true, false] {
        let (text, _) = output(&shell(&script, filter));
        assert!(!text.contains("WROTE") && text.contains("own\n"), "{text}");
    }
}

#[test]
fn what_is_written_inside_is_gone_with_the_jail() {
    for _ in 0..2 {
        let (text, _) = output(&shell("ls -A /w /tmp; touch /w/a /tmp/a", true));
        assert_eq!(text, "/tmp:\n\n/w:\n");
    }
}

#[test]
fn the_filter_refuses_mounts_and_namespaces() {
    let tries =
        ["mount -t tmpfs x /tmp", "unshare -Ur true", "unshare -m true", "/usr/sbin/chroot / true", "dmesg"];
    for each in tries {
        let (text, end) = output(&shell(each, true));
        assert_ne!(end, "exit status 0", "{each}: {text}");
        assert!(text.contains("not permitted") || text.contains("denied"), "{each}: {text}");
    }
}

#[test]
fn without_the_filter_nested_namespaces_still_give_nothing_of_the_hosts() {
    let script = "unshare -Urm sh -c 'echo nested; mount -o remount,bind,rw /usr; \
                  touch /usr/parallax-was-here && echo WROTE'; true";
    let (text, end) = output(&JailSpec { root: Root::Nest, ..shell(script, false) });
    assert!(end == "exit status 0" && text.contains("nested") && !text.contains("WROTE"), "{text}");
}

#[test]
fn layers_that_trace_or_nest_work_without_the_filter() {
    // The agent says hello and ends, since nobody asks it anything.
    let agent = format!("proot {AGENT_PATH} </dev/null >/tmp/hello && test -s /tmp/hello");
    let bwrap = "exec bwrap --bind / / --dev /dev --proc /proc --unshare-all --cap-drop ALL \
                 grep CapEff /proc/self/status";
    for (layer, root, script, want) in [
        ("proot", Root::Host, agent.as_str(), ""),
        ("bwrap", Root::Nest, bwrap, "CapEff:\t0000000000000000\n"),
    ] {
        if !PathBuf::from("/usr/bin").join(layer).exists() {
            eprintln!("skipped: no {layer} here");
            continue;
        }
        let (text, end) = output(&JailSpec { root, ..shell(script, false) });
        assert_eq!((text.as_str(), end.as_str()), (want, "exit status 0"), "{layer}");
    }
}

#[test]
fn a_jail_has_terminals_of_its_own_and_not_the_users() {
    let script = "ls /dev/pts; script -qec 'tty; stat -c %a $(tty)' /dev/null </dev/null; (: </dev/tty) 2>&1";
    let (text, _) = output(&shell(script, true));
    assert!(text.starts_with("ptmx\n/dev/pts/0\r\n600\r\n"), "{text}");
    assert!(text.contains("No such device"), "{text}");
}

#[test]
fn a_program_that_is_not_there_is_said_so() {
    let error = jail::spawn(&spec(&["/no/such"], Root::Bare, true)).expect_err("nothing to run");
    let text = error.to_string();
    assert!(text.contains("starting /no/such") && text.contains("No such file"), "{text}");
    assert!(matches!(error, TargetError::Jail { .. }));
}

#[test]
fn a_step_that_fails_runs_nothing_and_is_named() {
    let mut pinned = shell("echo ran", true);
    pinned.cpu = Some(1000);
    let text = jail::spawn(&pinned).expect_err("no such core").to_string();
    assert!(text.contains("pinning to core 1000"), "{text}");
    let mut bound = shell("echo ran", true);
    bound.bind.push(("/no/such/file".into(), "/layer".into()));
    let text = jail::spawn(&bound).expect_err("no such file").to_string();
    assert!(text.contains("binding /no/such/file"), "{text}");
    bound.bind = vec![("/etc/passwd".into(), "/etc/passwd".into())];
    assert!(jail::spawn(&bound).is_err());
    bound.bind.clear();
    bound.notify = vec![nix::libc::SYS_execve as u32];
    assert!(jail::spawn(&bound).is_err());
}

#[test]
fn a_bound_file_runs_even_from_a_directory_that_only_its_owner_can_enter() {
    // /tmp too: it is where the new root hides the host's while it is put together.
    for parent in ["/tmp", "/var/tmp"] {
        let dir = tempfile::tempdir_in(parent).expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("its owner may");
        let file = dir.path().join("layer");
        fs::copy("/bin/sh", &file).expect("a copy");
        for root in [Root::Bare, Root::Host] {
            let mut bound =
                spec(&["/layer", "-c", "echo ran; echo x >> /layer || echo read-only"], root, true);
            bound.bind.push((file.clone(), "/layer".into()));
            if root == Root::Bare {
                for lib in ["/lib", "/lib64"] {
                    bound.bind.push((lib.into(), lib.into()));
                }
            }
            let (text, _) = output(&bound);
            assert!(text.starts_with("ran\nread-only\n"), "{root:?}: {text}");
        }
    }
}

/// The pids of all that are in the pid namespace of that process.
fn in_pid_namespace_of(pid: i32) -> Vec<i32> {
    // As an ordinary user the namespaces of a jail can't be read; its children can.
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it lives");
        found.extend(children.split_whitespace().filter_map(|p| p.parse::<i32>().ok()));
        next += 1;
    }
    found
}

#[test]
fn dropping_a_jail_kills_all_of_it() {
    let mut jailed = jail::spawn(&shell("(setsid sleep 1000 &); sleep 1001; :", true)).expect("a jail");
    std::thread::sleep(Duration::from_millis(200));
    assert!(jailed.exited().is_none());
    let pids = in_pid_namespace_of(jailed.pid);
    assert_eq!(pids.len(), 3, "the shell and two sleepers");
    drop(jailed);
    for pid in pids {
        assert!(is_gone(pid), "{pid} lives");
    }
}

#[test]
fn how_it_ended_is_told() {
    let mut jailed = jail::spawn(&shell("echo words >&2; exit 3", true)).expect("a jail");
    assert_eq!(finish(&mut jailed), "exit status 3");
    assert_eq!(jailed.stderr_text(), "words\n");
    assert_eq!(jailed.stderr_text(), "words\n");
    let mut jailed = jail::spawn(&shell("sleep 1000", true)).expect("a jail");
    jailed.kill();
    assert_eq!(jailed.exited().as_deref(), Some("killed by SIGKILL"));
}

#[test]
fn many_threads_may_make_jails_that_outlive_them() {
    let threads: Vec<_> = (0..8)
        .map(|k| {
            std::thread::spawn(move || {
                let script = format!("read line; echo {k} $line");
                (0..4).map(|_| jail::spawn(&shell(&script, true)).expect("a jail")).collect::<Vec<_>>()
            })
        })
        .collect();
    for (k, thread) in threads.into_iter().enumerate() {
        for mut jailed in thread.join().expect("no panic") {
            assert!(jailed.exited().is_none(), "it died with its thread");
            nix::unistd::write(jailed.stdin.as_ref().expect("there"), b"on\n").expect("it listens");
            assert_eq!(read_all(jailed.stdout.take()), format!("{k} on\n"));
        }
    }
}

/// Helper of the next test, run in a process of its own.
#[test]
#[ignore = "runs only for another test"]
fn helper_that_is_killed() {
    let jailed = jail::spawn(&shell("sleep 1000; :", true)).expect("a jail");
    let contained = jail::spawn_contained(&contained("sleep 1000; :")).expect("a contained program");
    println!("PIDS {} {}", jailed.pid, contained.pid);
    std::thread::sleep(Duration::from_secs(100));
}

#[test]
fn a_jail_dies_with_the_process_that_made_it() {
    let mut helper = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "helper_that_is_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the helper starts");
    let mut text = String::new();
    let mut out = helper.stdout.take().expect("piped");
    let pids: Vec<i32> = loop {
        let mut piece = [0; 256];
        let n = out.read(&mut piece).expect("it prints");
        assert!(n > 0, "no pids: {text}");
        text.push_str(&String::from_utf8_lossy(&piece[..n]));
        let line = text.split_once("PIDS ").and_then(|(_, after)| after.split_once('\n'));
        if let Some((line, _)) = line {
            break line.split(' ').map(|p| p.parse().expect("a pid")).collect();
        }
    };
    helper.kill().expect("SIGKILL");
    helper.wait().expect("reaped");
    assert_eq!(pids.len(), 2);
    for pid in pids {
        assert!(is_gone(pid), "{pid} outlived its maker");
    }
}

#[test]
fn supervised_calls_come_to_the_listener() {
    // `sendmsg` too: the very call by which the listener itself is handed over.
    let mut spec = shell("id -u", true);
    spec.notify =
        [nix::libc::SYS_getuid, nix::libc::SYS_geteuid, nix::libc::SYS_sendmsg].map(|n| n as u32).to_vec();
    let mut jailed = jail::spawn(&spec).expect("a jail");
    let listener = jailed.listener.take().expect("a listener");
    let mut fds = [nix::poll::PollFd::new(listener.as_fd(), nix::poll::PollFlags::POLLIN)];
    assert_eq!(nix::poll::poll(&mut fds, 5000u16), Ok(1), "somebody asks who it is");
    assert!(jailed.exited().is_none(), "it waits for the answer");
}

fn contained(script: &str) -> ContainedSpec {
    ContainedSpec {
        argv: ["/bin/sh", "-c", script].map(OsString::from).to_vec(),
        cwd: "/".into(),
        env: ContainedSpec::usual_env(),
        fds: Vec::new(),
        terminal: false,
        cpu: Some(0),
    }
}

#[test]
fn a_contained_program_sees_the_host_but_only_its_own_processes() {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe");
    let mut spec = contained("echo $$; echo /proc/[0-9]*; id -u; test -d /sys && echo host; echo extra >&7");
    spec.fds.push((7, write.into()));
    let mut jailed = jail::spawn_contained(&spec).expect("it starts");
    spec.fds.clear();
    let text = read_all(jailed.stdout.take());
    assert_eq!(text, "1\n/proc/1\n0\nhost\n", "{}", jailed.stderr_text());
    assert_eq!(read_all(Some(read)), "extra\n");
    assert_eq!(finish(&mut jailed), "exit status 0");
}

#[test]
fn dropping_a_contained_program_kills_what_it_detached() {
    let script = "(setsid sleep 1000 &); (setsid sleep 1000 &); sleep 1001; :";
    let jailed = jail::spawn_contained(&contained(script)).expect("it starts");
    std::thread::sleep(Duration::from_millis(200));
    let pids = in_pid_namespace_of(jailed.pid);
    assert_eq!(pids.len(), 4);
    drop(jailed);
    for pid in pids {
        assert!(is_gone(pid), "{pid} lives");
    }
}

#[test]
fn the_native_target_starts_and_has_a_version() {
    let version = Native.version().expect("a version");
    assert!(version.contains('#'), "release and build: {version}");
    let mut instance = Native.start(&Default::default()).expect("an instance");
    instance.kill();
    assert!(!instance.last_words().is_empty(), "how it ended");
}
