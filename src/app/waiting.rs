//! The waiting list: who would take time that comes free.

use super::commands::{
    AddEntry, AddedVisit, BookAppointment, FindSlots, ListEntries, OfferTime, SlotsOf, StartRules, WhichVisit,
};
use super::commands::{DEFAULT_GRID_MINUTES, Known, PageOf};
use super::page::{MAX_PAGE, Page, fetch};
use super::single_visit::{the_session_is_open, the_treatment};
use super::slots::FoundSlots;
use super::write::Begun;
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::appointment::Appointment;
use crate::domain::booking::body_area_misfit;
use crate::domain::catalog::ResourceKind;
use crate::domain::finding::Slot;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, ClinicId, PatientId, PracticeId, ResourceId, WaitingId};
use crate::domain::interval::Instant;
use crate::domain::refusal::{Rule, Violation};
use crate::domain::waiting::{Entry, EntryFor, EntryState, Freed, Window, ranked};
use crate::domain::zone::Zone;
use crate::store::waiting::{self, Sought};
use crate::store::{PgConnection, appointment, clinic, patient, resource, series};

/// Most entries that are read because of time that comes free, by rank.
const MAX_CANDIDATES: i64 = 500;
/// Most of them that are told; and most searches for a start.
const MAX_WANTING: usize = 50;
/// Most that are offered in an answer.
const MAX_MATCHES: usize = 10;

/// An entry, and the time: what has become of it follows from both.
#[derive(Debug, Clone)]
pub struct EntryNow {
    /// The entry.
    pub entry: Entry,
    /// The current time.
    pub now: Instant,
}

/// What is held for an entry.
#[derive(Debug, Clone)]
pub struct Offered {
    /// What is held.
    pub held: Appointment,
    /// The entry.
    pub entry: EntryNow,
}

/// An entry that wants time that has come free, and when its visit may begin.
#[derive(Debug, Clone)]
pub struct Match {
    /// The entry.
    pub entry: EntryNow,
    /// The first start that will do.
    pub slot: Slot,
    /// Whose time has come free.
    pub freed: AppointmentId,
}

impl App {
    /// Adds an entry to the waiting list.
    pub async fn add_entry(&self, caller: &Caller, command: &Command<AddEntry>) -> Result<EntryNow, Error> {
        self.retry(|| self.try_add_entry(caller, command)).await
    }

    async fn try_add_entry(&self, caller: &Caller, command: &Command<AddEntry>) -> Result<EntryNow, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.entry(practice, WaitingId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let AddEntry { which, clinic, practitioner, first, last, times, is_urgent } = command.body.clone();
        let (patient, what) = waits(write.db(), practice, which, now).await?;
        let zone = zone_of(write.db(), practice, clinic).await?;
        if let Some(id) = practitioner {
            must_be_practitioner(write.db(), practice, id).await?;
        }
        if last < zone.day(now) {
            return Err(Error::field("last_date", format!("must not be before today, {}", zone.day(now))));
        }
        let entry = Entry {
            id: WaitingId(self.ids.new_id(now)),
            patient,
            what,
            window: Window { clinic, practitioner, zone, first, last, times },
            is_urgent,
            since: now,
            added_revision: revision,
            state: EntryState::Waiting,
            changed_revision: revision,
        };
        // Nothing that is decided about the patient rests on it, so that it names none.
        write.record(ChangeKind::WaitingAdded, entry.id, None, Vec::new()).await?;
        waiting::insert(write.db(), practice, &entry).await?;
        write.finish().await?;
        Ok(EntryNow { entry, now })
    }

    /// Takes an entry off the waiting list.
    pub async fn withdraw_entry(
        &self,
        caller: &Caller,
        command: &Command<Known<WaitingId>>,
    ) -> Result<EntryNow, Error> {
        self.retry(|| self.try_withdraw_entry(caller, command)).await
    }

    async fn try_withdraw_entry(
        &self,
        caller: &Caller,
        command: &Command<Known<WaitingId>>,
    ) -> Result<EntryNow, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.entry(practice, WaitingId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let before = waiting_as_known(write.db(), practice, command.body).await?;
        write.record(ChangeKind::WaitingWithdrawn, before.id, None, Vec::new()).await?;
        waiting::withdraw(write.db(), practice, before.id, now, revision).await?;
        write.finish().await?;
        let state = EntryState::Withdrawn { at: now };
        Ok(EntryNow { entry: Entry { state, changed_revision: revision, ..before }, now })
    }

    /// Holds time for an entry.
    pub async fn offer_time(&self, caller: &Caller, command: &Command<OfferTime>) -> Result<Offered, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let OfferTime { entry: known, start, named, hold_minutes } = command.body.clone();
        let Entry { patient, what, window, .. } = self.entry(practice, known.id).await?.entry;
        let which = match what {
            EntryFor::Treatment { treatment, area } => WhichVisit::Treatment { patient, treatment, area },
            EntryFor::Session { series, number } => WhichVisit::Session { series, number },
        };
        let practitioner = window.practitioner.filter(|id| !named.contains(id));
        // Last, so that errors about the others name their places.
        let named = named.into_iter().chain(practitioner).collect();
        let held = command.with(BookAppointment {
            which,
            add_on: None,
            clinic: window.clinic,
            start,
            named,
            hold_minutes: Some(hold_minutes),
            offered_to: Some(known),
        });
        let held = self.book_appointment(caller, &held).await?;
        let mut entry = self.entry(practice, known.id).await?;
        if command.validate_only {
            entry.entry.state = EntryState::Offered(held.id);
        }
        Ok(Offered { held, entry })
    }

    /// Entries of the waiting list, by their rank.
    pub async fn list_entries(
        &self,
        caller: &Caller,
        scoped: Scoped<ListEntries>,
    ) -> Result<Page<EntryNow, i64>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListEntries { patient, with_ended, page } = scoped.query;
        let now = self.clock.now();
        let mut db = self.search_current(practice).await?;
        if let Some(id) = patient
            && !patient::exists(&mut db, practice, id).await?
        {
            return Err(Error::not_found("patient_id"));
        }
        let sought = Sought::Listed { patient, with_ended, now, after: page.after };
        let found = waiting::list(&mut db, practice, &sought, fetch(page.size)).await?;
        let found = found.into_iter().map(|entry| EntryNow { entry, now }).collect();
        Ok(Page::new(found, page.size, |last: &EntryNow| last.entry.rank()))
    }

    /// The entries that want the time that an appointment has given up.
    pub async fn find_matches(&self, caller: &Caller, scoped: Scoped<AppointmentId>) -> Result<Vec<Match>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let given_up = self.appointment(practice, scoped.query).await?;
        self.matches(practice, &[given_up.id]).await
    }

    /// The entries that want time that a command has freed, to be told in its answer; none if nothing was freed.
    pub async fn who_waits<T>(
        &self,
        caller: &Caller,
        command: &Command<T>,
        freed: &[AppointmentId],
    ) -> Result<Vec<Match>, Error> {
        if command.validate_only {
            return Ok(Vec::new());
        }
        self.matches(Self::tenant(caller, command.practice)?, freed).await
    }

    async fn matches(&self, practice: PracticeId, freed: &[AppointmentId]) -> Result<Vec<Match>, Error> {
        let now = self.clock.now();
        let wanting = {
            let mut db = self.search_current(practice).await?;
            let visits = appointment::several(&mut db, practice, freed).await?;
            let freed = visits.iter().filter(|visit| !visit.is_live()).filter_map(|visit| Freed::of(visit, now));
            candidates(&mut db, practice, freed.collect()).await?
        };
        let (mut matches, mut searches) = (Vec::new(), 0);
        for (entry, freed) in wanting {
            for freed in freed {
                if matches.len() == MAX_MATCHES || searches == MAX_WANTING {
                    return Ok(matches);
                }
                searches += 1;
                if let Some(slot) = self.first_slot(practice, &entry, &freed).await? {
                    matches.push(Match { entry: EntryNow { entry, now }, slot, freed: freed.appointment });
                    break;
                }
            }
        }
        Ok(matches)
    }

    /// The first start at which the visit of an entry may be booked and overlaps time that has come free.
    async fn first_slot(&self, practice: PracticeId, entry: &Entry, freed: &Freed) -> Result<Option<Slot>, Error> {
        let Window { clinic, practitioner, zone, first, last, times } = &entry.window;
        let ask = FindSlots {
            of: match entry.what {
                EntryFor::Treatment { treatment, area } => {
                    SlotsOf::Treatment { patient: Some(entry.patient), treatment, area }
                }
                EntryFor::Session { series, number } => SlotsOf::Session { series, number },
            },
            clinics: vec![*clinic],
            practitioners: practitioner.iter().copied().collect(),
            first: zone.day(freed.visit.start()).max(*first),
            last: zone.day(freed.visit.end()).min(*last),
            times: times.clone(),
            starts: StartRules { grid_minutes: DEFAULT_GRID_MINUTES, notice_minutes: 0 },
            moving: None,
            add_on: None,
            by_day: false,
            // More than a day has starts on the grid.
            page: PageOf { size: MAX_PAGE, after: None },
        };
        match self.slots(practice, ask).await {
            Ok(found) if found.missing.is_empty() => match found.page {
                FoundSlots::Slots(page) => {
                    let mut slots = page.items.into_iter().map(|(slot, _)| slot);
                    Ok(slots.find(|slot| slot.visit.overlaps(freed.visit)))
                }
                FoundSlots::Days(_) => Ok(None),
            },
            // It cannot be booked at all, be it that its session is booked already.
            Ok(_) | Err(Error::Refused(_) | Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn entry(&self, practice: PracticeId, id: WaitingId) -> Result<EntryNow, Error> {
        let now = self.clock.now();
        let entry = found(&mut *self.search_current(practice).await?, practice, id).await?;
        Ok(EntryNow { entry, now })
    }
}

async fn found(db: &mut PgConnection, practice: PracticeId, id: WaitingId) -> Result<Entry, Error> {
    waiting::get(db, practice, id).await?.ok_or_else(|| Error::not_found("waiting_id"))
}

/// An entry that waits and is as the caller knows it.
pub(super) async fn waiting_as_known(
    db: &mut PgConnection,
    practice: PracticeId,
    known: Known<WaitingId>,
) -> Result<Entry, Error> {
    let entry = found(db, practice, known.id).await?;
    entry.must_wait().map_err(Error::Refused)?;
    known.must_be_unchanged(entry.changed_revision)?;
    Ok(entry)
}

/// The entries that want time that live visits are about to give up, by rank.
pub(super) async fn wanting(
    db: &mut PgConnection,
    practice: PracticeId,
    visits: &[AppointmentId],
    now: Instant,
) -> Result<Vec<WaitingId>, Error> {
    let visits = appointment::several(db, practice, visits).await?;
    let freed = visits.iter().filter(|visit| visit.is_live()).filter_map(|visit| Freed::of(visit, now)).collect();
    Ok(candidates(db, practice, freed).await?.into_iter().map(|(entry, _)| entry.id).collect())
}

async fn candidates(
    db: &mut PgConnection,
    practice: PracticeId,
    freed: Vec<Freed>,
) -> Result<Vec<(Entry, Vec<Freed>)>, Error> {
    let first = freed.iter().map(|freed| freed.zone.day(freed.visit.start())).min();
    let last = freed.iter().map(|freed| freed.zone.day(freed.visit.end())).max();
    let Some((first, last)) = first.zip(last) else { return Ok(Vec::new()) };
    let mut clinics: Vec<ClinicId> = freed.iter().map(|freed| freed.clinic).collect();
    clinics.sort_unstable();
    clinics.dedup();
    let mut practitioners: Vec<ResourceId> = freed.iter().flat_map(|freed| freed.resources.iter().copied()).collect();
    practitioners.sort_unstable();
    practitioners.dedup();
    let ending = freed.iter().map(|freed| freed.appointment).collect();
    let sought = Sought::Waiting { clinics, practitioners, ending, first, last };
    let entries = waiting::list(db, practice, &sought, MAX_CANDIDATES).await?;
    let mut wanting = ranked(entries, &freed);
    wanting.truncate(MAX_WANTING);
    Ok(wanting)
}

/// Who waits: for a treatment that the practice has, or a session that is not booked.
async fn waits(
    db: &mut PgConnection,
    practice: PracticeId,
    which: AddedVisit,
    now: Instant,
) -> Result<(PatientId, EntryFor), Error> {
    match which {
        AddedVisit::Treatment { patient, treatment, area } => {
            let known = the_treatment(db, practice, (treatment, None), None).await?;
            if let Some(misfit) = body_area_misfit(&known, area) {
                return Err(Error::Refused(vec![misfit]));
            }
            if !patient::exists(db, practice, patient).await? {
                return Err(Error::not_found("treatment.patient_id"));
            }
            Ok((patient, EntryFor::Treatment { treatment, area }))
        }
        AddedVisit::Session { series: id, number } => {
            let series = series::get(db, practice, id).await?.ok_or_else(|| Error::not_found("session.series_id"))?;
            the_session_is_open(&series, number, None)?;
            if !series.open(series.session_count, now).contains(&number) {
                let text = "the session was left out before one that has begun; it could only lie in the past";
                return Err(Error::Refused(vec![Violation::new(Rule::SessionOutOfOrder, text)]));
            }
            Ok((series.patient, EntryFor::Session { series: id, number }))
        }
    }
}

async fn zone_of(db: &mut PgConnection, practice: PracticeId, id: ClinicId) -> Result<Zone, Error> {
    let clinic = clinic::get(db, practice, id).await?.ok_or_else(|| Error::not_found("clinic_id"))?;
    Ok(clinic.zone)
}

async fn must_be_practitioner(db: &mut PgConnection, practice: PracticeId, id: ResourceId) -> Result<(), Error> {
    let found = resource::get(db, practice, id).await?;
    let is_one = found.is_some_and(|resource| resource.kind == ResourceKind::Practitioner);
    if is_one { Ok(()) } else { Err(Error::not_found("practitioner_id")) }
}
