//! The binary form: a sealed container around MessagePack, used for programs and by other files of the project.
//!
//! | Bytes | What |
//! |---|---|
//! | 8 | the magic, which says what kind of file it is |
//! | 2 | the version of the kind |
//! | 4 | length of the body |
//! | 4 | CRC-32 of version, length and body |
//! | rest | the body: MessagePack with *named* fields, so that fields can be added without a new version |
//!
//! Numbers are little endian. The checksum is verified before anything is decoded, so damage never reaches the
//! decoder. A hostile body with a right checksum does. Its cost stays bounded: what it holds is at least a byte each
//! in the file, whose length the reader caps; lists that claim to be longer than they are reserve 1 MiB at most
//! (serde's cap), once for each of the [`MAX_DEPTH`] levels that can be open at a time; strings and bytes that claim
//! to be longer than what is left reserve nothing (rmp-serde reads until the end and gives up).

use crate::program::{Program, ProgramError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How deep lists and maps of a body may nest. A program's do to 7.
pub const MAX_DEPTH: usize = 32;
/// Bytes before the body.
pub const HEADER: usize = 18;
/// The magic of a program.
pub const PROGRAM_MAGIC: [u8; 8] = *b"PLXPROG\0";
/// The newest version of a program's body.
pub const PROGRAM_VERSION: u16 = 1;
/// Longest program file that is read, in bytes. Well-formed programs are shorter: they carry
/// [`crate::check::MAX_CARRIED`] bytes at most.
pub const MAX_PROGRAM: usize = 1 << 20;

/// Why a sealed file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// It begins with another magic.
    #[error("not a file of the kind {}", .0.escape_ascii())]
    Magic([u8; 8]),
    /// Its version is above the newest known one.
    #[error(
        "made by a newer Parallax (format {found}, this one reads up to {newest}): update Parallax to read it"
    )]
    Newer {
        /// The file's.
        found: u16,
        /// The newest known.
        newest: u16,
    },
    /// It is longer than the reader allows.
    #[error("{len} bytes, more than the {max} allowed")]
    TooLong {
        /// Its length.
        len: usize,
        /// What is allowed.
        max: usize,
    },
    /// It ends early.
    #[error("the file is cut off: {missing} bytes are missing")]
    Truncated {
        /// How many.
        missing: usize,
    },
    /// Something follows its end.
    #[error("{0} bytes follow the end of the file's content")]
    Trailing(usize),
    /// The checksum is wrong.
    #[error("the file is damaged: its checksum is wrong")]
    Damaged,
    /// The checksum is right and the body is not what it should be.
    #[error("the file's content is malformed: {0}")]
    Body(String),
    /// The program in it is not well formed.
    #[error("the program is malformed: {0}")]
    Program(#[from] ProgramError),
}

/// Seals a value.
///
/// # Panics
/// If the value's `Serialize` fails or gives more than 4 GiB. Derived ones do neither.
pub fn seal<T: Serialize>(magic: &[u8; 8], version: u16, value: &T) -> Vec<u8> {
    let body = rmp_serde::to_vec_named(value).expect("a derived Serialize does not fail");
    let len = u32::try_from(body.len()).expect("a body is below 4 GiB");
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(magic);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&checksum(version, len, &body).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// Opens what [`seal`] made. Versions up to `newest_version` are decoded alike; `max_len` caps the whole file.
///
/// # Errors
/// Whatever is not exactly one undamaged sealed value is refused.
pub fn open<T: DeserializeOwned>(
    magic: &[u8; 8],
    newest_version: u16,
    max_len: usize,
    bytes: &[u8],
) -> Result<T, PackError> {
    if bytes.len() > max_len {
        return Err(PackError::TooLong { len: bytes.len(), max: max_len });
    }
    let known = bytes.len().min(magic.len());
    if bytes[..known] != magic[..known] {
        return Err(PackError::Magic(*magic));
    }
    let Some((header, body)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(PackError::Truncated { missing: HEADER - bytes.len() });
    };
    let [.., v0, v1, l0, l1, l2, l3, c0, c1, c2, c3] = *header;
    let version = u16::from_le_bytes([v0, v1]);
    let len = u32::from_le_bytes([l0, l1, l2, l3]);
    let crc = u32::from_le_bytes([c0, c1, c2, c3]);
    if version > newest_version {
        return Err(PackError::Newer { found: version, newest: newest_version });
    }
    if body.len() < len as usize {
        return Err(PackError::Truncated { missing: len as usize - body.len() });
    }
    if body.len() > len as usize {
        return Err(PackError::Trailing(body.len() - len as usize));
    }
    if checksum(version, len, body) != crc {
        return Err(PackError::Damaged);
    }
    decode(body)
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, PackError> {
    let mut decoder = rmp_serde::Deserializer::new(body);
    decoder.set_max_depth(MAX_DEPTH);
    let value = T::deserialize(&mut decoder).map_err(|e| PackError::Body(e.to_string()))?;
    match decoder.get_ref().len() {
        0 => Ok(value),
        left => Err(PackError::Trailing(left)),
    }
}

fn checksum(version: u16, len: u32, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&version.to_le_bytes());
    crc.update(&len.to_le_bytes());
    crc.update(body);
    crc.finalize()
}

/// A program, sealed.
pub fn program_to_bytes(program: &Program) -> Vec<u8> {
    seal(&PROGRAM_MAGIC, PROGRAM_VERSION, program)
}

/// Opens a sealed program and checks it.
///
/// # Errors
/// See [`open`]; a program that is not well formed is refused too.
pub fn program_from_bytes(bytes: &[u8]) -> Result<Program, PackError> {
    let program: Program = open(&PROGRAM_MAGIC, PROGRAM_VERSION, MAX_PROGRAM, bytes)?;
    program.check()?;
    Ok(program)
}
