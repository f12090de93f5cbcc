//! The steps of a visit: what may be done with an appointment, and where it stands after that.

use chrono::TimeDelta;

use super::{Appointment, AppointmentState, Arrival};
use crate::domain::booking_rules::Ending;
use crate::domain::interval::Instant;
use crate::domain::refusal::{Earliest, Refusal, Rule, Violation};
use crate::domain::text::{Personal, Prose};
use crate::domain::visit::MAX_DAYS_LATE;

/// Longest after a step that it may be taken back, in hours.
const MAX_UNDO_HOURS: i64 = 24;
/// Longest after the check-in, which found the patient fit, that the treatment may begin, in hours.
pub const MAX_START_HOURS: i64 = 24;

/// What may be done with an appointment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Its hold is prolonged, or becomes a booking.
    Hold,
    /// The patient says that they will come.
    Confirm,
    /// Another appointment replaces it.
    Move,
    /// It is cancelled, or its hold released.
    Cancel,
    /// The patient is there.
    CheckIn,
    /// The treatment begins.
    Start,
    /// It took place.
    Complete,
    /// Nobody came.
    Miss,
    /// The latest step was a mistake.
    Undo,
}

impl AppointmentState {
    /// All that may be done, by where an appointment stands; when it may be, each step says. The comment on
    /// `AppointmentState` in `appointment.proto` is the same table.
    const fn steps(&self) -> &'static [Step] {
        match self {
            Self::Held { .. } => &[Step::Hold, Step::Cancel],
            Self::Booked => &[Step::Confirm, Step::Move, Step::Cancel, Step::CheckIn, Step::Miss],
            Self::Confirmed { .. } => &[Step::Move, Step::Cancel, Step::CheckIn, Step::Miss, Step::Undo],
            Self::Arrived(_) => &[Step::Start, Step::Complete, Step::Undo],
            Self::InProgress { .. } => &[Step::Complete, Step::Undo],
            Self::NoShow { .. } => &[Step::Undo],
            Self::Fulfilled { .. } | Self::Cancelled { .. } => &[],
        }
    }

    /// The rule by which a step is refused that may not be taken.
    const fn rule_against(&self, step: Step) -> Rule {
        match step {
            Step::Hold => Rule::NotHeld,
            Step::Undo => Rule::UndoNotAllowed,
            Step::CheckIn => Rule::AppointmentNotBooked,
            Step::Start | Step::Complete => match self {
                Self::Held { .. } | Self::Booked | Self::Confirmed { .. } => Rule::NotCheckedIn,
                Self::Arrived(_) | Self::InProgress { .. } => Rule::AppointmentStarted,
                Self::Fulfilled { .. } | Self::Cancelled { .. } | Self::NoShow { .. } => Rule::AppointmentNotBooked,
            },
            Step::Confirm | Step::Move | Step::Cancel | Step::Miss => match self {
                Self::Arrived(_) | Self::InProgress { .. } | Self::Fulfilled { .. } => Rule::AppointmentStarted,
                Self::Held { .. }
                | Self::Booked
                | Self::Confirmed { .. }
                | Self::Cancelled { .. }
                | Self::NoShow { .. } => Rule::AppointmentNotBooked,
            },
        }
    }

    /// Where it stands, and what may be done instead.
    const fn told(&self) -> &'static str {
        match self {
            Self::Held { .. } => {
                "the appointment is only held; convert the hold, or release it with CancelAppointment; with \
                 ConvertSeriesHold and CancelSeries where its whole series is held"
            }
            Self::Booked => "the appointment is booked, and nothing has happened yet; CheckIn comes next",
            Self::Confirmed { .. } => "the patient has said that they will come; CheckIn comes next",
            Self::Arrived(_) => {
                "the patient has been checked in; go on with StartVisit or CompleteAppointment, or take a mistake back \
                 with UndoVisit"
            }
            Self::InProgress { .. } => {
                "the treatment has begun; go on with CompleteAppointment, or take a mistake back with UndoVisit"
            }
            Self::Fulfilled { .. } => "the visit took place; what happened cannot be changed",
            Self::Cancelled { .. } => "the appointment is cancelled, or its hold has ended; book the visit anew",
            Self::NoShow { .. } => "nobody came; if that was a mistake, take it back with UndoVisit",
        }
    }

    /// Where it stood before its latest step, if that can be taken back, and when the step was taken.
    fn before(&self) -> Option<(Self, Instant)> {
        let expected = |confirmed_at: Option<Instant>| confirmed_at.map_or(Self::Booked, |at| Self::Confirmed { at });
        match self {
            Self::Confirmed { at } => Some((Self::Booked, *at)),
            Self::Arrived(arrival) => Some((expected(arrival.confirmed_at), arrival.at)),
            Self::InProgress { arrival, at } => Some((Self::Arrived(*arrival), *at)),
            Self::NoShow { confirmed_at, at, .. } => Some((expected(*confirmed_at), *at)),
            Self::Held { .. } | Self::Booked | Self::Fulfilled { .. } | Self::Cancelled { .. } => None,
        }
    }

    /// When the patient confirmed; nothing if they did not.
    pub const fn confirmed_at(&self) -> Option<Instant> {
        match self {
            Self::Confirmed { at } => Some(*at),
            Self::Arrived(arrival) | Self::InProgress { arrival, .. } | Self::Fulfilled { arrival, .. } => {
                arrival.confirmed_at
            }
            Self::NoShow { confirmed_at, .. } => *confirmed_at,
            Self::Held { .. } | Self::Booked | Self::Cancelled { .. } => None,
        }
    }

    /// How it ended without taking place, if somebody ended it by itself, and when.
    pub const fn ending(&self) -> Option<(Ending, Instant)> {
        match self {
            Self::Cancelled { at, ending: Some(ending), .. } | Self::NoShow { at, ending: Some(ending), .. } => {
                Some((*ending, *at))
            }
            Self::Cancelled { ending: None, .. }
            | Self::NoShow { ending: None, .. }
            | Self::Held { .. }
            | Self::Booked
            | Self::Confirmed { .. }
            | Self::Arrived(_)
            | Self::InProgress { .. }
            | Self::Fulfilled { .. } => None,
        }
    }

    /// When the treatment began, if that was said then.
    pub const fn started_at(&self) -> Option<Instant> {
        match self {
            Self::InProgress { at, .. } => Some(*at),
            Self::Fulfilled { started_at, .. } => *started_at,
            Self::Held { .. }
            | Self::Booked
            | Self::Confirmed { .. }
            | Self::Arrived(_)
            | Self::Cancelled { .. }
            | Self::NoShow { .. } => None,
        }
    }
}

impl Appointment {
    /// A refusal unless it stands where that may be done.
    pub(super) fn must_allow(&self, step: Step) -> Result<(), Refusal> {
        if self.state.steps().contains(&step) { Ok(()) } else { Err(self.refused(step)) }
    }

    fn refused(&self, step: Step) -> Refusal {
        vec![Violation::new(self.state.rule_against(step), self.state.told())]
    }

    fn must_not_have_begun(&self, now: Instant) -> Result<(), Refusal> {
        if now < self.visit.start() {
            return Ok(());
        }
        let text = "the appointment has begun; what happened cannot be changed; that nobody came, MarkNoShow says";
        Err(vec![Violation::new(Rule::AppointmentStarted, text)])
    }

    fn standing(self, state: AppointmentState, revision: i64) -> Self {
        Self { state, changed_revision: revision, ..self }
    }

    /// A refusal unless it is held.
    pub fn must_be_held(&self) -> Result<(), Refusal> {
        self.must_allow(Step::Hold)
    }

    /// Whether it may be moved: it is booked, and has not begun.
    pub fn must_lie_ahead(&self, now: Instant) -> Result<(), Refusal> {
        self.must_allow(Step::Move)?;
        self.must_not_have_begun(now)
    }

    /// The appointment, confirmed by its patient before it begins.
    pub fn confirm(self, now: Instant, revision: i64) -> Result<Self, Refusal> {
        self.must_allow(Step::Confirm)?;
        self.must_not_have_begun(now)?;
        Ok(self.standing(AppointmentState::Confirmed { at: now }, revision))
    }

    /// A refusal unless the patient may be checked in as far as the visit itself says: it is booked, and its day has come.
    pub fn may_arrive(&self, now: Instant) -> Result<(), Refusal> {
        self.must_allow(Step::CheckIn)?;
        let day = self.zone.day(self.visit.start());
        let late = (self.zone.day(now) - day).num_days();
        if late > MAX_DAYS_LATE {
            let text = format!("the visit was on {day}, {late} days ago; at most {MAX_DAYS_LATE} will do");
            return Err(vec![Violation::new(Rule::AppointmentStarted, text)]);
        }
        if late >= 0 {
            return Ok(());
        }
        let text = format!("the visit is on {day}; a patient is checked in on the day at the earliest");
        let earliest = Some(Earliest { start: self.zone.midnight(day), zone: self.zone });
        Err(vec![Violation { earliest, ..Violation::new(Rule::TooEarlyToCheckIn, text) }])
    }

    /// The visit, whose treatment begins now; refused unless the patient is there, and was found fit not long ago.
    pub fn start(self, now: Instant, revision: i64) -> Result<Self, Refusal> {
        match self.state {
            AppointmentState::Arrived(arrival) if now - arrival.at > TimeDelta::hours(MAX_START_HOURS) => {
                let text = format!(
                    "the patient was checked in more than {MAX_START_HOURS} hours ago; if the treatment began then, \
                     say so with start_time of CompleteAppointment"
                );
                Err(vec![Violation::new(Rule::NotCheckedIn, text)])
            }
            AppointmentState::Arrived(arrival) => {
                Ok(self.standing(AppointmentState::InProgress { arrival, at: now }, revision))
            }
            AppointmentState::Held { .. }
            | AppointmentState::Booked
            | AppointmentState::Confirmed { .. }
            | AppointmentState::InProgress { .. }
            | AppointmentState::Fulfilled { .. }
            | AppointmentState::Cancelled { .. }
            | AppointmentState::NoShow { .. } => Err(self.refused(Step::Start)),
        }
    }

    /// The visit, completed; refused unless the patient is there.
    pub fn fulfil(self, performed: Instant, now: Instant, revision: i64) -> Result<Self, Refusal> {
        let (arrival, started_at) = match self.state {
            AppointmentState::Arrived(arrival) => (arrival, None),
            AppointmentState::InProgress { arrival, at } => (arrival, Some(at)),
            AppointmentState::Held { .. }
            | AppointmentState::Booked
            | AppointmentState::Confirmed { .. }
            | AppointmentState::Fulfilled { .. }
            | AppointmentState::Cancelled { .. }
            | AppointmentState::NoShow { .. } => return Err(self.refused(Step::Complete)),
        };
        Ok(self.standing(AppointmentState::Fulfilled { arrival, started_at, at: now, performed }, revision))
    }

    /// The appointment to which nobody came; refused before its time, and once somebody has.
    pub fn miss(
        self,
        now: Instant,
        reason: Personal<Prose<2000>>,
        ending: Ending,
        revision: i64,
    ) -> Result<Self, Refusal> {
        self.must_allow(Step::Miss)?;
        let start = self.visit.start();
        if now < start {
            let earliest = Some(Earliest { start, zone: self.zone });
            let text = "the visit has not begun; until then the patient may come, or it is cancelled";
            return Err(vec![Violation { earliest, ..Violation::new(Rule::TooEarlyForNoShow, text) }]);
        }
        let (confirmed_at, ending) = (self.state.confirmed_at(), Some(ending));
        Ok(self.standing(AppointmentState::NoShow { confirmed_at, at: now, reason, ending }, revision))
    }

    /// The appointment as it was before its latest step, and when that was taken.
    pub fn undo(self, now: Instant, revision: i64) -> Result<(Self, Instant), Refusal> {
        let Some((state, at)) = self.state.before() else { return Err(self.refused(Step::Undo)) };
        if now - at > TimeDelta::hours(MAX_UNDO_HOURS) {
            let text = format!("it is more than {MAX_UNDO_HOURS} hours old; only what is newer is taken back");
            return Err(vec![Violation::new(Rule::UndoNotAllowed, text)]);
        }
        Ok((self.standing(state, revision), at))
    }

    /// The appointment, cancelled, or its hold, released; refused if it has begun or is cancelled already.
    pub fn cancel(
        self,
        now: Instant,
        reason: Personal<Prose<2000>>,
        ending: Ending,
        revision: i64,
    ) -> Result<Self, Refusal> {
        self.must_allow(Step::Cancel)?;
        if self.held_until().is_none() {
            self.must_not_have_begun(now)?;
        }
        let ending = Some(ending);
        Ok(self.standing(AppointmentState::Cancelled { at: now, reason, ending }, revision))
    }

    /// Whether it was cancelled, moved or missed with less notice than the practice asked for.
    pub fn ended_late(&self) -> bool {
        self.state.ending().is_some_and(|(ending, at)| ending.was_late(at, self.visit.start()))
    }
}

impl Arrival {
    /// A patient who was there at that time, and had not confirmed.
    pub const fn unconfirmed(at: Instant) -> Self {
        Self { confirmed_at: None, at }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::booking_rules::{BookingRules, EndReason};
    use crate::domain::ids::{AppointmentId, ClinicId, PatientId, TreatmentId};
    use crate::domain::interval::Interval;
    use crate::domain::zone::Zone;

    const STEPS: [Step; 9] = [
        Step::Hold,
        Step::Confirm,
        Step::Move,
        Step::Cancel,
        Step::CheckIn,
        Step::Start,
        Step::Complete,
        Step::Miss,
        Step::Undo,
    ];

    fn no_reason() -> Personal<Prose<2000>> {
        Personal::new(Prose::new("").unwrap())
    }

    /// One of each state, taken just now.
    fn states(at: Instant) -> Vec<AppointmentState> {
        let arrival = Arrival::unconfirmed(at);
        vec![
            AppointmentState::Held { until: at },
            AppointmentState::Booked,
            AppointmentState::Confirmed { at },
            AppointmentState::Arrived(arrival),
            AppointmentState::InProgress { arrival, at },
            AppointmentState::Fulfilled { arrival, started_at: None, at, performed: at },
            AppointmentState::Cancelled { at, reason: no_reason(), ending: None },
            AppointmentState::NoShow { confirmed_at: None, at, reason: no_reason(), ending: None },
        ]
    }

    fn visit(state: AppointmentState, start: Instant) -> Appointment {
        Appointment {
            id: AppointmentId(Uuid::nil()),
            clinic: ClinicId(Uuid::nil()),
            zone: Zone::from_name("Europe/Berlin").unwrap(),
            patient: PatientId(Uuid::nil()),
            treatment: TreatmentId(Uuid::nil()),
            treatment_version: 1,
            add_on: None,
            session: None,
            follows: None,
            area: None,
            state,
            visit: Interval::new(start, start + TimeDelta::minutes(30)).unwrap(),
            phases: Vec::new(),
            changed_revision: 1,
            clearance: None,
            replaces: None,
            replaced_by: None,
            overrides: Vec::new(),
        }
    }

    #[test]
    fn each_step_is_taken_from_where_the_table_says_and_nowhere_else() {
        let start = Instant::UNIX_EPOCH + TimeDelta::days(20_000);
        let (before, after) = (start - TimeDelta::minutes(5), start + TimeDelta::minutes(5));
        for step in STEPS {
            // Nobody is missed before the visit begins; the others are taken until then.
            let now = if step == Step::Miss { after } else { before };
            for state in states(now) {
                let visit = visit(state.clone(), start);
                let how = BookingRules::default().on_moving(EndReason::Other);
                let done = match step {
                    Step::Hold => visit.must_be_held(),
                    Step::Confirm => visit.confirm(now, 2).map(drop),
                    Step::Move => visit.must_lie_ahead(now),
                    Step::Cancel => visit.cancel(now, no_reason(), how, 2).map(drop),
                    Step::CheckIn => visit.may_arrive(now),
                    Step::Start => visit.start(now, 2).map(drop),
                    Step::Complete => visit.fulfil(now, now, 2).map(drop),
                    Step::Miss => visit.miss(now, no_reason(), how, 2).map(drop),
                    Step::Undo => visit.undo(now, 2).map(drop),
                };
                assert_eq!(done.is_ok(), state.steps().contains(&step), "{step:?} of {state:?}");
            }
        }
    }
}
