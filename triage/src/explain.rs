//! What a case says, in words: made from the table's own names and meanings, never from free text of a file alone.

use parallax_corpus::desc::Ty;
use parallax_corpus::{Arg, Call, CallId, Code, End};
use parallax_harness::oracles::class::{is_errno, names_error, says_it_lacks};
use parallax_harness::oracles::ends::PROGRAM;
use parallax_harness::oracles::{Finding, state};
use parallax_replay::Repro;
use serde::Serialize;

/// A case in words.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// What differs, in one sentence.
    pub sentence: String,
    /// What the description promises of the output that differs.
    pub promise: String,
    /// Where that is written: page and section of the manual.
    pub page: String,
    /// The page of the call that brought it about, where that is another one.
    pub cause_page: Option<String>,
    /// How the program became short.
    pub story: Vec<String>,
}

/// Explains a case.
pub fn explain(repro: &Repro, code: &Code) -> Explanation {
    let finding = &repro.finding;
    let desc = code.calls.get(finding.call).map(|call| call.id.desc());
    let page = desc.map_or_else(String::new, |desc| format!("{}, {}", desc.page(), section(finding)));
    let cause = CallId::named(&finding.cause).filter(|_| finding.cause != finding.name);
    let cause_page = cause.map(|id| id.desc().page()).filter(|p| !page.starts_with(p.as_str()));
    let promise = desc.map_or_else(String::new, |desc| {
        let dotted = format!(".{}", finding.field);
        let output =
            desc.outputs().into_iter().find(|o| o.name == finding.field || o.name.ends_with(&dotted));
        match (output, finding.field.as_str()) {
            (Some(output), "ret") if section(finding) == ERRORS => {
                let value = output.meaning;
                format!(
                    "what {} returns: {value}; whether it fails, and how, is compared",
                    phrase(&finding.name)
                )
            }
            (Some(output), "ret") => format!("what {} returns: {}", phrase(&finding.name), output.meaning),
            (Some(output), field) => format!("{field} of {}: {}", phrase(&finding.name), output.meaning),
            (None, "end") => "how a program ends: the same on both sides".to_owned(),
            (None, "state") => {
                "whether a call returns, waits or ends the program: the same on both sides".to_owned()
            }
            (None, _) => format!("an invariant that the oracle `{}` watches", finding.oracle),
        }
    });
    Explanation { sentence: sentence(repro, code), promise, page, cause_page, story: story(repro) }
}

/// What differs, in one sentence: what was done, what the layer then says, and what Linux says.
pub fn sentence(repro: &Repro, code: &Code) -> String {
    let finding = &repro.finding;
    let target = if repro.target_name.is_empty() { "the target" } else { &repro.target_name };
    let Some(call) = code.calls.get(finding.call) else {
        return finding.line();
    };
    let mut text = String::new();
    let cause = (finding.cause != finding.name)
        .then(|| code.calls[..code.own.min(finding.call)].iter().rposition(|c| c.id.name() == finding.cause))
        .flatten();
    if let Some(at) = cause {
        text.push_str(&format!("after {}{}, ", phrase(&finding.cause), object(code, &code.calls[at])));
    } else if finding.cause != finding.name {
        text.push_str(&format!("after {}, ", phrase(&finding.cause)));
    }
    if finding.name == PROGRAM {
        text.push_str("the program");
    } else {
        text.push_str(&phrase(call.id.name()));
        text.push_str(&object(code, call));
    }
    text.push(' ');
    text.push_str(&difference(repro, finding, target));
    text
}

/// What the layer does, and then what Linux does.
fn difference(repro: &Repro, finding: &Finding, target: &str) -> String {
    let Finding { field, native, target: theirs, kind, oracle, .. } = finding;
    let of_field = match field.as_str() {
        "ret" | "state" => String::new(),
        field => format!(" in {field}"),
    };
    if finding.class.is_layer() {
        return match repro.target.end {
            End::Hung => format!("leaves {target} without an answer; Linux answers"),
            _ => format!("takes {target} down; Linux goes on"),
        };
    }
    if says_it_lacks(kind) {
        return format!("is not there on {target}, which answers {theirs}; Linux gives {native}");
    }
    if oracle == "repeat" {
        return format!("sometimes gives {theirs}{of_field} on {target}; Linux always gives {native}");
    }
    if let Some(flag) = kind.strip_prefix("lost ") {
        return format!("has lost {flag}{of_field} on {target} ({theirs}); Linux keeps it ({native})");
    }
    if let Some(flag) = kind.strip_prefix("gained ") {
        return format!("shows {flag}{of_field} on {target} ({theirs}), which Linux does not ({native})");
    }
    if field == "end" {
        let (ours, their) = (repro.native.end, repro.target.end);
        let how = |end| parallax_replay::render_text::show_end(end);
        if finding.name == PROGRAM {
            return format!("{} on {target}; on Linux it {}", how(their), how(ours));
        }
        return format!(
            "is where the ends differ: on {target} the program {}; on Linux it {}",
            how(their),
            how(ours)
        );
    }
    if let Some((before, after)) = kind.split_once(" became ") {
        return match (is_errno(before), is_errno(after)) {
            (true, true) => format!("fails with {after} on {target}; Linux fails with {before}"),
            (true, false) if after == "success" => {
                format!("succeeds on {target} ({theirs}); Linux fails with {before}")
            }
            (false, true) if before == "success" => {
                format!("fails with {after} on {target}; Linux succeeds ({native})")
            }
            _ if kind.contains("zero") || kind.contains("something") => {
                format!("gives {theirs}{of_field} on {target}; Linux gives {native}")
            }
            _ => format!("{} on {target}; on Linux it {}", what_becomes(after), what_becomes(before)),
        };
    }
    match kind.as_str() {
        "shifted" => {
            format!("gives descriptor {theirs} on {target}; Linux gives {native}, the lowest free one")
        }
        "line missing" => format!("lacks the line {field} on {target}; Linux says {native}"),
        "entries added" | "entries missing or changed" => {
            format!("lists {theirs} on {target}; Linux lists {native}")
        }
        _ if ["differential", "blocked"].contains(&oracle.as_str()) => {
            format!("gives {theirs}{of_field} on {target}; Linux gives {native}")
        }
        // An invariant says no value but how it stands.
        _ => format!("breaks a rule{of_field}: {theirs} on {target}; on Linux {native}"),
    }
}

/// What a call does that ends in that way: the words of a signature's `state`.
fn what_becomes(word: &str) -> String {
    match word {
        "success" => "returns".to_owned(),
        "blocked" => "waits without end".to_owned(),
        "died" => "ends the program".to_owned(),
        "notrun" => "is never reached".to_owned(),
        "missed" => "is not made, since its task still waits".to_owned(),
        "skipped" => "is left out, for want of what it needs".to_owned(),
        errno if is_errno(errno) => format!("fails with {errno}"),
        other => format!("is {other}"),
    }
}

/// A call's name as the manual writes it: `fcntl F_SETFL`, `ioctl TCGETS`, `openat`.
pub fn phrase(name: &str) -> String {
    let name = state::spelled(name);
    match name.split_once('$') {
        Some(("fcntl", what)) => format!("fcntl F_{}", what.to_ascii_uppercase()),
        Some(("ioctl", what)) => format!("ioctl {}", what.to_ascii_uppercase()),
        Some((base @ ("prctl" | "semctl" | "shmctl" | "msgctl" | "getsockopt" | "setsockopt"), what)) => {
            format!("{base} {}", what.to_ascii_uppercase())
        }
        Some(("outside", what)) => format!("the outside's {what}"),
        Some((base, what)) => format!("{base} ({})", what.replace('_', " ")),
        None => name.to_owned(),
    }
}

/// What a call works on: ` on the second openat of "f0"`.
fn object(code: &Code, call: &Call) -> String {
    let desc = call.id.desc();
    for ((_, argument), arg) in desc.written().zip(&call.args) {
        match (arg, argument.ty) {
            (Arg::Res(r), _) => {
                let made_by = r.call as usize;
                let Some(maker) = code.calls.get(made_by) else { continue };
                let base = maker.id.desc().base_name();
                let of_base = |c: &&Call| c.id.desc().base_name() == base;
                let several = code.calls[..code.own].iter().filter(of_base).count() > 1;
                let which = code.calls[..made_by].iter().filter(of_base).count();
                let ordinal = if several { format!("{} ", ordinal(which)) } else { String::new() };
                let of = path(maker).map(|p| format!(" of {p}")).unwrap_or_default();
                return format!(" on the {ordinal}{base}{of}");
            }
            (Arg::Bytes(_), Ty::Path) => {
                return path(call).map(|p| format!(" of {p}")).unwrap_or_default();
            }
            (Arg::Int(n), Ty::Fd(_)) => return format!(" on descriptor {}", *n as i32),
            _ => {}
        }
    }
    String::new()
}

/// The path a call names, if it names one.
fn path(call: &Call) -> Option<String> {
    let desc = call.id.desc();
    if let Some(fixed) = desc.args.iter().find_map(|a| match a.ty {
        Ty::PathConst(path) => Some(path),
        _ => None,
    }) {
        return Some(fixed.to_owned());
    }
    let mut written = desc.written().zip(&call.args);
    written.find_map(|((_, argument), arg)| match (arg, argument.ty) {
        (Arg::Bytes(bytes), Ty::Path) => Some(parallax_replay::outcomes::show_bytes(bytes)),
        _ => None,
    })
}

fn ordinal(n: usize) -> String {
    const WORDS: [&str; 6] = ["first", "second", "third", "fourth", "fifth", "sixth"];
    WORDS.get(n).map_or_else(|| format!("{}th", n + 1), |word| (*word).to_owned())
}

/// The section of a page that names what a call refuses.
const ERRORS: &str = "ERRORS";

/// The section of a manual page that speaks of such a difference.
fn section(finding: &Finding) -> &'static str {
    if names_error(&finding.kind) {
        ERRORS
    } else if finding.field == "ret" {
        "RETURN VALUE"
    } else {
        "DESCRIPTION"
    }
}

/// How the program became short: what the history says, each step a line.
fn story(repro: &Repro) -> Vec<String> {
    repro.history.iter().map(|h| format!("{} {}", h.what, h.detail).trim().to_owned()).collect()
}

/// A piece of a shown value, and whether the other side has it too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// It is what differs.
    pub lit: bool,
}

/// Two values of one output with only their difference lit: by flags where they are flags, else what stands between
/// their common beginning and end.
pub fn lit(native: &str, target: &str) -> (Vec<Piece>, Vec<Piece>) {
    if native == target {
        let same = |text: &str| vec![Piece { text: text.to_owned(), lit: false }];
        return (same(native), same(target));
    }
    if native.contains('|') || target.contains('|') {
        return (flags(native, target), flags(target, native));
    }
    let begin: usize =
        native.chars().zip(target.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let (a, b) = (&native[begin..], &target[begin..]);
    let end: usize =
        a.chars().rev().zip(b.chars().rev()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    // Half a number or half a name is no difference anybody can read.
    let is_words = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_words(native) && is_words(target) {
        let whole = |text: &str| vec![Piece { text: text.to_owned(), lit: true }];
        return (whole(native), whole(target));
    }
    let parts = |text: &str| {
        let (middle, rest) = (&text[begin..text.len() - end], &text[text.len() - end..]);
        let all = [(&text[..begin], false), (middle, true), (rest, false)];
        all.into_iter()
            .filter(|(text, _)| !text.is_empty())
            .map(|(text, lit)| Piece { text: text.to_owned(), lit })
            .collect()
    };
    (parts(native), parts(target))
}

fn flags(of: &str, other: &str) -> Vec<Piece> {
    let theirs: Vec<&str> = other.split('|').collect();
    let mut pieces: Vec<Piece> = Vec::new();
    for (k, flag) in of.split('|').enumerate() {
        if k > 0 {
            pieces.push(Piece { text: "|".to_owned(), lit: false });
        }
        pieces.push(Piece { text: flag.to_owned(), lit: !theirs.contains(&flag) });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[Piece]) -> String {
        pieces.iter().map(|p| if p.lit { format!("[{}]", p.text) } else { p.text.clone() }).collect()
    }

    #[test]
    fn only_the_difference_is_lit() {
        let both = |a, b| {
            let (a, b) = lit(a, b);
            (shown(&a), shown(&b))
        };
        assert_eq!(both("A|B|C", "A|C"), ("A|[B]|C".into(), "A|C".into()));
        assert_eq!(both("ENOENT", "EACCES"), ("[ENOENT]".into(), "[EACCES]".into()));
        assert_eq!(both("\"abc\" x", "\"abd\" x"), ("\"ab[c]\" x".into(), "\"ab[d]\" x".into()));
        assert_eq!(both("same", "same"), ("same".into(), "same".into()));
        assert_eq!(both("[a b]", "[a b c]"), ("[a b]".into(), "[a b[ c]]".into()));
        assert_eq!(both("ä é", "ä è"), ("ä [é]".into(), "ä [è]".into()));
        assert_eq!(both("", "x y"), (String::new(), "[x y]".into()));
    }

    #[test]
    fn how_a_call_ends_is_told_in_words() {
        let told = ["success", "blocked", "died", "notrun", "EAGAIN"].map(what_becomes);
        let words =
            ["returns", "waits without end", "ends the program", "is never reached", "fails with EAGAIN"];
        assert_eq!(told, words);
    }

    #[test]
    fn calls_are_named_as_the_manual_names_them() {
        assert_eq!(phrase("fcntl$setfl_tty"), "fcntl F_SETFL");
        assert_eq!(phrase("ioctl$tcgets"), "ioctl TCGETS");
        assert_eq!(phrase("openat$create"), "openat");
        assert_eq!(phrase("read$tty"), "read (tty)");
    }
}
