use super::*;
use parallax_corpus::compile::{Mode, compile};
use parallax_corpus::{End, Trace, text};
use parallax_harness::oracles::{Class, Finding};
use parallax_replay::replay::Seen;
use parallax_replay::{Confirmation, Repro};

const HOSTILE: &str = "a<b>&\"'\u{1}\u{1b}[31m|`x`\n::error::%0A]]>\" disabled=\"7";

fn told(k: u32, same: u32, other: u32, expected: bool) -> Told {
    let program = text::parse("r0 = openat$create(\"f0\", 0)\nfsync(r0)\n").expect("a program");
    let code = compile(&program, Mode { fork: true, block_us: 120_000, probes: true }).expect("compiles");
    let finding = Finding {
        oracle: "differential".into(),
        class: Class::Semantic,
        call: 1,
        name: "fsync".into(),
        cause: "fsync".into(),
        field: "ret".into(),
        native: HOSTILE.into(),
        target: HOSTILE.into(),
        kind: format!("another value {k}"),
    };
    let signature = finding.signature();
    let trace = Trace::lost(End::Exited, code.calls.len());
    let repro = Repro {
        id: Repro::id_of("toy", &signature),
        parallax: String::new(),
        probes: Repro::probes_of(&code),
        program,
        native: trace.clone(),
        target: trace,
        native_environment: None,
        target_environment: None,
        target_name: "toy".into(),
        target_version: "1".into(),
        target_command: None,
        kernel: String::new(),
        finding,
        signature: signature.clone(),
        confirmation: Confirmation::default(),
        history: Vec::new(),
        last_words: String::new(),
        created: 1,
        seed: 1,
    };
    let verdict = match (same, other) {
        (0, 0) => ReplayVerdict::Gone,
        (0, _) => ReplayVerdict::Other,
        _ => ReplayVerdict::StillThere,
    };
    let seen = Seen { signature: Signature("something else".into()), runs: other, line: HOSTILE.into() };
    let outcome = ReplayOutcome {
        id: repro.id.clone(),
        signature,
        class: Class::Semantic,
        verdict,
        runs: 5,
        diverged: same + other,
        same_signature: same,
        unusable: 0,
        other: if other > 0 { vec![seen] } else { Vec::new() },
        reference_changed: None,
        last_words: String::new(),
    };
    let status = Status::of(&outcome, &BTreeSet::from([&repro.signature]));
    Told {
        file: PathBuf::from(format!("cases/a b{k}.plx")),
        repro,
        outcome,
        status,
        expected,
        unexpected_fix: false,
    }
}

fn all() -> Vec<Told> {
    vec![
        told(0, 5, 0, false),
        told(1, 3, 0, false),
        told(2, 0, 0, false),
        told(3, 0, 5, false),
        told(4, 5, 0, true),
    ]
}

#[test]
fn each_outcome_has_its_status() {
    let statuses: Vec<Status> = all().iter().map(|case| case.status).collect();
    let wanted = [Status::StillDiverges, Status::Flaky, Status::Fixed, Status::New, Status::StillDiverges];
    assert_eq!(statuses, wanted);
    assert_eq!(all().iter().filter(|case| case.fails()).count(), 3);
    let other = told(3, 0, 5, false).outcome;
    assert_eq!(Status::of(&other, &BTreeSet::from([&Signature("something else".into())])), Status::Changed);
    let lost = ReplayOutcome { verdict: ReplayVerdict::NotRun, unusable: 5, ..told(0, 0, 0, false).outcome };
    assert_eq!(Status::of(&lost, &BTreeSet::new()), Status::NotRun);
}

#[test]
fn junit_tells_what_fails_and_holds_no_character_that_xml_forbids() {
    let mut cases = all();
    let lost = told(5, 0, 0, false);
    cases.push(Told { status: Status::NotRun, ..lost });
    let text = junit::report(&cases).expect("a report");
    assert!(text.contains("tests=\"6\"") && text.contains("failures=\"3\""), "{text}");
    // As `junit-10.xsd` of Jenkins names it.
    assert_eq!(text.matches(" skipped=\"1\"").count(), 1, "{text}");
    assert!(!text.contains("\" disabled=") && text.contains("&quot; disabled=&quot;7"), "{text}");
    assert!(!text.contains(['\u{1}', '\u{1b}']), "{text}");
    assert!(!text.contains("a<b>"), "{text}");
}

#[test]
fn sarif_is_read_back_by_its_schema() {
    let text = sarif::report(&all()).expect("a report");
    let read: serde_sarif::sarif::Sarif = serde_json::from_str(&text).expect("as its schema says");
    let run = &read.runs[0];
    assert_eq!(run.results.as_ref().map(Vec::len), Some(3));
    assert!(text.contains("cases/a%20b0.plx"), "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["version"], "2.1.0");
    let rules = value["runs"][0]["tool"]["driver"]["rules"].as_array().expect("rules");
    let results = value["runs"][0]["results"].as_array().expect("results");
    assert!(results.iter().all(|r| rules.iter().any(|rule| rule["id"] == r["ruleId"])));
}

#[test]
fn annotations_are_one_line_each_and_a_summary_is_no_markup() {
    let lines = github::annotations(&all());
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert!(line.starts_with("::error title=toy ") && !line.contains(['\n', '\r']), "{line}");
        assert!(line.contains("%250A"), "{line}");
    }
    let text = github::summary(&all());
    assert!(text.contains("| still diverges | 2 (1 expected) |"), "{text}");
    assert!(!text.contains("a<b>") && !text.contains("|`x`"), "{text}");
}
