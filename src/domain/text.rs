//! Texts with bounds, and texts that must not be printed.

use std::fmt;

/// Why a text was not taken, as what would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is empty, or only white space.
    #[error("must not be empty")]
    Empty,
    /// It has more characters than allowed.
    #[error("must have at most {max} characters")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// It contains a control character.
    #[error("must not contain control characters")]
    Control,
}

/// One line of 1 to 200 characters without white space around it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label(String);

impl Label {
    /// Most characters.
    pub const MAX: usize = 200;

    /// Takes a text, trimmed.
    pub fn new(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if text.chars().count() > Self::MAX {
            return Err(TextError::TooLong { max: Self::MAX });
        }
        if text.chars().any(char::is_control) {
            return Err(TextError::Control);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A code of lower-case letters, digits and underscores, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(String);

impl Code {
    /// Most characters.
    pub const MAX: usize = 63;

    /// The code, if the text is one.
    pub fn new(text: &str) -> Option<Self> {
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let rest = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        (begins && rest && text.len() <= Self::MAX).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text without differences of letter case, in any alphabet: character by character, so that what begins a text also
/// begins it folded.
pub fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Free text of at most `MAX` characters; may be empty, may have line breaks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prose<const MAX: usize>(String);

impl<const MAX: usize> Prose<MAX> {
    /// Takes a text, trimmed.
    pub fn new(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        if text.chars().count() > MAX {
            return Err(TextError::TooLong { max: MAX });
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(TextError::Control);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Personal data: prints as `[redacted]`, so that no log line can carry it by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Personal<T>(T);

impl<T> Personal<T> {
    /// Marks a value as personal data.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the database and for the caller who may see it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_data_is_not_printed() {
        assert_eq!(format!("{:?}", Personal::new("Ada")), "[redacted]");
    }

    #[test]
    fn letter_case_is_folded_in_any_alphabet() {
        assert_eq!(folded("ÄGIR ИВА"), "ägir ива");
        assert!(folded("ΟΔΥΣΣΕΥΣ").starts_with(&folded("ΟΔΥΣ")));
    }

    #[test]
    fn a_label_is_one_line_of_bounded_length() {
        assert_eq!(Label::new("  Room 1 ").unwrap().as_str(), "Room 1");
        assert_eq!(Label::new("   "), Err(TextError::Empty));
        assert_eq!(Label::new("a\nb"), Err(TextError::Control));
        assert!(Label::new(&"ä".repeat(200)).is_ok());
        assert_eq!(Label::new(&"ä".repeat(201)), Err(TextError::TooLong { max: 200 }));
    }
}
