//! Series as the wire shows them.

use chrono::NaiveDate;

use crate::app::SeriesNow;
use crate::domain::appointment::Appointment;
use crate::domain::assessment::{AssessmentResult, Outcome};
use crate::domain::follow_up::{AssessmentState, MaintenanceDue, Overdue, SeriesAssessment};
use crate::domain::series::SeriesState;
use crate::rpc::appointment::rendered as rendered_appointment;
use crate::rpc::{pb, render};

/// A series, as it is.
pub fn rendered(shown: &SeriesNow) -> pb::Series {
    let SeriesNow { series, protocol, now } = shown;
    let content = &protocol.content;
    let (state, completed_at, cancelled_at, cancel_reason) = match &series.state {
        SeriesState::Held { .. } => (pb::SeriesState::Held, None, None, String::new()),
        SeriesState::Active => (pb::SeriesState::Active, None, None, String::new()),
        SeriesState::Completed { at } => {
            (pb::SeriesState::Completed, Some(render::timestamp(*at)), None, String::new())
        }
        SeriesState::Cancelled { at, reason } => {
            let reason = reason.expose().as_str().to_owned();
            (pb::SeriesState::Cancelled, None, Some(render::timestamp(*at)), reason)
        }
    };
    let day = |number: i32| series.session(number).map(|booked| booked.zone.day(booked.begins()));
    let sessions = (1..=series.session_count).map(|number| {
        let gap = day(number).zip(day(number - 1)).map_or(0, |(this, before)| (this - before).num_days());
        pb::Session {
            session_number: number,
            appointment: series.session(number).map(rendered_appointment),
            // Bounded by the years that times may lie in.
            gap_days: i32::try_from(gap).unwrap_or(i32::MAX),
            at_risk: series.hold.is_some()
                && series.session(number).is_some_and(|known| known.held_until().is_none() && !known.has_begun(*now)),
        }
    });
    let overdue = series.overdue(*now).map(|Overdue { last_session, latest, days_over }| pb::OverdueSession {
        last_session_date: last_session.to_string(),
        latest_date: latest.to_string(),
        days_over: i32::try_from(days_over).unwrap_or(i32::MAX),
        advice: content.overdue_advice.as_str().to_owned(),
        evidence: Some(render::evidence(&content.evidence)),
        advice_evidence: content.overdue_evidence.as_ref().map(render::evidence),
    });
    let maintenance_due = content.maintenance.as_ref().and_then(|maintenance| series.maintenance_due(maintenance.days));
    let maintenance_due = maintenance_due.map(|MaintenanceDue { from, target }| pb::MaintenanceDue {
        due_from: from.to_string(),
        due_target: target.to_string(),
    });
    pb::Series {
        series_id: series.id.to_string(),
        patient_id: series.patient.to_string(),
        protocol_id: series.protocol.to_string(),
        protocol_version: series.protocol_version,
        body_area: render::body_area(Some(series.area)).into(),
        session_count: series.session_count,
        state: state.into(),
        sessions: sessions.collect(),
        cancelled_at,
        cancel_reason,
        etag: render::etag(series.changed_revision),
        gap_override_id: series.gap.override_id().map(|id| id.to_string()).unwrap_or_default(),
        gap_minimum_days: series.gap.days().minimum,
        on_hold: series.hold.as_ref().map(|hold| pb::SeriesHold {
            reaction_ids: hold.reactions.iter().map(ToString::to_string).collect(),
            since: Some(render::timestamp(hold.since)),
        }),
        completed_at,
        assessments: series.assessments(&content.assessments, *now).iter().map(rendered_assessment).collect(),
        overdue,
        maintenance_due,
        held_until: series.held_until().map(render::timestamp),
        visits_counted_as_used: series.counted_as_used,
    }
}

fn rendered_assessment(assessment: &SeriesAssessment<'_>) -> pb::SeriesAssessment {
    let SeriesAssessment { number, assessment, from, target, until, state, appointment, results } = assessment;
    let day = |day: &Option<NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
    let state = match state {
        AssessmentState::Upcoming => pb::AssessmentState::Upcoming,
        AssessmentState::Due => pb::AssessmentState::Due,
        AssessmentState::Overdue => pb::AssessmentState::Overdue,
        AssessmentState::Done => pb::AssessmentState::Done,
    };
    pb::SeriesAssessment {
        assessment_number: *number,
        name: assessment.name.as_str().to_owned(),
        session_number: assessment.due.session().unwrap_or_default(),
        due_from: day(from),
        due_target: day(target),
        due_until: day(until),
        state: state.into(),
        appointment_id: appointment.map(|id| id.to_string()).unwrap_or_default(),
        results: results.iter().map(|result| rendered_result(result)).collect(),
    }
}

fn rendered_result(result: &AssessmentResult) -> pb::AssessmentResult {
    let AssessmentResult { number: _, appointment, outcome, notes, recorded_at, recorded_by } = result;
    let (outcome, session_count) = match outcome {
        Outcome::Continue => (pb::AssessmentOutcome::Continue, 0),
        Outcome::Extend(count) => (pb::AssessmentOutcome::Extend, *count),
        Outcome::End => (pb::AssessmentOutcome::End, 0),
    };
    pb::AssessmentResult {
        outcome: outcome.into(),
        session_count,
        notes: notes.expose().as_str().to_owned(),
        appointment_id: appointment.to_string(),
        practitioner_id: recorded_by.to_string(),
        recorded_at: Some(render::timestamp(*recorded_at)),
    }
}

/// A session that moved.
pub fn rendered_move(old: &Appointment, new: &Appointment) -> pb::SessionMove {
    let (before, now) = (old.visit.start(), new.visit.start());
    let days = (new.zone.day(now) - old.zone.day(before)).num_days();
    pb::SessionMove {
        session_number: new.session.map_or(0, |session| session.number),
        old_start_time: Some(render::timestamp(before)),
        new_start_time: Some(render::timestamp(now)),
        local_old_start: old.zone.written(before),
        local_new_start: new.zone.written(now),
        // Bounded by the years that times may lie in.
        days_moved: i32::try_from(days).unwrap_or_default(),
        old_appointment_id: old.id.to_string(),
        new_appointment_id: new.id.to_string(),
        series_id: new.session.map(|session| session.series.to_string()).unwrap_or_default(),
        late: old.ended_late(),
    }
}
