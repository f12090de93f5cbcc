//! The demonstration's clinics, the people who work there, the rooms and devices, a closure and time off.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate, NaiveTime, TimeDelta, Weekday};

use super::catalog::qualification;
use super::step::{Seeder, broken, label, prose};
use crate::app::Error;
use crate::app::commands::{Narrows, NewClinic, NewClosure, NewResource, NewTimeOff, Rebooking, ResourceSettings};
use crate::domain::access::Caller;
use crate::domain::catalog::ResourceKind::{self, Assistant, Device, Practitioner, Room};
use crate::domain::hours::{Stretch, Week};
use crate::domain::ids::{ClinicId, ResourceId};
use crate::domain::interval::{Instant, Interval};
use crate::domain::text::Personal;
use crate::domain::zone::Zone;
use Site::{Berlin, NewYork};
use Weekday::{Fri, Mon, Sat, Thu, Tue, Wed};

/// A clinic of the demonstration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Where most of it happens.
    Berlin,
    /// In another time zone.
    NewYork,
}

impl Site {
    const fn name(self) -> &'static str {
        match self {
            Berlin => "Lindenhof, Berlin",
            NewYork => "Harbour Street, New York",
        }
    }

    /// Where its wall clock is.
    pub fn zone(self) -> Result<Zone, Error> {
        let name = match self {
            Berlin => "Europe/Berlin",
            NewYork => "America/New_York",
        };
        Zone::from_name(name).ok_or_else(|| broken("a time zone is not known"))
    }

    /// The hours from when until when it is open on a weekday.
    const fn open(self, weekday: Weekday) -> Option<(i32, i32)> {
        match (self, weekday) {
            (_, Weekday::Sun) => None,
            (Berlin, Sat) => Some((9, 15)),
            (NewYork, Sat) => Some((10, 15)),
            (Berlin, _) => Some((8, 19)),
            (NewYork, _) => Some((9, 18)),
        }
    }

    /// Whether a stretch of a day, in minutes after midnight, lies within its opening hours.
    pub fn is_open(self, day: NaiveDate, from: i32, to: i32) -> bool {
        self.open(day.weekday()).is_some_and(|(opens, closes)| opens * 60 <= from && to <= closes * 60)
    }

    fn opening_hours(self) -> Result<Week, Error> {
        let stretches = [Mon, Tue, Wed, Thu, Fri, Sat].into_iter().filter_map(|weekday| {
            let (from, to) = self.open(weekday)?;
            Some(hours(weekday, from, to))
        });
        Week::new(stretches.collect::<Result<_, _>>()?).ok_or_else(|| broken("opening hours overlap"))
    }
}

/// The clinics as they were made.
pub struct Clinics {
    berlin: ClinicId,
    new_york: ClinicId,
}

impl Clinics {
    /// The clinic of a site.
    pub const fn id(&self, site: Site) -> ClinicId {
        match site {
            Berlin => self.berlin,
            NewYork => self.new_york,
        }
    }
}

/// Where somebody works, on which weekdays, from and to which hour.
type Shift = (Site, &'static [Weekday], i32, i32);

const MON_TO_FRI: &[Weekday] = &[Mon, Tue, Wed, Thu, Fri];

/// People: their kind, name, qualifications and shifts.
#[rustfmt::skip]
const PEOPLE: &[(ResourceKind, &str, &[&str], &[Shift])] = &[
    (Practitioner, "Dr Annika Velten", &["clearance", "injectables", "laser_and_light", "microneedling"],
        &[(Berlin, &[Mon, Tue, Wed, Thu], 8, 16)]),
    (Practitioner, "Jonas Feldkamp", &["microneedling", "chemical_peel"],
        &[(Berlin, &[Tue, Wed, Thu, Fri], 10, 19), (Berlin, &[Sat], 9, 15)]),
    (Practitioner, "Mirela Dobrescu", &["microneedling", "rf_microneedling", "chemical_peel", "laser_and_light"],
        &[(Berlin, MON_TO_FRI, 9, 18)]),
    // Works at both clinics, on different days of the week.
    (Practitioner, "Dr Ruth Adeyemi-Lang", &["clearance", "microneedling", "rf_microneedling", "injectables"],
        &[(Berlin, &[Mon, Tue], 9, 17), (NewYork, &[Thu, Fri], 9, 17)]),
    (Practitioner, "Dr Samuel Ortega-Pine",
        &["clearance", "microneedling", "rf_microneedling", "laser_and_light", "injectables"],
        &[(NewYork, MON_TO_FRI, 9, 17)]),
    (Practitioner, "Keisha Lindqvist", &["microneedling", "chemical_peel"],
        &[(NewYork, &[Tue, Wed, Thu, Fri], 10, 18), (NewYork, &[Sat], 10, 15)]),
    (Assistant, "Pia Sonnleitner", &["preparation", "venepuncture"],
        &[(Berlin, MON_TO_FRI, 8, 17), (Berlin, &[Sat], 9, 15)]),
    (Assistant, "Deniz Karahan", &["preparation", "waxing"], &[(Berlin, MON_TO_FRI, 9, 19)]),
    (Assistant, "Lotte Brandis", &["make_up", "fitness", "waxing"], &[(Berlin, MON_TO_FRI, 9, 18)]),
    (Assistant, "Marcus Bell-Okafor", &["preparation", "venepuncture"], &[(NewYork, MON_TO_FRI, 9, 18)]),
    (Assistant, "Yuki Tanaka-Ross", &["preparation", "waxing", "make_up"],
        &[(NewYork, &[Tue, Wed, Thu, Fri], 9, 18), (NewYork, &[Sat], 10, 15)]),
];

/// Rooms and devices: their kind, clinic, name and what they are good for.
#[rustfmt::skip]
const THINGS: &[(ResourceKind, Site, &str, &[&str])] = &[
    (Room, Berlin, "Treatment room 1", &["treatment_room"]),
    (Room, Berlin, "Treatment room 2", &["treatment_room"]),
    (Room, Berlin, "Treatment room 3", &["treatment_room"]),
    (Room, Berlin, "Consulting room", &["consulting_room"]),
    (Room, Berlin, "Sauna", &["sauna"]),
    (Room, Berlin, "Pool", &["pool"]),
    (Room, Berlin, "Studio", &["studio"]),
    (Device, Berlin, "Needling pen 1", &["needling_pen"]),
    (Device, Berlin, "Needling pen 2", &["needling_pen"]),
    (Device, Berlin, "Needling pen 3", &["needling_pen"]),
    (Device, Berlin, "Radio-frequency needling device", &["rf_needling_device"]),
    (Device, Berlin, "Laser", &["laser"]),
    (Device, Berlin, "Centrifuge", &["centrifuge"]),
    (Device, Berlin, "Sunbed", &["sunbed"]),
    (Room, NewYork, "Treatment room A", &["treatment_room"]),
    (Room, NewYork, "Treatment room B", &["treatment_room"]),
    (Room, NewYork, "Consulting room", &["consulting_room"]),
    (Room, NewYork, "Sauna", &["sauna"]),
    (Device, NewYork, "Needling pen A", &["needling_pen"]),
    (Device, NewYork, "Needling pen B", &["needling_pen"]),
    (Device, NewYork, "Radio-frequency needling device", &["rf_needling_device"]),
    (Device, NewYork, "Laser", &["laser"]),
    (Device, NewYork, "Centrifuge", &["centrifuge"]),
];

/// Time off: of whom, where their days are counted, days from today, number of days, why.
#[rustfmt::skip]
const TIME_OFF: &[(&str, Site, u64, u64, &str)] = &[
    ("Jonas Feldkamp", Berlin, 20, 7, "leave"),
    ("Keisha Lindqvist", NewYork, 13, 2, "training course"),
    ("Lotte Brandis", Berlin, 6, 1, "leave"),
];

/// Days from today until the closure.
const CLOSURE_IN_DAYS: u64 = 24;
/// Its first and last hour.
const CLOSURE_HOURS: (i32, i32) = (16, 19);

/// Makes the clinics and all that is in them.
pub async fn create(seeder: &Seeder<'_>, now: Instant) -> Result<Clinics, Error> {
    let clinics = Clinics { berlin: clinic(seeder, Berlin).await?, new_york: clinic(seeder, NewYork).await? };
    closure(seeder, &clinics, now).await?;
    let mut people = BTreeMap::new();
    for &(kind, name, codes, shifts) in PEOPLE {
        let settings = settings(name, codes, working_hours(&clinics, shifts)?)?;
        people.insert(name, resource(seeder, name, NewResource { kind, clinic: None, settings }).await?);
    }
    for &(kind, site, name, codes) in THINGS {
        let clinic = Some(clinics.id(site));
        let step = format!("{name} at {site:?}");
        resource(seeder, &step, NewResource { kind, clinic, settings: settings(name, codes, Vec::new())? }).await?;
    }
    for &(name, site, from, days, reason) in TIME_OFF {
        let zone = site.zone()?;
        let first = later(zone.day(now), from)?;
        let during = interval(zone.midnight(first), zone.midnight(later(first, days)?))?;
        let resource = *people.get(name).ok_or_else(|| broken("somebody unknown has time off"))?;
        let time_off = NewTimeOff { resource, during, reason: Personal::new(prose(reason)?) };
        let body = Narrows { to: time_off, rebooking: Rebooking::Later };
        let command = seeder.command(&format!("time off of {name}"), body);
        seeder.app.create_time_off(&Caller::COMMAND_LINE, &command).await?;
    }
    Ok(clinics)
}

async fn clinic(seeder: &Seeder<'_>, site: Site) -> Result<ClinicId, Error> {
    let body = NewClinic { name: label(site.name())?, zone: site.zone()?, opening_hours: site.opening_hours()? };
    let command = seeder.command(&format!("clinic {site:?}"), body);
    Ok(seeder.app.create_clinic(&Caller::COMMAND_LINE, &command).await?.id)
}

async fn closure(seeder: &Seeder<'_>, clinics: &Clinics, now: Instant) -> Result<(), Error> {
    let zone = Berlin.zone()?;
    let wished = later(zone.day(now), CLOSURE_IN_DAYS)?;
    // At the weekend there is nothing to close at that hour.
    let day = if matches!(wished.weekday(), Sat | Weekday::Sun) { later(wished, 2)? } else { wished };
    let (from, to) = CLOSURE_HOURS;
    let during = interval(at(zone, day, from * 60), at(zone, day, to * 60))?;
    let body = NewClosure { clinic: clinics.id(Berlin), during, reason: prose("Staff meeting")? };
    seeder
        .app
        .create_closure(
            &Caller::COMMAND_LINE,
            &seeder.command("closure", Narrows { to: body, rebooking: Rebooking::Later }),
        )
        .await?;
    Ok(())
}

async fn resource(seeder: &Seeder<'_>, step: &str, body: NewResource) -> Result<ResourceId, Error> {
    let command = seeder.command(&format!("resource {step}"), body);
    Ok(seeder.app.create_resource(&Caller::COMMAND_LINE, &command).await?.id)
}

fn settings(name: &str, codes: &[&str], working_hours: Vec<(ClinicId, Stretch)>) -> Result<ResourceSettings, Error> {
    Ok(ResourceSettings {
        name: Personal::new(label(name)?),
        active: true,
        qualifications: codes.iter().map(|code| qualification(code)).collect::<Result<_, _>>()?,
        working_hours,
    })
}

fn working_hours(clinics: &Clinics, shifts: &[Shift]) -> Result<Vec<(ClinicId, Stretch)>, Error> {
    let days = shifts.iter().flat_map(|&(site, days, from, to)| days.iter().map(move |day| (site, *day, from, to)));
    days.map(|(site, day, from, to)| Ok((clinics.id(site), hours(day, from, to)?))).collect()
}

fn hours(weekday: Weekday, from: i32, to: i32) -> Result<Stretch, Error> {
    Stretch::new(weekday, from * 60, to * 60).ok_or_else(|| broken("hours leave their day"))
}

fn interval(start: Instant, end: Instant) -> Result<Interval, Error> {
    Interval::new(start, end).ok_or_else(|| broken("a stretch of time is empty"))
}

/// A day, that many days later.
pub fn later(day: NaiveDate, days: u64) -> Result<NaiveDate, Error> {
    day.checked_add_days(Days::new(days)).ok_or_else(|| broken("a day lies after the end of the calendar"))
}

/// The instant at which the wall clock shows that many minutes after midnight.
pub fn at(zone: Zone, day: NaiveDate, minutes: i32) -> Instant {
    zone.instant(day.and_time(NaiveTime::MIN) + TimeDelta::minutes(i64::from(minutes)))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::demo::catalog;
    use crate::domain::catalog::Need;

    #[test]
    fn somebody_or_something_in_berlin_serves_every_need_of_the_catalogue() {
        for (service, content) in catalog::treatments().unwrap() {
            for Need { kind, qualification } in content.needs() {
                let code = qualification.as_str();
                let person = PEOPLE.iter().any(|(of, _, codes, shifts)| {
                    of == kind && codes.contains(&code) && shifts.iter().any(|shift| shift.0 == Berlin)
                });
                let thing =
                    THINGS.iter().any(|(of, at, _, codes)| of == kind && *at == Berlin && codes.contains(&code));
                assert!(person || thing, "{service:?} needs a {kind:?} for {code}");
            }
        }
    }

    #[test]
    fn hours_make_weeks_and_names_are_unique() {
        let clinics = Clinics { berlin: ClinicId(Uuid::nil()), new_york: ClinicId(Uuid::max()) };
        let mut names = Vec::new();
        for (_, name, codes, shifts) in PEOPLE {
            let worked = working_hours(&clinics, shifts).unwrap();
            assert!(Week::new(worked.iter().map(|(_, stretch)| *stretch).collect()).is_some(), "{name}");
            assert!(settings(name, codes, worked).is_ok());
            names.push(*name);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PEOPLE.len());
        assert!(TIME_OFF.iter().all(|(name, ..)| names.contains(name)));
        assert!(Berlin.opening_hours().is_ok() && NewYork.opening_hours().is_ok());
    }
}
