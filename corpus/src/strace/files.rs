//! The files of a recording, and the names they have below the programs' working directory.

use super::parts::{Node, NodeId, NodeKind};
use std::collections::{HashMap, HashSet};

/// What stands for the recorded program's working directory until the recording names it.
const HERE: &str = "/here";
/// Most bytes of a file that are kept.
const KEPT: usize = 4096;
/// Most files one import tells apart.
const MAX_NODES: usize = 100_000;

/// All files.
pub(super) struct Files {
    pub(super) nodes: Vec<Node>,
    by_path: HashMap<String, NodeId>,
    /// Where the recorded program started.
    pub(super) start: String,
}

impl Files {
    pub(super) fn new() -> Files {
        Files { nodes: Vec::new(), by_path: HashMap::new(), start: HERE.to_owned() }
    }

    /// The file of an absolute path.
    pub(super) fn node(&mut self, path: &str) -> NodeId {
        if let Some(id) = self.by_path.get(path) {
            return *id;
        }
        if self.nodes.len() >= MAX_NODES {
            return 0;
        }
        let id = self.nodes.len();
        self.by_path.insert(path.to_owned(), id);
        self.nodes.push(Node {
            path: path.to_owned(),
            kind: None,
            size: 0,
            content: Vec::new(),
            target: Vec::new(),
            holds: false,
            name: String::new(),
        });
        id
    }

    /// The working directory was named while the program was still where it started.
    pub(super) fn started_in(&mut self, path: &str) {
        if self.start == HERE && path.starts_with('/') {
            path.clone_into(&mut self.start);
        }
    }

    /// Somebody read `bytes` at offset `at`.
    pub(super) fn learn(&mut self, id: NodeId, at: u64, bytes: &[u8]) {
        if let Some(node) = self.nodes.get_mut(id) {
            if node.content.len() as u64 == at {
                let room = KEPT - node.content.len().min(KEPT);
                node.content.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            node.size = node.size.max(at + bytes.len() as u64);
        }
    }

    /// Gives every file its name below the working directory. A file keeps its place where something is done with its
    /// directory; else it comes to lie in the working directory itself, so that programs need not make
    /// `usr/lib/x86_64-linux-gnu` first.
    pub(super) fn name_all(&mut self) {
        let start = self.start.clone();
        let mut order: Vec<NodeId> = (0..self.nodes.len()).collect();
        order.sort_by_key(|id| (self.nodes[*id].path.len(), *id));
        let mut taken: HashSet<String> = HashSet::new();
        for id in order {
            let path = self.nodes[id].path.clone();
            if path == start || path == "/" {
                self.nodes[id].name = ".".to_owned();
                continue;
            }
            let (parent, base) = path.rsplit_once('/').unwrap_or(("", &path));
            let above = self.by_path.get(parent).map(|p| &self.nodes[*p]);
            let below = match above {
                _ if parent == start || parent.is_empty() => String::new(),
                Some(node) if node.holds && node.name != "." && !node.name.is_empty() => {
                    format!("{}/", node.name)
                }
                _ => String::new(),
            };
            let base: String = base.chars().take(60).collect();
            let mut name = format!("{below}{base}");
            if name.len() > 200 || base.is_empty() {
                name = format!("n{id}");
            }
            let mut n = 2;
            while !taken.insert(name.clone()) {
                name = format!("{below}{base}.{n}");
                n += 1;
            }
            self.nodes[id].name = name;
        }
    }

    /// The nodes above a file, nearest last, that programs must make first.
    pub(super) fn above(&self, id: NodeId) -> Vec<NodeId> {
        let mut all = Vec::new();
        let mut path = self.nodes[id].path.as_str();
        while let Some((parent, _)) = path.rsplit_once('/') {
            if let Some(p) = self.by_path.get(parent) {
                let name = &self.nodes[*p].name;
                if self.nodes[id].name.starts_with(&format!("{name}/")) {
                    all.push(*p);
                }
            }
            path = parent;
        }
        all.reverse();
        all
    }

    /// Says that a directory holds files by its place.
    pub(super) fn holds(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.holds = true;
            node.kind = Some(NodeKind::Dir);
        }
    }
}

/// `text` from `base`, without `.`, `..` and double slashes.
pub(super) fn absolute(base: &str, text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let whole = if text.starts_with('/') { text.to_owned() } else { format!("{base}/{text}") };
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The path to `to` from directory `from`, both below the working directory.
pub(super) fn relative(from: &str, to: &str) -> String {
    let split = |path: &str| -> Vec<String> {
        path.split('/').filter(|p| !p.is_empty() && *p != ".").map(str::to_owned).collect()
    };
    let (from, to) = (split(from), split(to));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut parts = vec!["..".to_owned(); from.len() - common];
    parts.extend(to[common..].iter().cloned());
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_move_below_the_working_directory() {
        assert_eq!(absolute("/a/b", "../c/./d//e"), "/a/c/d/e");
        assert_eq!(absolute("/a", "../../.."), "/");
        assert_eq!(relative("sub/deep", "sub/x"), "../x");
        assert_eq!(relative(".", "x"), "x");
        assert_eq!(relative("a", "a"), ".");
        let mut files = Files::new();
        files.started_in("/home/me");
        let [here, notes, lib, other, git, head] = [
            "/home/me",
            "/home/me/notes",
            "/usr/lib/notes",
            "/x/notes",
            "/home/me/.git",
            "/home/me/.git/HEAD",
        ]
        .map(|p| files.node(p));
        files.holds(git);
        files.name_all();
        let name = |id: NodeId| files.nodes[id].name.as_str();
        assert_eq!(name(here), ".");
        assert_eq!(name(git), ".git");
        assert_eq!(name(head), ".git/HEAD");
        let mut rest = [name(notes), name(lib), name(other)];
        rest.sort_unstable();
        assert_eq!(rest, ["notes", "notes.2", "notes.3"]);
        assert_eq!(files.above(head), [git]);
        assert_eq!(files.above(notes), []);
    }
}
