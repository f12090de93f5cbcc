//! Steps of a visit that change nothing but where it stands: it is confirmed, and its treatment begins.

use super::appointment::found;
use super::commands::Known;
use super::visit::{as_known, untreatable};
use super::write::Begun;
use super::{App, Command, Error};
use crate::domain::access::Caller;
use crate::domain::appointment::Appointment;
use crate::domain::history::ChangeKind;
use crate::domain::ids::AppointmentId;
use crate::store::{appointment, series};

#[derive(Debug, Clone, Copy)]
enum Step {
    Confirm,
    Start,
}

impl App {
    /// Says that the patient will come.
    pub async fn confirm_appointment(
        &self,
        caller: &Caller,
        command: &Command<Known<AppointmentId>>,
    ) -> Result<Appointment, Error> {
        self.retry(|| self.try_step(caller, command, Step::Confirm)).await
    }

    /// Says that the treatment begins.
    pub async fn start_visit(
        &self,
        caller: &Caller,
        command: &Command<Known<AppointmentId>>,
    ) -> Result<Appointment, Error> {
        self.retry(|| self.try_step(caller, command, Step::Start)).await
    }

    async fn try_step(
        &self,
        caller: &Caller,
        command: &Command<Known<AppointmentId>>,
        step: Step,
    ) -> Result<Appointment, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.appointment(practice, AppointmentId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let before = as_known(write.db(), practice, command.body).await?;
        let (id, patient, series) = (before.id, before.patient, before.series());
        // Something may have become known between the check-in and the treatment.
        let mut refusal = match step {
            Step::Confirm => Vec::new(),
            Step::Start => untreatable(write.db(), practice, &before, now).await?,
        };
        let (after, kind) = match step {
            Step::Confirm => (before.confirm(now, revision), ChangeKind::AppointmentConfirmed),
            Step::Start => (before.start(now, revision), ChangeKind::AppointmentStarted),
        };
        // Of a visit that does not stand there, the rest is beside the point.
        if let Err(not_there) = after {
            refusal = not_there;
        }
        if !refusal.is_empty() {
            return Err(Error::Refused(refusal));
        }
        write.record(kind, id, Some(patient), vec![id]).await?;
        match step {
            Step::Confirm => appointment::confirm(write.db(), practice, id, now, revision).await?,
            Step::Start => appointment::start(write.db(), practice, id, now, revision).await?,
        }
        if let Some(series) = series {
            series::touch(write.db(), practice, series, revision).await?;
        }
        let after = found(write.db(), practice, id).await?;
        write.finish().await?;
        Ok(after)
    }
}
