//! gVisor: an OCI bundle of its own for each instance, run by `runsc` with no access to the host.
//!
//! What a user must know about versions, platforms and traps stands in `docs/targets.md`.

use super::host;
use crate::jail::{self, AGENT_PATH, ContainedSpec, JailedInstance, MAX_WORDS};
use crate::link::{Environment, Link};
use crate::target::{Instance, Slot, Target, TargetError};
use crate::terminal::Terminal;
use nix::fcntl::{Flock, FlockArg};
use parallax_corpus::wire;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// What to do when `runsc` is not there.
pub const HINT: &str =
    "`script/install-targets` installs it on Debian 12, or give its path with --target-path";

/// How long a sandbox may take until its agent says hello; 0.1 to 0.3 s is usual.
pub const HELLO_PATIENCE: Duration = Duration::from_secs(20);

/// Bundles whose owner was killed are removed once they are this old: younger ones may not be locked yet.
const STALE: Duration = Duration::from_secs(60);

const FOLDER: &str = "parallax-gvisor-";

/// The OCI names of getrlimit(2)'s resources, by number.
const LIMITS: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// How the sentry gets hold of a program's system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Seccomp traps, in `runsc` from 2023 on.
    Systrap,
    /// `PTRACE_SYSEMU`, in every version.
    Ptrace,
}

impl Platform {
    fn name(self) -> &'static str {
        match self {
            Platform::Systrap => "systrap",
            Platform::Ptrace => "ptrace",
        }
    }
}

/// One `runsc` and one of its platforms.
#[derive(Clone, Debug)]
pub struct Gvisor {
    path: PathBuf,
    /// What the user asked for; `None` is the best there is.
    asked: Option<Platform>,
    platform: Platform,
    /// It is this `runsc`'s default, so the sandbox's flags may leave it out.
    implied: bool,
    /// It can pass descriptors to the container, so that one may have a terminal beside its pipes.
    passes: bool,
}

impl Gvisor {
    /// The `runsc` at that path, or else in `PATH`; with no platform asked for, systrap where it has it.
    ///
    /// # Errors
    /// [`TargetError::Missing`]: no such `runsc`, or it lacks the platform.
    pub fn new(path: Option<&Path>, asked: Option<Platform>) -> Result<Gvisor, TargetError> {
        let path = host::program(path, "runsc", HINT)?;
        let flags = host::printed_by(&path, &["flags".into()], host::VERSION_PATIENCE).unwrap_or_default();
        let platform = match (flags.contains(Platform::Systrap.name()), asked) {
            (_, Some(Platform::Ptrace)) | (false, None) => Platform::Ptrace,
            (true, _) => Platform::Systrap,
            (false, Some(Platform::Systrap)) => {
                return Err(TargetError::Missing {
                    what: format!("platform systrap of {}", path.display()),
                    hint: "it came in 2023: use gvisor:ptrace, or a newer runsc".to_owned(),
                });
            }
        };
        // "specifies which platform to use: systrap (default), ptrace, kvm."
        let implied = flags.contains(&format!("{} (default)", platform.name()));
        let help = host::printed_by(&path, &["help".into(), "run".into()], host::VERSION_PATIENCE);
        let passes = help.unwrap_or_default().contains("-pass-fd");
        Ok(Gvisor { path, asked, platform, implied, passes })
    }

    /// The target `gvisor` or `gvisor:PLATFORM`, given what stands after the colon.
    ///
    /// # Errors
    /// As [`Gvisor::new`]; or there is no such platform.
    pub fn named(platform: Option<&str>, path: Option<&Path>) -> Result<Gvisor, TargetError> {
        let asked = match platform {
            None => None,
            Some("systrap") => Some(Platform::Systrap),
            Some("ptrace") => Some(Platform::Ptrace),
            Some(other) => {
                return Err(TargetError::Unknown {
                    name: format!("gvisor:{other}"),
                    known: "the platforms are systrap and ptrace".to_owned(),
                });
            }
        };
        Gvisor::new(path, asked)
    }

    /// The same without an outside terminal.
    #[must_use]
    pub(super) fn without_terminal(self) -> Gvisor {
        Gvisor { passes: false, ..self }
    }

    /// `runsc` with the flags of all its commands on what lies in that folder.
    pub(super) fn runsc(&self, folder: &Path) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![
            self.path.clone().into(),
            format!("--platform={}", self.platform.name()).into(),
            "--network=none".into(),
            // Without its own cgroup it needs no rights to make one; the jail's limits bound it.
            "--ignore-cgroups".into(),
            // What programs do to the root stays in memory: nothing is left on the host, and no disk fills.
            "--overlay2=root:memory".into(),
            flag("root", &folder.join("state")),
            flag("panic-log", &folder.join("panic")),
            // Its standard error is the outside terminal: of the three it takes any one, as it comes, for the terminal
            // that the container gets (`fdimport.Import` goes through a map).
            flag("log", &folder.join("log")),
        ];
        if !nix::unistd::geteuid().is_root() {
            words.push("--rootless".into());
        }
        words
    }

    fn command(&self, folder: &Path, terminal: bool) -> Vec<OsString> {
        let mut words = self.runsc(folder);
        words.push("run".into());
        if terminal {
            for fd in [wire::FD_IN, wire::FD_OUT] {
                words.push(format!("--pass-fd={fd}:{fd}").into());
            }
        }
        words.push("-bundle".into());
        words.push(folder.into());
        words.push(new_id().into());
        words
    }

    /// The flags the running sandbox has, checked against what was asked for, and who answered `uname`.
    pub(super) fn prove(&self, pid: i32, seen: &Environment) -> Result<String, String> {
        let flag = format!("--platform={}", self.platform.name());
        let sandbox = host::family(pid)
            .into_iter()
            .map(host::arguments)
            .find(|words| words.iter().any(|w| w == "boot"))
            .ok_or("no process of it is a sandbox (`runsc boot`)")?;
        match sandbox.iter().find(|w| w.starts_with("--platform=")) {
            Some(other) if *other != flag => {
                return Err(format!("its sandbox runs with {other}, not {flag}"));
            }
            None if !self.implied => return Err(format!("its sandbox runs without {flag}")),
            _ => {}
        }
        let native = nix::sys::utsname::uname().map_err(|e| format!("uname: {e}"))?;
        let host = (native.release().to_string_lossy(), native.version().to_string_lossy());
        if host == (seen.uname[2].as_str().into(), seen.uname[3].as_str().into()) {
            return Err(format!("the agent sees the host's own kernel, {} {}", host.0, host.1));
        }
        Ok(format!(
            "a sandbox runs with {flag}, and answers uname with {} (the host is {})",
            seen.uname[2], host.0
        ))
    }

    fn launch(&self, slot: &Slot) -> Result<Sandbox, TargetError> {
        // Asked first, since it stands in the configuration.
        let terminal = self.passes && Terminal::open(None).is_ok();
        let bundle =
            Bundle::write(&jail::limits()?, &[AGENT_PATH], terminal).map_err(|e| TargetError::Start {
                target: self.name(),
                why: format!("its bundle cannot be written below {}: {e}", std::env::temp_dir().display()),
            })?;
        let folder = bundle.folder.path();
        let jailed = jail::spawn_contained(&ContainedSpec {
            argv: self.command(folder, terminal),
            cwd: folder.to_owned(),
            env: ContainedSpec::usual_env(),
            fds: Vec::new(),
            terminal,
            cpu: slot.cpu,
        })?;
        Ok(Sandbox { instance: JailedInstance::new(jailed, &self.name())?, bundle })
    }
}

/// A name that no other container has.
pub(super) fn new_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("parallax-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(format!("--{name}="));
    flag.push(path);
    flag
}

impl Target for Gvisor {
    fn name(&self) -> String {
        self.asked.map_or("gvisor".to_owned(), |p| format!("gvisor:{}", p.name()))
    }

    fn version(&self) -> Result<String, TargetError> {
        host::version_line(&self.path, &[]).ok_or_else(|| TargetError::Missing {
            what: format!("the version of {}", self.path.display()),
            hint: format!("is it a runsc? {HINT}"),
        })
    }

    fn start(&self, slot: &Slot) -> Result<Box<dyn Instance>, TargetError> {
        Ok(Box::new(self.launch(slot)?))
    }

    fn canary(&self) -> Result<String, TargetError> {
        let mut sandbox = self.launch(&Slot::default())?;
        let seen = host::hello(&mut sandbox, &self.name(), HELLO_PATIENCE)?;
        let pid = sandbox.instance.jail().pid;
        self.prove(pid, &seen).map_err(|why| TargetError::Inactive { target: self.name(), why })
    }

    fn patience_ms(&self) -> u64 {
        // A first touch of memory or a fork costs milliseconds there, and ptrace ten times that.
        if self.platform == Platform::Ptrace { 4_000 } else { 2_000 }
    }

    fn answers_each(&self) -> bool {
        // A message to the host costs as much as half a program.
        false
    }

    fn pairs_a_core(&self) -> usize {
        // The sentry computes more than its programs wait: more sandboxes only take the core from each other.
        1
    }

    fn path(&self) -> Option<PathBuf> {
        Some(self.path.clone())
    }
}

/// What `runsc` needs on disk: configuration, root file system, state. Removed on drop.
pub(super) struct Bundle {
    pub(super) folder: TempDir,
    /// Held as long as the owner lives: tells an orphan's folder from one in use.
    _lock: Flock<File>,
}

impl Bundle {
    /// The agent's command line is `args`; `terminal`: the container has one of the host's.
    pub(super) fn write(limits: &[(u32, u64)], args: &[&str], terminal: bool) -> std::io::Result<Bundle> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| sweep(&std::env::temp_dir()));
        let folder = tempfile::Builder::new().prefix(FOLDER).tempdir()?;
        let lock = Flock::lock(File::open(folder.path())?, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, e)| std::io::Error::from(e))?;
        let root = folder.path().join("rootfs");
        // The mount points too: `runsc` would make them anyway, with other modes.
        for name in ["dev", "proc", "tmp", "w"] {
            fs::create_dir_all(root.join(name))?;
        }
        fs::create_dir(folder.path().join("state"))?;
        let agent = root.join(AGENT_PATH.trim_start_matches('/'));
        fs::write(&agent, crate::AGENT)?;
        fs::set_permissions(&agent, PermissionsExt::from_mode(0o755))?;
        fs::write(folder.path().join("config.json"), serde_json::to_vec(&config(limits, args, terminal))?)?;
        Ok(Bundle { folder, _lock: lock })
    }
}

/// Removes bundles whose owner died before it could (SIGKILL): nobody holds their lock.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let stale = |time: SystemTime| time.elapsed().is_ok_and(|age| age > STALE);
        if entry.file_name().to_string_lossy().starts_with(FOLDER)
            && entry.metadata().and_then(|m| m.modified()).is_ok_and(stale)
        {
            let Ok(file) = File::open(entry.path()) else { continue };
            if let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // Another user's cannot be removed; that is theirs to do.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// The OCI runtime configuration (specification 1.0): the same world as the jail's on the native side.
fn config(limits: &[(u32, u64)], args: &[&str], terminal: bool) -> Value {
    let none: [&str; 0] = [];
    // gVisor does not inherit the host's limits: what is not named here gets its own defaults.
    let limits: Vec<Value> = limits
        .iter()
        .filter_map(|&(resource, value)| Some((LIMITS.get(resource as usize)?, value)))
        .map(|(name, value)| json!({"type": name, "soft": value, "hard": value}))
        .collect();
    let namespaces: Vec<Value> =
        ["pid", "network", "ipc", "uts", "mount"].iter().map(|name| json!({"type": name})).collect();
    json!({
        "ociVersion": "1.0.0",
        "hostname": "parallax",
        // As the jail's: what a program does to it would stay for all that follow.
        "root": {"path": "rootfs", "readonly": true},
        "process": {
            "terminal": terminal,
            "user": {"uid": 0, "gid": 0},
            "args": args,
            "env": ["PATH=/bin:/usr/bin", "TERM=xterm"],
            "cwd": "/w",
            "noNewPrivileges": true,
            "capabilities": {
                "bounding": none, "effective": none, "inheritable": none, "permitted": none, "ambient": none,
            },
            "rlimits": limits,
        },
        "mounts": [
            mount("/proc", "proc", &[]),
            // gVisor fills it with the device nodes itself. Nothing in it can go, as in the jail's (decision
            // 0011); were it read-only, gVisor would open no device for writing.
            mount("/dev", "tmpfs", &["mode=555"]),
            // 0600 is devpts's default, and what runsc's terminals have whatever is asked for; the jail's have it too.
            mount("/dev/pts", "devpts", &["newinstance", "ptmxmode=0666", "mode=0600"]),
            mount("/w", "tmpfs", &["mode=777"]),
        ],
        "linux": {"namespaces": namespaces},
    })
}

fn mount(destination: &str, kind: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": kind, "source": kind, "options": options})
}

/// A running sandbox with an agent in it.
struct Sandbox {
    instance: JailedInstance,
    // After the jail, which is dropped first: its processes have the bundle's files open.
    bundle: Bundle,
}

impl Sandbox {
    fn logged(&self, name: &str) -> Vec<u8> {
        host::beginning_of(&self.bundle.folder.path().join(name), MAX_WORDS)
    }
}

impl Instance for Sandbox {
    fn link(&mut self) -> &mut Link {
        self.instance.link()
    }

    fn last_words(&mut self) -> String {
        // The panic goes first: a long log must not push the reason out.
        let mut words = self.logged("panic");
        words.extend(self.logged("log"));
        words.extend_from_slice(self.instance.last_words().as_bytes());
        host::text_of(&words, MAX_WORDS)
    }

    fn kill(&mut self) {
        self.instance.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_has_no_capability_and_no_host_file() {
        let config = config(&[(libc::RLIMIT_NOFILE, 256)], &[AGENT_PATH], false);
        let sets = config["process"]["capabilities"].as_object().unwrap();
        assert_eq!(sets.len(), 5);
        assert!(sets.values().all(|set| set.as_array().unwrap().is_empty()));
        assert!(config["mounts"].as_array().unwrap().iter().all(|m| m["type"] != "bind"));
        assert_eq!(config["process"]["cwd"], "/w");
        assert_eq!(
            config["process"]["rlimits"],
            json!([{"type": "RLIMIT_NOFILE", "soft": 256, "hard": 256}])
        );
    }

    #[test]
    fn an_orphans_bundle_is_swept_and_one_in_use_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str, age: u64| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.join("rootfs")).unwrap();
            let file = File::open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
            (path, file)
        };
        let (orphan, _) = made("parallax-gvisor-a", 3600);
        let (used, file) = made("parallax-gvisor-b", 3600);
        let _lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
        let (young, _) = made("parallax-gvisor-c", 0);
        let (other, _) = made("somebody-elses", 3600);
        sweep(folder.path());
        assert!(!orphan.exists());
        assert!(used.exists() && young.exists() && other.exists());
    }

    #[test]
    fn a_bundle_goes_with_its_owner() {
        let bundle = Bundle::write(&[], &[AGENT_PATH], false).unwrap();
        let path = bundle.folder.path().to_owned();
        assert_eq!(fs::read(path.join("rootfs/agent")).unwrap(), crate::AGENT);
        drop(bundle);
        assert!(!path.exists());
    }
}
