//! What a plan costs, in points, term by term.
//!
//! The weights say what is worth what. Ten points are one day between a gap and the protocol's target; everything else
//! is measured against that.

use crate::domain::named_enum;

/// A gap one day off the protocol's target.
pub const GAP_DAY: u64 = 10;
/// A session on another weekday than the patient wished: worth ten days off the target, so that moving a gap by half a
/// week always comes first, and a whole missed wish never costs a series more than a week and a half.
pub const WEEKDAY: u64 = 100;
/// A session at another time of day than the patient wished: as much.
pub const HOURS: u64 = 100;
/// A session with another practitioner than the patient wished: as much.
pub const PRACTITIONER: u64 = 100;
/// Another practitioner than at the session before: half of it, since nobody asked for it.
pub const CHANGE: u64 = 50;
/// A day later that the series ends: enough to prefer the earlier of two equal plans, and never enough to leave the
/// target, because a day off the target costs ten.
pub const FINISH_DAY: u64 = 1;

named_enum! {
    /// What a term of a cost is about.
    pub enum CostKind {
        /// Days that gaps are off the protocol's target.
        Gaps = "gaps",
        /// Sessions on other weekdays than wished.
        Weekdays = "weekdays",
        /// Sessions at other times of the day than wished.
        Hours = "hours",
        /// Sessions with another practitioner than wished.
        Practitioner = "practitioner",
        /// Changes of the practitioner from one session to the next.
        Changes = "changes",
        /// Days from the first day asked for to the last session.
        Finish = "finish",
    }
}

impl CostKind {
    /// Points for each.
    pub const fn weight(self) -> u64 {
        match self {
            Self::Gaps => GAP_DAY,
            Self::Weekdays => WEEKDAY,
            Self::Hours => HOURS,
            Self::Practitioner => PRACTITIONER,
            Self::Changes => CHANGE,
            Self::Finish => FINISH_DAY,
        }
    }
}

/// What a plan costs: how many of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost([u64; CostKind::ALL.len()]);

impl Cost {
    /// Adds so many of a kind.
    pub fn add(&mut self, kind: CostKind, amount: u64) {
        self.0[kind as usize] += amount;
    }

    /// How many of a kind.
    pub const fn amount(&self, kind: CostKind) -> u64 {
        self.0[kind as usize]
    }

    /// Each kind with its amount and its points.
    pub fn terms(&self) -> impl Iterator<Item = (CostKind, u64, u64)> + '_ {
        CostKind::ALL.iter().map(|kind| (*kind, self.amount(*kind), self.amount(*kind) * kind.weight()))
    }

    /// All points together.
    pub fn total(&self) -> u64 {
        self.terms().map(|(_, _, points)| points).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_the_sum_of_its_terms() {
        let mut cost = Cost::default();
        cost.add(CostKind::Gaps, 3);
        cost.add(CostKind::Finish, 12);
        cost.add(CostKind::Gaps, 1);
        assert_eq!((cost.amount(CostKind::Gaps), cost.total()), (4, 52));
        assert_eq!(cost.terms().map(|(_, _, points)| points).sum::<u64>(), 52);
    }
}
