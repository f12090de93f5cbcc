//! What happened from one revision to another, as watchers are told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::app::sheet::{SheetEntry, entries};
use crate::app::{App, Error};
use crate::domain::appointment::Appointment;
use crate::domain::history::{Change, ChangeKind};
use crate::domain::ids::{AppointmentId, ClinicId, PracticeId};
use crate::domain::interval::{Instant, Interval};
use crate::store::{appointment, history};

/// Most changes that are read at once.
const MAX_CHANGES: i64 = 100;

/// A calendar day at a clinic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClinicDay {
    /// The clinic.
    pub clinic: ClinicId,
    /// From one midnight of its wall clock to the next.
    pub during: Interval,
}

/// A change that concerns the sheet of a day.
#[derive(Debug)]
pub struct DayChange {
    /// Its place in the history.
    pub revision: i64,
    /// What happened.
    pub kind: ChangeKind,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// The visits of the sheet that it may have changed, as they are now.
    pub entries: Vec<Arc<SheetEntry>>,
    /// The visits that it concerned and that are on the sheet no more.
    pub left: Vec<AppointmentId>,
}

/// All that happened after one revision up to another, and what it means for some days.
#[derive(Debug)]
pub(super) struct Batch {
    /// It begins after this revision.
    pub after: i64,
    /// And ends with this one.
    pub until: i64,
    /// The changes, one for each revision.
    pub changes: Vec<Change>,
    /// The days that were looked at, each with the changes that concern it.
    pub days: BTreeMap<ClinicDay, Vec<Arc<DayChange>>>,
}

impl Batch {
    /// Nothing, at a revision.
    pub(super) const fn nothing(at: i64) -> Self {
        Self { after: at, until: at, changes: Vec::new(), days: BTreeMap::new() }
    }

    /// Whether it may be that more has happened.
    pub(super) fn is_full(&self) -> bool {
        i64::try_from(self.changes.len()).is_ok_and(|length| length >= MAX_CHANGES)
    }
}

impl App {
    /// What happened after a revision, read in one go. `days` is asked once the state is fixed that is read: whoever
    /// begins to watch a day and then reads its sheet misses nothing.
    pub(super) async fn batch(
        &self,
        practice: PracticeId,
        after: i64,
        days: impl FnOnce() -> Vec<ClinicDay>,
    ) -> Result<Batch, Error> {
        let mut db = self.read().await?;
        let changes = history::list(&mut db, practice, after, MAX_CHANGES).await?;
        let days = days();
        let until = changes.last().map_or(after, |last| last.revision);
        let mut told: BTreeMap<ClinicDay, Vec<Arc<DayChange>>> = days.iter().map(|day| (*day, Vec::new())).collect();
        let asked: Vec<_> = days.iter().map(|day| (day.clinic, day.during)).collect();
        let touched = appointment::touched(&mut db, practice, (after, until), &asked).await?;
        let mut ids: Vec<AppointmentId> = touched.iter().map(|(.., id)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut visits = appointment::several(&mut db, practice, &ids).await?;
        visits.retain(Appointment::is_live);
        let shown = entries(&mut db, practice, visits).await?;
        let shown: HashMap<AppointmentId, Arc<SheetEntry>> =
            shown.into_iter().map(|entry| (entry.appointment.id, Arc::new(entry))).collect();
        // By day, then by revision.
        for of_change in touched.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (place, revision, _) = of_change[0];
            let day = days.get(place).and_then(|day| told.get_mut(day));
            let change = changes.iter().find(|change| change.revision == revision);
            let Some((day, change)) = day.zip(change) else { continue };
            let (mut entries, mut left) = (Vec::new(), Vec::new());
            for (.., id) in of_change {
                match shown.get(id) {
                    Some(entry) => entries.push(Arc::clone(entry)),
                    None => left.push(*id),
                }
            }
            let Change { kind, recorded_at, .. } = *change;
            day.push(Arc::new(DayChange { revision, kind, recorded_at, entries, left }));
        }
        Ok(Batch { after, until, changes, days: told })
    }
}
