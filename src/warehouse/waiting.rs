//! Order lines whose order has not come: how many there are, and since when. Pure.

use jiff::Timestamp;

use super::{Answer, Cell, WarehouseError};

/// How the lines stand that wait for their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingLines {
    /// How many there are.
    pub count: u64,
    /// When the first of them began to wait; `None`: none waits.
    pub since: Option<Timestamp>,
}

/// The question, for all engines.
pub(super) const WAITING_LINES: &str =
    "select count(*) as lines, min(waiting_since) as since from raw.waiting_order_line";

impl WaitingLines {
    /// What [`WAITING_LINES`] was answered.
    pub(super) fn of(answer: &Answer) -> Result<WaitingLines, WarehouseError> {
        let (count, since) = match answer.rows.first().map(Vec::as_slice) {
            Some([Cell::Int(count), Cell::Instant(since)]) => (*count, Some(*since)),
            Some([Cell::Int(count), Cell::Null]) => (*count, None),
            _ => {
                return Err(WarehouseError::Query(
                    "the number of waiting lines was answered in no form that is known".into(),
                ));
            }
        };
        Ok(WaitingLines { count: u64::try_from(count).unwrap_or(0), since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_or_refused() {
        let since: Timestamp = "2026-07-09T12:00:00Z".parse().expect("an instant");
        let answer = |row: Vec<Cell>| Answer { columns: Vec::new(), rows: vec![row] };

        let some = WaitingLines::of(&answer(vec![Cell::Int(3), Cell::Instant(since)])).expect("read");
        let none = WaitingLines::of(&answer(vec![Cell::Int(0), Cell::Null])).expect("read");

        assert_eq!(some, WaitingLines { count: 3, since: Some(since) });
        assert_eq!(none, WaitingLines { count: 0, since: None });
        assert!(WaitingLines::of(&answer(vec![Cell::Text("3".into()), Cell::Null])).is_err());
        assert!(WaitingLines::of(&Answer::default()).is_err());
    }
}
