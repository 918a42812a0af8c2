//! The compiled program, instruction by instruction (the format is `parallax_corpus::wire`'s).

use parallax_corpus::Code;
use parallax_corpus::wire::{ARENA_START, OP_STORE, WORD_ARENA};

/// One instruction.
pub struct Instr {
    /// `wire::OP_*`.
    pub op: u8,
    /// `wire::INS_*`.
    pub flags: u8,
    /// The system call's or vdso function's number.
    pub nr: u32,
    /// Kind (`wire::WORD_*`) and value of each word.
    pub words: Vec<(u8, u64)>,
    /// Arena offset and length of each output.
    pub outs: Vec<(u16, u16)>,
}

/// A decoded program.
pub struct Decoded {
    /// For each call, the stores before it and then the call itself.
    pub calls: Vec<Vec<Instr>>,
    /// The arena's content from `ARENA_START` on.
    pub image: Vec<u8>,
}

/// Decodes what the compiler just made; it is trusted.
pub fn decode(code: &Code) -> Decoded {
    let mut at = 0;
    let mut take = |n: usize| {
        at += n;
        &code.bytes[at - n..at]
    };
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
    let header = take(20);
    let (count, image_len) = (number(&header[4..8]), number(&header[12..16]) as usize);
    let mut calls = Vec::new();
    let mut current = Vec::new();
    for _ in 0..count {
        let head = take(16);
        let words = (0..head[2] as usize).map(|k| (head[8 + k], number(take(8)))).collect();
        let outs = (0..head[3]).map(|_| take(4)).map(|o| (number(&o[..2]) as u16, number(&o[2..]) as u16));
        let (op, outs) = (head[0], outs.collect());
        current.push(Instr { op, flags: head[1], nr: number(&head[4..8]) as u32, words, outs });
        if op != OP_STORE {
            calls.push(std::mem::take(&mut current));
        }
    }
    Decoded { calls, image: take(image_len).to_vec() }
}

impl Decoded {
    /// Where buffers begin, by arena offset: every place an argument points at.
    pub fn boundaries(&self) -> Vec<usize> {
        let words = self.calls.iter().flatten().flat_map(|i| &i.words);
        let mut places: Vec<usize> =
            words.filter(|(kind, _)| *kind == WORD_ARENA).map(|(_, at)| *at as usize).collect();
        places.push(ARENA_START + self.image.len());
        places.sort_unstable();
        places.dedup();
        places
    }
}
