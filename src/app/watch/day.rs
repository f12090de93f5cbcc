//! Watching the sheet of a day.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::Days;

use super::batch::{ClinicDay, DayChange};
use super::line::{Heard, Line};
use crate::app::commands::WatchDay;
use crate::app::page::MAX_PAGE;
use crate::app::sheet::{SheetEntry, entries};
use crate::app::{App, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::ids::PracticeId;
use crate::domain::interval::Interval;
use crate::store::appointment::{Sheet, Whose};
use crate::store::{PgConnection, appointment, clinic, practice};

/// Most visits on a sheet that is watched, which is read whole: far more than a clinic has rooms for.
const MAX_VISITS: usize = 5_000;

/// What the watcher of a day is told.
#[derive(Debug)]
pub enum DayNews {
    /// The whole sheet, as it was at a revision.
    Sheet(i64, Vec<SheetEntry>),
    /// A change that concerns the sheet.
    Changed(Arc<DayChange>),
    /// Nothing that concerns the sheet has happened up to a revision.
    Quiet(i64),
}

/// A watch of a day.
pub struct DayWatch {
    line: Line,
    practice: PracticeId,
    day: ClinicDay,
    wants_sheet: bool,
    waiting: VecDeque<Arc<DayChange>>,
}

impl App {
    /// Watches a day at a clinic, from a revision on, or from the sheet as it is.
    pub async fn watch_day(&self, caller: &Caller, scoped: Scoped<WatchDay>) -> Result<DayWatch, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let WatchDay { clinic, date, from } = scoped.query;
        let mut db = self.read().await?;
        let known = clinic::get(&mut db, practice, clinic).await?.ok_or_else(|| Error::not_found("clinic_id"))?;
        drop(db);
        let next = date.checked_add_days(Days::new(1)).unwrap_or(date);
        let during = Interval::new(known.zone.midnight(date), known.zone.midnight(next));
        let during = during.ok_or_else(|| Error::field("date", "must be a day that the clinic's calendar has"))?;
        let day = ClinicDay { clinic, during };
        let mut line = Line::open(self, caller, practice, Some(day))?;
        let at = self.revision(practice).await?;
        // Ahead of the history is who knows one that was put back since.
        let from = from.filter(|from| (0..=self.watches.pace.far_behind).contains(&(at - from)));
        if let Some(from) = from {
            line.go_on_after(from, false);
        }
        Ok(DayWatch { line, practice, day, wants_sheet: from.is_none(), waiting: VecDeque::new() })
    }

    pub(super) async fn revision(&self, practice: PracticeId) -> Result<i64, Error> {
        let standing = practice::standing(&mut *self.read().await?, practice).await?;
        standing.map(|standing| standing.revision).ok_or_else(|| Error::not_found("practice_id"))
    }

    /// The whole sheet of a day, all from one state.
    async fn sheet(&self, practice: PracticeId, day: ClinicDay) -> Result<(i64, Vec<SheetEntry>), Error> {
        let mut db = self.read_current(practice).await?;
        let standing = practice::standing(&mut db, practice).await?;
        let standing = standing.ok_or_else(|| Error::not_found("practice_id"))?;
        Ok((standing.revision, whole(&mut db, practice, day).await?))
    }
}

async fn whole(db: &mut PgConnection, practice: PracticeId, day: ClinicDay) -> Result<Vec<SheetEntry>, Error> {
    let mut all: Vec<SheetEntry> = Vec::new();
    loop {
        let after = all.last().map(|last| (last.appointment.visit.start(), last.appointment.id));
        let sheet = Sheet { whose: Whose::Clinic(day.clinic), during: day.during, include_cancelled: false, after };
        let page = appointment::list(db, practice, &sheet, MAX_PAGE.into()).await?;
        let is_last = page.len() < usize::try_from(MAX_PAGE).unwrap_or_default();
        all.extend(entries(db, practice, page).await?);
        if is_last {
            return Ok(all);
        }
        if all.len() > MAX_VISITS {
            return Err(Error::field("date", format!("has more than {MAX_VISITS} visits; use ListAppointments")));
        }
    }
}

impl DayWatch {
    /// What comes next; nothing once the watch is over.
    pub async fn next(&mut self) -> Result<Option<DayNews>, Error> {
        if self.wants_sheet {
            let app = self.line.app().clone();
            let Some((at, entries)) = self.line.read(app.sheet(self.practice, self.day)).await? else {
                return Ok(None);
            };
            self.wants_sheet = false;
            self.line.go_on_after(at, true);
            return Ok(Some(DayNews::Sheet(at, entries)));
        }
        loop {
            if let Some(change) = self.waiting.pop_front() {
                self.line.is_alive();
                return Ok(Some(DayNews::Changed(change)));
            }
            match self.line.next().await? {
                None => return Ok(None),
                Some(Heard::Quiet) => return Ok(Some(DayNews::Quiet(self.line.seen()))),
                Some(Heard::Batch(before, batch)) => {
                    let told = batch.days.get(&self.day).into_iter().flatten();
                    self.waiting.extend(told.filter(|change| change.revision > before).cloned());
                }
            }
        }
    }
}
