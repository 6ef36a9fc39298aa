//! The cap on the size of one response (`counts = "response_bytes"`).

use std::sync::Arc;

/// How much of a response may still pass.
#[derive(Debug, Clone)]
pub struct Cap {
    limit: Arc<str>,
    ceiling: u64,
    passed: u64,
    /// Reports only.
    shadow: bool,
    reported: bool,
}

/// What to do with the bytes at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapVerdict {
    /// Let them pass.
    Pass,
    /// A shadow cap is passed for the first time: count it, and let them pass.
    Report,
    /// Over the cap: answer 502 if nothing was sent yet, else cut the body.
    Cut,
}

impl Cap {
    /// A cap of `ceiling` bytes by the limit of this name; a shadow one only reports.
    #[must_use]
    pub fn new(limit: Arc<str>, ceiling: u64, shadow: bool) -> Self {
        Self {
            limit,
            ceiling,
            passed: 0,
            shadow,
            reported: false,
        }
    }

    /// The limit's name.
    #[must_use]
    pub fn limit(&self) -> &Arc<str> {
        &self.limit
    }

    /// Most bytes of one response.
    #[must_use]
    pub fn ceiling(&self) -> u64 {
        self.ceiling
    }

    /// Judges a response by the length it announces, if it does.
    pub fn announce(&mut self, content_length: Option<u64>) -> CapVerdict {
        self.judge(content_length.unwrap_or(0))
    }

    /// Judges `more` bytes of body.
    pub fn pass(&mut self, more: u64) -> CapVerdict {
        self.passed = self.passed.saturating_add(more);
        self.judge(self.passed)
    }

    fn judge(&mut self, bytes: u64) -> CapVerdict {
        if bytes <= self.ceiling || (self.shadow && self.reported) {
            return CapVerdict::Pass;
        }
        if self.shadow {
            self.reported = true;
            return CapVerdict::Report;
        }
        CapVerdict::Cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cap(shadow: bool) -> Cap {
        Cap::new("response_bytes".into(), 10, shadow)
    }

    #[test]
    fn exactly_the_cap_passes_and_one_byte_more_is_cut() {
        assert_eq!(cap(false).announce(Some(10)), CapVerdict::Pass);
        assert_eq!(cap(false).announce(Some(11)), CapVerdict::Cut);
        let mut streamed = cap(false);
        assert_eq!(streamed.announce(None), CapVerdict::Pass);
        assert_eq!(streamed.pass(4), CapVerdict::Pass);
        assert_eq!(streamed.pass(6), CapVerdict::Pass);
        assert_eq!(streamed.pass(1), CapVerdict::Cut);
    }

    #[test]
    fn a_shadow_cap_reports_once_and_cuts_nothing() {
        let mut shadow = cap(true);
        assert_eq!(shadow.announce(Some(11)), CapVerdict::Report);
        assert_eq!(shadow.pass(11), CapVerdict::Pass);
    }

    #[test]
    fn a_length_near_the_end_of_numbers_does_not_wrap() {
        let mut huge = cap(false);
        assert_eq!(huge.pass(u64::MAX), CapVerdict::Cut);
        assert_eq!(huge.pass(u64::MAX), CapVerdict::Cut);
    }
}
