//! What a batch call says of each of its entries. An entry's id is its index in the call.
//!
//! A batch call that "succeeds" may have done none of its entries, and the SDK does not look.

use aws_sdk_sqs::types::BatchResultErrorEntry;

/// Entries of one batch call.
pub(super) const ENTRIES_MAX: usize = 10;

/// The fate of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Done.
    Done,
    /// Not done; `is_ours` when SQS says that the fault is the sender's and a repetition cannot help.
    Failed { code: String, is_ours: bool },
    /// SQS said nothing of it, so that it must be taken as not done.
    Missing,
}

/// Fates in the order of the entries. `done`: the ids that SQS calls successful.
pub(super) fn fates<'a>(
    count: usize,
    done: impl IntoIterator<Item = &'a str>,
    failed: &[BatchResultErrorEntry],
) -> Vec<Fate> {
    let mut fates = vec![Fate::Missing; count];
    for id in done {
        if let Some(fate) = index(id).and_then(|index| fates.get_mut(index)) {
            *fate = Fate::Done;
        }
    }
    // After the successes: an entry in both lists was not done for certain.
    for entry in failed {
        if let Some(fate) = index(entry.id()).and_then(|index| fates.get_mut(index)) {
            *fate = Fate::Failed { code: entry.code().to_owned(), is_ours: entry.sender_fault() };
        }
    }
    fates
}

fn index(id: &str) -> Option<usize> {
    id.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failed(id: &str, code: &str, is_ours: bool) -> BatchResultErrorEntry {
        BatchResultErrorEntry::builder()
            .id(id)
            .code(code)
            .sender_fault(is_ours)
            .build()
            .expect("all fields are set")
    }

    #[test]
    fn each_entry_gets_its_own_fate() {
        let errors = [failed("1", "InternalError", false), failed("3", "InvalidMessageContents", true)];

        let fates = fates(5, ["0", "4"], &errors);

        let expected = [
            Fate::Done,
            Fate::Failed { code: "InternalError".to_owned(), is_ours: false },
            Fate::Missing,
            Fate::Failed { code: "InvalidMessageContents".to_owned(), is_ours: true },
            Fate::Done,
        ];
        assert_eq!(fates, expected);
    }

    #[test]
    fn an_entry_in_both_lists_is_not_done() {
        let fates = fates(1, ["0"], &[failed("0", "InternalError", false)]);

        assert_ne!(fates, [Fate::Done]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Any subset fails, in any order, with repetitions and with ids that nobody asked for.
        #[test]
        fn done_is_what_is_called_successful_and_nowhere_failed(
            count in 1..=ENTRIES_MAX,
            done in prop::collection::vec(0..14usize, 0..16),
            refused in prop::collection::vec((0..14usize, any::<bool>()), 0..8),
        ) {
            let done: Vec<String> = done.iter().map(usize::to_string).collect();
            let errors: Vec<_> =
                refused.iter().map(|(id, is_ours)| failed(&id.to_string(), "Code", *is_ours)).collect();

            let fates = fates(count, done.iter().map(String::as_str), &errors);

            prop_assert_eq!(fates.len(), count);
            for (index, fate) in fates.iter().enumerate() {
                let is_failed = refused.iter().any(|(id, _)| *id == index);
                let is_done = done.contains(&index.to_string());
                prop_assert_eq!(*fate == Fate::Done, is_done && !is_failed);
                prop_assert_eq!(*fate == Fate::Missing, !is_done && !is_failed);
            }
        }
    }

    #[test]
    fn ids_that_were_not_asked_for_are_passed_over() {
        assert_eq!(fates(1, ["7", "x", ""], &[failed("9", "InternalError", false)]), [Fate::Missing]);
    }
}
