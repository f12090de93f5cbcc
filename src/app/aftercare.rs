//! What a patient must leave alone or do, and until when.

use chrono::TimeDelta;

use super::commands::{AfterWindow, CheckActivity, DEFAULT_AFTERCARE_DAYS, GetAftercare, MAX_AFTERCARE_DAYS};
use super::page::{Page, fetch};
use super::{App, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::aftercare::{AftercareKind, AftercareWindow, earliest_clear};
use crate::domain::catalog::{Activity, MAX_SPAN};
use crate::domain::ids::PatientId;
use crate::domain::interval::{Instant, Interval};
use crate::domain::zone::Zone;
use crate::store::aftercare::{self, Windows};

/// Most windows of one activity that a check looks at. A patient has one for each visit that speaks against it, and the
/// spacing of visits keeps them far fewer.
const MAX_CHECKED: i64 = 2_000;

/// Whether a patient may do something.
#[derive(Debug, Clone)]
pub struct ActivityAnswer {
    /// The windows that forbid it or advise against it.
    pub windows: Vec<AftercareWindow>,
    /// From when on none does.
    pub earliest: Instant,
    /// Where the window ends that is in the way until then; none if nothing is.
    pub zone: Option<Zone>,
}

impl App {
    /// The aftercare windows of a patient.
    pub async fn get_aftercare(
        &self,
        caller: &Caller,
        scoped: Scoped<GetAftercare>,
    ) -> Result<Page<AftercareWindow, AfterWindow>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let GetAftercare { patient, from, until, page } = scoped.query;
        let from = page.after.map(|after| after.from).or(from).unwrap_or_else(|| self.clock.now());
        let until = until.unwrap_or(from + TimeDelta::days(DEFAULT_AFTERCARE_DAYS));
        let during = Interval::new(from, until).ok_or_else(|| Error::field("end_time", "must be after start_time"))?;
        if during.length() > TimeDelta::days(MAX_AFTERCARE_DAYS) {
            return Err(Error::field(
                "end_time",
                format!("must be at most {MAX_AFTERCARE_DAYS} days after start_time"),
            ));
        }
        let after = page.after.map(|after| (after.start, after.appointment, after.activity, after.kind));
        let windows = Windows { patient, during, activity: None, kinds: AftercareKind::ALL, after };
        let mut db = self.read_current(practice).await?;
        let found = aftercare::list(&mut db, practice, &windows, fetch(page.size)).await?.ok_or_else(no_patient)?;
        Ok(Page::new(found, page.size, |last| AfterWindow {
            start: last.during.start(),
            appointment: last.appointment,
            activity: last.activity,
            kind: last.kind,
            from,
        }))
    }

    /// Whether a patient may do something at a time, and if not, from when on.
    pub async fn check_activity(
        &self,
        caller: &Caller,
        scoped: Scoped<CheckActivity>,
    ) -> Result<ActivityAnswer, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let CheckActivity { patient, activity, during } = scoped.query;
        let all = windows_ahead(patient, activity, during);
        let mut db = self.read_current(practice).await?;
        let mut windows = aftercare::list(&mut db, practice, &all, MAX_CHECKED).await?.ok_or_else(no_patient)?;
        let intervals: Vec<Interval> = windows.iter().map(|window| window.during).collect();
        let earliest = earliest_clear(during.start(), during.length(), &intervals);
        let zone = windows.iter().find(|window| window.during.end() == earliest).map(|window| window.zone);
        windows.retain(|window| window.during.overlaps(during));
        Ok(ActivityAnswer { windows, earliest, zone })
    }
}

/// The windows of an activity that matter for its earliest start: one may follow the other, each as long as the
/// longest restriction on both sides.
fn windows_ahead(patient: PatientId, activity: Activity, during: Interval) -> Windows {
    let until = during.end() + TimeDelta::days(12 * 2 * i64::from(MAX_SPAN));
    let during = Interval::new(during.start(), until).unwrap_or(during);
    // A duty goes with the activity that it protects against.
    let kinds = &[AftercareKind::Forbidden, AftercareKind::Advice];
    Windows { patient, during, activity: Some(activity), kinds, after: None }
}

fn no_patient() -> Error {
    Error::not_found("patient_id")
}
