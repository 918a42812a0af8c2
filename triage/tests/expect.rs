//! Expected differences: what is silenced, what is told, and what bad files come to.

use parallax_harness::oracles::Signature;
use parallax_triage::expect::{Day, Expectations, MAX_FILE, load, matches, parse};
use proptest::prelude::*;

const FILE: &str = r#"
# Ours.
[[expect]]
signature = "differential ioctl$tcgets.c_cflag * after ioctl$tcsets"
target = "gvisor*"
reason = "the line's speed and size are not modelled"
source = "a ticket"

[[expect]]
signature = "differential getppid.ret *"
reason = "until the fix is out"
expires = 2026-03-31

[[expect]]
signature = "differential never.ret unsupported"
reason = "it never was"
"#;

fn signature(text: &str) -> Signature {
    Signature(text.to_owned())
}

fn expectations(today: Day) -> Expectations {
    let mut all = Expectations::none();
    all.add(parse("ours.toml", FILE).expect("a good file"));
    all.on(today)
}

const BEFORE: Day = Day { year: 2026, month: 3, day: 31 };
const AFTER: Day = Day { year: 2026, month: 4, day: 1 };

#[test]
fn what_matches_is_silenced_on_its_target_alone() {
    let mut all = expectations(BEFORE);
    let cflag = signature("differential ioctl$tcgets.c_cflag lost CS8 after ioctl$tcsets");
    assert!(all.silences("gvisor:systrap", &cflag));
    assert!(!all.silences("qemu-user", &cflag));
    assert!(!all.silences(
        "gvisor:systrap",
        &signature("differential ioctl$tcgets.c_iflag lost ICRNL after ioctl$tcsets")
    ));
    assert!(all.silences("anything", &signature("differential getppid.ret something became zero")));
    assert_eq!(all.total(), 2);
}

#[test]
fn an_expired_entry_silences_nothing_and_is_told() {
    let getppid = signature("differential getppid.ret something became zero");
    assert!(expectations(BEFORE).silences("gvisor", &getppid), "its last day still counts");
    let mut all = expectations(AFTER);
    assert!(!all.silences("gvisor", &getppid));
    assert!(
        all.silences("gvisor", &signature("differential ioctl$tcgets.c_cflag lost CS8 after ioctl$tcsets"))
    );
    insta::assert_snapshot!(all.told().join("\n"), @r"
    1 expected (ours.toml:3): the line's speed and size are not modelled
    expired on 2026-03-31 (ours.toml:9), and silences 1 no longer: until the fix is out
    ");
    insta::assert_snapshot!(all.unused().join("\n"), @"never matched (ours.toml:14): differential never.ret unsupported");
}

#[test]
fn the_lists_that_come_along_are_good_have_sources_and_are_not_told_as_unused() {
    let all = Expectations::shipped().expect("good lists");
    assert!(!all.entries().is_empty());
    for entry in all.entries() {
        let target = entry.target.as_deref().expect("every entry of ours is about one layer");
        assert!(["gvisor", "qemu-user", "criu"].iter().any(|name| target.starts_with(name)), "{entry:?}");
        assert!(entry.source.as_ref().is_some_and(|s| s.contains("https://")), "{entry:?}");
    }
    assert_eq!(all.unused(), Vec::<String>::new());
}

#[test]
fn a_bad_file_is_refused_with_its_line() {
    let said = |text: &str| parse("bad.toml", text).expect_err(text).to_string();
    let report = [
        "expect = 3",
        "\n\n[[expect]]\nsignature = 5\nreason = \"x\"",
        "[[expect]]\nreason = \"no signature\"",
        "\n[[expect]]\nsignature = \"differential x\"\nreason = \" \"",
        "[[expect]]\nsignature = \"**\"\nreason = \"everything\"",
        "[[expect]]\nsignature = \"a.b\"\nreason = \"x\"\nsilence = true",
        "[[expect]]\nsignature = \"a.b\"\nreason = \"x\"\nexpires = 12:00:00",
        "[[expect]]\nsignature = \"a.b\"\nreason = \"x\"\nexpires = \"soon\"",
        "[[expect]]\nsignature = \"a",
    ]
    .map(said)
    .join("\n");
    insta::assert_snapshot!(report);
    let long = format!("[[expect]]\nsignature = \"{}\"\nreason = \"x\"", "a".repeat(3000));
    assert!(said(&long).contains("longer than"));
    assert!(said(&"[[expect]]\nsignature = \"a\"\nreason = \"x\"\n".repeat(5000)).contains("entries"));
    assert!(said(&"#".repeat(MAX_FILE + 1)).contains("bytes allowed"));
    assert!(said(&format!("expect = {}", "[".repeat(100_000))).starts_with("bad.toml:1:"));
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("none.toml");
    assert!(load(&path).expect_err("not there").to_string().contains("none.toml"));
    std::fs::write(&path, b"# good\n\xff").expect("written");
    assert!(load(&path).expect_err("no text").to_string().contains("none.toml:2: no UTF-8"));
    std::fs::write(&path, vec![b'#'; MAX_FILE + 1]).expect("written");
    assert!(load(&path).expect_err("too long").to_string().contains("bytes allowed"));
    std::fs::write(&path, FILE).expect("written");
    assert_eq!(load(&path).expect("good").len(), 3);
}

#[test]
fn days_are_those_of_the_calendar() {
    for (days, shown) in [
        (0, "1970-01-01"),
        (58, "1970-02-28"),
        (59, "1970-03-01"),
        (789, "1972-02-29"),
        (11_016, "2000-02-29"),
        (20_453, "2025-12-31"),
        (20_454, "2026-01-01"),
    ] {
        assert_eq!(Day::of(days).to_string(), shown);
    }
    Day::of(u64::MAX);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_text_matches_itself_and_itself_with_stars(text in "[a-c.$ ]{0,30}", at in 0usize..30) {
        prop_assert!(matches(&text, &text));
        let at = at.min(text.len());
        let (before, after) = text.split_at(at);
        for pattern in [format!("{before}*{after}"), format!("{before}*"), format!("*{after}")] {
            prop_assert!(matches(&pattern, &text), "{}", pattern);
        }
        let other = format!("{text}!");
        prop_assert!(!matches(&text, &other));
    }

    #[test]
    fn whatever_stands_in_a_file_is_no_panic(text in "(\\[\\[expect\\]\\]\n|signature = |reason = |expires = |\"|[a-z*\\n 0-9-]){0,40}") {
        let _ = parse("any.toml", &text);
    }
}
