//! What staff should know of a visit before it begins. Told of the day of the visit, not of the moment of asking: a
//! sheet that nothing has changed stays as it is.

use chrono::NaiveDate;

use super::appointment::{Appointment, AppointmentState};
use super::catalog::ProtocolContent;
use super::fitness::{Fitness, FitnessFacts, Lift, findings};
use super::ids::{OverrideId, ReactionId, SeriesId, TreatmentId};
use super::interval::Instant;
use super::refusal::Rule;
use super::screening::ConditionClass;
use super::series::Series;
use super::text::{Code, Personal, Prose};

/// One thing that staff should know of a visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alert {
    /// It is only held.
    Held {
        /// When the hold ends by itself.
        until: Instant,
    },
    /// A series of the patient is on hold, or would be if there were one.
    OnHold {
        /// The series; none where the visit belongs to none.
        series: Option<SeriesId>,
        /// The reactions that hold it, the earliest first.
        reactions: Vec<ReactionId>,
    },
    /// The patient has to be screened before being checked in.
    ScreeningDue {
        /// Why, in a sentence.
        text: String,
    },
    /// Something else would keep the patient from being checked in.
    AtRisk {
        /// What a check-in would break.
        rule: Rule,
        /// The same in a sentence.
        text: String,
    },
    /// A series of the patient has no next session, though its longest gap is over.
    Overdue {
        /// The series.
        series: SeriesId,
        /// The last day on which the next session would have kept the gap.
        latest: NaiveDate,
    },
    /// Two treatments in one visit.
    Combination {
        /// What is added.
        treatment: TreatmentId,
        /// The override by which a practitioner approved it.
        approval: OverrideId,
    },
    /// The screening found something that the protocol asks about.
    Condition {
        /// What.
        condition: Personal<Code>,
        /// What it does to sessions.
        class: ConditionClass,
        /// What it means, for the staff.
        meaning: Personal<Prose<500>>,
        /// By what a practitioner has lifted it.
        lifted: Option<Lift>,
    },
}

/// What the alerts of a visit rest on.
#[derive(Debug, Default)]
pub struct VisitFacts<'a> {
    /// The patient's active series, and the one that the visit belongs to.
    pub series: Vec<&'a Series>,
    /// The protocols by one of which the patient has to be fit, with what is known; none where only reactions matter.
    pub asking: Vec<(Option<&'a ProtocolContent>, &'a FitnessFacts)>,
}

/// How far a visit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nobody has come yet.
    Ahead,
    /// The patient is there.
    There,
    /// There is nothing left to look out for.
    Over,
}

fn progress(visit: &Appointment) -> Progress {
    match visit.state {
        AppointmentState::Held { .. } | AppointmentState::Booked | AppointmentState::Confirmed { .. } => {
            Progress::Ahead
        }
        AppointmentState::Arrived { .. } | AppointmentState::InProgress { .. } => Progress::There,
        AppointmentState::Fulfilled { .. } | AppointmentState::Cancelled { .. } | AppointmentState::NoShow { .. } => {
            Progress::Over
        }
    }
}

/// What staff should know of a visit, what matters most first.
pub fn alerts(visit: &Appointment, facts: &VisitFacts<'_>) -> Vec<Alert> {
    let mut alerts = Vec::new();
    alerts.extend(visit.held_until().map(|until| Alert::Held { until }));
    match progress(visit) {
        Progress::Ahead => {
            on_hold(&mut alerts, facts);
            not_to_be_checked_in(&mut alerts, visit, facts);
            known_of_the_patient(&mut alerts, visit, facts);
        }
        Progress::There => {
            on_hold(&mut alerts, facts);
            known_of_the_patient(&mut alerts, visit, facts);
        }
        Progress::Over => {}
    }
    alerts.extend(
        visit.add_on.map(|add_on| Alert::Combination { treatment: add_on.treatment, approval: add_on.approval }),
    );
    alerts
}

fn on_hold(alerts: &mut Vec<Alert>, facts: &VisitFacts<'_>) {
    let holds = facts.series.iter().filter_map(|series| Some((series, series.hold.as_ref()?)));
    let before = alerts.len();
    alerts.extend(
        holds.map(|(series, hold)| Alert::OnHold { series: Some(series.id), reactions: hold.reactions.clone() }),
    );
    if alerts.len() == before && facts.asking.iter().any(|(_, known)| known.on_hold) {
        alerts.push(Alert::OnHold { series: None, reactions: Vec::new() });
    }
}

/// What a check-in at the time of the visit would be refused with, as far as it is known now.
fn not_to_be_checked_in(alerts: &mut Vec<Alert>, visit: &Appointment, facts: &VisitFacts<'_>) {
    let number = visit.session.map(|session| session.number);
    let refusal = Fitness::at_check_in_by_one_of(&facts.asking, number, visit.visit.start(), visit.zone);
    let (screening, others): (Vec<_>, Vec<_>) =
        refusal.into_iter().partition(|violation| violation.rule == Rule::ScreeningMissing);
    alerts.extend(screening.into_iter().map(|violation| Alert::ScreeningDue { text: violation.description }));
    // A hold has an alert of its own.
    let others = others.into_iter().filter(|violation| violation.rule != Rule::SeriesOnHold);
    alerts.extend(others.map(|violation| Alert::AtRisk { rule: violation.rule, text: violation.description }));
}

fn known_of_the_patient(alerts: &mut Vec<Alert>, visit: &Appointment, facts: &VisitFacts<'_>) {
    let start = visit.visit.start();
    let overdue = facts.series.iter().filter_map(|series| Some((series.id, series.overdue(start)?.latest)));
    alerts.extend(overdue.map(|(series, latest)| Alert::Overdue { series, latest }));
    let day = visit.zone.day(start);
    let mut told: Vec<&Code> = Vec::new();
    for (rules, known) in &facts.asking {
        for finding in rules.iter().flat_map(|rules| findings(&rules.screening, known)) {
            if !finding.when.covers(start, day) || told.contains(&&finding.rule.condition) {
                continue;
            }
            told.push(&finding.rule.condition);
            alerts.push(Alert::Condition {
                condition: Personal::new(finding.rule.condition.clone()),
                class: finding.rule.class,
                meaning: Personal::new(finding.rule.meaning.clone()),
                lifted: finding.lifted,
            });
        }
    }
}
