//! `CalendarService`.

use chrono::TimeDelta;
use icalendar::{Calendar, Class, Component as _, Event, EventLike as _, EventStatus};
use tonic::{Request, Response, Status};

use super::page::Query;
use super::parse::{Fields, scoped};
use super::pb::calendar_service_server::CalendarService;
use super::{Services, open, pb};
use crate::app::commands::{PatientAgenda, PractitionerAgenda};
use crate::app::{Error, Scoped};
use crate::domain::agenda::{Agenda, Entry, MAX_DAYS};

/// What made the files, as they say.
const PRODUCT: &str = "-//Stipple//Stipple//EN";
/// What every visit is called.
const SUMMARY: &str = "Appointment";

#[tonic::async_trait]
impl CalendarService for Services {
    async fn get_patient_calendar(
        &self,
        request: Request<pb::GetPatientCalendarRequest>,
    ) -> Result<Response<pb::GetPatientCalendarResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_patient(message)?;
        let agenda = self.app.patient_agenda(&caller, scoped).await?;
        Ok(Response::new(pb::GetPatientCalendarResponse {
            etag: query.token(&agenda.revision),
            unchanged: agenda.entries.is_none(),
            icalendar: rendered(&agenda),
        }))
    }

    async fn get_practitioner_calendar(
        &self,
        request: Request<pb::GetPractitionerCalendarRequest>,
    ) -> Result<Response<pb::GetPractitionerCalendarResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_practitioner(message)?;
        let agenda = self.app.practitioner_agenda(&caller, scoped).await?;
        Ok(Response::new(pb::GetPractitionerCalendarResponse {
            etag: query.token(&agenda.revision),
            unchanged: agenda.entries.is_none(),
            icalendar: rendered(&agenda),
        }))
    }
}

fn parse_patient(message: pb::GetPatientCalendarRequest) -> Result<(Query, Scoped<PatientAgenda>), Error> {
    let pb::GetPatientCalendarRequest { practice_id, patient_id, known_etag } = message;
    let query = Query::new("GetPatientCalendar", &[&practice_id, &patient_id]);
    let mut fields = Fields::default();
    let patient = fields.id("patient_id", &patient_id);
    let known = known_revision(&mut fields, &query, &known_etag);
    let scoped = scoped(fields, &practice_id, || Some(PatientAgenda { patient: patient?, known: known? }))?;
    Ok((query, scoped))
}

fn parse_practitioner(
    message: pb::GetPractitionerCalendarRequest,
) -> Result<(Query, Scoped<PractitionerAgenda>), Error> {
    let pb::GetPractitionerCalendarRequest { practice_id, practitioner_id, start_time, end_time, known_etag } = message;
    let stretch = format!("{start_time:?} {end_time:?}");
    let query = Query::new("GetPractitionerCalendar", &[&practice_id, &practitioner_id, &stretch]);
    let mut fields = Fields::default();
    let practitioner = fields.id("practitioner_id", &practitioner_id);
    let during = fields.interval(start_time, end_time).and_then(|during| {
        let short = during.length() <= TimeDelta::days(MAX_DAYS);
        fields.some("end_time", short.then_some(during), "must be at most 92 days after start_time")
    });
    let known = known_revision(&mut fields, &query, &known_etag);
    let scoped = scoped(fields, &practice_id, || {
        Some(PractitionerAgenda { practitioner: practitioner?, during: during?, known: known? })
    })?;
    Ok((query, scoped))
}

#[expect(clippy::option_option, reason = "absent in the message is a value; malformed is none")]
fn known_revision(fields: &mut Fields, query: &Query, etag: &str) -> Option<Option<i64>> {
    fields.some("known_etag", query.place(etag).ok(), "must be the etag of an answer to the same question, or empty")
}

/// The file; empty if the caller has it.
pub fn rendered(agenda: &Agenda) -> String {
    let Some(entries) = &agenda.entries else { return String::new() };
    let mut file = Calendar::empty();
    file.append_property(("VERSION", "2.0"))
        .append_property(("PRODID", PRODUCT))
        .append_property(("CALSCALE", "GREGORIAN"));
    file.name("Appointments");
    file.extend(entries.iter().map(rendered_entry));
    file.to_string()
}

fn rendered_entry(entry: &Entry) -> Event {
    let Entry { first, clinic, zone, during, takes_place, revision, changed_at } = entry;
    let said = format!("{} on the clinic's clock ({})", zone.in_words(during.start()), zone.name());
    // One change moves a visit from one file to another: an app that reads both goes by where it takes place. iCalendar
    // counts in 32 bits with a sign. A practice with half as many changes would still be told of them by LAST-MODIFIED.
    let sequence = revision.saturating_mul(2).saturating_add(i64::from(*takes_place));
    let sequence = i32::try_from(sequence).unwrap_or(i32::MAX).unsigned_abs();
    let mut event = Event::with_uid(&first.to_string());
    event
        .sequence(sequence)
        // Without a METHOD, both say when the event was changed.
        .timestamp(*changed_at)
        .last_modified(*changed_at)
        .starts(during.start())
        .ends(during.end())
        .summary(SUMMARY)
        .description(&said)
        .location(clinic.as_str())
        .class(Class::Private)
        .status(if *takes_place { EventStatus::Confirmed } else { EventStatus::Cancelled });
    // What does not take place keeps nobody busy.
    event.add_property("TRANSP", if *takes_place { "OPAQUE" } else { "TRANSPARENT" });
    event.done()
}
