//! A bag of event keys as a count and a hash, so that two places can be compared without moving keys. Pure.

use crate::lake::manifest::KeysHash;

use super::Stage;

/// How many keys, and the hash of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bag {
    pub(super) count: u64,
    hash: KeysHash,
}

impl Bag {
    /// Adds a key.
    pub(super) fn add(&mut self, key: &str) {
        self.count += 1;
        self.hash.add(key);
    }

    /// A bag of these keys.
    pub(super) fn of<'a>(keys: impl IntoIterator<Item = &'a str>) -> Bag {
        let mut bag = Bag::default();
        keys.into_iter().for_each(|key| bag.add(key));
        bag
    }

    /// What a manifest or a receipt says; `None` when its hash is none of ours.
    pub(super) fn from_hex(count: u64, hash: &str) -> Option<Bag> {
        KeysHash::from_hex(hash).map(|hash| Bag { count, hash })
    }

    /// So many keys of which nothing else is known: it agrees with no bag that has any.
    pub(super) fn unknown(count: u64) -> Bag {
        Bag { count, hash: KeysHash::default() }
    }

    /// What a warehouse adds up: the sums of the four quarters of 32 bits, the highest first.
    pub(super) fn from_quarters(count: u64, quarters: [u128; 4]) -> Bag {
        let [a, b, c, d] = quarters;
        let sum = (a << 96).wrapping_add(b << 64).wrapping_add(c << 32).wrapping_add(d);
        Bag { count, hash: KeysHash::from_sum(sum) }
    }

    /// Both together.
    pub(super) fn plus(self, other: Bag) -> Bag {
        Bag { count: self.count + other.count, hash: self.hash.plus(other.hash) }
    }

    /// For people.
    pub(super) fn stage(self) -> Stage {
        Stage { count: self.count, keys_hash: self.hash.finish() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    proptest! {
        #[test]
        fn parts_come_to_what_the_manifests_have(keys in proptest::collection::vec("[a-f0-9]{1,40}", 0..40), cut in 0_usize..40) {
            let mut whole = KeysHash::default();
            keys.iter().for_each(|key| whole.add(key));
            let cut = cut.min(keys.len());
            let (left, right) = keys.split_at(cut);
            let part = |keys: &[String]| Bag::of(keys.iter().map(String::as_str));

            let together = part(left).plus(part(right));
            prop_assert_eq!(together.stage().keys_hash, whole.finish());
            prop_assert_eq!(Bag::from_hex(keys.len() as u64, &whole.finish()), Some(together));

            // As SQL does it: hex digits cut into quarters, each added up.
            let mut quarters = [0_u128; 4];
            for key in &keys {
                let digits = hex::encode(Sha256::digest(key));
                for (index, quarter) in quarters.iter_mut().enumerate() {
                    *quarter += u128::from_str_radix(&digits[index * 8..index * 8 + 8], 16).expect("hex");
                }
            }
            prop_assert_eq!(Bag::from_quarters(keys.len() as u64, quarters), together);
        }
    }

    #[test]
    fn what_is_no_hash_is_none() {
        for text in ["", "0", "x".repeat(32).as_str()] {
            assert_eq!(Bag::from_hex(0, text), None);
        }
    }
}
