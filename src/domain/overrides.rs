//! Overrides: where a practitioner decides otherwise than the rules, for one patient and one purpose.

use chrono::{NaiveDate, TimeDelta};

use super::catalog::{Activity, GapDays, Span};
use super::clearance::Revocation;
use super::ids::{AppointmentId, OverrideId, PatientId, ProtocolId, ResourceId, SeriesId, TreatmentId};
use super::interval::{Instant, Interval};
use super::refusal::{Gap, Other, Refusal, Rule, Violation};
use super::text::{Code, Personal, Prose};

/// Longest minimum gap that an override can set, in days.
pub const MAX_OVERRIDE_GAP_DAYS: i32 = 365;

/// What an override is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Another minimum gap for the rest of a series.
    Gap {
        /// The series.
        series: SeriesId,
        /// Calendar days after its sessions.
        days: i32,
    },
    /// Lifts a rule of a protocol's screening.
    Condition {
        /// The protocol.
        protocol: ProtocolId,
        /// The condition.
        condition: Personal<Code>,
    },
    /// Approves that a treatment is added to another in one visit.
    Combination {
        /// What something is added to.
        treatment: TreatmentId,
        /// What is added.
        add_on: TreatmentId,
    },
    /// Shortens an aftercare window of one visit.
    Aftercare {
        /// The visit.
        appointment: AppointmentId,
        /// What is forbidden.
        activity: Activity,
        /// How long after the treatment proper it stays so; no hours for not at all.
        after: Span,
    },
}

/// A practitioner's decision for one patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Its id.
    pub id: OverrideId,
    /// For whom.
    pub patient: PatientId,
    /// What for.
    pub purpose: Purpose,
    /// Why.
    pub reason: Personal<Prose<2000>>,
    /// When it was granted.
    pub granted_at: Instant,
    /// Who decided.
    pub granted_by: ResourceId,
    /// Since when it counts no more; none while it does.
    pub revoked: Option<Revocation>,
}

/// A booked visit that needles an area, with its spacing window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needling {
    /// The visit.
    pub id: AppointmentId,
    /// The series whose session it is.
    pub series: Option<SeriesId>,
    /// Whether it took place.
    pub took_place: bool,
    /// Whether its time has come.
    pub is_over: bool,
    /// Its day.
    pub day: NaiveDate,
    /// The first day on which the area may be needled again.
    pub until: NaiveDate,
}

/// Whether the protocol leaves a minimum gap to a practitioner.
pub fn gap_is_allowed(gap: GapDays, days: i32) -> Result<(), Refusal> {
    let text = format!("no gap of the protocol may go below {} days, whoever decides", gap.floor);
    at_least(gap.floor, days, text)
}

/// Whether a reaction is answered with a gap that is no shorter than the one that counts.
pub fn gap_is_no_shorter(counts: i32, days: i32) -> Result<(), Refusal> {
    let text = format!(
        "after a reaction no gap becomes shorter than the {counts} days that count; PatientService.GrantOverride lowers it"
    );
    at_least(counts, days, text)
}

fn at_least(required: i32, days: i32, text: String) -> Result<(), Refusal> {
    if days >= required {
        return Ok(());
    }
    Err(vec![Violation {
        gap: Some(Gap { days: days.into(), required: required.into(), latest: None }),
        ..Violation::new(Rule::OverrideNotAllowed, text)
    }])
}

/// The sessions of a series whose windows follow a gap that is decided now: those from the last visit on that took place on
/// the area. What took place before is history, and stays as it was. A visit whose time has come is none before it is
/// completed: it may turn out that nobody came, or that nobody was treated.
pub fn followers(needlings: &[Needling], series: SeriesId) -> Vec<AppointmentId> {
    let last = needlings.iter().filter(|needling| needling.took_place).map(|needling| needling.day).max();
    let own = needlings.iter().filter(|needling| needling.series == Some(series));
    own.filter(|needling| !needling.took_place || last <= Some(needling.day)).map(|needling| needling.id).collect()
}

/// A refusal that names every visit that would lie in the windows of these visits if those had this length.
pub fn gap_fits(needlings: &[Needling], followers: &[AppointmentId], days: i32) -> Result<(), Refusal> {
    let mut refusal = Refusal::new();
    for needling in needlings.iter().filter(|needling| followers.contains(&needling.id)) {
        let until = needling.day + TimeDelta::days(days.into());
        let hit = needlings.iter().filter(|other| other.id != needling.id);
        for other in hit.filter(|other| needling.day <= other.day && other.day < until) {
            let between = (other.day - needling.day).num_days();
            let mut text =
                format!("{between} days lie between two sessions on the same area; at least {days} would have to");
            // What has to be settled before anybody can say is named, rather than what is in its way.
            let open = [needling, other].into_iter().find(|visit| visit.is_over && !visit.took_place);
            if open.is_some() {
                text.push_str("; the time of the visit has come: complete it, or mark a no-show");
            }
            refusal.push(Violation {
                other: Some(Other::Appointment(open.unwrap_or(other).id)),
                gap: Some(Gap { days: between, required: days.into(), latest: None }),
                ..Violation::new(Rule::SessionTooSoon, text)
            });
        }
    }
    if refusal.is_empty() { Ok(()) } else { Err(refusal) }
}

/// A booked visit that is an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposure {
    /// The visit.
    pub id: AppointmentId,
    /// Whether it took place.
    pub took_place: bool,
    /// When it is the activity.
    pub during: Interval,
}

/// A refusal that names every visit that an aftercare window would forbid if it were as long as this.
pub fn window_fits(window: Interval, exposures: &[Exposure]) -> Result<(), Refusal> {
    let hit = exposures.iter().filter(|exposure| exposure.during.overlaps(window));
    let refusal: Refusal = hit
        .map(|exposure| Violation {
            other: Some(Other::Appointment(exposure.id)),
            ..Violation::new(Rule::ActivityForbidden, "the visit would be forbidden by the aftercare window")
        })
        .collect();
    if refusal.is_empty() { Ok(()) } else { Err(refusal) }
}

/// A window without what took place in it: it forbids from then on only. Nothing if that is at its end.
pub fn since(window: Interval, happened: impl IntoIterator<Item = Interval>) -> Option<Interval> {
    let last = happened.into_iter().filter(|during| during.overlaps(window)).map(Interval::end).max();
    Interval::new(last.map_or(window.start(), |last| last.max(window.start())), window.end())
}

/// Whether a window that is to be shortened becomes shorter than the treatment has it.
pub fn window_is_shorter(proposed: Interval, of_treatment: Interval) -> Result<(), Refusal> {
    if proposed.end() < of_treatment.end() {
        return Ok(());
    }
    let text = "the aftercare window would not become shorter than the treatment has it";
    Err(vec![Violation::new(Rule::OverrideNotAllowed, text)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const SERIES: SeriesId = SeriesId(Uuid::from_u128(1));

    fn needling(place: u128, day: i64, length: i64, took_place: bool, own: bool) -> Needling {
        let day = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap() + TimeDelta::days(day);
        Needling {
            id: AppointmentId(Uuid::from_u128(place)),
            series: own.then_some(SERIES),
            took_place,
            is_over: took_place,
            day,
            until: day + TimeDelta::days(length),
        }
    }

    #[test]
    fn a_gap_follows_from_the_last_visit_on_that_took_place_on_the_area() {
        let visits = [
            needling(1, 0, 28, true, true),
            needling(2, 28, 28, true, true),
            needling(3, 56, 28, false, true),
            needling(4, 84, 28, false, false),
        ];
        let ids = |visits: &[Needling]| visits.iter().map(|visit| visit.id).collect::<Vec<_>>();
        assert_eq!(followers(&visits, SERIES), ids(&visits[1..3]));
        // One whose time has come is no history before it is completed.
        let mut late = visits;
        late[2].is_over = true;
        assert_eq!(followers(&late, SERIES), ids(&visits[1..3]));
        // Nor is one before it that was never completed.
        let mut open = visits;
        open[0].took_place = false;
        assert_eq!(followers(&open, SERIES), ids(&visits[..3]));
        // One of another kind took place since: the session before it is history.
        let mut since = visits.to_vec();
        since.push(needling(5, 44, 12, true, false));
        assert_eq!(followers(&since, SERIES), ids(&visits[2..3]));
    }

    proptest! {
        #[test]
        fn a_gap_fits_exactly_if_no_two_windows_overlap_under_it(
            starts in prop::collection::btree_set(0..120_i64, 1..6),
            own in prop::collection::vec(any::<bool>(), 6),
            done in prop::collection::vec(any::<bool>(), 6),
            days in 1..60_i32,
        ) {
            // Windows that end where the next visit is: they keep their gaps as they are.
            let starts: Vec<i64> = starts.into_iter().collect();
            let visits: Vec<Needling> = starts.iter().enumerate().map(|(place, day)| {
                let next = starts.get(place + 1).map_or(30, |next| next - day);
                needling(place as u128 + 1, *day, next, done[place], own[place])
            }).collect();
            let follow = followers(&visits, SERIES);
            let after: Vec<Needling> = visits.iter().map(|visit| {
                let until = visit.day + TimeDelta::days(days.into());
                Needling { until: if follow.contains(&visit.id) { until } else { visit.until }, ..*visit }
            }).collect();
            let clash = after.iter().enumerate().any(|(i, a)| {
                after.iter().skip(i + 1).any(|b| a.day < b.until && b.day < a.until)
            });
            prop_assert_eq!(gap_fits(&visits, &follow, days).is_err(), clash);
        }
    }
}
