//! SARIF 2.1.0: a rule for each signature, a result for each case that fails or is no longer as expected.

use super::{Status, Told};
use parallax_triage::severity::Severity;
use serde_sarif::sarif::{
    ArtifactLocation, Location, MultiformatMessageString, PhysicalLocation, ReportingDescriptor, Result,
    ResultLevel, Run, SCHEMA_URL, Sarif, Tool, ToolComponent,
};
use std::collections::{BTreeMap, BTreeSet};

/// The report.
pub(super) fn report(told: &[Told]) -> anyhow::Result<String> {
    let worth: Vec<&Told> = told.iter().filter(|case| case.fails() || case.unexpected_fix).collect();
    let mut seen = BTreeSet::new();
    let rules: Vec<ReportingDescriptor> = worth
        .iter()
        .filter(|case| seen.insert(case.repro.id.as_str()))
        .map(|case| {
            let text = |text: String| MultiformatMessageString::builder().text(text).build();
            ReportingDescriptor::builder()
                .id(case.repro.id.clone())
                .name(case.repro.signature.0.clone())
                .short_description(text(case.repro.signature.0.clone()))
                .full_description(text(format!("{} ({})", case.sentence(), case.severity().words())))
                .build()
        })
        .collect();
    let results: Vec<Result> = worth.iter().map(|case| result(case)).collect();
    let driver =
        ToolComponent::builder().name("parallax").version(env!("CARGO_PKG_VERSION")).rules(rules).build();
    let run = Run::builder().tool(Tool::builder().driver(driver).build()).results(results).build();
    let sarif = Sarif::builder().schema(SCHEMA_URL).version("2.1.0").runs(vec![run]).build();
    let mut text = serde_json::to_string_pretty(&sarif)?;
    text.push('\n');
    Ok(text)
}

fn result(case: &Told) -> Result {
    let level = match (case.unexpected_fix, case.severity()) {
        (true, _) => ResultLevel::Note,
        (_, Severity::Layer | Severity::Data) => ResultLevel::Error,
        (_, Severity::Result | Severity::Errno) => ResultLevel::Warning,
        (_, Severity::Feature) => ResultLevel::Note,
    };
    let file = ArtifactLocation::builder().uri(uri(&case.file.to_string_lossy())).build();
    let place = PhysicalLocation::builder().artifact_location(file).build();
    // What stays the same from run to run, so that a result is followed and not told anew.
    let fingerprint = BTreeMap::from([("parallax/v1".to_owned(), case.repro.id.clone())]);
    let baseline = if case.status == Status::New { "new" } else { "unchanged" };
    Result::builder()
        .rule_id(case.repro.id.clone())
        .level(level)
        .message(format!("{}\n{}", case.sentence(), case.seen()).as_str())
        .locations(vec![Location::builder().physical_location(place).build()])
        .partial_fingerprints(fingerprint)
        .baseline_state(serde_json::Value::from(baseline))
        .build()
}

/// A path as a relative reference.
fn uri(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                text.push(byte as char)
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}
