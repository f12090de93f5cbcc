//! The demonstration's bookings: series from the coming days on, and single visits over the next weeks. Each has a day
//! and hour to begin the search at; whatever the rules refuse is tried again a little later.

use super::catalog::{self, Catalogue, Course, Service};
use super::patients::{IN_BERLIN, PATIENTS};
use super::practice::Site::{self, Berlin, NewYork};
use super::practice::{Clinics, at, later};
use super::step::{Seeder, broken};
use crate::app::Error;
use crate::app::commands::{BookAppointment, BookSeries, SeriesOf, SessionRequest, WhichSessions, WhichVisit};
use crate::domain::access::Caller;
use crate::domain::catalog::BodyArea;
use crate::domain::ids::{ClinicId, PatientId};
use crate::domain::interval::Instant;
use crate::domain::refusal::{Rule, Violation};
use crate::domain::zone::Zone;

/// When visits begin, in minutes after midnight.
pub const STARTS: [i32; 6] = [9 * 60, 10 * 60 + 15, 11 * 60 + 30, 13 * 60, 14 * 60 + 15, 15 * 60 + 30];
/// No start is tried unless the clinic stays open for so many minutes: the longest visit with turnover.
const LONGEST_MINUTES: i32 = 95;
/// Days that are walked over in search of a start before a booking is left out: more than the longest aftercare window.
const MAX_DAYS: u64 = 42;

/// A day, counted from today, and a place in [`STARTS`] at which to begin the search.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Days from today: at least 1.
    pub day: u64,
    /// Place in the table.
    pub start: usize,
}

/// Series: number of the patient, clinic, protocol, area, day and start to begin the search at.
#[rustfmt::skip]
pub const SERIES: &[(usize, Site, Course, BodyArea, u64, usize)] = &[
    (1, Berlin, Course::StretchMarks, BodyArea::Abdomen, 1, 0),
    (2, Berlin, Course::StretchMarks, BodyArea::Thighs, 2, 2),
    (3, Berlin, Course::AcneScars, BodyArea::Face, 1, 4),
    (4, Berlin, Course::Rejuvenation, BodyArea::Face, 4, 1),
    (5, Berlin, Course::Prp, BodyArea::Scalp, 3, 3),
    (6, Berlin, Course::RadioFrequency, BodyArea::Neck, 5, 0),
    (7, Berlin, Course::StretchMarks, BodyArea::Hips, 8, 3),
    (8, Berlin, Course::AcneScars, BodyArea::Back, 9, 2),
    // A second area of a patient who is in a series already.
    (1, Berlin, Course::Rejuvenation, BodyArea::Face, 11, 4),
    (22, NewYork, Course::StretchMarks, BodyArea::Flanks, 1, 1),
    (23, NewYork, Course::Prp, BodyArea::Face, 3, 3),
    (24, NewYork, Course::RadioFrequency, BodyArea::Abdomen, 4, 0),
    (25, NewYork, Course::Rejuvenation, BodyArea::Decollete, 7, 2),
    (26, NewYork, Course::AcneScars, BodyArea::Face, 9, 4),
];

/// Patients from this one on, in Berlin, come for single visits only.
const FIRST_VISITOR_IN_BERLIN: usize = 9;
/// The same in New York.
const FIRST_VISITOR_IN_NEW_YORK: usize = 27;
/// How many single visits are booked.
const VISITS: usize = 54;
/// Over how many days their searches begin. No divisor in common with [`STRIDE`], so that every day has its turn.
const SPREAD_DAYS: usize = 37;
/// Days from one visit of the list to the next.
const STRIDE: usize = 5;

/// What is booked in turn in Berlin.
const TURNS_IN_BERLIN: [Service; 13] = [
    Service::Consultation,
    Service::Peel,
    Service::Sauna,
    Service::Consultation,
    Service::Laser,
    Service::Waxing,
    Service::Hydrotherapy,
    Service::Peel,
    Service::Botulinum,
    Service::Consultation,
    Service::Exercise,
    Service::MakeUp,
    Service::Filler,
];
/// The same in New York, which has less to offer.
const TURNS_IN_NEW_YORK: [Service; 8] = [
    Service::Consultation,
    Service::Peel,
    Service::Sauna,
    Service::Consultation,
    Service::Laser,
    Service::Waxing,
    Service::Filler,
    Service::Botulinum,
];

/// How much was booked.
pub struct Booked {
    /// Series.
    pub series: usize,
    /// Single visits.
    pub visits: usize,
}

/// Books everything. What finds no start within [`MAX_DAYS`] is left out: then the demonstration has one booking
/// less, which is better than none.
pub async fn book(
    seeder: &Seeder<'_>,
    catalogue: &Catalogue,
    clinics: &Clinics,
    patients: &[PatientId],
    now: Instant,
) -> Result<Booked, Error> {
    let patient = |number: usize| patients.get(number).copied().ok_or_else(|| broken("no such patient"));
    let mut booked = Booked { series: 0, visits: 0 };
    for (number, &(who, site, course, area, day, start)) in SERIES.iter().enumerate() {
        let mut search = Search::default();
        for starts in series_starts(site, course, now, Wish { day, start })? {
            if !search.may_do(&starts) {
                continue;
            }
            let (clinic, protocol) = (clinics.id(site), catalogue.protocol(course)?);
            let of = SeriesOf::New { patient: patient(who)?, protocol, area };
            let body = BookSeries { of, sessions: sessions(clinic, &starts), hold_minutes: None };
            let command = seeder.command(&format!("series {number}"), body);
            search.learn(seeder.app.book_series(&Caller::COMMAND_LINE, &command).await)?;
        }
        booked.series += usize::from(search.found);
    }
    for number in 0..VISITS {
        let Visit { who, site, service, wish } = visit(number)?;
        let mut search = Search::default();
        for start in starts(site, site.zone()?, now, wish)? {
            if !search.may_do(&[start]) {
                continue;
            }
            let (patient, treatment) = (patient(who)?, catalogue.treatment(service)?);
            let which = WhichVisit::Treatment { patient, treatment, area: None };
            let body = BookAppointment {
                which,
                add_on: None,
                clinic: clinics.id(site),
                start,
                named: Vec::new(),
                hold_minutes: None,
                offered_to: None,
            };
            let command = seeder.command(&format!("visit {number}"), body);
            search.learn(seeder.app.book_appointment(&Caller::COMMAND_LINE, &command).await)?;
        }
        booked.visits += usize::from(search.found);
    }
    Ok(booked)
}

/// What is known in a search for a start: each refusal says when the session would do, so nothing before that is tried.
#[derive(Debug, Default)]
pub struct Search {
    found: bool,
    hopeless: bool,
    not_before: Vec<(usize, Instant)>,
}

impl Search {
    /// Whether it makes sense to ask for a visit, or a series, that begins then.
    pub fn may_do(&self, starts: &[Instant]) -> bool {
        let early = |(place, earliest): &(usize, Instant)| starts.get(*place).is_some_and(|start| start < earliest);
        !self.found && !self.hopeless && !self.not_before.iter().any(early)
    }

    /// Takes an answer; that it is a refusal is no error here.
    pub fn learn<T>(&mut self, answer: Result<T, Error>) -> Result<Option<T>, Error> {
        match answer {
            Ok(booked) => {
                self.found = true;
                return Ok(Some(booked));
            }
            Err(Error::Refused(refusal)) => {
                for Violation { rule, session, earliest, .. } in refusal {
                    self.hopeless |= matches!(rule, Rule::NoQualifiedResource | Rule::ClearanceMissing);
                    self.not_before.extend(earliest.map(|earliest| (session.unwrap_or_default(), earliest.start)));
                }
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }
}

/// A single visit.
struct Visit {
    who: usize,
    site: Site,
    service: Service,
    wish: Wish,
}

/// The single visit of that number. Plain arithmetic gives variety enough, the same in every run.
fn visit(number: usize) -> Result<Visit, Error> {
    let in_turn = |services: &[Service], turn: usize| services.get(turn % services.len()).copied();
    let (site, who, service) = if number % 3 == 2 {
        let who = FIRST_VISITOR_IN_NEW_YORK + number / 3 % (PATIENTS.len() - FIRST_VISITOR_IN_NEW_YORK);
        (NewYork, who, in_turn(&TURNS_IN_NEW_YORK, number / 3))
    } else {
        // Two of three visits are in Berlin; they are counted here without the third.
        let turn = number - number / 3;
        let who = FIRST_VISITOR_IN_BERLIN + turn % (IN_BERLIN - FIRST_VISITOR_IN_BERLIN);
        (Berlin, who, in_turn(&TURNS_IN_BERLIN, turn + turn / TURNS_IN_BERLIN.len()))
    };
    let service = service.ok_or_else(|| broken("there is nothing to book"))?;
    let day = u64::try_from(1 + number * STRIDE % SPREAD_DAYS).map_err(|_| broken("a day is too far away"))?;
    Ok(Visit { who, site, service, wish: Wish { day, start: number % STARTS.len() } })
}

/// Starts at a clinic, from a wish on: later on the same day, then on the days that follow.
pub fn starts(site: Site, zone: Zone, now: Instant, wish: Wish) -> Result<Vec<Instant>, Error> {
    let first = later(zone.day(now), wish.day)?;
    let mut found = Vec::new();
    for ahead in 0..MAX_DAYS {
        let day = later(first, ahead)?;
        let skipped = if ahead == 0 { wish.start } else { 0 };
        let open = STARTS.iter().skip(skipped).filter(|start| site.is_open(day, **start, **start + LONGEST_MINUTES));
        found.extend(open.map(|start| at(zone, day, *start)));
    }
    Ok(found)
}

/// The same for a whole series of the usual length: its sessions keep the hour of the first, at the gap aimed at.
pub fn series_starts(site: Site, course: Course, now: Instant, wish: Wish) -> Result<Vec<Vec<Instant>>, Error> {
    let (count, gap) = catalog::usual(course)?;
    let zone = site.zone()?;
    let series = |first| (0..count).map(|session| zone.plus_days(first, i64::from(session * gap))).collect();
    Ok(starts(site, zone, now, wish)?.into_iter().map(series).collect())
}

/// Sessions at one clinic, with whoever is free.
pub fn sessions(clinic: ClinicId, starts: &[Instant]) -> WhichSessions {
    let sessions = starts.iter();
    let sessions = sessions.map(|start| SessionRequest {
        clinic,
        start: *start,
        named: Vec::new(),
        practitioner: None,
        moved_from: None,
    });
    WhichSessions::Given(sessions.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::catalog::treatments;
    use crate::domain::refusal::Earliest;
    use crate::domain::zone::Zone;

    fn now() -> Instant {
        "2026-03-20T15:04:05Z".parse().unwrap()
    }

    #[test]
    fn nothing_is_ahead_for_the_patient_of_the_examples() {
        assert!(SERIES.iter().all(|row| row.0 != 0 && row.0 < PATIENTS.len()));
        for number in 0..VISITS {
            let who = visit(number).unwrap().who;
            assert!(who != 0 && who < PATIENTS.len(), "visit {number}");
        }
    }

    #[test]
    fn no_visit_needles_of_those_who_were_never_consulted() {
        let treatments = treatments().unwrap();
        for number in 0..VISITS {
            let visit = visit(number).unwrap();
            let content = &treatments.iter().find(|(service, _)| *service == visit.service).unwrap().1;
            assert_eq!(content.spacing_days, None, "{:?}", visit.service);
        }
    }

    #[test]
    fn no_visit_is_longer_than_the_search_reckons_with() {
        let minutes = |content: &crate::domain::catalog::TreatmentContent| -> i32 {
            content.phases.iter().map(|phase| phase.minutes).sum()
        };
        assert_eq!(treatments().unwrap().iter().map(|(_, content)| minutes(content)).max(), Some(LONGEST_MINUTES));
    }

    #[test]
    fn sessions_keep_their_hour_across_a_clock_change() {
        let zone = Berlin.zone().unwrap();
        let series = series_starts(Berlin, Course::StretchMarks, now(), Wish { day: 3, start: 0 }).unwrap();
        let local: Vec<_> = series[0].iter().map(|start| zone.written(*start)).collect();
        assert_eq!(
            local,
            [
                "2026-03-23T09:00:00+01:00",
                "2026-04-27T09:00:00+02:00",
                "2026-06-01T09:00:00+02:00",
                "2026-07-06T09:00:00+02:00"
            ]
        );
    }

    #[test]
    fn a_refusal_shortens_the_search() {
        let (asked, earliest): (Instant, Instant) = (now(), "2026-03-24T08:00:00Z".parse().unwrap());
        let violation = Violation {
            session: Some(1),
            earliest: Some(Earliest { start: earliest, zone: Zone::from_name("Europe/Berlin").unwrap() }),
            ..Violation::new(Rule::NoResourceFree, "")
        };
        let mut search = Search::default();
        assert!(search.may_do(&[asked, asked]));
        search.learn::<()>(Err(Error::Refused(vec![violation]))).unwrap();
        assert!(!search.may_do(&[asked, asked]));
        assert!(search.may_do(&[asked, earliest]));
        search.learn(Ok(())).unwrap();
        assert!(!search.may_do(&[asked, earliest]), "one is enough");
        assert!(search.learn::<()>(Err(Error::EtagMismatch)).is_err());
    }

    #[test]
    fn starts_lie_in_the_future_on_days_that_are_open() {
        for site in [Berlin, NewYork] {
            let found = starts(site, site.zone().unwrap(), now(), Wish { day: 1, start: 5 }).unwrap();
            assert!(!found.is_empty());
            assert!(found.iter().all(|start| *start > now()));
            assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
