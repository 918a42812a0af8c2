//! Where pages lie: on the server, or as files in a folder.

use parallax_triage::db::Filter;

/// How a page names the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// The way from the page to the root of a folder, such as `../`; `None` on the server.
    up: Option<&'static str>,
}

impl Links {
    /// On the server.
    pub fn live() -> Links {
        Links { up: None }
    }

    /// In a folder, from a page that far below its root.
    pub fn files(up: &'static str) -> Links {
        Links { up: Some(up) }
    }

    /// Whether there is a server that can answer.
    pub fn is_live(&self) -> bool {
        self.up.is_none()
    }

    fn page(&self, live: &str, file: &str) -> String {
        self.up.map_or_else(|| format!("/{live}"), |up| format!("{up}{file}.html"))
    }

    /// The overview.
    pub fn overview(&self) -> String {
        self.page("", "index")
    }

    /// A list of buckets. In a folder there is one page for all, and one for each value of a facet.
    pub fn buckets(&self, filter: &Filter) -> String {
        match self.up {
            None => {
                let query = query(filter);
                format!("/buckets{}{query}", if query.is_empty() { "" } else { "?" })
            }
            Some(up) => {
                let set = Filter::FACETS.into_iter().find(|facet| !filter.get(facet).is_empty());
                let name = set.map_or_else(
                    || "buckets".to_owned(),
                    |facet| format!("buckets-{facet}-{}", slug(filter.get(facet))),
                );
                format!("{up}{name}.html")
            }
        }
    }

    /// The buckets with one value of one facet.
    pub fn facet(&self, facet: &str, value: &str) -> String {
        self.buckets(&Filter::default().with(facet, value))
    }

    /// The buckets of one call on one target.
    pub fn call(&self, target: &str, call: &str) -> String {
        match self.up {
            None => self.buckets(&Filter::default().with("target", target).with("call", call)),
            Some(_) => self.facet("call", call),
        }
    }

    /// One bucket.
    pub fn bucket(&self, id: &str) -> String {
        // Ids are hexadecimal digits; what is none leads nowhere.
        let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        self.page(&format!("bucket/{id}"), &format!("bucket/{id}"))
    }

    /// The matrix of a target.
    pub fn matrix(&self, target: &str) -> String {
        match self.up {
            None => {
                let query =
                    form_urlencoded::Serializer::new(String::new()).append_pair("target", target).finish();
                format!("/matrix?{query}")
            }
            Some(up) => format!("{up}matrix-{}.html", slug(target)),
        }
    }

    /// The matrix of the target most is known of.
    pub fn matrices(&self) -> String {
        self.page("matrix", "matrix")
    }

    /// Calls against targets.
    pub fn coverage(&self) -> String {
        self.page("coverage", "coverage")
    }

    /// All campaigns.
    pub fn campaigns(&self) -> String {
        self.page("campaigns", "campaigns")
    }

    /// One campaign.
    pub fn campaign(&self, id: &str) -> String {
        let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        self.page(&format!("campaign/{id}"), &format!("campaign/{id}"))
    }

    /// A style or a script.
    pub fn asset(&self, name: &str) -> String {
        self.up.map_or_else(|| format!("/assets/{name}"), |up| format!("{up}assets/{name}"))
    }
}

/// A filter as the part of an address behind `?`.
pub fn query(filter: &Filter) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in ["q"].into_iter().chain(Filter::FACETS).chain(["order"]) {
        if !filter.get(name).is_empty() {
            query.append_pair(name, filter.get(name));
        }
    }
    if filter.page > 0 {
        query.append_pair("page", &filter.page.to_string());
    }
    query.finish()
}

/// A text as a part of a file's name: what has no place there is replaced, and a hash keeps such names apart.
pub fn slug(text: &str) -> String {
    let kept: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(60).collect();
    if kept == text {
        return kept;
    }
    // FNV-1a, so that names stay the same from one export to the next.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{kept}-{:08x}", hash as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_what_is_asked_for_and_nothing_escapes_them() {
        let filter = Filter { q: "a&b=<c>".into(), page: 2, ..Filter::default() }.with("area", "tty");
        let live = Links::live();
        assert_eq!(live.buckets(&filter), "/buckets?q=a%26b%3D%3Cc%3E&area=tty");
        assert_eq!(live.buckets(&Filter::default()), "/buckets");
        assert_eq!(live.bucket("../../etc/passwd"), "/bucket/etcpasswd");
        let files = Links::files("../");
        assert_eq!(files.facet("area", "tty"), "../buckets-area-tty.html");
        assert!(!files.facet("version", "../../x\" y").contains(['"', ' ']));
        assert!(!files.facet("version", "../../x").contains("/../x"));
        assert_ne!(slug("a b"), slug("a_b"));
        assert_ne!(slug("a b"), slug("a/b"));
    }
}
