//! Half-open stretches of time.

use chrono::{DateTime, TimeDelta, Utc};

/// An instant, in UTC.
pub type Instant = DateTime<Utc>;

/// From `start`, inclusive, to `end`, exclusive; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    start: Instant,
    end: Instant,
}

impl Interval {
    /// The interval, unless it would be empty.
    pub fn new(start: Instant, end: Instant) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// Its first instant.
    pub const fn start(self) -> Instant {
        self.start
    }

    /// The first instant after it.
    pub const fn end(self) -> Instant {
        self.end
    }

    /// Whether the two share an instant.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether all of `other` lies in it.
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Its length.
    pub fn length(self) -> TimeDelta {
        self.end - self.start
    }
}
