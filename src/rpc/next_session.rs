//! What a series needs next, to messages.

use super::pb;
use super::slots::rendered_slot;
use super::status::rendered_violation;
use crate::app::NextSession;
use crate::domain::next_session::OpenSession;

pub(super) fn rendered(next: &NextSession) -> pb::NextSession {
    let NextSession { open, today, slots, missing, limits } = next;
    let OpenSession { number, previous, earliest, latest } = open;
    let since = previous.map_or(0, |previous| (*today - previous).num_days());
    pb::NextSession {
        session_number: *number,
        previous_date: previous.map(|day| day.to_string()).unwrap_or_default(),
        // Bounded by the years that times may lie in.
        days_since_previous: i32::try_from(since).unwrap_or_default(),
        earliest_date: earliest.to_string(),
        latest_date: latest.map(|day| day.to_string()).unwrap_or_default(),
        slots: slots.iter().map(rendered_slot).collect(),
        missing: missing.iter().map(rendered_violation).collect(),
        limits: limits.iter().map(rendered_violation).collect(),
    }
}
