//! Numbers and times for people.

use parallax_triage::expect::Day;
use std::borrow::Borrow;

/// Seconds since 1970 as a day and a time, UTC.
pub fn when(seconds: impl Borrow<i64>) -> String {
    let seconds = u64::try_from(*seconds.borrow()).unwrap_or(0);
    if seconds == 0 {
        return "unknown".to_owned();
    }
    format!("{} {:02}:{:02} UTC", Day::of(seconds / 86_400), seconds / 3600 % 24, seconds / 60 % 60)
}

/// Seconds as `1:02:03`.
pub fn clock(seconds: impl Borrow<f64>) -> String {
    let seconds = *seconds.borrow();
    let whole = if seconds.is_finite() { seconds.clamp(0.0, 1e12) as u64 } else { 0 };
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

/// A number with its thousands apart.
pub fn grouped(number: impl Borrow<u64>) -> String {
    let digits = number.borrow().to_string();
    let mut text = String::new();
    for (k, digit) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k) % 3 == 0 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A text as one word of a shell.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=+,@~".contains(c);
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_numbers_and_words_are_written_as_people_and_shells_read_them() {
        assert_eq!(when(1_700_000_000), "2023-11-14 22:13 UTC");
        assert_eq!(when(-5), "unknown");
        assert_eq!(clock(3723.9), "1:02:03");
        assert_eq!(clock(f64::NAN), "0:00:00");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped(12), "12");
        assert_eq!(quoted("cases/a.plx"), "cases/a.plx");
        assert_eq!(quoted("it's $(rm)"), "'it'\\''s $(rm)'");
        assert_eq!(quoted("-x"), "'-x'");
    }
}
