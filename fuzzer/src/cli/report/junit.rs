//! JUnit: a test for each case, which passes if it is fixed or expected.

use super::{Status, Told};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeMap;

/// The report. Characters that XML cannot hold are left out.
pub(super) fn report(told: &[Told]) -> anyhow::Result<String> {
    let mut report = Report::new("parallax");
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for case in told {
        let mut status = match case.status {
            Status::NotRun => TestCaseStatus::skipped(),
            _ if case.fails() => TestCaseStatus::non_success(NonSuccessKind::Failure),
            _ => TestCaseStatus::success(),
        };
        if case.fails() || case.status == Status::NotRun {
            status.set_message(case.seen());
            status.set_type(case.status.words());
            status.set_description(case.sentence());
        }
        let mut test = TestCase::new(case.repro.signature.0.as_str(), status);
        test.set_classname(format!("{}.{}", case.repro.target_name, case.repro.id));
        test.set_system_out(format!("{}\n{}", case.sentence(), case.seen()));
        let suite = case.repro.target_name.as_str();
        suites.entry(suite).or_insert_with(|| TestSuite::new(suite)).add_test_case(test);
    }
    report.add_test_suites(suites.into_values());
    // Jenkins' and Surefire's schemas call tests that were not run skipped. No value and no text holds an unescaped quote.
    Ok(report.to_string()?.replace("\" disabled=\"", "\" skipped=\""))
}
