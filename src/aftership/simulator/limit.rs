//! The API's rate limit: so many requests in each second of its clock.

/// What is left of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Requests a second.
    pub(super) limit: u32,
    /// More of them in this second.
    pub(super) remaining: u32,
    /// The second, since 1970, in which it begins anew.
    pub(super) resets_at: i64,
    /// There was one left for this request.
    pub(super) is_within: bool,
}

/// The second under way, and its requests.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    second: i64,
    used: u32,
}

impl Window {
    /// Takes one request of `second`.
    pub(super) fn take(&mut self, second: i64, limit: u32) -> Standing {
        if self.second != second {
            *self = Window { second, used: 0 };
        }
        let is_within = self.used < limit;
        self.used += u32::from(is_within);
        Standing { limit, remaining: limit - self.used, resets_at: second + 1, is_within }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_so_many_requests() {
        let mut window = Window::default();

        let first: Vec<_> = (0..4).map(|_| window.take(100, 3)).map(|s| (s.is_within, s.remaining)).collect();
        let next = window.take(101, 3);

        assert_eq!(first, [(true, 2), (true, 1), (true, 0), (false, 0)]);
        assert_eq!(next, Standing { limit: 3, remaining: 2, resets_at: 102, is_within: true });
    }
}
