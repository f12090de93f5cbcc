//! What is offered is what may be booked, and nothing else: random offers and random other starts, in zones with odd
//! offsets, around the nights in which their clocks change.

use std::collections::HashMap;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use stipple::rpc::pb;
use stipple::rpc::pb::book_appointment_request as book;
use stipple::rpc::pb::find_slots_request::Visit;
use tonic::Status;

use super::{found, local, search, session_of, start, treatment};
use crate::desk::{said, session, simple};
use crate::harness::kill::Killed;
use crate::harness::random::Random;
use crate::harness::world::{request_id, timestamp};
use crate::harness::{World, refusal};
use crate::who_and_where::{update, working};

/// How often a calendar is searched, and then changed, in each stretch of days.
const ROUNDS: usize = 10;
/// Visits of others in each stretch of days, as far as there is room for them.
const OTHERS: usize = 30;
/// How often when servers are killed and started anew all the time.
const ROUNDS_WITH_KILLS: usize = 2;

/// A world with odd hours, and what was booked in it.
struct Site {
    world: World,
    random: Random,
    treatments: Vec<(String, Vec<pb::BodyArea>)>,
    sessions: Vec<(pb::Series, String)>,
    booked: Vec<pb::Appointment>,
    days: (NaiveDate, NaiveDate),
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    searches: usize,
    empty: usize,
    taken: usize,
    refused: usize,
    booked: usize,
    changes: usize,
}

async fn open(world: &World, hours: Vec<pb::WeeklyHours>) {
    let mut practices = world.manager.practices();
    let request = pb::GetClinicRequest { clinic_id: world.clinic.clone(), ..Default::default() };
    let clinic = practices.get_clinic(request).await.unwrap().into_inner().clinic.unwrap();
    let request = pb::UpdateClinicRequest {
        request_id: request_id(),
        etag: clinic.etag,
        clinic_id: clinic.clinic_id,
        name: clinic.name,
        opening_hours: hours,
        ..Default::default()
    };
    practices.update_clinic(request).await.unwrap();
}

/// A visit for which two practitioners are needed, each for something else, one of them from its end on.
fn duet() -> pb::TreatmentContent {
    let mut duet = simple("Duet", 40, vec![pb::Activity::LaserAndLight]);
    let need = |qualification: &str| pb::Need {
        kind: pb::ResourceKind::Practitioner.into(),
        qualification: qualification.into(),
    };
    duet.phases[0].needs.extend([need("microneedling"), need("laser")]);
    duet.phases.push(pb::Phase {
        name: "cooling".into(),
        minutes: 10,
        patient_present: false,
        exposing: false,
        needs: vec![need("laser")],
        evidence: None,
    });
    duet.restrictions = vec![pb::Restriction {
        before: Some(pb::Span { amount: Some(pb::span::Amount::Days(1)) }),
        after: Some(pb::Span { amount: Some(pb::span::Amount::Days(2)) }),
        ..crate::desk::hours_after(pb::Activity::Heat, 1)
    }];
    duet
}

impl Site {
    async fn new(zone: &str, seed: u64, stretches: &[NaiveDate]) -> Self {
        let world = World::in_zone(zone).await;
        let mut sessions = Vec::new();
        // A series for each stretch, whose second session may lie on its third and fourth day only.
        for (place, first) in stretches.iter().enumerate() {
            let third = *first + Days::new(2);
            let days = [third - Days::new(28), third, third + Days::new(29)];
            let starts = days.map(|day| format!("{day}T10:00:00"));
            let mut request = world.series_request(&[&starts[0], &starts[1], &starts[2]]);
            request.patient_id.clone_from(&world.patients[place % 2]);
            let series = world.manager.series().book_series(request).await.unwrap().into_inner().series.unwrap();
            world.cancel(session(&series, 2)).await.unwrap();
            sessions.push((series, world.patients[place % 2].clone()));
        }
        let needles = vec![pb::BodyArea::Face, pb::BodyArea::Back, pb::BodyArea::Hips];
        let none = vec![pb::BodyArea::Unspecified];
        let treatments = vec![
            (world.needling.clone(), needles),
            (world.sauna.clone(), none.clone()),
            (world.publish_treatment(simple("Peel", 25, vec![pb::Activity::ChemicalPeel])).await, none.clone()),
            (world.publish_treatment(duet()).await, none),
        ];
        let third = world.resource(pb::ResourceKind::Practitioner, "laser").await;
        for id in [&world.practitioners[0], &third] {
            let both = vec!["laser".to_owned(), "microneedling".to_owned()];
            update(&world, id, |resource| resource.qualifications = both).await;
        }
        let hours = |weekday, opens: &str, closes: &str| pb::WeeklyHours {
            weekday,
            opens: opens.into(),
            closes: closes.into(),
        };
        // On Fridays and Mondays two stretches that touch, at times that are on no grid; the weekend day and night.
        open(
            &world,
            vec![
                hours(5, "07:03", "12:30"),
                hours(5, "12:30", "21:58"),
                hours(6, "00:00", "24:00"),
                hours(7, "00:00", "24:00"),
                hours(1, "00:00", "06:40"),
                hours(1, "09:00", "19:00"),
            ],
        )
        .await;
        let days = (stretches[0], stretches[0] + Days::new(3));
        let mut site =
            Self { world, random: Random(seed), treatments, sessions, booked: vec![], days, counts: Counts::default() };
        site.world.practitioners.push(third);
        for _ in 0..2 {
            let patient = site.world.patient().await;
            site.world.patients.push(patient);
        }
        let people: Vec<String> = site.world.practitioners.iter().chain(&site.world.assistants).cloned().collect();
        for id in people {
            site.give_hours(&id).await;
        }
        site
    }

    /// Hours of the wall clock, also in the night.
    async fn give_hours(&mut self, id: &str) {
        let choices = [
            vec![("00:00", "24:00")],
            vec![("00:00", "12:00"), ("13:00", "24:00")],
            vec![("01:30", "15:05")],
            vec![("02:15", "03:20"), ("08:00", "18:00")],
            vec![("00:00", "02:00"), ("02:00", "10:00"), ("12:00", "20:00")],
        ];
        let parts = self.random.of(&choices).clone();
        let hours = parts.iter().flat_map(|(from, until)| working(&self.world, from, until)).collect();
        update(&self.world, id, |resource| resource.working_hours = hours).await;
    }

    fn midnight(&self, day: NaiveDate) -> DateTime<Utc> {
        self.world.local(&format!("{day}T00:00:00"))
    }

    /// Some moment of the stretch, on the grid of five minutes.
    fn moment(&mut self) -> DateTime<Utc> {
        let (from, until) = (self.midnight(self.days.0), self.midnight(self.days.1 + Days::new(1)));
        let ticks = usize::try_from((until - from).num_minutes() / 5).unwrap();
        from + TimeDelta::minutes(5 * i64::try_from(self.random.below(ticks)).unwrap())
    }

    /// A visit, the patient who would come, and whether the search knows them.
    async fn some_visit(&mut self) -> (Visit, String) {
        if self.random.below(5) == 0 {
            let (series, patient) = self.random.of(&self.sessions).clone();
            let now = crate::desk::get_series(&self.world, &series.series_id).await;
            if now.sessions[1].appointment.is_none() {
                return (session_of(&series, 2), patient);
            }
        }
        let (id, areas) = self.random.of(&self.treatments).clone();
        let area = *self.random.of(&areas);
        if self.random.below(4) == 0 {
            return (treatment("", &id, area), self.world.patient().await);
        }
        let patient = self.random.of(&self.world.patients).clone();
        (treatment(&patient, &id, area), patient)
    }

    async fn book(
        &self,
        (visit, patient): &(Visit, String),
        at: DateTime<Utc>,
        named: Option<&String>,
        validate_only: bool,
    ) -> Result<pb::Appointment, Status> {
        let visit = match visit.clone() {
            Visit::Treatment(visit) => {
                book::Visit::Treatment(pb::TreatmentVisit { patient_id: patient.clone(), ..visit })
            }
            Visit::Session(visit) => book::Visit::Session(visit),
            Visit::Assessment(visit) => book::Visit::Assessment(visit),
            Visit::Maintenance(visit) => book::Visit::Maintenance(visit),
        };
        let request = pb::BookAppointmentRequest {
            request_id: request_id(),
            validate_only,
            visit: Some(visit),
            clinic_id: self.world.clinic.clone(),
            start_time: timestamp(at),
            resource_ids: named.into_iter().cloned().collect(),
            ..Default::default()
        };
        self.world.book(request).await
    }

    /// The offers, by start.
    async fn offers(&mut self, visit: &Visit) -> HashMap<DateTime<Utc>, Vec<String>> {
        let (first, last) = (self.days.0.to_string(), self.days.1.to_string());
        let slots = found(&self.world, &search(&self.world, visit.clone(), &first, &last)).await;
        self.counts.searches += 1;
        assert!(slots.is_sorted_by(|a, b| start(a) < start(b)));
        for slot in &slots {
            let shown = start(slot).with_timezone(&self.world.zone);
            assert_eq!(slot.local_start, shown.to_rfc3339());
            assert!((first.as_str()..=last.as_str()).contains(&&slot.local_start[..10]));
            assert!(local(&slot.local_end) > local(&slot.local_start));
        }
        slots.into_iter().map(|slot| (start(&slot), slot.practitioner_ids)).collect()
    }

    /// Others have booked before.
    async fn fill(&mut self) {
        let (needling, _) = self.treatments[0].clone();
        let (duet, _) = self.treatments[3].clone();
        let visits = [treatment("", &needling, pb::BodyArea::Neck), treatment("", &duet, pb::BodyArea::Unspecified)];
        for turn in 0..OTHERS {
            let other = (visits[turn % 2].clone(), self.world.patient().await);
            let at = self.moment();
            self.booked.extend(self.book(&other, at, None, false).await);
        }
    }

    /// One search, and what booking says to some of its slots and to some other starts.
    async fn round(&mut self) {
        let wanted = self.some_visit().await;
        let offers = self.offers(&wanted.0).await;
        let mut starts: Vec<DateTime<Utc>> = offers.keys().copied().collect();
        starts.sort_unstable();
        self.counts.empty += usize::from(starts.is_empty());
        let context = |site: &Self, at: DateTime<Utc>, status: &Status| {
            let at = at.with_timezone(&site.world.zone);
            format!("{wanted:?} at {at}: {:?}", said(&site.world, status))
        };
        for _ in 0..if starts.is_empty() { 0 } else { 6 } {
            let at = *self.random.of(&starts);
            let named = if offers[&at].is_empty() { None } else { Some(self.random.of(&offers[&at]).clone()) };
            let named = named.filter(|_| self.random.below(4) != 0);
            if let Err(status) = self.book(&wanted, at, named.as_ref(), true).await {
                panic!("an offer with {named:?} is refused: {}", context(self, at, &status));
            }
            self.counts.taken += 1;
            // Who is not offered cannot be had.
            let others = self.world.practitioners.iter().filter(|id| !offers[&at].contains(id));
            if let Some(other) = others.min_by_key(|_| self.counts.taken % 2).cloned() {
                let answer = self.book(&wanted, at, Some(&other), true).await;
                let status = answer.expect_err("a practitioner who was not offered");
                assert!(!refusal(&status).is_empty());
                self.counts.refused += 1;
            }
        }
        for turn in 0..7 {
            // Mostly at the edges of what is offered.
            let mut at = self.moment();
            if turn < 5 && !starts.is_empty() {
                let step = if self.random.below(2) == 0 { 5 } else { -5 };
                at = *self.random.of(&starts);
                while offers.contains_key(&at) {
                    at += TimeDelta::minutes(step);
                }
            }
            let within = self.midnight(self.days.0) <= at && at < self.midnight(self.days.1 + Days::new(1));
            if !within || offers.contains_key(&at) {
                continue;
            }
            match self.book(&wanted, at, None, true).await {
                Ok(_) => panic!("{wanted:?} may begin at {}, and is not offered", at.with_timezone(&self.world.zone)),
                Err(status) => assert!(!refusal(&status).is_empty()),
            }
            self.counts.refused += 1;
        }
        if starts.is_empty() {
            return;
        }
        let at = *self.random.of(&starts);
        let named = offers[&at].first().cloned();
        let booked = self.book(&wanted, at, named.as_ref(), false).await;
        let booked = booked.unwrap_or_else(|status| panic!("{}", context(self, at, &status)));
        self.booked.push(booked);
        self.counts.booked += 1;
        if let Visit::Treatment(visit) = &wanted.0 {
            let visit = Visit::Treatment(pb::TreatmentVisit { patient_id: wanted.1.clone(), ..visit.clone() });
            let now = self.offers(&visit).await;
            assert!(!now.contains_key(&at), "the patient is there already");
            assert!(now.keys().all(|at| offers.contains_key(at)), "a booking frees nothing");
        }
    }

    /// Something else happens.
    async fn change(&mut self) {
        self.counts.changes += 1;
        let (from, minutes) = (self.moment(), 15 + i64::try_from(self.random.below(150)).unwrap());
        // Closures and time off are on no grid.
        let from = from + TimeDelta::seconds(i64::try_from(self.random.below(300)).unwrap());
        let (start_time, end_time) = (timestamp(from), timestamp(from + TimeDelta::minutes(minutes)));
        match self.random.below(4) {
            0 if !self.booked.is_empty() => {
                let place = self.random.below(self.booked.len());
                let appointment = self.booked.swap_remove(place);
                // What has begun stays.
                let _ = self.world.cancel(&appointment).await;
            }
            1 => {
                let clinic_id = self.world.clinic.clone();
                let request = pb::CreateClosureRequest {
                    request_id: request_id(),
                    clinic_id,
                    start_time,
                    end_time,
                    ..Default::default()
                };
                self.world.manager.practices().create_closure(request).await.unwrap();
            }
            2 => {
                let world = &self.world;
                let all: Vec<String> =
                    world.practitioners.iter().chain(&world.rooms).chain(&world.pens).cloned().collect();
                let resource_id = self.random.of(&all).clone();
                let request = pb::CreateTimeOffRequest {
                    request_id: request_id(),
                    resource_id,
                    start_time,
                    end_time,
                    ..Default::default()
                };
                self.world.manager.resources().create_time_off(request).await.unwrap();
            }
            _ => {
                let people: Vec<String> =
                    self.world.practitioners.iter().chain(&self.world.assistants).cloned().collect();
                let id = self.random.of(&people).clone();
                self.give_hours(&id).await;
            }
        }
    }
}

/// Another course of events in each zone.
fn seed_for(zone: &str, seed: u32) -> u64 {
    zone.bytes().fold(u64::from(seed) + 1, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

/// Searches and books in four days each, of which the third is the one on which the clocks may change.
async fn offers_are_what_may_be_booked(zone: &str, stretches: [&str; 2], late: &str) {
    let seed: u32 = std::env::var("STIPPLE_TEST_SLOTS").ok().map_or(20_260_329, |seed| seed.parse().unwrap());
    println!("STIPPLE_TEST_SLOTS={seed}");
    let stretches: [NaiveDate; 2] = stretches.map(|day| day.parse().unwrap());
    let mut site = Site::new(zone, seed_for(zone, seed), &stretches).await;
    let rounds = if Killed::wanted().is_some() { ROUNDS_WITH_KILLS } else { ROUNDS };
    for first in stretches {
        site.days = (first, first + Days::new(3));
        if rounds == ROUNDS {
            site.fill().await;
        }
        for _ in 0..rounds {
            site.round().await;
            site.change().await;
        }
    }
    site.world.server.assert_clean().await;
    // In the midst of the last stretch, with a horizon that ends in it.
    let late = site.world.local(late);
    let Some(()) = site.world.server.set_clock(&late.to_rfc3339()) else { return };
    let mut practices = site.world.manager.practices();
    let practice = practices.get_practice(pb::GetPracticeRequest::default()).await.unwrap().into_inner().practice;
    let practice = practice.unwrap();
    let request = pb::UpdatePracticeRequest {
        request_id: request_id(),
        etag: practice.etag,
        name: practice.name,
        booking_horizon_days: 2,
        ..Default::default()
    };
    practices.update_practice(request).await.unwrap();
    for _ in 0..rounds / 2 {
        site.round().await;
        site.change().await;
    }
    site.world.server.assert_clean().await;
    println!("{zone}: {:?}", site.counts);
    let Counts { searches, taken, refused, booked, .. } = site.counts;
    assert!(searches >= 30 && taken >= 60 && refused >= 100 && booked >= 10, "{:?}", site.counts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_in_berlin_are_what_may_be_booked() {
    offers_are_what_may_be_booked("Europe/Berlin", ["2026-03-27", "2026-10-23"], "2026-10-24T21:07:30").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_in_kathmandu_are_what_may_be_booked() {
    offers_are_what_may_be_booked("Asia/Kathmandu", ["2026-04-10", "2026-09-25"], "2026-09-26T03:20:00").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_on_lord_howe_island_are_what_may_be_booked() {
    offers_are_what_may_be_booked("Australia/Lord_Howe", ["2026-04-03", "2026-10-02"], "2026-10-04T01:40:00").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_on_the_chatham_islands_are_what_may_be_booked() {
    offers_are_what_may_be_booked("Pacific/Chatham", ["2026-04-03", "2026-09-25"], "2026-09-26T15:15:00").await;
}
