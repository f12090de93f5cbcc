//! Aftercare windows, as a patient is told of them.

use chrono::TimeDelta;

use super::catalog::{Activity, Evidence, TreatmentContent};
use super::ids::{AppointmentId, OverrideId};
use super::interval::{Instant, Interval};
use super::named_enum;
use super::text::Prose;
use super::zone::Zone;

named_enum! {
    /// What an aftercare window is to the patient; named as the role in which it is kept.
    pub enum AftercareKind {
        /// The activity is forbidden, and nothing of the kind is booked.
        Forbidden = "restricts",
        /// The patient is advised against the activity.
        Advice = "advises",
        /// The patient has to do something.
        Duty = "asks",
    }
}

/// A stretch in which a patient has to leave an activity alone, or to do something about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AftercareWindow {
    /// What it is to the patient.
    pub kind: AftercareKind,
    /// What it is about.
    pub activity: Activity,
    /// When.
    pub during: Interval,
    /// When the treatment proper takes place: before it is pre-care, after it aftercare.
    pub proper: Interval,
    /// The zone of the clinic of the visit.
    pub zone: Zone,
    /// The visit that it belongs to.
    pub appointment: AppointmentId,
    /// The override that shortened it.
    pub approval: Option<OverrideId>,
    /// What to tell the patient.
    pub instruction: Prose<2000>,
    /// Where the numbers come from.
    pub evidence: Evidence,
}

impl AftercareWindow {
    /// When to take care ahead of the treatment, in words; nothing if that is at no time.
    pub fn pre_care_words(&self) -> String {
        if self.during.start() >= self.proper.start() {
            return String::new();
        }
        let (from, treatment) = (self.said(self.during.start()), self.said(self.proper.start()));
        format!("From {from}, until the treatment on {treatment}")
    }

    /// When to take care after the treatment, in words; nothing if that is at no time.
    pub fn aftercare_words(&self) -> String {
        if self.during.end() <= self.proper.end() {
            return String::new();
        }
        let until = self.said(self.during.end());
        match self.kind {
            AftercareKind::Forbidden | AftercareKind::Advice => format!("Until {until}"),
            AftercareKind::Duty => format!("From {}, until {until}", self.said(self.during.start())),
        }
    }

    /// The length of its texts.
    pub fn bytes(&self) -> usize {
        let Evidence { source, grade: _, rationale } = &self.evidence;
        self.instruction.as_str().len() + source.as_str().len() + rationale.as_str().len()
    }

    fn said(&self, at: Instant) -> String {
        self.zone.in_words(at)
    }
}

/// What a treatment tells a patient of an activity, and where that comes from.
pub fn instruction(
    content: &TreatmentContent,
    kind: AftercareKind,
    activity: Activity,
) -> Option<(&Prose<2000>, &Evidence)> {
    let restricted = |advice_only: bool| {
        let mut found = content.restrictions.iter().filter(|own| own.activity == activity);
        found.find(|own| own.advice_only == advice_only).map(|own| (&own.instruction, &own.evidence))
    };
    match kind {
        AftercareKind::Forbidden => restricted(false),
        AftercareKind::Advice => restricted(true),
        AftercareKind::Duty => {
            let found = content.duties.iter().find(|duty| duty.activity == activity);
            found.map(|duty| (&duty.instruction, &duty.evidence))
        }
    }
}

/// The first start, not before `from`, of a stretch of that length which no window touches.
pub fn earliest_clear(from: Instant, length: TimeDelta, windows: &[Interval]) -> Instant {
    let mut sorted = windows.to_vec();
    sorted.sort_unstable();
    sorted.into_iter().fold(from, |start, window| {
        let touches = start < window.end() && window.start() < start + length;
        if touches { window.end() } else { start }
    })
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::booking::small::evidence;

    fn window(kind: AftercareKind, from: &str, until: &str) -> AftercareWindow {
        let zone = Zone::from_name("Europe/Berlin").unwrap();
        let at = |text: &str| zone.instant(text.parse().unwrap());
        let between = |from, until| Interval::new(at(from), at(until)).unwrap();
        AftercareWindow {
            kind,
            activity: Activity::Heat,
            during: between(from, until),
            proper: between("2026-03-16T10:30:00", "2026-03-16T11:00:00"),
            zone,
            appointment: AppointmentId(uuid::Uuid::nil()),
            approval: None,
            instruction: Prose::default(),
            evidence: evidence(),
        }
    }

    #[test]
    fn what_lies_before_the_treatment_is_pre_care_and_what_lies_after_it_aftercare() {
        let whole = window(AftercareKind::Forbidden, "2026-03-02T10:30:00", "2026-03-30T11:00:00");
        assert_eq!(
            whole.pre_care_words(),
            "From Monday 2 March 2026, 10:30, until the treatment on Monday 16 March 2026, 10:30"
        );
        // The clocks are put forward in between.
        assert_eq!(whole.aftercare_words(), "Until Monday 30 March 2026, 11:00");

        let after = window(AftercareKind::Advice, "2026-03-16T10:30:00", "2026-03-17T11:00:00");
        assert_eq!(
            (after.pre_care_words().as_str(), after.aftercare_words().as_str()),
            ("", "Until Tuesday 17 March 2026, 11:00")
        );
        let before = window(AftercareKind::Forbidden, "2026-03-15T10:30:00", "2026-03-16T11:00:00");
        assert!(before.pre_care_words().starts_with("From Sunday 15 March 2026, 10:30, until"));
        assert_eq!(before.aftercare_words(), "");

        let duty = window(AftercareKind::Duty, "2026-03-17T11:00:00", "2026-04-13T11:00:00");
        assert_eq!(duty.pre_care_words(), "");
        assert_eq!(duty.aftercare_words(), "From Tuesday 17 March 2026, 11:00, until Monday 13 April 2026, 11:00");
    }

    proptest! {
        #[test]
        fn the_earliest_clear_stretch_is_the_one_found_by_trying_every_minute(
            parts in prop::collection::vec((0..60_i64, 1..20_i64), 0..6), from in 0..60_i64, length in 1..10_i64,
        ) {
            let at = |minute: i64| Utc.timestamp_opt(1_700_000_000 + 60 * minute, 0).unwrap();
            let windows: Vec<_> =
                parts.iter().filter_map(|(start, length)| Interval::new(at(*start), at(start + length))).collect();
            let clear = |start: i64| {
                let wanted = Interval::new(at(start), at(start + length)).unwrap();
                windows.iter().all(|window| !window.overlaps(wanted))
            };
            let slow = (from..200).find(|start| clear(*start)).unwrap();
            prop_assert_eq!(earliest_clear(at(from), TimeDelta::minutes(length), &windows), at(slow));
        }
    }
}
