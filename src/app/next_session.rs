//! What a series needs next, told with the cancellation or the no-show that left a session open.

use chrono::{Days, NaiveDate};

use super::commands::{DEFAULT_GRID_MINUTES, FindSlots, PageOf, SlotsOf, StartRules};
use super::series::found;
use super::slots::{Found, FoundSlots};
use super::{App, Error};
use crate::domain::appointment::{Appointment, SessionOf};
use crate::domain::finding::{Slot, Times};
use crate::domain::ids::PracticeId;
use crate::domain::next_session::OpenSession;
use crate::domain::refusal::Violation;
use crate::domain::series::Series;

/// Most slots that are told with a cancellation.
pub const MAX_NEXT_SLOTS: i32 = 5;
/// Days from the earliest one on in which slots are looked for.
const NEXT_SLOT_DAYS: u64 = 42;

/// What a series needs next.
#[derive(Debug, Clone)]
pub struct NextSession {
    /// The session that is open.
    pub open: OpenSession,
    /// The current day at the clinic of the visit that ended.
    pub today: NaiveDate,
    /// The first slots for it, at that clinic.
    pub slots: Vec<Slot>,
    /// What has to be settled before it can be booked.
    pub missing: Vec<Violation>,
    /// What stands in its way at some times to come.
    pub limits: Vec<Violation>,
}

impl App {
    /// What the series of a session needs that was cancelled or missed; nothing where that was taken back since. It is
    /// found out after that was done, without holding the practice; what cannot be found out is left out.
    pub(super) async fn next_session(
        &self,
        practice: PracticeId,
        ended: &Appointment,
        validate_only: bool,
    ) -> Option<NextSession> {
        if ended.is_live() {
            return None;
        }
        let session = ended.session?;
        let now = self.clock.now();
        let open = self.series_without(practice, session, ended).await.ok()?.next_open(ended.zone, now)?;
        // Where nothing was changed, the session is not open.
        let found = if validate_only { None } else { self.next_slots(practice, session, ended, open).await };
        let (slots, missing, limits) = match found {
            Some(Found { page: FoundSlots::Slots(page), missing, limits }) => {
                (page.items.into_iter().map(|(slot, _)| slot).collect(), missing, limits)
            }
            Some(Found { page: FoundSlots::Days(_), .. }) | None => (Vec::new(), Vec::new(), Vec::new()),
        };
        Some(NextSession { open, today: ended.zone.day(now), slots, missing, limits })
    }

    async fn series_without(
        &self,
        practice: PracticeId,
        session: SessionOf,
        ended: &Appointment,
    ) -> Result<Series, Error> {
        let mut series = found(&mut *self.read_current(practice).await?, practice, session.series).await?;
        series.sessions.retain(|known| known.id != ended.id);
        Ok(series)
    }

    async fn next_slots(
        &self,
        practice: PracticeId,
        session: SessionOf,
        ended: &Appointment,
        open: OpenSession,
    ) -> Option<Found> {
        let last = open.earliest.checked_add_days(Days::new(NEXT_SLOT_DAYS - 1))?;
        let last = open.latest.map_or(last, |latest| latest.min(last));
        if last < open.earliest {
            return None;
        }
        let ask = FindSlots {
            of: SlotsOf::Session { series: session.series, number: open.number },
            add_on: None,
            clinics: vec![ended.clinic],
            practitioners: Vec::new(),
            first: open.earliest,
            last,
            times: Times::default(),
            starts: StartRules { grid_minutes: DEFAULT_GRID_MINUTES, notice_minutes: 0 },
            moving: None,
            by_day: false,
            page: PageOf { size: MAX_NEXT_SLOTS, after: None },
        };
        self.slots(practice, ask).await.ok()
    }
}
