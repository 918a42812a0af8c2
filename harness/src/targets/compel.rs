//! compel: at its checkpoints a program is infected by libcompel's parasite, which answers twice, and cured; whatever is
//! not as it was is a mishap.
//!
//! The programs run natively, in the native jail. The helper that infects them ([`crate::compel`]) runs outside, as root.

use super::host;
use crate::compel::{Answer, Helper, How, child_of};
use crate::freezer::{Freezer, Next, Point, without_numbers};
use crate::jail::{self, AGENT_PATH, JailSpec, JailedInstance, Root};
use crate::target::{Instance, Slot, Target, TargetError};
use parallax_corpus::trace::{Fate, Mishap};
use parallax_corpus::wire::point;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What to do when it is not there.
pub const HINT: &str = "`script/install-targets` builds it on Debian 12 if there is a C compiler (script/build-compel \
                        elsewhere), or give its path with --target-path";
/// The helper's place below where layers are installed.
const HELPER: &str = "compel/parallax-compel";
/// How long an infection may take; a quarter of a millisecond is usual.
const PATIENCE: Duration = Duration::from_secs(8);
const HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// Kinds of change that a reason names, and differences that a log lists.
const NAMED: usize = 8;
const LISTED: usize = 24;

/// One helper and how it is used.
#[derive(Clone, Debug)]
pub struct Compel {
    path: PathBuf,
    threads: bool,
}

impl Compel {
    /// The helper at that path, or where `script/install-targets` puts it. The option `threads` has the parasite run in
    /// every thread of a program.
    ///
    /// # Errors
    /// [`TargetError::Missing`]: none, or nobody may use it; [`TargetError::Unknown`]: another option.
    pub fn named(option: Option<&str>, path: Option<&Path>) -> Result<Compel, TargetError> {
        let threads = match option {
            None => false,
            Some("threads") => true,
            Some(other) => {
                let known = "known are compel and compel:threads".to_owned();
                return Err(TargetError::Unknown { name: format!("compel:{other}"), known });
            }
        };
        let given = path.map(Path::to_owned).or_else(|| host::unpacked(HELPER));
        let path = host::program(given.as_deref(), "parallax-compel", HINT)?;
        if !nix::unistd::geteuid().is_root() {
            let what = "the right to infect a process that is bounded by seccomp".to_owned();
            return Err(TargetError::Missing { what, hint: "run as root".to_owned() });
        }
        Ok(Compel { path, threads })
    }

    fn helper(&self, cpu: Option<usize>) -> Result<Helper, TargetError> {
        Helper::start(&self.path, cpu, PATIENCE)
            .map_err(|e| TargetError::Start { target: self.name(), why: e.to_string() })
    }

    fn launch(&self, slot: &Slot) -> Result<JailedInstance, TargetError> {
        let argv = [AGENT_PATH, "--points"].map(Into::into).into();
        let jailed = jail::spawn(&JailSpec { cpu: slot.cpu, ..JailSpec::new(argv, Root::Bare) })?;
        let agent = jailed.pid;
        let mut instance = JailedInstance::new(jailed, &self.name())?;
        let helper = Some(self.helper(slot.cpu)?);
        let freezer = CompelFreezer {
            compel: self.clone(),
            cpu: slot.cpu,
            helper,
            agent,
            mishaps: Vec::new(),
            infecting: Duration::ZERO,
        };
        instance.link().set_freezer(Box::new(freezer));
        Ok(instance)
    }
}

impl Target for Compel {
    fn name(&self) -> String {
        if self.threads { "compel:threads" } else { "compel" }.to_owned()
    }

    fn version(&self) -> Result<String, TargetError> {
        self.helper(None)?.version().map_err(|e| TargetError::Missing {
            what: format!("the version of {}", self.path.display()),
            hint: format!("{e}; {HINT}"),
        })
    }

    fn start(&self, slot: &Slot) -> Result<Box<dyn Instance>, TargetError> {
        Ok(Box::new(self.launch(slot)?))
    }

    /// The helper itself checks that the parasite has counted, and that it runs as the process it is in.
    fn canary(&self) -> Result<String, TargetError> {
        let version = self.version()?;
        let mut instance = self.launch(&Slot::default())?;
        host::hello(&mut instance, &self.name(), HELLO_PATIENCE)?;
        let inactive = |why: String| TargetError::Inactive { target: self.name(), why };
        let trace = host::checkpoint(&mut instance).map_err(inactive)?;
        if let Some(mishap) = trace.mishaps.first() {
            return Err(inactive(format!("a plain program: {}\n{}", mishap.reason, mishap.log)));
        }
        let times = instance.link().point_times();
        if times.iter().all(|(_, time)| time.is_zero()) {
            return Err(inactive("nothing was done at a checkpoint".to_owned()));
        }
        Ok(format!("a program was infected by {version}, whose parasite answered from inside it, and cured"))
    }

    fn patience_ms(&self) -> u64 {
        // The helper's own patience comes first.
        PATIENCE.as_millis() as u64 + 2_000
    }

    fn has_points(&self) -> bool {
        true
    }

    fn path(&self) -> Option<PathBuf> {
        Some(self.path.clone())
    }
}

/// Infects the programs of one agent.
struct CompelFreezer {
    compel: Compel,
    cpu: Option<usize>,
    /// None after a mishap of its own.
    helper: Option<Helper>,
    /// The agent's process id on the host.
    agent: i32,
    mishaps: Vec<Mishap>,
    infecting: Duration,
}

impl CompelFreezer {
    fn infect(&mut self, pid: i32) -> Result<Answer, String> {
        let pid = child_of(self.agent, pid).ok_or("the program is not the agent's child")?;
        let helper = match &mut self.helper {
            Some(helper) => helper,
            none => none.insert(self.compel.helper(self.cpu).map_err(|e| e.to_string())?),
        };
        helper.infect(pid, How { threads: self.compel.threads, ..How::default() }).map_err(|e| e.to_string())
    }
}

impl Freezer for CompelFreezer {
    fn next(&mut self, point: Point) -> Next {
        if point.asked > 0 {
            return Next::todo(point::END);
        }
        let begin = Instant::now();
        let answer = self.infect(point.pid);
        self.infecting += begin.elapsed();
        let (mishap, todo) = match answer {
            Ok(answer) => judge(&answer),
            Err(why) => {
                let reason = without_numbers(&why);
                (Some(Mishap { fate: Fate::Lost, reason, log: String::new() }), point::END)
            }
        };
        if mishap.as_ref().is_some_and(|m| m.fate == Fate::Lost) {
            // It may still be holding on to what it could not cure.
            self.helper = None;
        }
        self.mishaps.extend(mishap);
        Next::todo(todo)
    }

    fn take_mishaps(&mut self) -> Vec<Mishap> {
        std::mem::take(&mut self.mishaps)
    }

    fn times(&self) -> Vec<(&'static str, Duration)> {
        vec![("infecting and comparing", self.infecting)]
    }
}

/// What an answer means for the program, and what the agent is to do with it.
fn judge(answer: &Answer) -> (Option<Mishap>, u32) {
    if let Some(step) = answer.failed {
        let fate = if step.is_untouched() { Fate::Refused } else { Fate::Lost };
        let said = first_error(&answer.log).unwrap_or_else(|| format!("step {step:?} failed"));
        return (
            Some(Mishap { fate, reason: without_numbers(said.trim()), log: answer.log.clone() }),
            point::END,
        );
    }
    if answer.count == 0 {
        return (None, point::GO);
    }
    let kinds: BTreeSet<String> = answer.differences.iter().map(|d| d.what()).collect();
    let mut reason = kinds.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if kinds.len() > NAMED {
        reason.push_str(", and more");
    }
    let mut lines: Vec<String> = answer.differences.iter().take(LISTED).map(ToString::to_string).collect();
    if answer.count > lines.len() {
        lines.push(format!("and {} more", answer.count - lines.len()));
    }
    (Some(Mishap { fate: Fate::Changed, reason, log: lines.join("\n") }), point::GO)
}

/// The first error of libcompel's log, without the place in its source; else the first line there is. An error's form
/// is `Error (compel/src/lib/infect.c:123): text`.
fn first_error(log: &str) -> Option<String> {
    let error = log.lines().find_map(|line| Some(line.split_once("Error (")?.1.split_once("): ")?.1));
    error.or_else(|| log.lines().next()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compel::{Area, Difference, Step};

    #[test]
    fn a_failed_step_is_told_by_the_first_error() {
        let log = "Warn  (compel/src/lib/infect.c:120): Unable to interrupt task: 4711\n\
                   Error (compel/src/lib/infect.c:310): SEIZE 4711: unsupported stop signal 22\n";
        for (step, fate) in [(Step::Stop, Fate::Refused), (Step::Cure, Fate::Lost)] {
            let answer = Answer { failed: Some(step), log: log.to_owned(), ..Answer::default() };
            let (mishap, todo) = judge(&answer);
            let mishap = mishap.expect("a mishap");
            assert_eq!((mishap.fate, todo), (fate, point::END));
            assert_eq!(mishap.reason, "SEIZE N: unsupported stop signal N");
        }
    }

    #[test]
    fn differences_are_told_by_kind() {
        let one = |area, place, thread| Difference { area, thread, place, before: 1, after: 2 };
        let differences = vec![
            one(Area::Extended, 2 << 32, 0),
            one(Area::Extended, 2 << 32 | 8, 1),
            one(Area::Register, 10, 0),
        ];
        let answer = Answer { count: 3, differences, ..Answer::default() };
        let (mishap, todo) = judge(&answer);
        let mishap = mishap.expect("a mishap");
        assert_eq!((mishap.fate, todo), (Fate::Changed, point::GO));
        assert_eq!(mishap.reason, "register rax, upper halves of the ymm registers");
        assert_eq!(mishap.log.lines().count(), 3);
        assert_eq!(judge(&Answer::default()), (None, point::GO));
    }

    #[test]
    fn each_of_its_programs_is_to_have_a_checkpoint() {
        // Without one nothing is ever infected.
        match Compel::named(None, None) {
            Ok(compel) => assert!(compel.has_points()),
            Err(e) => eprintln!("skipped: {e}"),
        }
    }

    #[test]
    fn an_option_it_does_not_have_is_named() {
        let said = Compel::named(Some("nonsense"), None).expect_err("no such option").to_string();
        assert!(said.contains("nonsense") && said.contains("compel:threads"), "{said}");
    }
}
