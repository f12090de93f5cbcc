//! `AftercareService`.

use chrono::TimeDelta;
use tonic::{Request, Response, Status};

use super::page::{Place, Query};
use super::parse::{Fields, scoped};
use super::pb::aftercare_service_server::AftercareService;
use super::{Services, open, pb, render};
use crate::app::commands::{AfterWindow, CheckActivity, GetAftercare};
use crate::app::{Error, Scoped};
use crate::domain::aftercare::{AftercareKind, AftercareWindow};
use crate::domain::catalog::Activity;
use crate::domain::ids::AppointmentId;
use crate::domain::interval::{Instant, Interval};

/// Longest stretch of time that an activity may take, in days.
const MAX_ACTIVITY_DAYS: i64 = 31;
/// How long an activity takes unless the caller says otherwise, in hours.
const DEFAULT_ACTIVITY_HOURS: i64 = 1;

#[tonic::async_trait]
impl AftercareService for Services {
    async fn get_aftercare(
        &self,
        request: Request<pb::GetAftercareRequest>,
    ) -> Result<Response<pb::GetAftercareResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_get(message)?;
        let (windows, next_page_token) = query.render(self.app.get_aftercare(&caller, scoped).await?, rendered);
        Ok(Response::new(pb::GetAftercareResponse { windows, next_page_token }))
    }

    async fn check_activity(
        &self,
        request: Request<pb::CheckActivityRequest>,
    ) -> Result<Response<pb::CheckActivityResponse>, Status> {
        let (caller, message) = open(request)?;
        let answer = self.app.check_activity(&caller, parse_check(message)?).await?;
        Ok(Response::new(pb::CheckActivityResponse {
            allowed: answer.windows.is_empty(),
            windows: answer.windows.iter().map(rendered).collect(),
            earliest_start: Some(render::timestamp(answer.earliest)),
            local_earliest_start: answer.zone.map(|zone| zone.written(answer.earliest)).unwrap_or_default(),
        }))
    }
}

fn parse_get(message: pb::GetAftercareRequest) -> Result<(Query, Scoped<GetAftercare>), Error> {
    let pb::GetAftercareRequest { practice_id, patient_id, start_time, end_time, page_size, page_token } = message;
    let stretch = format!("{start_time:?} {end_time:?}");
    let query = Query::new("GetAftercare", &[&practice_id, &patient_id, &stretch]);
    let mut fields = Fields::default();
    let patient = fields.id("patient_id", &patient_id);
    let from = optional_instant(&mut fields, "start_time", start_time);
    let until = optional_instant(&mut fields, "end_time", end_time);
    if let (Some(Some(from)), Some(Some(until))) = (from, until)
        && until <= from
    {
        fields.note("end_time", "must be after start_time");
    }
    let page = fields.page(&query, page_size, &page_token)?;
    let scoped = scoped(fields, &practice_id, || {
        Some(GetAftercare { patient: patient?, from: from?, until: until?, page: page? })
    })?;
    Ok((query, scoped))
}

#[expect(clippy::option_option, reason = "absent in the message is a value; malformed is none")]
fn optional_instant(
    fields: &mut Fields,
    field: &str,
    timestamp: Option<prost_types::Timestamp>,
) -> Option<Option<Instant>> {
    match timestamp {
        None => Some(None),
        Some(_) => fields.instant(field, timestamp).map(Some),
    }
}

fn parse_check(message: pb::CheckActivityRequest) -> Result<Scoped<CheckActivity>, Error> {
    let pb::CheckActivityRequest { practice_id, patient_id, activity, start_time, end_time } = message;
    let mut fields = Fields::default();
    let patient = fields.id("patient_id", &patient_id);
    let activity = fields.activity("activity", activity);
    let during = match end_time {
        Some(_) => fields.interval(start_time, end_time),
        None => fields
            .instant("start_time", start_time)
            .and_then(|start| Interval::new(start, start + TimeDelta::hours(DEFAULT_ACTIVITY_HOURS))),
    };
    let during = during.and_then(|during| {
        let short = during.length() <= TimeDelta::days(MAX_ACTIVITY_DAYS);
        fields.some("end_time", short.then_some(during), "must be at most 31 days after start_time")
    });
    scoped(fields, &practice_id, || Some(CheckActivity { patient: patient?, activity: activity?, during: during? }))
}

/// A window.
pub fn rendered(window: &AftercareWindow) -> pb::AftercareWindow {
    let (start, end) = (window.during.start(), window.during.end());
    let kind = match window.kind {
        AftercareKind::Forbidden => pb::AftercareKind::Forbidden,
        AftercareKind::Advice => pb::AftercareKind::Advice,
        AftercareKind::Duty => pb::AftercareKind::Duty,
    };
    pb::AftercareWindow {
        activity: render::activity(window.activity).into(),
        start_time: Some(render::timestamp(start)),
        end_time: Some(render::timestamp(end)),
        local_start: window.zone.written(start),
        local_end: window.zone.written(end),
        appointment_id: window.appointment.to_string(),
        instruction: window.instruction.as_str().to_owned(),
        evidence: Some(render::evidence(&window.evidence)),
        kind: kind.into(),
        treatment_start_time: Some(render::timestamp(window.proper.start())),
        treatment_end_time: Some(render::timestamp(window.proper.end())),
        pre_care_words: window.pre_care_words(),
        aftercare_words: window.aftercare_words(),
        override_id: window.approval.map(|id| id.to_string()).unwrap_or_default(),
    }
}

impl Place for AfterWindow {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.from.write(bytes);
        self.start.write(bytes);
        self.appointment.write(bytes);
        bytes.extend(format!("{} {}", self.activity.as_str(), self.kind.as_str()).as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (from, rest) = bytes.split_at_checked(8)?;
        let (start, rest) = rest.split_at_checked(8)?;
        let (appointment, names) = rest.split_at_checked(16)?;
        let (activity, kind) = std::str::from_utf8(names).ok()?.split_once(' ')?;
        Some(Self {
            from: Instant::read(from)?,
            start: Instant::read(start)?,
            appointment: AppointmentId::read(appointment)?,
            activity: Activity::from_name(activity)?,
            kind: AftercareKind::from_name(kind)?,
        })
    }
}
