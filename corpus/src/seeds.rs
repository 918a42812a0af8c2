//! Small programs as people write them, for a campaign to begin with: three or more an area.
//!
//! They do what real programs do (save a file, run a pipeline, edit a line). None was written to show a known
//! divergence; those that show one all the same are named in `docs/import.md`.

use crate::program::Program;
use crate::text;

macro_rules! seeds {
    ($($area:literal: $($name:literal),+;)*) => {
        /// Area, name and text of each.
        pub const ALL: &[(&str, &str, &str)] =
            &[$($(($area, $name, include_str!(concat!("../seeds/", $area, "/", $name, ".txt")))),+),*];
    };
}

seeds! {
    "tty": "interrupt_key", "job_control", "line_editing", "pty_pair", "raw_mode";
    "files": "append_log", "atomic_save", "descriptors", "lock_file", "sparse_database";
    "dirs": "hard_links", "links", "temporary_tree";
    "io": "copy_file", "datagrams", "pipeline", "scatter_gather";
    "events": "event_loop", "signal_descriptor", "timer_descriptor", "watch_folder";
    "sockets": "abstract_logger", "pass_descriptor", "stream_server", "tcp_echo";
    "time": "deadline", "interval_timers", "vdso_and_kernel";
    "processes": "child_process", "identity", "limits", "look_at_self", "reader_thread", "usage_loop", "wait_for_children";
    "sched": "affinity", "futex_words", "priorities";
    "memory": "heap_and_guard", "memfd_seals", "shared_file";
    "signals": "child_signal", "handler_and_mask", "wait_for_signal";
    "ipc": "messages", "semaphores", "shared_memory";
}

/// All of them. (That each is well formed is a test's to say: one that is not is left out.)
pub fn programs() -> Vec<Program> {
    ALL.iter().filter_map(|(_, _, text)| text::parse(text).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desc::Area;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_is_listed_and_well_formed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds");
        let mut files = BTreeSet::new();
        for area in std::fs::read_dir(folder).expect("the folder") {
            let area = area.expect("an area").path();
            for file in std::fs::read_dir(&area).expect("an area") {
                let file = file.expect("a file").path();
                let name =
                    |p: &std::path::Path| p.file_stem().expect("a name").to_string_lossy().into_owned();
                files.insert((name(&area), name(&file)));
            }
        }
        let listed: BTreeSet<_> = ALL.iter().map(|(a, n, _)| ((*a).to_owned(), (*n).to_owned())).collect();
        assert_eq!(files, listed);
        for (area, name, text) in ALL {
            let program = text::parse(text).unwrap_or_else(|e| panic!("{area}/{name}: {e}"));
            assert!((6..=20).contains(&program.calls.len()), "{area}/{name} is small");
            assert!(text.starts_with("# "), "{area}/{name} says what it does");
        }
        for area in Area::ALL {
            let count = ALL.iter().filter(|(a, ..)| *a == area.name()).count();
            assert!(count >= 3, "{count} seeds for {}", area.name());
        }
    }
}
