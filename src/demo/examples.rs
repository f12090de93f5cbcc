//! Commands to try on the demonstration practice, ready to paste into a shell.

use chrono::SecondsFormat;
use uuid::Uuid;

use super::bookings::{Wish, series_starts, sessions};
use super::catalog::Course;
use super::practice::{Site, later};
use super::{Demo, step};
use crate::app::commands::{BookSeries, ListPatients, PageOf, SeriesOf};
use crate::app::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::catalog::BodyArea;
use crate::domain::ids::{ClinicId, PatientId, ProtocolId};
use crate::domain::interval::Instant;
use crate::domain::refusal::Rule;
use crate::domain::text::Personal;
use crate::domain::zone::Zone;

/// The areas that the example treats: the next one if an earlier run of the example took the one before.
const AREAS: [BodyArea; 8] = [
    BodyArea::Abdomen,
    BodyArea::Thighs,
    BodyArea::Flanks,
    BodyArea::Hips,
    BodyArea::UpperArms,
    BodyArea::Buttocks,
    BodyArea::Calves,
    BodyArea::Back,
];
/// An area that the example plans for without booking.
const PLANNED: BodyArea = BodyArea::Hands;
/// How many patients are considered after the one of the demonstration.
const MAX_PATIENTS: i32 = 100;
/// How many series are tried in all.
const MAX_TRIES: usize = 200;
/// Days until the search for the first session begins.
const FIRST_DAY: Wish = Wish { day: 2, start: 1 };
/// Days after the first session at which the example asks for a sauna.
const SAUNA_AFTER_DAYS: i64 = 2;

/// The areas for which the patient of the examples is cleared.
pub fn areas() -> impl Iterator<Item = BodyArea> {
    AREAS.into_iter().chain([PLANNED])
}

/// A series that can be booked, and what to ask about it.
#[derive(Debug, Clone)]
pub struct Examples {
    /// The clinic.
    pub clinic: ClinicId,
    /// The clinic's zone.
    pub zone: Zone,
    /// The protocol.
    pub protocol: ProtocolId,
    /// The patient.
    pub patient: PatientId,
    /// The area.
    pub area: BodyArea,
    /// When the sessions begin.
    pub starts: Vec<Instant>,
}

/// Finds a series of stretch-mark sessions that can be booked right now, for the patient of the demonstration if there
/// is an area left, else for another; nothing if there is none for anybody.
pub async fn examples(app: &App, caller: &Caller, demo: &Demo, now: Instant) -> Result<Option<Examples>, Error> {
    let mut search = Search { app, caller, demo, tries: 0 };
    let all = series_starts(Site::Berlin, Course::StretchMarks, now, FIRST_DAY)?;
    for area in AREAS {
        if let Some(found) = search.patient(demo.patient, area, &all).await? {
            return Ok(Some(found));
        }
    }
    let query = ListPatients {
        family_name_prefix: Personal::new(String::new()),
        page: PageOf { size: MAX_PATIENTS, after: None },
    };
    let others = app.list_patients(caller, Scoped { practice: Some(demo.practice), query }).await?;
    for patient in others.items.iter().map(|(patient, _)| patient.id).filter(|id| *id != demo.patient) {
        for area in AREAS {
            if let Some(found) = search.patient(patient, area, &all).await? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

struct Search<'a> {
    app: &'a App,
    caller: &'a Caller,
    demo: &'a Demo,
    tries: usize,
}

impl Search<'_> {
    /// The first of these series that could be booked for a patient on an area.
    async fn patient(
        &mut self,
        patient: PatientId,
        area: BodyArea,
        all: &[Vec<Instant>],
    ) -> Result<Option<Examples>, Error> {
        let Demo { practice, clinic, protocol, .. } = *self.demo;
        for starts in all {
            if self.tries == MAX_TRIES {
                break;
            }
            self.tries += 1;
            let of = SeriesOf::New { patient, protocol, area };
            let body = BookSeries { of, sessions: sessions(clinic, starts), hold_minutes: None };
            // Nothing is kept, so the same request id will do every time.
            let command = Command { validate_only: true, ..step::command(Some(practice), "example", body) };
            match self.app.book_series(self.caller, &command).await {
                Ok(_) => {
                    let zone = Site::Berlin.zone()?;
                    return Ok(Some(Examples { clinic, zone, protocol, patient, area, starts: starts.clone() }));
                }
                Err(Error::Refused(refusal)) => {
                    // Taken, or not cleared for it: no other start will do either.
                    let hopeless = |rule| matches!(rule, Rule::SessionTooSoon | Rule::ClearanceMissing);
                    if refusal.iter().any(|violation| hopeless(violation.rule)) {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

impl Examples {
    /// Shell commands, one a line, to be run in this order: the first books the series under that request id, so that
    /// it can be run again, the others read.
    #[must_use]
    pub fn lines(&self, addr: &str, token: &str, request: Uuid) -> Vec<String> {
        let call = |method: &str, json: &str| {
            format!("grpcurl -plaintext -H 'authorization: Bearer {token}' -d '{json}' {addr} stipple.v1.{method}")
        };
        let Self { clinic, protocol, patient, .. } = self;
        let area = self.area.as_str().to_ascii_uppercase();
        let sessions: Vec<_> = self.starts.iter().map(|at| format!(r#"{{"start_time":"{}"}}"#, written(*at))).collect();
        let sessions = sessions.join(",");
        let mut lines = vec![call(
            "SeriesService/BookSeries",
            &format!(
                concat!(
                    r#"{{"request_id":"{request}","patient_id":"{patient}","protocol_id":"{protocol}","#,
                    r#""body_area":"BODY_AREA_{area}","clinic_id":"{clinic}","sessions":[{sessions}]}}"#
                ),
                request = request,
                patient = patient,
                protocol = protocol,
                area = area,
                clinic = clinic,
                sessions = sessions
            ),
        )];
        // Plans for another area, on which nothing is booked.
        let other = PLANNED.as_str().to_ascii_uppercase();
        let json = format!(
            concat!(
                r#"{{"patient_id":"{}","protocol_id":"{}","body_area":"BODY_AREA_{}","clinic_id":"{}","#,
                r#""wishes":{{"weekdays":["WEEKDAY_TUESDAY"],"hours":[{{"from":"16:00","until":"24:00"}}]}}}}"#
            ),
            patient, protocol, other, clinic
        );
        lines.push(call("SeriesService/ProposeSeries", &json));
        if let Some(first) = self.starts.first() {
            let (from, to) = self.day_of(*first);
            let json = format!(r#"{{"clinic_id":"{clinic}","start_time":"{from}","end_time":"{to}"}}"#);
            lines.push(call("AppointmentService/ListAppointments", &json));
            let sauna = written(self.zone.plus_days(*first, SAUNA_AFTER_DAYS));
            let json = format!(r#"{{"patient_id":"{patient}","activity":"ACTIVITY_HEAT","start_time":"{sauna}"}}"#);
            lines.push(call("AftercareService/CheckActivity", &json));
        }
        lines.push(call("HistoryService/ListChanges", r#"{"page_size":5}"#));
        lines.push(call("PatientService/ListPatients", r#"{"page_size":5}"#));
        lines
    }

    /// Begin and end of the clinic's calendar day at an instant.
    fn day_of(&self, at: Instant) -> (String, String) {
        let day = self.zone.day(at);
        let next = later(day, 1).unwrap_or(day);
        (written(self.zone.midnight(day)), written(self.zone.midnight(next)))
    }
}

/// An instant as JSON has it.
fn written(at: Instant) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Examples {
        let id = Uuid::from_u128;
        Examples {
            clinic: ClinicId(id(2)),
            zone: Zone::from_name("Europe/Berlin").unwrap(),
            protocol: ProtocolId(id(3)),
            patient: PatientId(id(4)),
            area: BodyArea::UpperArms,
            starts: vec!["2026-03-28T08:00:00Z".parse().unwrap(), "2026-05-02T07:00:00Z".parse().unwrap()],
        }
    }

    #[test]
    fn each_example_is_one_quoted_shell_command() {
        let lines = examples().lines("127.0.0.1:50051", "secret", Uuid::from_u128(5));
        let methods: Vec<_> = lines.iter().filter_map(|line| line.rsplit("stipple.v1.").next()).collect();
        assert_eq!(
            methods,
            [
                "SeriesService/BookSeries",
                "SeriesService/ProposeSeries",
                "AppointmentService/ListAppointments",
                "AftercareService/CheckActivity",
                "HistoryService/ListChanges",
                "PatientService/ListPatients"
            ]
        );
        for line in &lines {
            assert!(line.starts_with("grpcurl -plaintext -H 'authorization: Bearer secret' -d '{"), "{line}");
            assert!(line.matches('\'').count() == 4 && !line.contains('\n'), "{line}");
        }
        assert!(lines[0].contains(r#""body_area":"BODY_AREA_UPPER_ARMS""#));
        assert!(lines[0].contains(
            r#""sessions":[{"start_time":"2026-03-28T08:00:00Z"},{"start_time":"2026-05-02T07:00:00Z"}]}' 127.0.0.1"#
        ));
    }

    #[test]
    fn examples_are_about_the_clinics_own_days() {
        let lines = examples().lines("127.0.0.1:50051", "secret", Uuid::from_u128(5));
        assert!(lines[1].contains(r#""body_area":"BODY_AREA_HANDS","clinic_id""#));
        assert!(lines[2].contains(r#""start_time":"2026-03-27T23:00:00Z","end_time":"2026-03-28T23:00:00Z""#));
        // The clock changes in between: the same time of day is an hour earlier in absolute time.
        assert!(lines[3].contains(r#""start_time":"2026-03-30T07:00:00Z""#));
    }
}
