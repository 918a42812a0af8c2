//! The progress line on standard error.

use parallax_triage::stats::Stats;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Prints how a campaign goes: on a terminal one line that is rewritten every second, else a line every ten.
#[derive(Debug)]
pub struct Monitor {
    terminal: bool,
    quiet: bool,
    last: Option<Instant>,
    width: usize,
}

impl Monitor {
    /// A monitor; a quiet one prints complaints only.
    pub fn new(quiet: bool) -> Monitor {
        Monitor { terminal: io::stderr().is_terminal(), quiet, last: None, width: 0 }
    }

    /// Whether it is time for a line.
    pub fn is_due(&self) -> bool {
        let every = Duration::from_secs(if self.terminal { 1 } else { 10 });
        !self.quiet && self.last.is_none_or(|last| last.elapsed() >= every)
    }

    /// Prints the progress line.
    pub fn show(&mut self, stats: &Stats) {
        self.last = Some(Instant::now());
        let text = line(stats);
        let mut stderr = io::stderr().lock();
        // Nobody left to read it is no reason to end a campaign.
        let _ = if self.terminal {
            // What is left of a longer line is written over.
            let padded = format!("\r{text:width$}", width = self.width);
            self.width = text.chars().count();
            stderr.write_all(padded.as_bytes()).and_then(|()| stderr.flush())
        } else {
            writeln!(stderr, "{text}")
        };
    }

    /// Prints a line that stays.
    pub fn say(&mut self, text: &str) {
        let mut stderr = io::stderr().lock();
        let clear =
            if self.width > 0 { format!("\r{:width$}\r", "", width = self.width) } else { String::new() };
        self.width = 0;
        let _ = writeln!(stderr, "{clear}{text}");
    }

    /// Ends the progress line, so that what follows begins a new one.
    pub fn finish(&mut self, stats: &Stats) {
        if !self.quiet {
            self.show(stats);
            if self.terminal {
                let _ = writeln!(io::stderr());
            }
            self.width = 0;
        }
    }
}

/// The progress line.
pub fn line(stats: &Stats) -> String {
    format!(
        "{} {} programs {:.0}/s corpus {} cases {} new {} known unstable {} restarts {} ok {:.0}% last case {} ago",
        clock(stats.seconds),
        stats.programs,
        stats.programs_per_second,
        stats.corpus,
        stats.cases,
        stats.known_sightings,
        stats.unstable,
        stats.restarts,
        stats.ok_percent(),
        clock(stats.seconds_since_last_case),
    )
}

/// Seconds as h:mm:ss.
fn clock(seconds: f64) -> String {
    let whole = seconds as u64;
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}
