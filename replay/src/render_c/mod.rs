//! C.
/// x
pub fn render_c(_: &crate::Repro) -> Result<String, crate::ReproError> { Ok(String::new()) }
