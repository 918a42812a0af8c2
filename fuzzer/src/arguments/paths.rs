//! Paths, and how they are opened.

use super::{Builder, TAKEN};
use crate::dice::Dice;
use crate::knowledge::{self, Node};
use crate::resources::{made, makes_path};
use crate::values;
use parallax_corpus::desc::{self, Kind};
use parallax_corpus::{Arg, CallId, ResRef};

impl<D: Dice> Builder<'_, D> {
    /// A path: a new name where the call makes it, one made before where it does not.
    pub(super) fn path(&mut self, id: CallId, index: usize) -> Arg {
        if self.dice.percent(4) {
            return match self.dice.below(4) {
                0 => Arg::Int(values::bad_address(self.dice)),
                _ => Arg::Bytes(values::path(self.dice)),
            };
        }
        let opens = id.name() == "openat";
        // What happens to a name that is taken is half of what such a call is about.
        if knowledge::wants_new_path(id, index) && self.dice.percent(TAKEN) {
            let taken =
                self.existing(|r| r.kind == Kind::Path && !r.closed).filter(|_| self.dice.percent(50));
            if let Some(r) =
                taken.or_else(|| self.make(|m| m.kind == Kind::Path && m.id.name() != "renameat2"))
            {
                return Arg::Res(r);
            }
        }
        if knowledge::wants_new_path(id, index) && !(opens && self.dice.percent(50)) {
            return Arg::Bytes(self.new_path());
        }
        let node = if self.dice.percent(90) { Node::wanted_by(id) } else { Node::File };
        let program = &*self.program;
        let right: Vec<ResRef> = made(program, program.calls.len())
            .iter()
            .filter(|r| r.kind == Kind::Path && !r.closed)
            .filter(|r| Node::made_by(program.calls[r.at.call as usize].id) == node)
            .map(|r| r.at)
            .collect();
        if let Some(r) = self.dice.pick(&right) {
            return Arg::Res(*r);
        }
        if makes_path(id, index) {
            return Arg::Bytes(self.new_path());
        }
        if node == Node::Dir && !knowledge::removes_path(id) && self.dice.percent(30) || self.dice.percent(4)
        {
            return Arg::Bytes(b".".to_vec());
        }
        match self.make(|m| m.kind == Kind::Path && Node::made_by(m.id) == node && m.id.name() != "renameat2")
        {
            Some(r) => Arg::Res(r),
            None => Arg::Bytes(values::path(self.dice)),
        }
    }

    /// A name the program does not use yet, sometimes in a directory it made.
    fn new_path(&mut self) -> Vec<u8> {
        let mut used: Vec<&[u8]> = Vec::new();
        let mut dirs: Vec<&[u8]> = Vec::new();
        for call in &self.program.calls {
            let paths = call.args.iter().filter_map(|arg| match arg {
                Arg::Bytes(path) => Some(path.as_slice()),
                _ => None,
            });
            for path in paths {
                used.push(path);
                if Node::made_by(call.id) == Node::Dir && !call.id.desc().makes.is_empty() {
                    dirs.push(path);
                }
            }
        }
        let free: Vec<&[u8]> =
            values::NEW_PATHS.iter().copied().filter(|path| !used.contains(path)).collect();
        let name = self.dice.pick(&free).copied().unwrap_or(b"f9");
        match self.dice.pick(&dirs) {
            Some(dir) if self.dice.percent(15) && !dir.is_empty() => [dir, b"/".as_slice(), name].concat(),
            _ => name.to_vec(),
        }
    }

    /// Flags for an open: a new name is created, nearly always.
    pub(super) fn open_flags(&mut self, set: &desc::FlagSet, path: Option<&Arg>) -> Arg {
        let mut flags = values::flags(self.dice, set);
        let create = values::bit_named(set, |n| n == "O_CREAT").unwrap_or(0);
        let exclusive = values::bit_named(set, |n| n == "O_EXCL").unwrap_or(0);
        match path {
            Some(Arg::Bytes(name)) if !name.starts_with(b"/") && name != b"." && self.dice.percent(92) => {
                flags |= create;
            }
            Some(Arg::Res(_)) if self.dice.percent(80) => flags &= !exclusive,
            _ => {}
        }
        Arg::Int(flags)
    }
}
