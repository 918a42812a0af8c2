//! Calls of a recording before they are cut into programs: arguments name things, not calls' numbers.

use crate::desc::FdKinds;
use crate::program::CallId;

/// Index of an [`Object`].
pub(super) type ObjectId = usize;
/// Index of a [`Node`].
pub(super) type NodeId = usize;
/// Index of an [`Item`].
pub(super) type ItemId = usize;

/// Arguments.
pub(super) type Parts = Vec<Part>;

/// An argument, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A word.
    Word(u64),
    /// Something an item makes.
    Object(ObjectId),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A buffer to fill.
    Out(u32),
    /// Fields or elements.
    Group(Parts),
    /// A file, below a directory (`None`: the working directory).
    Path(NodeId, Option<NodeId>),
}

/// A descriptor, pid, timer or page of the recording.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// The item and its slot; `None` for the program's own terminal.
    pub(super) made: Option<(ItemId, u8)>,
    /// The number of the program's own terminal.
    pub(super) number: u64,
    /// What kinds of descriptor.
    pub(super) kinds: FdKinds,
    /// The other end of a pipe or socket pair.
    pub(super) peer: Option<ObjectId>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeKind {
    File,
    Dir,
    Link,
}

/// A file of the recording.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its absolute path in the recording.
    pub(super) path: String,
    /// What it is, where that is known.
    pub(super) kind: Option<NodeKind>,
    /// Its size as last seen.
    pub(super) size: u64,
    /// What was read from its start.
    pub(super) content: Vec<u8>,
    /// Where the link leads.
    pub(super) target: Vec<u8>,
    /// Files are named below it: it keeps its place in the tree.
    pub(super) holds: bool,
    /// Its path below the programs' working directory.
    pub(super) name: String,
}

/// What must be so before a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The file is there.
    There,
    /// It is not.
    Absent,
    /// Either.
    Free,
}

/// What a call leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    Creates(NodeKind),
    Removes,
}

/// Where waiting bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// Somebody types.
    Keys,
    /// The other end of a pipe or socket pair.
    Peer(ObjectId),
}

/// A call.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: CallId,
    pub(super) args: Parts,
    /// Items that must come before it, besides the makers of what it names.
    pub(super) after: Vec<ItemId>,
    /// The files it names, what must be so, and what becomes of them.
    pub(super) files: Vec<(NodeId, Need, Effect)>,
    /// What it reads, from where.
    pub(super) reads: Option<(Source, Vec<u8>)>,
    /// What it writes that another end can read.
    pub(super) writes: Option<(ObjectId, usize)>,
    /// It waited for something and it came (true), or nothing came.
    pub(super) waited: Option<bool>,
    /// The descriptor it closes.
    pub(super) closes: Option<ObjectId>,
    /// It goes to that directory.
    pub(super) goes: Option<NodeId>,
    /// Where it was recorded; `None` for what the import adds.
    pub(super) origin: Option<super::Origin>,
}

impl Item {
    pub(super) fn new(id: CallId, args: Parts) -> Item {
        Item {
            id,
            args,
            after: Vec::new(),
            files: Vec::new(),
            reads: None,
            writes: None,
            waited: None,
            closes: None,
            goes: None,
            origin: None,
        }
    }
}
