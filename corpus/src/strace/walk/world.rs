//! What numbers of a recorded process stand for.

use super::{Held, Standard, Walk};
use crate::check::NO_FD;
use crate::desc::{self, FD_DIR, FD_FILE, FD_NODE, FD_PIPE, FD_TTY, FdKinds, Id};
use crate::strace::parts::*;
use crate::strace::pick::World;
use crate::wire;

impl Walk {
    /// What a standard descriptor is that nobody has opened.
    fn standard(&mut self, number: u64) -> Option<ObjectId> {
        let any = self.standard.values().any(|s| *s == Standard::Terminal);
        let is = match self.standard.get(&number) {
            Some(is) => *is,
            None if any => Standard::Terminal,
            None => Standard::Other,
        };
        match (is, number) {
            (Standard::Terminal, _) => {
                self.objects.push(Object { made: None, number, kinds: FD_TTY, peer: None });
                Some(self.objects.len() - 1)
            }
            (Standard::Other, 0) => self.added("openat$null", vec![Part::Word(0)], 0, desc::FD_DEV),
            (Standard::Other, _) => self.added("pipe", vec![Part::Out(0)], 1, FD_PIPE),
        }
    }
}

impl World for Walk {
    fn fd(&mut self, number: u64) -> (Part, FdKinds) {
        if (number as i32) < 0 {
            return (Part::Word(number), 0);
        }
        if let Some(held) = self.process().fds.get(&number).cloned() {
            let object = &self.objects[held.object];
            let part =
                if object.made.is_some() { Part::Object(held.object) } else { Part::Word(object.number) };
            return (part, object.kinds);
        }
        if number <= 2 && !self.process().fds.contains_key(&number) {
            if let Some(object) = self.standard(number) {
                self.process().fds.insert(number, Held { object, node: None, at: None });
                return self.fd(number);
            }
        }
        (Part::Word(if number > 9 && number <= 63 || number == 100 { number } else { NO_FD }), 0)
    }

    fn pid(&mut self, number: u64, ok: bool) -> Result<Part, String> {
        if number == 0 {
            return Ok(Part::Word(0));
        }
        if (number as i32) < 0 {
            return Err("names a process group by a negative number".to_owned());
        }
        let own = self.now;
        if let Some(object) = self.process().children.get(&number).copied() {
            return Ok(Part::Object(object));
        }
        if number == own || self.leaders.get(&number) == Some(&own) {
            let object = match self.process().own {
                Some(object) => object,
                None => self.added("getpid", Vec::new(), 0, 0).ok_or("getpid is not described")?,
            };
            self.process().own = Some(object);
            return Ok(Part::Object(object));
        }
        Ok(Part::Word(if ok { 0 } else { desc::NO_PID }))
    }

    fn timer(&mut self, number: u64) -> Part {
        self.process().timers.get(&number).map_or(Part::Word(u64::MAX), |object| Part::Object(*object))
    }

    fn id(&mut self, id: Id, number: u64) -> Part {
        self.process().ids.get(&(id, number)).map_or(Part::Word(u64::MAX), |object| Part::Object(*object))
    }

    fn page(&mut self, address: u64, makes: bool) -> Part {
        let process = self.process();
        let inside = |(start, length, ..): &&(u64, u64, ObjectId, u64)| {
            address >= *start && address - start < (*length).max(1)
        };
        match process.pages.iter().rev().find(inside) {
            Some((start, _, object, page)) if !makes => {
                let offset = (address - start) / 4096;
                if offset == 0 { Part::Object(*object) } else { Part::Word(page + 4096 * offset.min(3)) }
            }
            Some((start, _, _, page)) => Part::Word(page + 4096 * ((address - start) / 4096).min(3)),
            None => {
                let page = process.next_page;
                process.next_page = (page + 1) % 9;
                Part::Word(wire::WINDOW + 4096 * page)
            }
        }
    }

    fn path(&mut self, dir: Option<u64>, text: &[u8]) -> Part {
        if text.is_empty() {
            return Part::Bytes(Vec::new());
        }
        let node = self.node_at(dir, text);
        let below = dir.and_then(|fd| self.process().fds.get(&fd).and_then(|h| h.node));
        Part::Path(node, below)
    }

    fn kinds_at(&mut self, dir: Option<u64>, text: &[u8]) -> FdKinds {
        let node = self.node_at(dir, text);
        match self.files.nodes.get(node).and_then(|n| n.kind) {
            Some(NodeKind::Dir) => FD_DIR | FD_NODE,
            _ => FD_FILE | FD_NODE,
        }
    }
}
