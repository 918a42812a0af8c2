//! Where the described fields lie in an outcome's bytes.

use super::Span;
use crate::desc::{Desc, OField, Out, Ty};

/// A field of an outcome's out bytes, found by its description.
#[derive(Clone, Copy, Debug)]
pub struct FieldAt {
    /// Where the bytes start in [`crate::Outcome::out`].
    pub at: usize,
    /// What it is.
    pub field: OField,
    /// Index of the argument among all of the description's.
    pub arg: u8,
    /// Element of the array, 0 otherwise.
    pub element: u16,
}

/// All described fields of a call's out bytes, in order. Exact buffers and directory listings are not fields:
/// see [`crate::Code::spans`].
pub fn fields_of(desc: &Desc, spans: &[Span]) -> Vec<FieldAt> {
    let mut fields = Vec::new();
    let mut base = 0;
    for span in spans {
        let (list, stride) = match desc.args[span.arg as usize].ty {
            Ty::Ptr(_, Out::Fields(list, size)) => (list, size),
            Ty::Ptr(_, Out::Array(list, stride)) => (list, stride),
            _ => (&[] as &[OField], span.len),
        };
        let count = span.len.checked_div(stride).unwrap_or(0);
        for element in 0..count {
            for field in list {
                let at = base + (element * stride + field.off) as usize;
                fields.push(FieldAt { at, field: *field, arg: span.arg, element });
            }
        }
        base += span.len as usize;
    }
    fields
}
