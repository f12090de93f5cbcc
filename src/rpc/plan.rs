//! Plans of series: what patients wish, what is proposed, and what comes back to be booked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{Datelike as _, NaiveDate, TimeDelta};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::parse::Fields;
use super::screening::rendered_findings;
use super::slots::{parse_starts, parse_times, rendered_slot};
use super::status::rendered_violation;
use super::{pb, render};
use crate::app::Proposal;
use crate::app::commands::{PlanGiven, SeriesOf, SeriesWishes, SessionRequest};
use crate::domain::assessment::{DueAssessment, due};
use crate::domain::booking::{AskedSession, Timing, WindowRole};
use crate::domain::catalog::MAX_SESSIONS;
use crate::domain::ids::{AppointmentId, ClinicId, ResourceId};
use crate::domain::planning::{CostKind, MAX_AWAY, NoPlan, Plan, PlanKind, Relaxation, RelaxationKind, Wishes};
use crate::domain::refusal::Rule;

/// What a patient would like.
pub fn parse_wishes(fields: &mut Fields, message: &pb::SeriesWishes) -> Option<SeriesWishes> {
    let pb::SeriesWishes {
        session_count,
        first_session_from,
        first_session_until,
        weekdays,
        hours,
        practitioner_id,
        required,
        same_practitioner,
        finish_by,
        dates_away,
        start_grid_minutes,
        minimum_notice_minutes,
    } = message;
    let count = fields.within("wishes.session_count", *session_count, 0, MAX_SESSIONS);
    let from = fields.optional_day("wishes.first_session_from", first_session_from);
    let until = fields.optional_day("wishes.first_session_until", first_session_until);
    let finish = fields.optional_day("wishes.finish_by", finish_by);
    let not_before = |fields: &mut Fields, field: &str, day: Option<Option<NaiveDate>>| {
        if let (Some(Some(from)), Some(Some(day))) = (from, day)
            && day < from
        {
            fields.note(field, "must not be before wishes.first_session_from");
        }
    };
    not_before(fields, "wishes.first_session_until", until);
    not_before(fields, "wishes.finish_by", finish);
    let times = parse_times(fields, "wishes.", weekdays, hours);
    let practitioner = fields.optional_id::<ResourceId>("wishes.practitioner_id", practitioner_id);
    let away = parse_away(fields, dates_away);
    let starts = parse_starts(fields, "wishes.", *start_grid_minutes, *minimum_notice_minutes);
    Some(SeriesWishes {
        session_count: count.map(|count| (count > 0).then_some(count))?,
        first_from: from?,
        first_until: until?,
        wishes: Wishes {
            times: times?,
            practitioner: practitioner?,
            same_practitioner: *same_practitioner,
            finish_by: finish?,
            away: away?,
            required: *required,
        },
        starts: starts?,
    })
}

fn parse_away(fields: &mut Fields, stretches: &[pb::DateRange]) -> Option<Vec<(NaiveDate, NaiveDate)>> {
    fields.at_most("wishes.dates_away", stretches.len(), MAX_AWAY)?;
    let parsed: Vec<Option<(NaiveDate, NaiveDate)>> = stretches
        .iter()
        .enumerate()
        .map(|(place, pb::DateRange { start_date, end_date })| {
            let path = format!("wishes.dates_away[{place}]");
            let start = fields.supported_day(&format!("{path}.start_date"), start_date);
            let end = fields.supported_day(&format!("{path}.end_date"), end_date);
            let (start, end) = (start?, end?);
            let remedy = "must not be before start_date";
            fields.some(&format!("{path}.end_date"), (start <= end).then_some((start, end)), remedy)
        })
        .collect();
    parsed.into_iter().collect()
}

/// A plan that comes back as it was proposed.
pub fn parse(fields: &mut Fields, plan: pb::SeriesPlan) -> Option<(SeriesOf, PlanGiven)> {
    if plan.digest != digest(&plan) {
        fields
            .note("plan.digest", "does not fit: the plan was changed. Propose anew, or send its sessions as sessions");
        return None;
    }
    let pb::SeriesPlan {
        patient_id,
        protocol_id,
        protocol_version,
        body_area,
        clinic_id,
        series_id,
        sessions,
        kind: _,
        cost: _,
        assessments: _,
        digest: _,
    } = plan;
    let of = if series_id.is_empty() {
        let (patient, protocol) =
            (fields.id("plan.patient_id", &patient_id), fields.id("plan.protocol_id", &protocol_id));
        let area = fields.body_area("plan.body_area", body_area);
        patient.zip(protocol).zip(area).map(|((patient, protocol), area)| SeriesOf::New { patient, protocol, area })
    } else {
        fields.id("plan.series_id", &series_id).map(SeriesOf::Continued)
    };
    let clinic = fields.id::<ClinicId>("plan.clinic_id", &clinic_id);
    if sessions.is_empty() {
        fields.note("plan.sessions", "must not be empty");
    }
    fields.at_most("plan.sessions", sessions.len(), usize::try_from(MAX_SESSIONS).unwrap_or_default())?;
    let parsed: Vec<Option<ParsedSession>> =
        sessions.iter().enumerate().map(|(place, session)| parse_session(fields, clinic, place, session)).collect();
    let parsed: Vec<_> = parsed.into_iter().collect::<Option<_>>()?;
    let booked = parsed.iter().map(|(number, booked, _)| (*number, *booked)).collect();
    let asked = parsed.into_iter().filter_map(|(_, _, asked)| asked).collect();
    Some((of?, PlanGiven { protocol_version, booked, sessions: asked }))
}

/// A session of a plan: its number, its appointment if it is booked, and else what is asked.
type ParsedSession = (i32, Option<AppointmentId>, Option<AskedSession>);

fn parse_session(
    fields: &mut Fields,
    clinic: Option<ClinicId>,
    place: usize,
    session: &pb::PlannedSession,
) -> Option<ParsedSession> {
    let path = |field: &str| format!("plan.sessions[{place}].{field}");
    let number = fields.within(&path("session_number"), session.session_number, 1, MAX_SESSIONS);
    let appointment = fields.optional_id::<AppointmentId>(&path("appointment_id"), &session.appointment_id);
    let start = fields.start(&path("start_time"), session.start_time);
    let practitioner = fields.optional_id::<ResourceId>(&path("practitioner_id"), &session.practitioner_id);
    let (number, appointment, start, practitioner) = (number?, appointment?, start?, practitioner?);
    if appointment.is_some() {
        return Some((number, appointment, None));
    }
    let named = practitioner.into_iter().collect();
    let request = SessionRequest { clinic: clinic?, start, named, practitioner, moved_from: None };
    Some((number, None, Some(AskedSession { place, number, request, combined: None })))
}

/// What tells a plan that was changed from one that was not. It guards against slips, not against forgery: what is
/// booked is held to every rule in any case.
fn digest(plan: &pb::SeriesPlan) -> String {
    let bare = pb::SeriesPlan { digest: String::new(), ..plan.clone() };
    URL_SAFE_NO_PAD.encode(&Sha256::digest(bare.encode_to_vec())[..18])
}

/// What is proposed.
pub fn rendered(proposal: &Proposal) -> pb::ProposeSeriesResponse {
    let (plans, no_plan) = match &proposal.plans {
        Ok(plans) => (plans.iter().map(|plan| rendered_plan(proposal, plan)).collect(), None),
        Err(why) => (Vec::new(), Some(rendered_no_plan(why))),
    };
    let rules = proposal.course.protocol.as_ref().map(|protocol| &protocol.content);
    let findings = rules.zip(proposal.facts.as_ref());
    let findings = findings.map(|(rules, facts)| rendered_findings(&rules.screening, facts, proposal.now));
    let consultation = rules.and_then(|rules| rules.clearance.as_ref()).map(|rules| rules.consultation.to_string());
    let is_missing = proposal.missing.iter().any(|missing| missing.rule == Rule::ClearanceMissing);
    pb::ProposeSeriesResponse {
        plans,
        no_plan,
        missing: proposal.missing.iter().map(rendered_violation).collect(),
        findings: findings.unwrap_or_default(),
        consultation_slots: proposal.consultations.iter().map(rendered_slot).collect(),
        consultation_treatment_id: consultation.filter(|_| is_missing).unwrap_or_default(),
    }
}

fn rendered_plan(proposal: &Proposal, plan: &Plan) -> pb::SeriesPlan {
    let protocol = proposal.course.protocol.as_ref();
    let days: Vec<NaiveDate> = plan.sessions.iter().map(|session| session.day).collect();
    let assessments = protocol.map(|protocol| due(&protocol.content.assessments, &days)).unwrap_or_default();
    let mut rendered = pb::SeriesPlan {
        patient_id: proposal.patient.to_string(),
        protocol_id: protocol.map(|protocol| protocol.id.to_string()).unwrap_or_default(),
        protocol_version: protocol.map_or(0, |protocol| protocol.version),
        body_area: render::body_area(Some(proposal.area)).into(),
        clinic_id: proposal.clinic.to_string(),
        series_id: proposal.series.map(|series| series.to_string()).unwrap_or_default(),
        kind: match plan.kind {
            PlanKind::Best => pb::PlanKind::Best,
            PlanKind::EarlierFinish => pb::PlanKind::EarlierFinish,
            PlanKind::OtherWeekday => pb::PlanKind::OtherWeekday,
            PlanKind::OtherPractitioner => pb::PlanKind::OtherPractitioner,
            PlanKind::OtherStart => pb::PlanKind::OtherStart,
        }
        .into(),
        sessions: rendered_sessions(proposal, plan),
        cost: Some(rendered_cost(plan)),
        assessments: assessments.iter().map(rendered_assessment).collect(),
        digest: String::new(),
    };
    rendered.digest = digest(&rendered);
    rendered
}

fn rendered_sessions(proposal: &Proposal, plan: &Plan) -> Vec<pb::PlannedSession> {
    let timing = Timing::new(&proposal.course.treatment);
    let zone = proposal.zone;
    let mut before: Option<NaiveDate> = None;
    let sessions = plan.sessions.iter().map(|session| {
        let end = session.start + TimeDelta::minutes(timing.present_minutes());
        let windows = timing.windows(zone, session.start).into_iter();
        let windows = windows.filter(|window| session.booked.is_none() && window.role == WindowRole::Restricts);
        let gap = before.replace(session.day).map_or(0, |before| (session.day - before).num_days());
        pb::PlannedSession {
            session_number: session.number,
            start_time: Some(render::timestamp(session.start)),
            end_time: Some(render::timestamp(end)),
            local_start: zone.written(session.start),
            local_end: zone.written(end),
            weekday: render::weekday(session.day.weekday()).into(),
            practitioner_id: session.practitioner.map(|id| id.to_string()).unwrap_or_default(),
            // Bounded by the protocol's longest gap, or the years that times may lie in.
            gap_days: i32::try_from(gap).unwrap_or(i32::MAX),
            appointment_id: session.booked.map(|id| id.to_string()).unwrap_or_default(),
            aftercare: windows
                .map(|window| pb::PlannedWindow {
                    activity: render::activity(window.activity).into(),
                    local_start: zone.written(window.during.start()),
                    local_end: zone.written(window.during.end()),
                })
                .collect(),
        }
    });
    sessions.collect()
}

fn rendered_cost(plan: &Plan) -> pb::PlanCost {
    // A dozen gaps of at most two years are far fewer.
    let number = |amount: u64| i32::try_from(amount).unwrap_or(i32::MAX);
    let terms = plan.cost.terms().map(|(kind, amount, points)| {
        let rendered = match kind {
            CostKind::Gaps => pb::CostKind::Gaps,
            CostKind::Weekdays => pb::CostKind::Weekdays,
            CostKind::Hours => pb::CostKind::Hours,
            CostKind::Practitioner => pb::CostKind::Practitioner,
            CostKind::Changes => pb::CostKind::Changes,
            CostKind::Finish => pb::CostKind::Finish,
        };
        let (amount, weight, points) = (number(amount), number(kind.weight()), number(points));
        pb::CostTerm { kind: rendered.into(), amount, weight, points }
    });
    pb::PlanCost { total: number(plan.cost.total()), terms: terms.collect() }
}

fn rendered_assessment(due: &DueAssessment<'_>) -> pb::PlannedAssessment {
    let DueAssessment { assessment, session, from, target, until } = due;
    let day = |day: &Option<NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
    pb::PlannedAssessment {
        name: assessment.name.as_str().to_owned(),
        session_number: session.unwrap_or_default(),
        due_from: day(from),
        due_target: day(target),
        due_until: day(until),
    }
}

fn rendered_no_plan(why: &NoPlan) -> pb::NoPlan {
    pb::NoPlan {
        obstacles: why.obstacles.iter().map(rendered_violation).collect(),
        relaxations: why.relaxations.iter().map(rendered_relaxation).collect(),
    }
}

fn rendered_relaxation(relaxation: &Relaxation) -> pb::Relaxation {
    let Relaxation { kind, date, session, gap_days, count, description } = relaxation;
    let kind = match kind {
        RelaxationKind::AnyWeekday => pb::RelaxationKind::AnyWeekday,
        RelaxationKind::AnyTime => pb::RelaxationKind::AnyTime,
        RelaxationKind::AnyPractitioner => pb::RelaxationKind::AnyPractitioner,
        RelaxationKind::ChangeOfPractitioner => pb::RelaxationKind::ChangeOfPractitioner,
        RelaxationKind::DaysAway => pb::RelaxationKind::DaysAway,
        RelaxationKind::LaterFinish => pb::RelaxationKind::LaterFinish,
        RelaxationKind::OtherFirstSession => pb::RelaxationKind::OtherFirstSession,
        RelaxationKind::LongerGap => pb::RelaxationKind::LongerGap,
        RelaxationKind::FewerSessions => pb::RelaxationKind::FewerSessions,
        RelaxationKind::NoWishes => pb::RelaxationKind::NoWishes,
    };
    pb::Relaxation {
        kind: kind.into(),
        description: description.clone(),
        date: date.map(|date| date.to_string()).unwrap_or_default(),
        session_number: session.unwrap_or_default(),
        // A gap within the horizon.
        gap_days: gap_days.and_then(|days| i32::try_from(days).ok()).unwrap_or_default(),
        session_count: count.unwrap_or_default(),
    }
}
