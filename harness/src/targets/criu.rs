//! CRIU: each program is dumped at its checkpoints, killed, and restored from the images.
//!
//! The reference is the same jail with an agent whose programs stop and are continued there. Where CRIU comes from, and
//! its traps, stand in `docs/targets.md`.

mod freezer;
mod pages;
mod rpc;

use super::host;
use super::native::NativeKeeping;
use crate::jail::{self, AGENT_PATH, JailSpec, JailedInstance, Root};
use crate::oracles::class::is_older;
use crate::target::{Instance, Slot, Target, TargetError};
use freezer::{CONFIG, CriuFreezer, IMAGES};
use pages::Pages;
use parallax_corpus::wire;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What to do when it is not there.
pub const HINT: &str =
    "`script/install-targets` fetches it as root on Debian 12, or give its path with --target-path";
/// The first release that works with Linux from 6.16 on.
const OLDEST: &str = "4.2";
/// How long a dump or a restore may take; 5 ms is usual.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where its own folder is bound in the jail.
const FOLDER: &str = "/criu";
/// Where it keeps what it knows of the kernel.
const KERNEL: &str = "/run/criu.kdat";
/// The option that CRIU has no use for without somebody who serves the pages.
const LAZY_PAGES: &str = "lazy-pages";
const HELLO_PATIENCE: Duration = Duration::from_secs(20);

/// One `criu` and how it is used.
#[derive(Clone, Debug)]
pub struct Criu {
    /// The executable.
    path: PathBuf,
    /// It needs nothing but what is in its folder: its libraries and their loader, or none of them.
    unpacked: bool,
    /// Lines of its configuration file, and `fault=N`, as the user gave them.
    options: Vec<String>,
    /// What it has found out about this kernel, which takes it as long as ten dumps.
    kernel: Arc<OnceLock<Vec<u8>>>,
}

impl Criu {
    /// The `criu` at that path, in `PATH`, or where `script/install-targets` puts it. `options` are its own long options
    /// without the dashes, divided by commas, such as `tcp-established,ghost-limit=1`; `fault=N` is `CRIU_FAULT`, and with
    /// `lazy-pages` memory is restored when it is touched.
    ///
    /// # Errors
    /// [`TargetError::Missing`]: none, or one too old.
    pub fn named(options: Option<&str>, path: Option<&Path>) -> Result<Criu, TargetError> {
        let path = match path {
            Some(path) => host::program(Some(path), "criu", HINT)?,
            None => host::unpacked("criu/criu").map_or_else(|| host::program(None, "criu", HINT), Ok)?,
        };
        // The starter that stands beside one of `script/install-criu` is a script, and there is no shell in a jail.
        let beside = path.parent().and_then(Path::parent).map(|folder| folder.join("criu"));
        let path = beside.filter(|p| p.is_file()).unwrap_or(path);
        let unpacked = path.parent().is_some_and(|folder| folder.join("bin/criu").is_file());
        let options: Vec<String> = options
            .into_iter()
            .flat_map(|o| o.split(','))
            .filter(|o| !o.is_empty())
            .map(Into::into)
            .collect();
        let fits = |o: &String| {
            o.len() < 200 && o.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=./:[]".contains(&b))
        };
        if let Some(bad) = options.iter().find(|o| !fits(o)) {
            return Err(TargetError::Unknown {
                name: format!("criu:{bad}"),
                known: "options are criu's own, such as criu:tcp-established,ghost-limit=4096, and fault=N"
                    .to_owned(),
            });
        }
        let criu = Criu { path, unpacked, options, kernel: Arc::default() };
        let version = criu.version()?;
        let number = version.rsplit(' ').next().unwrap_or_default();
        if is_older(number, OLDEST) {
            return Err(TargetError::Missing {
                what: format!("a CRIU from {OLDEST} on ({} is {number})", criu.path.display()),
                hint: HINT.to_owned(),
            });
        }
        Ok(criu)
    }

    /// What starts it, with paths as the host or the jail sees them.
    fn command(&self, folder: &Path) -> Vec<OsString> {
        if !self.unpacked {
            return vec![self.path.clone().into()];
        }
        if !loader(&self.path).is_file() {
            return vec![folder.join("criu").into()];
        }
        let libraries = folder.join("lib");
        let loader = libraries.join(LOADER);
        vec![
            loader.into(),
            "--library-path".into(),
            libraries.into(),
            "--argv0".into(),
            "criu".into(),
            folder.join("criu").into(),
        ]
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn root(&self) -> (Root, Vec<(PathBuf, String)>) {
        match self.unpacked {
            true => (Root::Bare, vec![(self.folder().to_owned(), FOLDER.to_owned())]),
            false => (Root::Host, Vec::new()),
        }
    }

    fn fault(&self) -> Option<&str> {
        self.options.iter().find_map(|o| o.strip_prefix("fault="))
    }

    /// The configuration file (criu(8), "CONFIGURATION FILES").
    fn configuration(&self) -> String {
        // What a dump with `lazy-pages` does instead of writing pages is to wait for somebody who fetches them.
        let own = self.options.iter().filter(|o| !o.starts_with("fault=") && *o != LAZY_PAGES);
        let given = own.map(|o| o.replacen('=', " ", 1) + "\n").collect::<String>();
        format!("images-dir {IMAGES}\nwork-dir {IMAGES}\nmanage-cgroups=ignore\n{given}")
    }

    fn launch(&self, slot: &Slot) -> Result<JailedInstance, TargetError> {
        let failed = |why: String| TargetError::Start { target: self.name(), why };
        let (socket, theirs) =
            rpc::Socket::pair(PATIENCE).map_err(|e| failed(format!("no socket for criu: {e}")))?;
        let mut argv: Vec<OsString> =
            [AGENT_PATH, "--filter", "--points", "--keep"].map(OsString::from).into();
        argv.push("--helper".into());
        argv.extend(self.command(Path::new(FOLDER)));
        argv.extend(["swrk".into(), wire::FD_HELPER.to_string().into()]);
        let (root, bind) = self.root();
        let jailed = jail::spawn(&JailSpec {
            bind,
            keep: true,
            env: self.fault().map(|n| ("CRIU_FAULT".to_owned(), n.to_owned())).into_iter().collect(),
            fds: vec![(wire::FD_HELPER, Arc::new(theirs))],
            cpu: slot.cpu,
            ..JailSpec::new(argv, root)
        })?;
        let inside = PathBuf::from(format!("/proc/{}/root", jailed.pid));
        let write = || {
            fs::create_dir(inside.join(&IMAGES[1..]))?;
            if let Some(kernel) = self.kernel.get() {
                fs::write(inside.join(&KERNEL[1..]), kernel)?;
            }
            fs::write(inside.join(&CONFIG[1..]), self.configuration())
        };
        write().map_err(|e| failed(format!("its configuration cannot be written: {e}")))?;
        let lazy = self.options.iter().any(|o| o == LAZY_PAGES);
        let pages = lazy.then(|| Pages::new(jailed.pid, &inside, self.command(Path::new(FOLDER))));
        let pages = pages.transpose().map_err(failed)?;
        let freezer =
            CriuFreezer::new(socket, &jailed, pages).map_err(|e| failed(format!("its pipes: {e}")))?;
        let mut instance = JailedInstance::new(jailed, &self.name())?;
        instance.link().set_freezer(Box::new(freezer));
        // The agent waits for this before its hello; if it is gone, whoever waits for that shows why.
        let _ = instance.link().send(&jail::deny_list_message(), HELLO_PATIENCE);
        Ok(instance)
    }
}

const LOADER: &str = "ld-linux-x86-64.so.2";

/// The loader beside an unpacked `criu`.
fn loader(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).join("lib").join(LOADER)
}

impl Target for Criu {
    fn name(&self) -> String {
        if self.options.is_empty() { "criu".to_owned() } else { format!("criu:{}", self.options.join(",")) }
    }

    fn version(&self) -> Result<String, TargetError> {
        let mut command = self.command(self.folder());
        let program = PathBuf::from(command.remove(0));
        command.push("--version".into());
        let said = host::printed_by(&program, &command, host::VERSION_PATIENCE).unwrap_or_default();
        let number = said.lines().find_map(|line| line.strip_prefix("Version: ")).map(str::trim);
        number.map(|n| format!("criu {n}")).ok_or_else(|| TargetError::Missing {
            what: format!("the version of {}", self.path.display()),
            hint: format!("is it a criu that runs here? {HINT}"),
        })
    }

    fn start(&self, slot: &Slot) -> Result<Box<dyn Instance>, TargetError> {
        Ok(Box::new(self.launch(slot)?))
    }

    fn canary(&self) -> Result<String, TargetError> {
        let mut instance = self.launch(&Slot::default())?;
        host::hello(&mut instance, &self.name(), HELLO_PATIENCE)?;
        let seen = host::checkpoint(&mut instance);
        let inactive = |why: String| TargetError::Inactive { target: self.name(), why };
        let image = format!("/proc/{}/root{IMAGES}/inventory.img", instance.jail().pid);
        let trace = seen.map_err(inactive)?;
        if let Some(mishap) = trace.mishaps.first() {
            return Err(inactive(format!("a plain program: {}\n{}", mishap.reason, mishap.log)));
        }
        if let Ok(kernel) = fs::read(format!("/proc/{}/root{KERNEL}", instance.jail().pid)) {
            let _ = self.kernel.set(kernel);
        }
        let size = fs::metadata(&image).map_err(|e| inactive(format!("no image was written: {e}")))?.len();
        Ok(format!("a program was dumped, killed and restored (inventory of {size} bytes) and went on"))
    }

    fn reference(&self) -> Arc<dyn Target> {
        let (root, bind) = self.root();
        Arc::new(NativeKeeping { root, bind })
    }

    fn patience_ms(&self) -> u64 {
        // On a busy machine starting criu twice takes its time.
        15_000
    }

    fn pairs_a_core(&self) -> usize {
        // criu computes more than its programs wait.
        1
    }

    fn has_points(&self) -> bool {
        true
    }

    fn path(&self) -> Option<PathBuf> {
        Some(self.path.clone())
    }
}
