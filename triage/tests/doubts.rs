//! Findings that were not believed can be read and run again.

use parallax_corpus::text;
use parallax_harness::oracles::{Class, Finding};
use parallax_harness::pair::Isolation;
use parallax_replay::Count;
use parallax_triage::confirm::Doubt;
use parallax_triage::doubts::{Doubts, FOLDER, MOST};

fn finding(name: &str) -> Finding {
    Finding {
        oracle: "differential".to_owned(),
        class: Class::Semantic,
        call: 0,
        name: name.to_owned(),
        cause: name.to_owned(),
        field: "ret".to_owned(),
        kind: "value".to_owned(),
        native: "0".to_owned(),
        // A layer may say anything.
        target: "1\ngetpid()\u{1b}[2J".to_owned(),
    }
}

const DOUBT: Doubt = Doubt::Flaky(Isolation::Shared, Count { k: 1, n: 4 });

#[test]
fn a_doubt_is_kept_once_a_signature_and_is_the_same_program_when_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let program = text::parse("getppid()\ngettid()\n").expect("a program");
    let mut doubts = Doubts::open(dir.path()).expect("an empty folder");
    assert!(doubts.keep("somewhere", &program, &finding("getppid"), &DOUBT).expect("written"));
    assert!(!doubts.keep("somewhere", &program, &finding("getppid"), &DOUBT).expect("known"));
    assert!(doubts.keep("somewhere", &program, &finding("gettid"), &Doubt::NativeUnstable).expect("written"));

    let mut again = Doubts::open(dir.path()).expect("a folder");
    assert_eq!(again.len(), 2);
    assert!(!again.keep("somewhere", &program, &finding("gettid"), &DOUBT).expect("known"));
    let mut texts: Vec<String> = std::fs::read_dir(dir.path().join(FOLDER))
        .expect("the folder")
        .map(|entry| std::fs::read_to_string(entry.expect("a file").path()).expect("text"))
        .collect();
    texts.sort();
    for text in &texts {
        assert_eq!(text::parse(text).expect("a program"), program, "{text}");
    }
    assert_eq!(
        texts[0],
        "# getppid: Linux gives 0, somewhere gives 1 getpid() [2J\n\
         # signature: differential getppid.ret value\n\
         # doubted: it showed in 1 of 4 runs in children sharing memory\n\n\
         getppid()\ngettid()\n"
    );
}

#[test]
fn a_layer_that_never_repeats_itself_does_not_fill_the_disk() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join(FOLDER);
    std::fs::create_dir(&folder).expect("a folder");
    for k in 0..MOST {
        std::fs::write(folder.join(format!("{k}.txt")), "getpid()\n").expect("a file");
    }
    let program = text::parse("getppid()\n").expect("a program");
    let mut doubts = Doubts::open(dir.path()).expect("a full folder");
    assert!(!doubts.keep("somewhere", &program, &finding("getppid"), &DOUBT).expect("nothing to write"));
    assert_eq!(doubts.len(), MOST);
}
