//! Results of assessments: a series goes on as planned, is extended, or ends.

use std::sync::Arc;

use super::commands::RecordAssessment;
use super::follow_up::the_assessment;
use super::series::{SeriesNow, found, protocol_of};
use super::write::Begun;
use super::{App, Command, Error, appointment, signature};
use crate::domain::access::Caller;
use crate::domain::assessment::{AssessmentResult, Outcome};
use crate::domain::history::ChangeKind;
use crate::domain::ids::SeriesId;
use crate::store::{self, series};

impl App {
    /// Records what an assessment came to.
    pub async fn record_assessment(
        &self,
        caller: &Caller,
        command: &Command<RecordAssessment>,
    ) -> Result<SeriesNow, Error> {
        self.retry(|| self.try_record_assessment(caller, command)).await
    }

    async fn try_record_assessment(
        &self,
        caller: &Caller,
        command: &Command<RecordAssessment>,
    ) -> Result<SeriesNow, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.series(practice, SeriesId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let RecordAssessment { series: id, etag, number, appointment, outcome, notes } = &command.body;
        let before = found(write.db(), practice, *id).await?;
        if before.changed_revision != *etag {
            return Err(Error::EtagMismatch);
        }
        let protocol = Arc::new(protocol_of(write.db(), practice, &before).await?);
        let content = &protocol.content;
        let visit = appointment::found(write.db(), practice, *appointment).await?;
        let due = the_assessment(content, *number, "assessment_number")?.due;
        if !before.is_visit_of(*number, due, &visit) {
            let remedy = "must be the visit of the assessment: its own, or that of its session; before the first \
                          session any visit of the patient until its day; after an extension any since then";
            return Err(Error::field("appointment_id", remedy));
        }
        match outcome {
            Outcome::Extend(count) if *count <= before.session_count => {
                let remedy = format!("must be more than {}, the sessions of the series", before.session_count);
                return Err(Error::field("session_count", remedy));
            }
            Outcome::Continue if before.ends_with(content, *number, now) => {
                let remedy = "must be to extend or to end: no session and no other assessment is left to go on with";
                return Err(Error::field("outcome", remedy));
            }
            Outcome::Extend(_) | Outcome::Continue | Outcome::End => {}
        }
        let recorded_by = match &content.clearance {
            Some(rules) => signature::signer(write.db(), practice, caller, &rules.qualification).await?,
            None => signature::any_practitioner(write.db(), practice, caller).await?,
        };
        let (outcome, notes) = (*outcome, notes.clone());
        let result =
            AssessmentResult { number: *number, appointment: visit.id, outcome, notes, recorded_at: now, recorded_by };
        let decided = before.assess(content, due, &visit, result.clone(), revision);
        let (after, ahead) = decided.map_err(Error::Refused)?;

        write.record(ChangeKind::AssessmentRecorded, *id, Some(after.patient), ahead.clone()).await?;
        store::assessment::insert(write.db(), practice, *id, &result, revision).await?;
        match outcome {
            Outcome::Continue => series::touch(write.db(), practice, *id, revision).await?,
            Outcome::Extend(count) => series::resize(write.db(), practice, *id, count, revision).await?,
            Outcome::End => series::complete(write.db(), practice, *id, now, revision).await?,
        }
        // The reason is that the series is completed.
        store::appointment::cancel(write.db(), practice, &ahead, now, "", revision).await?;
        write.finish().await?;
        Ok(SeriesNow { series: after, protocol, now })
    }
}
