//! The current time, passed in.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// Tells the current time.
pub trait Clock: Send + Sync {
    /// Now, in whole microseconds, as the database keeps it.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock, moved by a fixed difference: none in earnest, some in a rehearsal.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock {
    ahead: TimeDelta,
}

impl SystemClock {
    /// A clock that shows `now` at this moment and runs on from there.
    pub fn starting_at(now: DateTime<Utc>) -> Self {
        Self { ahead: now - Self::default().now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        (Utc::now() + self.ahead).trunc_subsecs(6)
    }
}
