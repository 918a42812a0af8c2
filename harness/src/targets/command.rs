//! Any layer by its command line: `--target-cmd 'proot {agent}'`.
//!
//! Which calls the layer serves is its own business, so the canary here proves less than those of named targets,
//! and says so.

use super::native::NativeAmidHost;
use super::{host, shown};
use crate::jail::{self, AGENT_PATH, JailSpec, JailedInstance, Root};
use crate::target::{Instance, Slot, Target, TargetError};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What stands for the agent in a template.
const PLACE: &str = "{agent}";
/// Makes the agent install the jail's deny list for its programs itself: in the jail of a command there is none,
/// since it would bind the layer too (a tracer needs `ptrace`, a sandbox needs `unshare`).
const FILTER: &str = "--filter";

/// Layers that make namespaces of their own, for which a jail must let them.
const NESTING: [&str; 4] = ["bwrap", "unshare", "nsjail", "firejail"];

/// How long it may take until the agent says hello: the slowest layer tried boots a kernel in 1 s.
pub const HELLO_PATIENCE: Duration = Duration::from_secs(30);

/// A command that runs the agent.
#[derive(Clone, Debug)]
pub struct CommandTarget {
    template: String,
    path: PathBuf,
    /// Its arguments, the agent's place filled in.
    args: Vec<OsString>,
}

impl CommandTarget {
    /// From a template such as `proot {agent}`: words as a shell splits them (quotes and backslashes, nothing
    /// else), the first looked up in `PATH`.
    ///
    /// # Errors
    /// [`TargetError::Missing`]: a quote that is not closed, no `{agent}`, no such command.
    pub fn new(template: &str) -> Result<CommandTarget, TargetError> {
        let wrong = |what: &str, hint: &str| TargetError::Missing {
            what: format!("{what} in `{template}`"),
            hint: hint.to_owned(),
        };
        let words = split(template).map_err(|quote| wrong(&format!("the closing {quote}"), "close it"))?;
        let mut words = words.into_iter();
        let example = "write it where the program to run belongs, as in 'proot {agent}'";
        let command = words.next().filter(|w| !w.contains(PLACE)).ok_or_else(|| {
            wrong("a command", "the first word is the layer's own program, as in 'proot {agent}'")
        })?;
        let mut args: Vec<OsString> = Vec::new();
        let mut placed = false;
        for word in words {
            placed |= word.contains(PLACE);
            if word == PLACE {
                args.extend([AGENT_PATH.into(), FILTER.into()]);
            } else {
                // Inside a larger word, such as the script of `sh -c`.
                args.push(shown::absolute(&word.replace(PLACE, &format!("{AGENT_PATH} {FILTER}"))).into());
            }
        }
        if !placed {
            return Err(wrong(PLACE, example));
        }
        // One that the jail shows anyway, if there is: a shim in a home directory needs that home.
        let named = host::all_named(OsStr::new(&command));
        let path = named.iter().find(|p| shown::is_seen(p)).or(named.first()).cloned();
        let path = path.ok_or_else(|| match std::fs::metadata(&command) {
            Ok(meta) if command.contains('/') && meta.is_file() => {
                wrong(&format!("an executable `{command}`"), "the file is there but may not be run: chmod +x")
            }
            _ => wrong(&format!("the command `{command}`"), "install it, or write its whole path"),
        })?;
        Ok(CommandTarget { template: template.to_owned(), path, args })
    }

    /// The command's own path in the jail, and what must be bound for it and for the files that its words name.
    fn seen_in_jail(&self) -> (OsString, Vec<(PathBuf, String)>) {
        let mut binds = shown::Binds::new();
        let (program, mut bind) = if shown::can_be_seen(&self.path) {
            shown::add(&mut binds, &self.path);
            (self.path.clone().into_os_string(), Vec::new())
        } else {
            host::seen_in_jail(&self.path)
        };
        for word in self.args.iter().filter_map(|w| w.to_str()) {
            shown::paths_in(word).for_each(|path| shown::add(&mut binds, path));
        }
        let inside = |path: PathBuf| path.into_os_string().into_string().ok();
        bind.extend(binds.into_iter().filter_map(|(path, host)| Some((host, inside(path)?))));
        (program, bind)
    }

    fn launch(&self, slot: &Slot) -> Result<JailedInstance, TargetError> {
        let (program, bind) = self.seen_in_jail();
        let mut argv = vec![program];
        argv.extend_from_slice(&self.args);
        let nests = self.path.file_name().is_some_and(|name| NESTING.iter().any(|n| *n == name));
        let root = if nests { Root::Nest } else { Root::Host };
        let spec = JailSpec { filter: false, bind, cpu: slot.cpu, ..JailSpec::new(argv, root) };
        let mut instance = JailedInstance::new(jail::spawn(&spec)?, &self.name())?;
        // The layer is not filtered, so its programs are: the agent waits for this before its hello. A layer that
        // does not read it says why in its last words, which whoever waits for the hello shows.
        let _ = instance.link().send(&jail::deny_list_message(), HELLO_PATIENCE);
        Ok(instance)
    }

    /// What the host sees of the command after its agent's hello.
    fn prove(&self, pid: i32) -> Result<String, String> {
        let what = |e: std::io::Error| format!("process {pid} cannot be looked at: {e}");
        let agent = host::identity(&PathBuf::from(format!("/proc/{pid}/root{AGENT_PATH}"))).map_err(what)?;
        let exe = host::exe(pid).map_err(what)?;
        if exe == agent {
            return Err(format!(
                "process {pid} has become the agent itself: `{}` changed its world at most, and no longer \
                 stands between it and the kernel",
                self.path.display()
            ));
        }
        let stays =
            if exe == host::identity(&self.path).map_err(what)? { "stays" } else { "has become another" };
        let native =
            host::family(pid).into_iter().find(|&p| host::native_agent(p).is_ok_and(|l| l.is_some()));
        let how = match native.map(|p| host::status(p, "TracerPid:").unwrap_or(0)) {
            None => {
                "no process of the host runs the agent, so its instructions are interpreted or in a machine \
                     of its own; which system calls go through the layer is not proven"
            }
            Some(0) => {
                "the agent's code is executable on the host and untraced; nothing proves that the layer sees its calls"
            }
            Some(_) => {
                "the agent's code is executable on the host, traced; that the tracer translates its calls is not proven"
            }
        };
        Ok(format!("the agent says hello and `{}` {stays}: {how}", self.path.display()))
    }
}

impl Target for CommandTarget {
    fn reference(&self) -> Arc<dyn Target> {
        Arc::new(NativeAmidHost { bind: self.seen_in_jail().1 })
    }

    fn name(&self) -> String {
        self.template.clone()
    }

    fn version(&self) -> Result<String, TargetError> {
        Ok(host::version_line(&self.path, &[]).unwrap_or_else(|| "unknown".to_owned()))
    }

    fn start(&self, slot: &Slot) -> Result<Box<dyn Instance>, TargetError> {
        Ok(Box::new(self.launch(slot)?))
    }

    fn canary(&self) -> Result<String, TargetError> {
        let mut instance = self.launch(&Slot::default())?;
        host::hello(&mut instance, &self.name(), HELLO_PATIENCE)?;
        self.prove(instance.jail().pid).map_err(|why| TargetError::Inactive { target: self.name(), why })
    }

    fn patience_ms(&self) -> u64 {
        5_000
    }

    fn path(&self) -> Option<PathBuf> {
        Some(self.path.clone())
    }
}

/// Splits by the quoting rules of POSIX `sh` (Shell Command Language, 2.2), without expansions.
///
/// The error is the quote, or backslash, that something is missing for.
fn split(text: &str) -> Result<Vec<String>, char> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match c {
            '\\' => word.push(chars.next().ok_or('\\')?),
            '\'' | '"' => loop {
                match chars.next().ok_or(c)? {
                    end if end == c => break,
                    '\\' if c == '"' => match chars.next().ok_or(c)? {
                        special @ ('"' | '\\' | '$' | '`') => word.push(special),
                        other => word.extend(['\\', other]),
                    },
                    other => word.push(other),
                }
            },
            other => word.push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let words = |text| split(text).unwrap();
        assert_eq!(words("  proot  -b /x {agent} "), ["proot", "-b", "/x", "{agent}"]);
        assert_eq!(words(r#"a 'b c' "d 'e'" f\ g '' h"i"'j'"#), ["a", "b c", "d 'e'", "f g", "", "hij"]);
        assert_eq!(words(r#""a\"b" "c\d" 'e\f'"#), [r#"a"b"#, r"c\d", r"e\f"]);
        assert_eq!(words(""), [""; 0]);
        assert_eq!(split("a 'b"), Err('\''));
        assert_eq!(split(r#"a "b\""#), Err('"'));
        assert_eq!(split("a \\"), Err('\\'));
    }

    #[test]
    fn the_agent_gets_its_place_and_its_own_filter() {
        let target = CommandTarget::new("env -i X=1 {agent}").unwrap();
        assert_eq!(target.args, ["-i", "X=1", "/agent", "--filter"]);
        let target = CommandTarget::new("sh -c 'exec {agent} 2>&1'").unwrap();
        assert_eq!(target.args, ["-c", "exec /agent --filter 2>&1"]);
    }

    #[test]
    fn a_wrong_template_says_what_to_write() {
        let said = |template| CommandTarget::new(template).unwrap_err().to_string();
        assert!(said("env").contains("{agent} in `env` is not here: write it where"), "{}", said("env"));
        assert!(said("no-such-layer {agent}").contains("the command `no-such-layer`"));
        assert!(said("./Cargo.toml {agent}").contains("chmod +x"));
        assert!(said("env '{agent}").contains("the closing '"));
        assert!(said("").contains("a command"));
        assert!(said("{agent}").contains("a command"));
    }
}
