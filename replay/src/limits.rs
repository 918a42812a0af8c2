//! What keeps a hostile repro file harmless: lists have a most, so that small bytes never become large memory.
//!
//! An outcome takes three bytes in a file and a hundred in memory. The file's size is capped before anything is
//! decoded ([`crate::repro::MAX_FILE`]); these caps bound what that size can be blown up to.

use parallax_corpus::trace::Mishap;
use parallax_corpus::{End, Outcome, Trace, wire};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// Most outcomes of a trace: an outcome is at least one instruction.
pub const MAX_OUTCOMES: usize = wire::MAX_INSTRS;
/// Most mishaps of a trace: a program has few checkpoints.
pub const MAX_MISHAPS: usize = 64;
/// Most entries of a case's history.
pub const MAX_HISTORY: usize = 256;
/// Most words of an environment.
pub const MAX_WORDS: usize = 1024;
/// Longest last words of a layer that are kept, in bytes.
pub const MAX_LAST_WORDS: usize = 64 << 10;

/// A list of at most `MAX` things, for `deserialize_with`.
///
/// # Errors
/// It is longer, whatever it says of its length.
pub fn list<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct List<T, const MAX: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX}")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                if items.len() == MAX {
                    return Err(A::Error::custom(format!("a list is longer than the {MAX} allowed")));
                }
                items.push(item);
            }
            Ok(items)
        }
    }
    deserializer.deserialize_seq(List::<T, MAX>(PhantomData))
}

/// A trace as it lies in a file.
#[derive(Serialize, Deserialize)]
struct StoredTrace {
    end: End,
    #[serde(default)]
    stops: u32,
    #[serde(default)]
    stopped_in: Option<u16>,
    #[serde(default)]
    start_ns: i64,
    #[serde(default, deserialize_with = "list::<_, _, MAX_MISHAPS>")]
    mishaps: Vec<Mishap>,
    #[serde(deserialize_with = "list::<_, _, MAX_OUTCOMES>")]
    outcomes: Vec<Outcome>,
}

/// Traces of bounded length, for `with`.
pub mod trace {
    use super::*;

    /// Writes it as it is.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(trace: &Trace, serializer: S) -> Result<S::Ok, S::Error> {
        trace.serialize(serializer)
    }
    /// Reads one of at most [`MAX_OUTCOMES`].
    ///
    /// # Errors
    /// It is malformed or longer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Trace, D::Error> {
        let StoredTrace { end, stops, stopped_in, start_ns, mishaps, outcomes } =
            StoredTrace::deserialize(deserializer)?;
        Ok(Trace { end, stops, stopped_in, start_ns, mishaps, outcomes })
    }
}

/// The longest beginning of a text that fits so many bytes.
pub fn clip(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
