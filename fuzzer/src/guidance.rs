//! The parts of the guidance, each of which can be taken away, to see what it is worth.

/// What guides the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guidance {
    /// Relations between calls: learned ones, and those by name.
    pub relations: bool,
    /// Programs that showed something new are kept.
    pub novelty: bool,
    /// Each call is tried with each of its values, early.
    pub survey: bool,
    /// Mutants look at other descriptors than the last one used.
    pub observe: bool,
}

impl Default for Guidance {
    fn default() -> Guidance {
        Guidance { relations: true, novelty: true, survey: true, observe: true }
    }
}

impl Guidance {
    /// The names of all parts.
    pub const PARTS: [&'static str; 4] = ["relations", "novelty", "survey", "observe"];

    /// Takes parts away, by name.
    ///
    /// # Errors
    /// The first name that is none.
    pub fn without(mut self, parts: &[String]) -> Result<Guidance, String> {
        for part in parts {
            match part.as_str() {
                "relations" => self.relations = false,
                "novelty" => self.novelty = false,
                "survey" => self.survey = false,
                "observe" => self.observe = false,
                other => {
                    return Err(format!(
                        "`{other}` is no part of the guidance: {}",
                        Guidance::PARTS.join(", ")
                    ));
                }
            }
        }
        Ok(self)
    }
}
