//! What a recording shows by the way: which files there are, what is in them, and what 0, 1 and 2 are.

use super::{Standard, Walk};
use crate::strace::files::{Files, absolute};
use crate::strace::lex::Event;
use crate::strace::parts::*;
use crate::strace::value::Value;

impl Walk {
    /// What a call shows about files and descriptors.
    pub(super) fn learn(&mut self, event: &Event) {
        let fd = event.arg(0).word(None).unwrap_or(u64::MAX);
        self.standard_hint(event, fd);
        let Some(ret) = event.ok() else { return };
        let held = self.process().fds.get(&fd).cloned();
        match event.name.as_str() {
            "getcwd" => {
                if let (false, Some(Value::Text(path, _))) =
                    (self.process().moved, event.args.first().map(Value::after))
                {
                    let path = String::from_utf8_lossy(path).into_owned();
                    self.files.started_in(&path);
                }
            }
            "read" | "pread64" => {
                if let (Some(held), Some(Value::Text(data, _))) = (&held, event.args.get(1).map(Value::after))
                {
                    let at = if event.name == "read" { held.at } else { event.arg(3).word(None) };
                    if let (Some(node), Some(at)) = (held.node, at) {
                        self.files.learn(node, at, data);
                    }
                }
                if event.name == "read" {
                    if let Some(held) = self.process().fds.get_mut(&fd) {
                        held.at = held.at.map(|at| at + ret.max(0) as u64);
                    }
                }
            }
            "lseek" => {
                if let Some(held) = self.process().fds.get_mut(&fd) {
                    held.at = Some(ret.max(0) as u64);
                }
            }
            "getdents64" | "fchdir" => {
                if let Some(node) = held.and_then(|h| h.node) {
                    self.files.holds(node);
                }
            }
            "mkdir" | "mkdirat" | "chdir" => self.learn_path(event, |files, node| files.holds(node)),
            "openat" | "open" => {
                let flags = event.args.iter().find_map(|v| v.word(None).filter(|_| is_flags(v))).unwrap_or(0);
                if flags & 0o200000 != 0 {
                    self.learn_path(event, |files, node| files.holds(node));
                }
            }
            "readlink" | "readlinkat" => {
                let target = event.args.iter().rev().find_map(|v| match v.after() {
                    Value::Text(target, _) => Some(target.clone()),
                    _ => None,
                });
                self.learn_path(event, |files, node| {
                    files.nodes[node].kind = Some(NodeKind::Link);
                    files.nodes[node].target = target.clone().unwrap_or_default();
                });
            }
            name if name.contains("stat") => self.learn_stat(event, held.and_then(|h| h.node)),
            _ => {}
        }
    }

    fn learn_stat(&mut self, event: &Event, of: Option<NodeId>) {
        let find = |names: [&str; 2]| {
            let value = |name: &str| event.args.iter().find_map(|v| v.after().entry(name)?.word(None));
            value(names[0]).or_else(|| value(names[1]))
        };
        let Some(mode) = find(["st_mode", "stx_mode"]) else { return };
        let size = find(["st_size", "stx_size"]).unwrap_or(0);
        let kind = match mode & 0o170000 {
            0o040000 => NodeKind::Dir,
            0o120000 => NodeKind::Link,
            _ => NodeKind::File,
        };
        let set = move |files: &mut Files, node: NodeId| {
            files.nodes[node].kind = Some(kind);
            files.nodes[node].size = size;
        };
        let named = event.args.iter().any(|v| matches!(v, Value::Text(t, _) if !t.is_empty()));
        match of {
            Some(node) if !named => set(&mut self.files, node),
            _ if named => self.learn_path(event, set),
            _ => {}
        }
    }

    fn learn_path(&mut self, event: &Event, set: impl FnOnce(&mut Files, NodeId)) {
        let Some(k) = event.args.iter().position(|v| matches!(v, Value::Text(..))) else { return };
        let Value::Text(text, _) = event.arg(k).clone() else { return };
        let dir = k.checked_sub(1).and_then(|k| event.arg(k).word(None)).filter(|n| *n as i32 != -100);
        let node = self.node_at(dir, &text);
        set(&mut self.files, node);
    }

    pub(super) fn node_at(&mut self, dir: Option<u64>, text: &[u8]) -> NodeId {
        let below = dir.and_then(|fd| self.process().fds.get(&fd).and_then(|h| h.node));
        let base = below.unwrap_or(self.process().cwd);
        let base = self.files.nodes.get(base).map_or_else(|| self.files.start.clone(), |n| n.path.clone());
        let text: String = String::from_utf8_lossy(text).replace('\0', "?").chars().take(4096).collect();
        let path = absolute(&base, &text);
        self.files.node(&path)
    }

    /// Whether 0, 1 and 2 are a terminal.
    fn standard_hint(&mut self, event: &Event, fd: u64) {
        let opened = self.process().fds.get(&fd).map(|held| held.object);
        if fd > 2 || opened.is_some_and(|object| self.objects[object].made.is_some()) {
            return;
        }
        if event.name == "ioctl" {
            let is = match (event.ok(), event.errno()) {
                (Some(_), _) => Standard::Terminal,
                (None, "ENOTTY" | "EINVAL") => Standard::Other,
                _ => return,
            };
            self.hints.entry(fd).or_insert(is);
        }
    }
}

fn is_flags(value: &Value) -> bool {
    matches!(value, Value::Bits(_)) || matches!(value, Value::Name(n) if n.starts_with("O_"))
}
