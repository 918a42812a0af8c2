//! gVisor's own dump and restore: at a checkpoint the whole sandbox is saved, ended, and another one restored from it.
//!
//! The reference is gVisor without that: where it differs from Linux is the target `gvisor`'s to find, and would hide what
//! saving and restoring does.

use super::gvisor::{Bundle, Gvisor, HELLO_PATIENCE, HINT, new_id};
use super::host;
use crate::freezer::{Freezer, Next, Point, without_numbers};
use crate::jail::{self, AGENT_PATH, ContainedSpec, Jailed, MAX_WORDS};
use crate::link::Link;
use crate::target::{Instance, Slot, Target, TargetError};
use parallax_corpus::trace::{Fate, Mishap};
use parallax_corpus::wire::point;
use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a sandbox may take to be saved; 40 ms is usual.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most of a log that is kept with a case, bytes.
const KEPT_LOG: usize = 4 << 10;

/// One `runsc` whose sandboxes are saved and restored.
#[derive(Clone, Debug)]
pub struct GvisorCheckpoint {
    gvisor: Gvisor,
    /// What the user asked for behind the colon.
    platform: Option<String>,
    /// `nsenter` (util-linux): `runsc` finds a sandbox only where its process ids mean the same.
    enter: PathBuf,
}

impl GvisorCheckpoint {
    /// The target `gvisor-checkpoint` or `gvisor-checkpoint:PLATFORM`, given what stands after the colon.
    ///
    /// # Errors
    /// As [`Gvisor::named`]; or there is no `nsenter`, or no right to use it.
    pub fn named(platform: Option<&str>, path: Option<&Path>) -> Result<GvisorCheckpoint, TargetError> {
        let gvisor = Gvisor::named(platform, path)?;
        let enter = host::nsenter()?;
        if !nix::unistd::geteuid().is_root() {
            return Err(TargetError::Missing {
                what: "the right to save a sandbox".to_owned(),
                hint: "run as root".to_owned(),
            });
        }
        Ok(GvisorCheckpoint { gvisor, platform: platform.map(Into::into), enter })
    }

    fn launch(&self, slot: &Slot) -> Result<Sandbox, TargetError> {
        let bundle = Bundle::write(&jail::limits()?, &[AGENT_PATH, "--points"], false).map_err(|e| {
            let why = format!("its bundle cannot be written below {}: {e}", std::env::temp_dir().display());
            TargetError::Start { target: self.name(), why }
        })?;
        let live = Live {
            target: self.clone(),
            slot: slot.clone(),
            bundle,
            jailed: None,
            id: String::new(),
            mishaps: Vec::new(),
            saving: Duration::ZERO,
            restoring: Duration::ZERO,
        };
        let live = Arc::new(Mutex::new(live));
        let (to, from) = locked(&live).start(&[])?;
        let mut link = Link::new(to, from);
        link.set_freezer(Box::new(Saver(Arc::clone(&live))));
        Ok(Sandbox { link, live })
    }
}

/// A sandbox and what it takes to save it.
struct Live {
    // First, so that it ends before its files go.
    jailed: Option<Jailed>,
    target: GvisorCheckpoint,
    slot: Slot,
    bundle: Bundle,
    /// The container's name.
    id: String,
    mishaps: Vec<Mishap>,
    saving: Duration,
    restoring: Duration,
}

fn locked(live: &Mutex<Live>) -> MutexGuard<'_, Live> {
    // A panic elsewhere leaves it as whole as it was.
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    fn folder(&self) -> &Path {
        self.bundle.folder.path()
    }

    fn images(&self) -> PathBuf {
        self.folder().join("image")
    }

    /// Starts a container: a fresh one, or with `restore` the words that have it restored. Gives its pipes.
    fn start(&mut self, restore: &[OsString]) -> Result<(OwnedFd, OwnedFd), TargetError> {
        let folder = self.folder().to_owned();
        self.id = new_id();
        let mut argv = self.target.gvisor.runsc(&folder);
        argv.push(if restore.is_empty() { "run" } else { "restore" }.into());
        argv.extend_from_slice(restore);
        argv.extend(["-bundle".into(), folder.clone().into(), self.id.clone().into()]);
        let mut jailed = jail::spawn_contained(&ContainedSpec {
            argv,
            cwd: folder,
            env: ContainedSpec::usual_env(),
            fds: Vec::new(),
            terminal: false,
            cpu: self.slot.cpu,
        })?;
        let pipes = jailed.stdin.take().zip(jailed.stdout.take());
        self.jailed = Some(jailed);
        pipes.ok_or_else(|| TargetError::Start {
            target: self.target.name(),
            why: "its pipes are taken".to_owned(),
        })
    }

    /// Saves the sandbox and ends it.
    fn save(&mut self) -> Result<(), String> {
        let images = self.images();
        let _ = fs::remove_dir_all(&images);
        let pid = self.jailed.as_ref().map_or(0, |jailed| jailed.pid);
        let mut words: Vec<OsString> =
            vec!["--target".into(), pid.to_string().into(), "--pid".into(), "--mount".into(), "--".into()];
        words.extend(self.target.gvisor.runsc(self.folder()));
        words.extend(["checkpoint".into(), "-image-path".into(), images.into(), self.id.clone().into()]);
        let (ok, said) = host::run(&self.target.enter, &words, PATIENCE);
        if !ok {
            return Err(said);
        }
        // Where it is saved it ends; what does not end by itself is in the way of what comes.
        if let Some(mut jailed) = self.jailed.take() {
            let deadline = Instant::now() + PATIENCE;
            while jailed.exited().is_none() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            jailed.kill();
        }
        Ok(())
    }

    fn logged(&self, name: &str, most: usize) -> String {
        String::from_utf8_lossy(&host::beginning_of(&self.folder().join(name), most)).into_owned()
    }

    fn mishap(&mut self, fate: Fate, said: &str) {
        let log = [self.logged("panic", KEPT_LOG), self.logged("log", KEPT_LOG), said.to_owned()].concat();
        let line = |text: &str| text.lines().rev().find(|l| !l.trim().is_empty()).map(str::to_owned);
        let reason = line(said).or_else(|| line(&log)).unwrap_or_else(|| "it does not say why".to_owned());
        // Its messages begin with the command and end with the innermost error.
        let reason = without_numbers(reason.trim()).replace(&without_numbers(&self.id), "ID");
        let folder = without_numbers(&self.folder().display().to_string());
        let reason = reason.replace(&folder, "FOLDER");
        self.mishaps.push(Mishap { fate, reason, log });
    }
}

/// Saves and restores the sandbox of one agent.
struct Saver(Arc<Mutex<Live>>);

impl Freezer for Saver {
    fn next(&mut self, point: Point) -> Next {
        let mut live = locked(&self.0);
        if point.asked > 0 {
            return Next::todo(point::END);
        }
        let begin = Instant::now();
        if let Err(said) = live.save() {
            live.mishap(Fate::Refused, &said);
            return Next::todo(point::END);
        }
        let saved = Instant::now();
        live.saving += saved - begin;
        let images = live.images().into();
        match live.start(&["-image-path".into(), images]) {
            Ok(pipes) => {
                live.restoring += saved.elapsed();
                Next { todo: point::GO, pipes: Some(pipes) }
            }
            Err(e) => {
                live.mishap(Fate::Lost, &e.to_string());
                Next::todo(point::END)
            }
        }
    }

    fn take_mishaps(&mut self) -> Vec<Mishap> {
        std::mem::take(&mut locked(&self.0).mishaps)
    }

    fn times(&self) -> Vec<(&'static str, Duration)> {
        let live = locked(&self.0);
        vec![("saving", live.saving), ("starting to restore", live.restoring)]
    }
}

/// A running sandbox, whichever it is by now.
struct Sandbox {
    link: Link,
    live: Arc<Mutex<Live>>,
}

impl Instance for Sandbox {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn last_words(&mut self) -> String {
        let mut live = locked(&self.live);
        let mut words = live.logged("panic", MAX_WORDS);
        words += &live.logged("log", MAX_WORDS);
        if let Some(jailed) = &mut live.jailed {
            words += &jailed.stderr_text();
            words += &jailed.exited().unwrap_or_default();
        }
        host::text_of(words.as_bytes(), MAX_WORDS)
    }

    fn kill(&mut self) {
        if let Some(jailed) = &mut locked(&self.live).jailed {
            jailed.kill();
        }
    }
}

impl Target for GvisorCheckpoint {
    fn name(&self) -> String {
        match &self.platform {
            Some(platform) => format!("gvisor-checkpoint:{platform}"),
            None => "gvisor-checkpoint".to_owned(),
        }
    }

    fn version(&self) -> Result<String, TargetError> {
        self.gvisor.version()
    }

    fn start(&self, slot: &Slot) -> Result<Box<dyn Instance>, TargetError> {
        Ok(Box::new(self.launch(slot)?))
    }

    fn canary(&self) -> Result<String, TargetError> {
        let mut sandbox = self.launch(&Slot::default())?;
        let seen = host::hello(&mut sandbox, &self.name(), HELLO_PATIENCE)?;
        let inactive = |why: String| TargetError::Inactive { target: self.name(), why };
        let first = locked(&sandbox.live).jailed.as_ref().map_or(0, |jailed| jailed.pid);
        self.gvisor.prove(first, &seen).map_err(inactive)?;
        let trace = host::checkpoint(&mut sandbox).map_err(|e| inactive(format!("{e}; {HINT}")))?;
        if let Some(mishap) = trace.mishaps.first() {
            return Err(inactive(format!("a plain program: {}", mishap.reason)));
        }
        let second = locked(&sandbox.live).jailed.as_ref().map_or(0, |jailed| jailed.pid);
        if first == second {
            return Err(inactive("the sandbox is the same after a checkpoint".to_owned()));
        }
        Ok(format!(
            "a sandbox was saved and ended, and another one restored, where the program went on (the kernel there is {})",
            seen.uname[2]
        ))
    }

    fn reference(&self) -> Arc<dyn Target> {
        Arc::new(self.gvisor.clone().without_terminal())
    }

    fn has_points(&self) -> bool {
        true
    }

    fn patience_ms(&self) -> u64 {
        30_000
    }

    fn pairs_a_core(&self) -> usize {
        1
    }

    fn path(&self) -> Option<PathBuf> {
        self.gvisor.path()
    }
}
