//! Not written yet.
/// x
pub struct Code;
/// x
pub struct CompileError;
/// x
pub fn compile() {}
