//! The filter.
pub fn install() -> bool {
    false
}
