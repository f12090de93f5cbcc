//! Screenings.

use super::commands::{ListScreenings, Questionnaire, RecordScreening};
use super::page::{Page, fetch};
use super::series::found as found_series;
use super::write::Begun;
use super::{App, Command, Error, FieldViolation, Scoped, fitness as fitness_app};
use crate::domain::access::Caller;
use crate::domain::appointment::Appointment;
use crate::domain::catalog::{BodyArea, Protocol};
use crate::domain::fitness::FitnessFacts;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{PracticeId, ScreeningId, SeriesId};
use crate::domain::interval::Instant;
use crate::domain::screening::{Asks, Screening};
use crate::store::{PgConnection, catalog, fitness, patient, screening};

/// A screening, with what its protocol makes of it.
#[derive(Debug, Clone)]
pub struct Screened {
    /// The screening.
    pub screening: Screening,
    /// The protocol whose questions it answers.
    pub protocol: Protocol,
    /// What is known of the patient, this screening included.
    pub facts: FitnessFacts,
    /// What is booked for the patient and for which they are not fit now, by start.
    pub at_risk: Vec<Appointment>,
}

impl App {
    /// Records a screening.
    pub async fn record_screening(
        &self,
        caller: &Caller,
        command: &Command<RecordScreening>,
    ) -> Result<Screened, Error> {
        self.retry(|| self.try_record_screening(caller, command)).await
    }

    async fn try_record_screening(
        &self,
        caller: &Caller,
        command: &Command<RecordScreening>,
    ) -> Result<Screened, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let ask = &command.body;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => {
                let mut db = self.read().await?;
                let found = screening::get(&mut db, practice, ScreeningId(earlier.subject)).await?;
                let recorded = found.ok_or_else(|| Error::not_found("request_id"))?;
                // The questions that were answered, whatever the protocol asks by now.
                let version = Some(recorded.protocol_version);
                let protocol = catalog::protocol(&mut db, practice, recorded.protocol, version).await?;
                let protocol = protocol.ok_or_else(|| Error::not_found("request_id"))?;
                let series = match ask.questionnaire {
                    Questionnaire::Protocol(_) => None,
                    Questionnaire::Series(id) => Some((id, found_series(&mut db, practice, id).await?.area)),
                };
                return screened(&mut db, practice, recorded, protocol, series, self.clock.now()).await;
            }
        };
        if !patient::exists(write.db(), practice, ask.patient).await? {
            return Err(Error::not_found("patient_id"));
        }
        let (protocol, series) = questions(write.db(), practice, ask).await?;
        let answers = ask.answers.expose();
        let misfits = answers.misfits(&protocol.content.screening).into_iter().map(|misfit| {
            let place = answers.given.iter().position(|answer| answer.condition == misfit.condition);
            match place {
                // By its place: which condition it is, is what the patient said.
                Some(place) => {
                    let date = if misfit.of_date { ".date" } else { "" };
                    FieldViolation::new(format!("answers[{place}]{date}"), misfit.remedy)
                }
                None => FieldViolation::new("answers", format!("{} {}", misfit.condition.as_str(), misfit.remedy)),
            }
        });
        let mut misfits: Vec<FieldViolation> = misfits.collect();
        let asks_skin_type = protocol.content.screening.iter().any(|rule| matches!(rule.asks, Asks::SkinType(_)));
        if asks_skin_type && answers.skin_type.is_none() {
            misfits.push(FieldViolation::new("skin_type", "is required: the protocol asks for it"));
        }
        if !misfits.is_empty() {
            return Err(Error::Fields(misfits));
        }
        let recorded = Screening {
            id: ScreeningId(self.ids.new_id(write.now)),
            patient: ask.patient,
            protocol: protocol.id,
            protocol_version: protocol.version,
            answers: ask.answers.clone(),
            recorded_at: write.now,
            recorded_by: caller.author(),
        };
        write.record(ChangeKind::ScreeningRecorded, recorded.id, Some(ask.patient), Vec::new()).await?;
        let revision = write.revision;
        screening::insert(write.db(), practice, &recorded, revision).await?;
        let now = write.now;
        let screened = screened(write.db(), practice, recorded, protocol, series, now).await?;
        write.finish().await?;
        Ok(screened)
    }

    /// Screenings of a patient, latest first.
    pub async fn list_screenings(
        &self,
        caller: &Caller,
        scoped: Scoped<ListScreenings>,
    ) -> Result<Page<Screening, ScreeningId>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListScreenings { patient: id, page } = scoped.query;
        let mut db = self.read().await?;
        if !patient::exists(&mut db, practice, id).await? {
            return Err(Error::not_found("patient_id"));
        }
        let found = screening::list(&mut db, practice, id, page.after, fetch(page.size)).await?;
        Ok(Page::new(found, page.size, |last| last.id))
    }
}

/// The protocol whose questions are answered, and the series and area if it is for one.
async fn questions(
    db: &mut PgConnection,
    practice: PracticeId,
    ask: &RecordScreening,
) -> Result<(Protocol, Option<(SeriesId, BodyArea)>), Error> {
    let (protocol, version, series, field) = match ask.questionnaire {
        Questionnaire::Protocol(id) => (id, None, None, "protocol_id"),
        Questionnaire::Series(id) => {
            let series = found_series(db, practice, id).await?;
            if series.patient != ask.patient {
                return Err(Error::field("series_id", "must be a series of the patient"));
            }
            (series.protocol, Some(series.protocol_version), Some((id, series.area)), "series_id")
        }
    };
    let protocol = catalog::protocol(db, practice, protocol, version).await?.ok_or_else(|| Error::not_found(field))?;
    if protocol.content.screening.is_empty() {
        return Err(Error::field(field, "must be one whose protocol asks something: this one has no screening rules"));
    }
    Ok((protocol, series))
}

async fn screened(
    db: &mut PgConnection,
    practice: PracticeId,
    recorded: Screening,
    protocol: Protocol,
    series: Option<(SeriesId, BodyArea)>,
    now: Instant,
) -> Result<Screened, Error> {
    let of = fitness::For {
        patient: recorded.patient,
        protocol: Some(protocol.id),
        area: series.map(|(_, area)| area),
        series: series.map(|(id, _)| id),
    };
    let facts = fitness::facts(db, practice, of, true).await?.ok_or_else(|| Error::not_found("patient_id"))?;
    // As it is kept, unless it is not the latest any more.
    let as_kept = facts.screening.clone().filter(|latest| latest.id == recorded.id);
    let facts = FitnessFacts { screening: as_kept.or_else(|| Some(recorded.clone())), ..facts };
    let at_risk = fitness_app::at_risk(db, practice, recorded.patient, now).await?;
    Ok(Screened { screening: recorded, protocol, facts, at_risk })
}
