//! Why a line, or a whole object, is not loaded: the closed list behind `raw.rejected_row.reason`.

use crate::aftership::webhook::Unreadable;
use crate::event::line::LineError;
use crate::lake::object::UnpackError;

/// Characters of a rejected line that are kept beside its reason; the line itself stays in the lake.
pub const TEXT_MAX: usize = 1_000;

/// The reason for a line that is no event of ours.
pub fn of_line(error: &LineError) -> &'static str {
    match error {
        LineError::NotMessage | LineError::NotJson(_) => "line_not_json",
        LineError::TooLarge => "line_too_long",
        LineError::Version(_) => "line_version",
        LineError::Field(_) => "line_field",
        LineError::BodyChanged => "body_changed",
    }
}

/// The reason for a body that holds no tracking.
pub fn of_body(unreadable: Unreadable) -> &'static str {
    unreadable.reason()
}

/// The reason for an object as a whole.
pub fn of_object(error: &UnpackError) -> &'static str {
    match error {
        UnpackError::UnknownName => "object_name",
        UnpackError::TooLarge(_) => "object_too_large",
        UnpackError::Damaged(_) => "object_damaged",
    }
}

/// A line as text for people, cut and without U+0000.
pub fn excerpt(line: &[u8]) -> String {
    let head = &line[..line.len().min(TEXT_MAX * 4)];
    let text: String = String::from_utf8_lossy(head).chars().take(TEXT_MAX).collect();
    crate::warehouse::rows::clean(&text)
}
