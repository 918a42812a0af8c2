//! Keeping a call from waiting. One that really waits costs its whole block budget, which is thousands of others.

use crate::arguments::Builder;
use crate::dice::Dice;
use crate::generate::{LONGEST, call};
use crate::resources::{fd_kinds_of, has_outer, has_tty};
use crate::values;
use parallax_corpus::desc::{self, In, Kind, NEED_TTY, Out};
use parallax_corpus::{Arg, CallId, Desc, ResRef, Ty};

impl<D: Dice> Builder<'_, D> {
    /// Sees to it that a call that may wait has no reason to: data comes first, or it does not wait at all.
    pub(crate) fn keep_moving(&mut self, desc: &Desc, args: &mut [Arg]) {
        for (k, (_, arg)) in desc.written().enumerate() {
            if let (Ty::Flags(set) | Ty::Enum(set), Arg::Int(value)) = (arg.ty, &mut args[k]) {
                match values::bit_named(set, |n| n.ends_with("NOHANG") || n.ends_with("DONTWAIT")) {
                    Some(bit) if matches!(arg.ty, Ty::Flags(_)) && self.dice.percent(30) => *value |= bit,
                    _ => {}
                }
                // Without it, waitid(2) waits for nothing and says so.
                if let Some(bit) = values::bit_named(set, |n| n == "WEXITED") {
                    *value |= bit;
                }
            }
        }
        let reads =
            desc.args.iter().any(|a| matches!(a.ty, Ty::Ptr(In::IovOut, _) | Ty::Ptr(_, Out::Buf(_))));
        let first = desc.written().position(|(_, a)| matches!(a.ty, Ty::Fd(_)));
        let Some(fd) = first.map(|k| args[k].clone()) else { return };
        if desc.name == "read$event" && self.dice.percent(80) {
            let writer = CallId::named("write$event").filter(|id| self.generator.allows(*id));
            if let (Some(id), true) = (writer, self.program.calls.len() + 1 < LONGEST) {
                self.program.calls.push(call(id, vec![fd, Arg::Group(vec![Arg::Int(1)])]));
                return;
            }
        }
        if !(reads && self.dice.percent(75) && self.feed(desc, &fd)) {
            self.make_nonblocking(desc, &fd);
        }
    }

    /// Puts data where `fd` will find it: at the other end. Returns whether there is one.
    fn feed(&mut self, desc: &Desc, fd: &Arg) -> bool {
        let kinds = fd_kinds_of(self.program, fd);
        let own = |n: u64| Some(Arg::Int(n));
        let tty = has_tty(self.program) || desc.needs & NEED_TTY != 0;
        let own_terminal = matches!(fd, Arg::Int(0..=2)) || kinds & desc::FD_TTY != 0;
        if has_outer(self.program) && own_terminal {
            return self.type_outside();
        }
        let other = match fd {
            Arg::Int(0..=2) if tty => own(3),
            Arg::Int(3) if tty => own(0),
            Arg::Int(_) => return false,
            Arg::Res(r) => {
                let maker = &self.program.calls[r.call as usize];
                let made = maker.id.desc().makes;
                if made.len() == 2 && made.iter().all(|m| matches!(m.kind, Kind::Fd(_))) {
                    Some(Arg::Res(ResRef { slot: r.slot ^ 1, ..*r }))
                } else if kinds & desc::FD_TTY != 0 {
                    // Either the master it was got from, or the program's own terminal under another number.
                    Some(maker.args.iter().find(|a| matches!(a, Arg::Res(_))).cloned().unwrap_or(Arg::Int(3)))
                } else if kinds & (desc::FD_EVENT | desc::FD_INOTIFY | desc::FD_PTM) != 0 {
                    None
                } else {
                    // Files and the like never wait.
                    return kinds & (desc::FD_FILE | desc::FD_DIR | desc::FD_DEV) != 0;
                }
            }
            _ => None,
        };
        let Some(other) = other else { return false };
        let to = match (&other, fd_kinds_of(self.program, &other)) {
            (Arg::Int(3), _) => desc::FD_PTM,
            (Arg::Int(_), _) => desc::FD_TTY,
            (_, kinds) => kinds,
        };
        let fits =
            |id: &&CallId| matches!(id.desc().written_arg(0).map(|a| a.ty), Some(Ty::Fd(k)) if k & to != 0);
        let writers: Vec<CallId> = self.generator.writers().iter().filter(fits).copied().collect();
        let Some(i) = self.dice.weighted(writers.iter().map(|id| self.weights.of(*id))) else { return false };
        if self.program.calls.len() + 1 >= LONGEST {
            return false;
        }
        let text = values::line(self.dice);
        self.program.calls.push(call(writers[i], vec![other, Arg::Bytes(text)]));
        true
    }

    /// Somebody types a line at the outside terminal.
    fn type_outside(&mut self) -> bool {
        let Some(id) = CallId::named("outside$type").filter(|id| self.generator.allows(*id)) else {
            return false;
        };
        if self.program.calls.len() + 1 >= LONGEST || self.weights.of(id) == 0 {
            return false;
        }
        let text = values::line(self.dice);
        self.program.calls.push(call(id, vec![Arg::Bytes(text)]));
        true
    }

    /// Makes reading or writing `fd` return at once: by the flags of the call that made it, or for the program's
    /// own terminal by a call.
    fn make_nonblocking(&mut self, desc: &Desc, fd: &Arg) {
        match fd {
            Arg::Res(r) => {
                let maker = &mut self.program.calls[r.call as usize];
                for (k, (_, arg)) in maker.id.desc().written().enumerate() {
                    let Ty::Flags(set) = arg.ty else { continue };
                    let bit = values::bit_named(set, |n| n.ends_with("NONBLOCK"));
                    if let (Some(bit), Some(Arg::Int(flags))) = (bit, maker.args.get_mut(k)) {
                        *flags |= bit;
                    }
                }
            }
            // A call that has no terminal yet shall not get one just for this.
            Arg::Int(0..=3) if has_tty(self.program) || desc.needs & NEED_TTY != 0 => {
                let Some(id) = CallId::named("ioctl$fionbio").filter(|id| self.generator.allows(*id)) else {
                    return;
                };
                if self.program.calls.len() + 1 < LONGEST && self.weights.of(id) > 0 {
                    let on = Arg::Group(vec![Arg::Int(1)]);
                    self.program.calls.push(call(id, vec![fd.clone(), on]));
                }
            }
            _ => {}
        }
    }
}
