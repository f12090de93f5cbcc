//! What a visit means for the patient's others once it really took place.

use super::booking::{ActivityWindow, PatientFacts, Spaced, Timing, WindowRole};
use super::catalog::{Activity, Restriction, SpacingScope, Span};
use super::interval::{Instant, Interval};
use super::overrides::since;
use super::refusal::{Gap, Refusal, Rule, Violation};
use super::zone::Zone;

/// Furthest that a visit can have begun after the day on which it was booked, in days.
pub const MAX_DAYS_LATE: i64 = 31;

/// An aftercare window that an override has shortened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortened {
    /// What is forbidden.
    pub activity: Activity,
    /// How long after the treatment proper, by the override.
    pub after: Span,
    /// Whether the override was revoked: then the window is as the treatment has it, since what took place under it.
    pub is_revoked: bool,
    /// When the patient was at what the window is about.
    pub happened: Vec<Interval>,
}

/// The windows of a visit that really began at an instant, where overrides have shortened some.
pub fn windows(timing: &Timing<'_>, zone: Zone, start: Instant, shortened: &[Shortened]) -> Vec<ActivityWindow> {
    let mut windows = timing.windows(zone, start);
    for window in windows.iter_mut().filter(|window| window.role == WindowRole::Restricts) {
        let Some(known) = shortened.iter().find(|known| known.activity == window.activity) else { continue };
        let rule = timing.treatment().content.restrictions.iter().find(|rule| rule.activity == window.activity);
        let shorter = rule.map(|rule| Restriction { after: Some(known.after), ..rule.clone() });
        let Some(short) = shorter.and_then(|rule| timing.restricts(zone, start, &rule)) else { continue };
        let counts = if known.is_revoked { window.during } else { short };
        window.during = since(counts, known.happened.iter().copied()).unwrap_or(short);
    }
    windows
}

/// A refusal that names every other visit of the patient that these windows would cover.
pub fn collisions(patient: &PatientFacts, windows: &[ActivityWindow], spaced: &[Spaced]) -> Result<(), Refusal> {
    let mut refusal = Refusal::new();
    for Spaced { scope, day, until } in spaced {
        for other in patient.spacing.iter().filter(|other| other.scope == *scope) {
            let told = refusal.iter().any(|violation: &Violation| violation.other == Some(other.other));
            if told || other.until <= *day || *until <= other.day {
                continue;
            }
            let (days, required) = if other.day <= *day {
                ((*day - other.day).num_days(), (other.until - other.day).num_days())
            } else {
                ((other.day - *day).num_days(), (*until - *day).num_days())
            };
            let (rule, areas) = match scope {
                SpacingScope::Area(_) => (Rule::SessionTooSoon, "the same area"),
                SpacingScope::AnyArea => (Rule::OtherAreaTooSoon, "different areas"),
            };
            let text = format!("{days} days would lie between two sessions on {areas}; at least {required} must");
            refusal.push(Violation {
                other: Some(other.other),
                gap: Some(Gap { days, required, latest: None }),
                ..Violation::new(rule, text)
            });
        }
    }
    for mine in windows {
        for (theirs, other) in &patient.windows {
            if !mine.collides(theirs) {
                continue;
            }
            let activity = mine.activity.as_str().replace('_', " ");
            let (rule, text) = match mine.role {
                WindowRole::Exposes => (Rule::ActivityForbidden, "was forbidden by an aftercare window at that time"),
                WindowRole::Restricts | WindowRole::Advises | WindowRole::Asks => {
                    (Rule::ForbidsBookedActivity, "is booked at a time in which the visit forbids it")
                }
            };
            refusal.push(Violation { other: Some(*other), ..Violation::new(rule, format!("{activity} {text}")) });
        }
    }
    if refusal.is_empty() { Ok(()) } else { Err(refusal) }
}
