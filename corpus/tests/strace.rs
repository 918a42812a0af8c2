//! Recordings become programs: what lands, how it is tied together, and that hostile ones do no harm.

use parallax_corpus::compile::{Mode, compile};
use parallax_corpus::strace::{Import, import};
use parallax_corpus::text;
use proptest::prelude::*;

const EDITOR: &str = include_str!("fixtures/editor.strace");
const SHELL: &str = include_str!("fixtures/shell.strace");

fn imported(text: &str) -> Import {
    import(&[("trace.txt".to_owned(), text.into())]).unwrap_or_else(|e| panic!("{e}"))
}

/// All programs as text, without comments.
fn programs(import: &Import) -> Vec<String> {
    import.programs.iter().map(|p| text::write(&p.program)).collect()
}

/// Every program is well formed, compiles, and has the text it says.
fn sound(import: &Import) {
    let files = ["trace.txt".to_owned()];
    for imported in &import.programs {
        let program = &imported.program;
        program.check().unwrap_or_else(|e| panic!("{}: {e}", imported.name));
        compile(program, Mode { fork: true, block_us: 0, probes: true }).expect("compiles");
        assert_eq!(imported.origins.len(), program.calls.len());
        assert_eq!(text::parse(&imported.text(&files)).as_ref(), Ok(program), "{}", imported.name);
    }
}

/// The call a line becomes, the import's own calls left out.
fn said(lines: &str) -> String {
    let import = imported(lines);
    let last = import.programs.last().unwrap_or_else(|| panic!("nothing landed: {:?}", import.report));
    let index = last.origins.iter().rposition(Option::is_some).expect("a recorded call");
    text::write_call(&last.program, index)
}

#[test]
fn an_editors_recording_lands() {
    let import = imported(EDITOR);
    sound(&import);
    assert!(import.report.share() >= 0.8, "{:?}", import.report);
    assert!(import.report.unreadable.is_empty(), "{:?}", import.report.unreadable);
    assert_eq!((import.report.signals, import.report.exits), (1, 1));
    let all = programs(&import).concat();
    let order = [
        "ioctl$tcsetsw(0, {0, OPOST|ONLCR, B38400|CS8|CREAD, ECHOK|ECHOCTL, 3, 28, 127, 21, 4, 0, 1})",
        "poll([{0, POLLIN}], 0)",
        "write$keys(3, \"iX\")",
        "poll([{0, POLLIN}], -1)",
        "read$tty(0, out[256])",
        "O_CREAT|O_EXCL, 384)",
        "fsync(",
        "rename(",
    ];
    let mut from = 0;
    for wanted in order {
        let at =
            all[from..].find(wanted).unwrap_or_else(|| panic!("no {wanted} after byte {from} of\n{all}"));
        from += at + wanted.len();
    }
    assert!(
        all.contains("write$file(r") && all.contains("\"hello\\n\""),
        "the file's content is made first\n{all}"
    );
    assert!(
        !all.contains("/home") && !all.contains("/etc") && !all.contains("/lib"),
        "paths are moved\n{all}"
    );
    assert!(all.contains("rt_sigaction$swap(SIGINT, {HANDLER, SA_RESTART, {}}, out)"), "{all}");
    assert!(all.contains("mmap$file("), "{all}");
}

#[test]
fn processes_share_what_they_inherit() {
    let import = imported(SHELL);
    sound(&import);
    let texts = programs(&import);
    assert_eq!(texts.len(), 2, "one program for each process: {texts:#?}");
    let (parent, child) = (&texts[0], &texts[1]);
    for wanted in
        ["pipe2(out, O_CLOEXEC)", "spawn(1000, 3)", "setpgid(r", "wait4$any(out, 0)", "\"hello\\n\""]
    {
        assert!(parent.contains(wanted), "{wanted} in\n{parent}");
    }
    assert!(child.starts_with("r0, r1 = pipe2(out, O_CLOEXEC)\nclose(r0)\n"), "{child}");
    assert!(child.contains("dup2(r1, 1)") && child.contains("write(r2, \"hello\\n\")"), "{child}");
    assert_eq!(import.report.skipped["the end of a process"]["exit_group"], 2);
}

#[test]
fn variants_are_chosen_by_their_constants() {
    let open = "1 openat(AT_FDCWD, \"\\x61\", O_RDWR|O_CREAT, 0644) = 3\n";
    for (line, wanted) in [
        ("fcntl(3, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)", "fcntl$getfl(r0)"),
        ("fcntl(3, F_SETFD, FD_CLOEXEC) = 0", "fcntl$setfd(r0, FD_CLOEXEC)"),
        (
            "fcntl(3, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=5, l_len=0}) = 0",
            "fcntl$setlk(r0, {F_WRLCK, SEEK_SET, 5, 0})",
        ),
        ("fcntl(3, 0x3 /* F_GETFL */) = 2", "fcntl$getfl(r0)"),
        ("dup2(3, 20) = 20", "dup2$new(r0, 20)"),
        ("epoll_create1(EPOLL_CLOEXEC) = 4", "epoll_create1(EPOLL_CLOEXEC)"),
        (
            "openat(AT_FDCWD, \"\\x2f\\x64\\x65\\x76\\x2f\\x6e\\x75\\x6c\\x6c\", O_RDWR) = 4",
            "openat$null(O_RDWR)",
        ),
        ("openat(AT_FDCWD, \"/dev/pts/7\", O_RDWR) = 4", "openat$tty(O_RDWR)"),
        ("mkdir(\"/tmp/d\", 0755) = 0", "mkdir(\"d\", 493)"),
        ("open(\"/tmp/f\", O_WRONLY|O_TRUNC) = 4", "open(r1, O_WRONLY|O_TRUNC, 0)"),
        ("open(\"/dev/null\", O_RDWR) = 4", "openat$null(O_RDWR)"),
        ("open(\"/tmp/d\", O_RDONLY|O_DIRECTORY) = 4", "openat$dir(r0, O_DIRECTORY)"),
        ("pselect6(4, [3], [], [], NULL, NULL) = 1 (in [3])", "poll([{r0, POLLIN}], -1)"),
        ("select(4, [3], [3], NULL, {tv_sec=2, tv_usec=0}) = 0 (Timeout)", "poll([{r0, POLLIN|POLLOUT}], 1)"),
        (
            "ppoll([{fd=3, events=POLLIN}], 1, {tv_sec=5, tv_nsec=0}, NULL, 8) = 0 (Timeout)",
            "poll([{r0, POLLIN}], 1)",
        ),
        (
            "ppoll([{fd=3, events=POLLIN}], 1, {tv_sec=5, tv_nsec=0}, [INT], 8) = 0 (Timeout)",
            "ppoll([{r0, POLLIN}], {0x186a0}, {{SIGINT}})",
        ),
        ("sched_getaffinity(0, 64, [0, 1]) = 8", "sched_getaffinity(out)"),
        (
            "prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=1}) = 0",
            "prlimit64$get(RLIMIT_STACK, out)",
        ),
        ("getrandom(\"\\x01\\x02\", 2, GRND_NONBLOCK) = 2", "getrandom(out[2], GRND_NONBLOCK)"),
        ("1700000000.123456 lseek(3, 0, SEEK_END) = 0", "lseek(r0, 0, SEEK_END)"),
        (
            "rt_sigprocmask(SIG_SETMASK, ~[INT RTMIN], NULL, 8) = 0",
            "rt_sigprocmask(SIG_SETMASK, {~{SIGINT 32}}, NULL)",
        ),
    ] {
        assert_eq!(said(&format!("{open}1 {line}\n")), wanted, "{line}");
    }
}

#[test]
fn what_a_program_makes_itself_is_not_made_for_it() {
    let old = "1 mkdir(\"/tmp/d\", 0755) = 0\n1 rename(\"/tmp/d\", \"/tmp/e\") = 0\n1 symlink(\"e\", \"/tmp/l\") = 0\n\
        1 creat(\"/tmp/f\", 0644) = 3\n1 mknod(\"/tmp/n\", S_IFREG|0644) = 0\n1 link(\"/tmp/f\", \"/tmp/g\") = 0\n\
        1 unlink(\"/tmp/f\") = 0\n1 stat(\"/tmp/f\", 0x7ff0) = -1 ENOENT (No such file or directory)\n\
        1 rmdir(\"/tmp/e\") = 0\n1 unlink(\"/tmp/l\") = 0\n";
    let new = "1 mkdirat(AT_FDCWD, \"/tmp/d\", 0755) = 0\n\
        1 renameat2(AT_FDCWD, \"/tmp/d\", AT_FDCWD, \"/tmp/e\", RENAME_NOREPLACE) = 0\n\
        1 symlinkat(\"e\", AT_FDCWD, \"/tmp/l\") = 0\n1 unlinkat(AT_FDCWD, \"/tmp/e\", AT_REMOVEDIR) = 0\n\
        1 mkdirat(AT_FDCWD, \"/tmp/s\", 0755) = 0\n\
        1 openat(AT_FDCWD, \"/tmp/s\", O_RDONLY|O_DIRECTORY) = 3\n1 mkdirat(3, \"x\", 0755) = 0\n\
        1 unlinkat(3, \"x\", AT_REMOVEDIR) = 0\n1 symlinkat(\"e\", 3, \"y\") = 0\n";
    for text in [old, new] {
        let import = imported(text);
        sound(&import);
        assert_eq!(import.report.landed, text.lines().count(), "{:?}", import.report.skipped);
        let [program] = &import.programs[..] else { panic!("one program") };
        assert!(
            program.origins.iter().all(Option::is_some),
            "nothing is prepared:\n{}",
            programs(&import)[0]
        );
    }
    // What was there before is.
    let import = imported("1 rename(\"/tmp/a\", \"/tmp/b\") = 0\n1 open(\"/tmp/b\", O_RDONLY) = 3\n");
    let text = programs(&import).concat();
    assert!(text.starts_with("r0, r1 = openat$create(\"a\", 420)\nclose(r0)\nr2 = rename("), "{text}");
}

#[test]
fn numbers_of_the_kernels_choice_are_what_made_them() {
    let import = imported(
        "1 shmget(0x1, 4096, IPC_CREAT|0600) = 32769\n1 shmctl(32769, IPC_STAT, 0x7ff0) = 0\n\
         1 semget(IPC_PRIVATE, 2, IPC_CREAT|0600) = 32769\n1 semctl(32769, 0, IPC_RMID, NULL) = 0\n\
         1 shmctl(32769, IPC_RMID, NULL) = 0\n1 shmctl(5, IPC_RMID, NULL) = -1 EINVAL (Invalid argument)\n",
    );
    sound(&import);
    assert_eq!(import.report.landed, 6, "{:?}", import.report.skipped);
    let text = programs(&import).concat();
    let wanted = "r0 = shmget(KEY1, 0x1000)\nshmctl$stat(r0, out)\nr1 = semget(IPC_PRIVATE, 2)\n\
        semctl$rmid(r1)\nshmctl$rmid(r0)\nshmctl$rmid(-1)\n";
    assert_eq!(text, wanted);
}

#[test]
fn sockets_keep_their_families_and_the_usual_lengths() {
    let import = imported(
        "1 socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 3\n\
         1 bind(3, {sa_family=AF_UNIX, sun_path=@\"bus\"}, 6) = 0\n1 listen(3, 128) = 0\n\
         1 socket(AF_UNIX, SOCK_STREAM, 0) = 4\n\
         1 connect(4, {sa_family=AF_UNIX, sun_path=@\"bus\"}, 6) = 0\n\
         1 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 5\n\
         1 bind(5, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0\n",
    );
    sound(&import);
    let text = programs(&import).concat();
    for wanted in [
        "bind$un(r0, {AF_UNIX, ABSTRACT_A}, 110)",
        "connect$un(r1, {AF_UNIX, ABSTRACT_A}, 110)",
        "bind$in(r2, {AF_INET, LOOPBACK}, 16)",
    ] {
        assert!(text.contains(wanted), "{wanted} in\n{text}");
    }
}

#[test]
fn what_cannot_be_said_is_counted_with_the_reason() {
    let import = imported("1 getpid() = 1\n1 execve(\"x\", [], []) = 0\n1 nosuchcall(1) = 0\n1 gibberish\n");
    assert_eq!((import.report.read, import.report.landed), (3, 1));
    assert_eq!(import.report.skipped["starts another program"]["execve"], 1);
    assert_eq!(import.report.skipped["not described"]["nosuchcall"], 1);
    assert_eq!(import.report.unreadable, ["trace.txt, line 4: no call"]);
}

#[test]
fn a_file_that_is_no_recording_is_an_error_with_its_place() {
    for (text, wanted) in [
        ("", "trace.txt, line 1: it is empty"),
        ("hello\n", "trace.txt, line 1: no call"),
        ("1 read(3, \"ab) = 1\n", "trace.txt, line 1: a string has no end"),
    ] {
        let error = import(&[("trace.txt".to_owned(), text.into())]).expect_err("no recording");
        assert!(error.to_string().starts_with(wanted), "{error}");
    }
}

#[test]
fn a_long_recording_is_cut_into_programs_that_stand_alone() {
    let mut text = "1 openat(AT_FDCWD, \"log\", O_RDWR|O_CREAT|O_APPEND, 0644) = 3\n".to_owned();
    for _ in 0..300 {
        text.push_str("1 write(3, \"line\\n\", 5) = 5\n");
    }
    let import = imported(&text);
    sound(&import);
    assert_eq!(import.report.landed, 301);
    assert!((5..=7).contains(&import.programs.len()), "{}", import.programs.len());
    for program in programs(&import) {
        assert!(program.starts_with("r0 = openat$append(\"log\", 420)\n"), "{program}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn hostile_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        if let Ok(import) = import(&[("trace.txt".to_owned(), bytes)]) {
            sound(&import);
        }
    }

    #[test]
    fn damaged_recordings_do_no_harm(
        which: bool,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0usize..4), 1..40),
    ) {
        let mut bytes = if which { EDITOR } else { SHELL }.as_bytes().to_vec();
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes[at] = b"0123456789()[]{}\"=,|<>"[usize::from(byte) % 22],
            }
        }
        if let Ok(import) = import(&[("trace.txt".to_owned(), bytes)]) {
            sound(&import);
        }
    }
}
