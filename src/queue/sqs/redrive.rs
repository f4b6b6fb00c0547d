//! Where SQS itself moves messages that were received too often.

use serde_json::Value;

/// The redrive policy of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// ARN of the dead-letter queue.
    pub dead_letter_arn: String,
    /// Receives after which a message moves there.
    pub max_receive_count: u32,
}

impl Redrive {
    /// Reads the attribute `RedrivePolicy`. AWS writes the count as a number, others as a text.
    pub(super) fn parse(policy: &str) -> Option<Redrive> {
        let policy: Value = serde_json::from_str(policy).ok()?;
        let count = &policy["maxReceiveCount"];
        let count = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
        Some(Redrive {
            dead_letter_arn: policy["deadLetterTargetArn"].as_str()?.to_owned(),
            max_receive_count: u32::try_from(count).ok()?,
        })
    }
}

/// Account and name of a queue: `arn:aws:sqs:eu-west-1:123456789012:name`.
pub(super) fn account_and_name(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.splitn(6, ':');
    let is_queue = parts.next() == Some("arn") && parts.nth(1) == Some("sqs");
    let (account, name) = (parts.nth(1)?, parts.next()?);
    (is_queue && !name.is_empty()).then_some((account, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_with_its_count_as_number_or_text() {
        for count in ["5", "\"5\""] {
            let policy = format!(
                r#"{{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:dead","maxReceiveCount":{count}}}"#
            );

            let redrive = Redrive::parse(&policy).expect("the policy can be read");

            assert_eq!(redrive.max_receive_count, 5);
            assert_eq!(account_and_name(&redrive.dead_letter_arn), Some(("123456789012", "dead")));
        }
    }

    #[test]
    fn what_is_no_policy_and_no_queue_is_nothing() {
        for policy in ["", "{}", "[]", r#"{"deadLetterTargetArn":1,"maxReceiveCount":2}"#] {
            assert_eq!(Redrive::parse(policy), None);
        }
        for arn in
            ["", "arn:aws:sns:eu-west-1:123456789012:topic", "arn:aws:sqs:eu-west-1:123456789012:", "queue"]
        {
            assert_eq!(account_and_name(arn), None, "{arn}");
        }
    }
}
