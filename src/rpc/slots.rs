//! Slots: what `AppointmentService.FindSlots` takes and answers.

use chrono::{NaiveDate, TimeDelta};

use super::page::Query;
use super::parse::{Fields, scoped};
use super::pb::find_slots_request as find;
use super::status::rendered_violation;
use super::{pb, render};
use crate::app::commands::{DEFAULT_GRID_MINUTES, FindSlots, SlotsOf, StartRules};
use crate::app::slots::{Found, FoundSlots};
use crate::app::{Error, Scoped};
use crate::domain::appointment::Follows;
use crate::domain::assessment::MAX_ASSESSMENTS;
use crate::domain::catalog::{GRID_MINUTES, MAX_SESSIONS};
use crate::domain::finding::{MAX_TIMES, Slot, SlotDay, Times, TimesOfDay};
use crate::domain::ids::{AppointmentId, ResourceId};
use crate::domain::refusal::Violation;

/// Most calendar days that one search covers.
const MAX_DAYS: i64 = 400;
/// Most clinics of one search.
const MAX_CLINICS: usize = 10;
/// Most practitioners that one search names.
const MAX_PRACTITIONERS: usize = 20;
/// Widest grid of starts, in minutes.
const MAX_GRID_MINUTES: i32 = 240;
/// Longest notice, in minutes: 30 days.
const MAX_NOTICE_MINUTES: i32 = 30 * 24 * 60;

/// A search, with what its page tokens are bound to.
pub fn parse(message: pb::FindSlotsRequest) -> Result<(Query, Scoped<FindSlots>), Error> {
    let pb::FindSlotsRequest { page_token, page_size, .. } = &message;
    // Everything but the page itself decides which slots the list has.
    let bound = pb::FindSlotsRequest { page_token: String::new(), page_size: 0, ..message.clone() };
    let query = Query::of("FindSlots", &bound);
    let mut fields = Fields::default();
    let page = fields.page(&query, *page_size, page_token)?;
    let pb::FindSlotsRequest {
        practice_id,
        visit,
        clinic_ids,
        practitioner_ids,
        start_date,
        end_date,
        weekdays,
        hours,
        start_grid_minutes,
        minimum_notice_minutes,
        moving_appointment_id,
        view,
        page_size: _,
        page_token: _,
        add_on_treatment_id,
    } = message;
    let of = parse_visit(&mut fields, visit);
    if clinic_ids.is_empty() {
        fields.note("clinic_ids", "must not be empty");
    }
    let clinics = fields.distinct_ids("clinic_ids", &clinic_ids, MAX_CLINICS);
    let practitioners = fields.distinct_ids::<ResourceId>("practitioner_ids", &practitioner_ids, MAX_PRACTITIONERS);
    let days = parse_days(&mut fields, &start_date, &end_date);
    let times = parse_times(&mut fields, "", &weekdays, &hours);
    let starts = parse_starts(&mut fields, "", start_grid_minutes, minimum_notice_minutes);
    let moving = fields.optional_id::<AppointmentId>("moving_appointment_id", &moving_appointment_id);
    let add_on = fields.optional_id("add_on_treatment_id", &add_on_treatment_id);
    let by_day = match pb::SlotView::try_from(view) {
        Ok(pb::SlotView::Unspecified | pb::SlotView::Slots) => Some(false),
        Ok(pb::SlotView::Days) => Some(true),
        Err(_) => None,
    };
    let by_day = fields.some("view", by_day, "must be slots or days");
    let scoped = scoped(fields, &practice_id, || {
        let (first, last) = days?;
        Some(FindSlots {
            of: of?,
            clinics: clinics?,
            practitioners: practitioners?,
            first,
            last,
            times: times?,
            starts: starts?,
            moving: moving?,
            add_on: add_on?,
            by_day: by_day?,
            page: page?,
        })
    })?;
    Ok((query, scoped))
}

fn parse_visit(fields: &mut Fields, visit: Option<find::Visit>) -> Option<SlotsOf> {
    match visit {
        Some(find::Visit::Treatment(pb::TreatmentVisit { patient_id, treatment_id, body_area })) => {
            let patient = fields.optional_id("treatment.patient_id", &patient_id);
            let treatment = fields.id("treatment.treatment_id", &treatment_id);
            let area = fields.optional_body_area("treatment.body_area", body_area);
            Some(SlotsOf::Treatment { patient: patient?, treatment: treatment?, area: area? })
        }
        Some(find::Visit::Session(pb::SessionVisit { series_id, session_number })) => {
            let series = fields.id("session.series_id", &series_id);
            let number = fields.within("session.session_number", session_number, 1, MAX_SESSIONS);
            Some(SlotsOf::Session { series: series?, number: number? })
        }
        Some(find::Visit::Assessment(visit)) => parse_assessment(fields, &visit).map(SlotsOf::FollowUp),
        Some(find::Visit::Maintenance(visit)) => parse_maintenance(fields, &visit).map(SlotsOf::FollowUp),
        None => {
            fields.note("visit", "must be a treatment, a session, an assessment or maintenance");
            None
        }
    }
}

/// An assessment that has a visit of its own.
pub fn parse_assessment(fields: &mut Fields, visit: &pb::AssessmentVisit) -> Option<Follows> {
    let pb::AssessmentVisit { series_id, assessment_number } = visit;
    let series = fields.id("assessment.series_id", series_id);
    let most = i32::try_from(MAX_ASSESSMENTS).unwrap_or(i32::MAX);
    let number = fields.within("assessment.assessment_number", *assessment_number, 1, most);
    Some(Follows { series: series?, assessment: Some(number?) })
}

/// A maintenance session.
pub fn parse_maintenance(fields: &mut Fields, visit: &pb::MaintenanceVisit) -> Option<Follows> {
    let pb::MaintenanceVisit { series_id } = visit;
    Some(Follows { series: fields.id("maintenance.series_id", series_id)?, assessment: None })
}

fn parse_days(fields: &mut Fields, first: &str, last: &str) -> Option<(NaiveDate, NaiveDate)> {
    let (first, last) = (fields.supported_day("start_date", first), fields.supported_day("end_date", last));
    let (first, last) = (first?, last?);
    fields.some("end_date", (first <= last).then_some(()), "must not be before start_date")?;
    let short = last - first < TimeDelta::days(MAX_DAYS);
    fields.some("end_date", short.then_some((first, last)), "must be within 400 days, start_date included")
}

/// When the patient can come.
pub fn parse_times(fields: &mut Fields, path: &str, weekdays: &[i32], hours: &[pb::TimesOfDay]) -> Option<Times> {
    let days = fields.at_most(&format!("{path}weekdays"), weekdays.len(), 7).and_then(|()| {
        let days = weekdays.iter().enumerate();
        let days: Vec<_> = days.map(|(place, day)| fields.weekday(&format!("{path}weekdays[{place}]"), *day)).collect();
        days.into_iter().collect::<Option<Vec<_>>>()
    });
    let parts = fields.at_most(&format!("{path}hours"), hours.len(), MAX_TIMES).and_then(|()| {
        let parts = hours.iter().enumerate();
        let parts: Vec<_> =
            parts.map(|(place, part)| parse_part(fields, &format!("{path}hours[{place}]"), part)).collect();
        parts.into_iter().collect::<Option<Vec<_>>>()
    });
    let times = Times::new(days?, parts?);
    fields.some(&format!("{path}hours"), times, "must not overlap")
}

fn parse_part(fields: &mut Fields, path: &str, part: &pb::TimesOfDay) -> Option<TimesOfDay> {
    let pb::TimesOfDay { from, until } = part;
    let from = fields.time_of_day(&format!("{path}.from"), from);
    let until = fields.time_of_day(&format!("{path}.until"), until);
    let part = TimesOfDay::new(from?, until?);
    fields.some(&format!("{path}.until"), part, "must be after from")
}

/// The grid of starts, and the notice.
pub fn parse_starts(fields: &mut Fields, path: &str, grid: i32, notice: i32) -> Option<StartRules> {
    let grid = if grid == 0 { DEFAULT_GRID_MINUTES } else { grid };
    let fits = grid % GRID_MINUTES == 0 && (GRID_MINUTES..=MAX_GRID_MINUTES).contains(&grid);
    let remedy = "must be a multiple of 5, from 5 to 240";
    let grid = fields.some(&format!("{path}start_grid_minutes"), fits.then_some(grid), remedy);
    let notice = fields.within(&format!("{path}minimum_notice_minutes"), notice, 0, MAX_NOTICE_MINUTES);
    Some(StartRules { grid_minutes: grid?, notice_minutes: notice? })
}

/// The answer.
pub fn rendered(query: &Query, found: Found) -> pb::FindSlotsResponse {
    let told = |violations: &[Violation]| violations.iter().map(rendered_violation).collect();
    let (missing, limits) = (told(&found.missing), told(&found.limits));
    match found.page {
        FoundSlots::Slots(page) => {
            let (slots, next_page_token) = query.render(page, rendered_slot);
            pb::FindSlotsResponse { slots, days: Vec::new(), next_page_token, missing, limits }
        }
        FoundSlots::Days(page) => {
            let (days, next_page_token) = query.render(page, rendered_day);
            pb::FindSlotsResponse { slots: Vec::new(), days, next_page_token, missing, limits }
        }
    }
}

/// A slot.
pub fn rendered_slot(slot: &Slot) -> pb::Slot {
    let Slot { clinic, zone, visit, practitioners } = slot;
    pb::Slot {
        start_time: Some(render::timestamp(visit.start())),
        end_time: Some(render::timestamp(visit.end())),
        local_start: zone.written(visit.start()),
        local_end: zone.written(visit.end()),
        clinic_id: clinic.to_string(),
        practitioner_ids: practitioners.iter().map(ToString::to_string).collect(),
    }
}

fn rendered_day(day: &SlotDay) -> pb::SlotDay {
    let SlotDay { date, clinic, zone, count, first, last, practitioners } = day;
    pb::SlotDay {
        date: date.to_string(),
        clinic_id: clinic.to_string(),
        // A day has at most 300 ticks.
        slot_count: i32::try_from(*count).unwrap_or(i32::MAX),
        first_start_time: Some(render::timestamp(*first)),
        last_start_time: Some(render::timestamp(*last)),
        local_first_start: zone.written(*first),
        local_last_start: zone.written(*last),
        practitioner_ids: practitioners.iter().map(ToString::to_string).collect(),
    }
}
