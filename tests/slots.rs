//! Where a visit may be booked: as many starts as there are, in pages, by day, for whoever may come when.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, TimeDelta, Timelike as _, Utc};
use stipple::rpc::pb;
use stipple::rpc::pb::find_slots_request::Visit;
use tonic::{Code, Status};

use crate::desk::{
    FOUR, cancel_series, get_series, instant, needling_request, said, session, session_request, simple,
    treatment_request,
};
use crate::harness::server::NOW;
use crate::harness::wire::{Clients, fields, reason};
use crate::harness::world::{every_day, request_id, timestamp};
use crate::harness::{TestServer, World};
use crate::who_and_where::{time_off, update, working};

mod memory;
mod random;

// --- Asking ----------------------------------------------------------------------------------------------------------

/// A treatment by itself; an empty patient for the clinic's side only.
fn treatment(patient: &str, treatment: &str, area: pb::BodyArea) -> Visit {
    let (patient_id, treatment_id) = (patient.to_owned(), treatment.to_owned());
    Visit::Treatment(pb::TreatmentVisit { patient_id, treatment_id, body_area: area.into() })
}

/// A session of a series.
fn session_of(series: &pb::Series, number: i32) -> Visit {
    Visit::Session(pb::SessionVisit { series_id: series.series_id.clone(), session_number: number })
}

/// Every start in the world's clinic from one day to another.
fn search(world: &World, visit: Visit, first: &str, last: &str) -> pb::FindSlotsRequest {
    pb::FindSlotsRequest {
        visit: Some(visit),
        clinic_ids: vec![world.clinic.clone()],
        start_date: first.into(),
        end_date: last.into(),
        start_grid_minutes: 5,
        page_size: 500,
        ..Default::default()
    }
}

/// All slots, page by page.
async fn slots(clients: &Clients, request: &pb::FindSlotsRequest) -> Result<Vec<pb::Slot>, Status> {
    let mut request = request.clone();
    let mut found = Vec::new();
    loop {
        let page = clients.appointments().find_slots(request.clone()).await?.into_inner();
        assert!(page.days.is_empty(), "slot by slot");
        let size = usize::try_from(request.page_size).unwrap();
        assert!(page.slots.len() == size || (page.slots.len() < size && page.next_page_token.is_empty()));
        found.extend(page.slots);
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        request.page_token = page.next_page_token;
    }
}

/// All days, page by page.
async fn days(clients: &Clients, request: &pb::FindSlotsRequest) -> Result<Vec<pb::SlotDay>, Status> {
    let mut request = pb::FindSlotsRequest { view: pb::SlotView::Days.into(), ..request.clone() };
    let mut found = Vec::new();
    loop {
        let page = clients.appointments().find_slots(request.clone()).await?.into_inner();
        assert!(page.slots.is_empty(), "day by day");
        let size = usize::try_from(request.page_size).unwrap();
        assert!(page.days.len() == size || (page.days.len() < size && page.next_page_token.is_empty()));
        found.extend(page.days);
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        request.page_token = page.next_page_token;
    }
}

async fn found(world: &World, request: &pb::FindSlotsRequest) -> Vec<pb::Slot> {
    slots(&world.manager, request).await.unwrap()
}

async fn refused(world: &World, request: &pb::FindSlotsRequest) -> Status {
    slots(&world.manager, request).await.unwrap_err()
}

// --- Reading ---------------------------------------------------------------------------------------------------------

fn local(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

fn start(slot: &pb::Slot) -> DateTime<Utc> {
    instant(slot.start_time.as_ref())
}

/// Starts on the wall clock, as `2026-02-02T10:00`.
fn shown(slots: &[pb::Slot]) -> Vec<&str> {
    slots.iter().map(|slot| &slot.local_start[..16]).collect()
}

/// Every five minutes of the wall clock from one time to another, both inclusive.
fn every_five_minutes(world: &World, from: &str, to: &str) -> Vec<String> {
    let (from, to) = (world.local(&format!("{from}:00")), world.local(&format!("{to}:00")));
    let ticks = (0..=(to - from).num_minutes() / 5).map(|tick| from + TimeDelta::minutes(5 * tick));
    ticks.map(|at| at.with_timezone(&world.zone).format("%Y-%m-%dT%H:%M").to_string()).collect()
}

/// What the days would be, made from the slots.
fn by_day(slots: &[pb::Slot]) -> Vec<pb::SlotDay> {
    let mut days: BTreeMap<(String, String), pb::SlotDay> = BTreeMap::new();
    for slot in slots {
        let date = slot.local_start[..10].to_owned();
        let day = days.entry((date.clone(), slot.clinic_id.clone())).or_insert_with(|| pb::SlotDay {
            date,
            clinic_id: slot.clinic_id.clone(),
            first_start_time: slot.start_time,
            local_first_start: slot.local_start.clone(),
            ..Default::default()
        });
        day.slot_count += 1;
        day.last_start_time = slot.start_time;
        day.local_last_start.clone_from(&slot.local_start);
        day.practitioner_ids.extend(slot.practitioner_ids.clone());
        day.practitioner_ids.sort_unstable();
        day.practitioner_ids.dedup();
    }
    days.into_values().collect()
}

/// A second clinic in another zone, with a room and a pen, where the second practitioner and assistant work at the end
/// of the week, as far as they do not work at the first.
async fn second_clinic(world: &World, zone: &str) -> String {
    let request = pb::CreateClinicRequest {
        request_id: request_id(),
        name: "Another clinic".into(),
        time_zone: zone.into(),
        opening_hours: every_day("08:00", "20:00"),
        ..Default::default()
    };
    let clinic = world.manager.practices().create_clinic(request).await.unwrap().into_inner().clinic.unwrap().clinic_id;
    let there = World { clinic: clinic.clone(), ..world.clone() };
    there.resource(pb::ResourceKind::Room, "treatment_room").await;
    there.resource(pb::ResourceKind::Device, "needling_pen").await;
    for id in [&world.practitioners[1], &world.assistants[1]] {
        let here = working(world, "08:00", "20:00").into_iter().filter(|at| at.hours.as_ref().unwrap().weekday < 4);
        let there = working(&there, "08:00", "20:00").into_iter().filter(|at| at.hours.as_ref().unwrap().weekday > 3);
        let hours = here.chain(there).collect();
        update(world, id, |resource| resource.working_hours = hours).await;
    }
    clinic
}

/// Two clinics with some visits, and searches over both.
async fn two_clinics() -> (World, Vec<pb::FindSlotsRequest>) {
    let world = World::new().await;
    let clinic = second_clinic(&world, "Pacific/Chatham").await;
    let visits =
        [("2026-03-27", pb::BodyArea::Face), ("2026-03-29", pb::BodyArea::Back), ("2026-03-30", pb::BodyArea::Neck)];
    for (day, area) in visits {
        for (patient, time) in [(0, "09:20"), (1, "11:05")] {
            let start = format!("{day}T{time}:00");
            world.book(needling_request(&world, &world.patients[patient], area, &start)).await.unwrap();
        }
    }
    let clinic_ids = vec![world.clinic.clone(), clinic];
    let ask = |visit, grid| pb::FindSlotsRequest {
        clinic_ids: clinic_ids.clone(),
        start_grid_minutes: grid,
        ..search(&world, visit, "2026-03-26", "2026-04-01")
    };
    let needling = ask(treatment("", &world.needling, pb::BodyArea::Hands), 15);
    let searches = vec![
        needling.clone(),
        ask(treatment(&world.patients[0], &world.sauna, pb::BodyArea::Unspecified), 15),
        pb::FindSlotsRequest { practitioner_ids: vec![world.practitioners[1].clone()], ..needling.clone() },
        pb::FindSlotsRequest {
            weekdays: vec![pb::Weekday::Sunday.into(), pb::Weekday::Thursday.into()],
            hours: vec![pb::TimesOfDay { from: "08:00".into(), until: "12:10".into() }],
            ..needling
        },
    ];
    (world, searches)
}

// --- The answer ------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_says_when_where_and_with_whom() {
    let world = World::new().await;
    let patient = &world.patients[0];
    update(&world, &world.practitioners[1], |resource| resource.working_hours = Vec::new()).await;
    let request = pb::FindSlotsRequest {
        start_grid_minutes: 0,
        page_size: 0,
        ..search(&world, treatment(patient, &world.needling, pb::BodyArea::Face), "2026-03-28", "2026-03-29")
    };
    let answer = world.manager.appointments().find_slots(request).await.unwrap().into_inner();
    // A hundred on a page, a quarter of an hour apart.
    assert_eq!(answer.slots.len(), 100);
    assert_ne!(answer.next_page_token, "");
    assert_eq!(
        answer.slots[4],
        pb::Slot {
            start_time: timestamp(world.local("2026-03-28T01:00:00")),
            // The patient leaves after the talk; turnover comes later.
            end_time: timestamp(world.local("2026-03-28T02:05:00")),
            local_start: "2026-03-28T01:00:00+01:00".into(),
            local_end: "2026-03-28T02:05:00+01:00".into(),
            clinic_id: world.clinic.clone(),
            practitioner_ids: vec![world.practitioners[0].clone()],
        }
    );
    let spring = &answer.slots[96..];
    let shown: Vec<&str> = spring.iter().map(|slot| slot.local_end.as_str()).collect();
    // The night in which the clock goes from 2:00 to 3:00.
    assert_eq!(shown[0], "2026-03-29T01:05:00+01:00");
    assert_eq!(shown[3], "2026-03-29T01:50:00+01:00");
    // A sauna needs nobody.
    let request =
        search(&world, treatment(patient, &world.sauna, pb::BodyArea::Unspecified), "2026-03-29", "2026-03-29");
    let found = found(&world, &request).await;
    assert_eq!(found.len(), 23 * 12, "an hour is missing in spring");
    assert!(found.iter().all(|slot| slot.practitioner_ids.is_empty()));
    let last = found.last().unwrap();
    assert_eq!(
        (last.local_start.as_str(), last.local_end.as_str()),
        ("2026-03-29T23:55:00+02:00", "2026-03-30T00:25:00+02:00")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_days_are_the_slots_counted_by_day() {
    let (world, searches) = two_clinics().await;
    for request in &searches {
        let mut expected = by_day(&found(&world, request).await);
        assert!(expected.len() > 2, "{}", expected.len());
        expected.sort_by(|a, b| (&a.date, &a.clinic_id).cmp(&(&b.date, &b.clinic_id)));
        assert_eq!(days(&world.manager, request).await.unwrap(), expected);
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_join_up_without_gap_or_repeat() {
    let (world, searches) = two_clinics().await;
    for (place, request) in searches.iter().enumerate() {
        let (all, all_days) = (found(&world, request).await, days(&world.manager, request).await.unwrap());
        assert!(all.is_sorted_by(|a, b| (start(a), &a.clinic_id) < (start(b), &b.clinic_id)));
        let both = |ids: Vec<&String>| request.clinic_ids.iter().all(|clinic| ids.contains(&clinic));
        assert!(both(all.iter().map(|slot| &slot.clinic_id).collect()));
        assert!(both(all_days.iter().map(|day| &day.clinic_id).collect()));
        let twice = all.windows(2).filter(|pair| pair[0].start_time == pair[1].start_time).count();
        assert!(place > 1 || twice > 50, "at many a moment both clinics have a slot: {twice}");
        for page_size in [1, 2, 7, 64, 500] {
            let request = pb::FindSlotsRequest { page_size, ..request.clone() };
            assert_eq!(days(&world.manager, &request).await.unwrap(), all_days, "{page_size} days at a time");
            if page_size > 2 || all.len() < 120 {
                assert_eq!(found(&world, &request).await, all, "{page_size} at a time");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_the_clinics_asked_for_changes_nothing() {
    let (world, searches) = two_clinics().await;
    for request in &searches {
        let mut turned = request.clone();
        turned.clinic_ids.reverse();
        let both = found(&world, request).await;
        assert_eq!(found(&world, &turned).await, both);
        let mut apart = Vec::new();
        for clinic in &request.clinic_ids {
            let one = pb::FindSlotsRequest { clinic_ids: vec![clinic.clone()], ..request.clone() };
            apart.extend(found(&world, &one).await);
        }
        apart.sort_by_key(|slot| (start(slot), slot.clinic_id.clone()));
        assert_eq!(apart, both, "each by itself");
    }
}

// --- What is asked for -----------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn named_practitioners_leave_the_starts_at_which_one_of_them_can_treat() {
    let world = World::new().await;
    let [one, other] = [&world.practitioners[0], &world.practitioners[1]];
    let hours = working(&world, "09:00", "13:00");
    update(&world, one, |resource| resource.working_hours = hours).await;
    let hours = working(&world, "12:00", "17:00");
    update(&world, other, |resource| resource.working_hours = hours).await;
    let ask = |ids: &[&String]| pb::FindSlotsRequest {
        practitioner_ids: ids.iter().map(|id| (*id).clone()).collect(),
        ..search(&world, treatment("", &world.needling, pb::BodyArea::Face), "2026-02-02", "2026-02-03")
    };
    let all = found(&world, &ask(&[])).await;
    assert_eq!(all, found(&world, &ask(&[other, one])).await);
    // Needling begins half an hour into the visit, and takes as long.
    let early = found(&world, &ask(&[one])).await;
    let day = every_five_minutes(&world, "2026-02-02T08:30", "2026-02-02T12:00");
    assert_eq!(shown(&early)[..day.len()], day);
    let late = found(&world, &ask(&[other])).await;
    for (id, only) in [(one, &early), (other, &late)] {
        let with: Vec<&pb::Slot> = all.iter().filter(|slot| slot.practitioner_ids.contains(id)).collect();
        assert!(only.iter().map(start).eq(with.iter().map(|slot| start(slot))));
        assert!(only.iter().all(|slot| slot.practitioner_ids == std::slice::from_ref(id)));
    }
    assert!(all.len() < early.len() + late.len(), "there is an hour with both");

    // Somebody who is not in use, or works elsewhere, or is not needed: no error, and no slot.
    let gone = world.resource(pb::ResourceKind::Practitioner, "microneedling").await;
    update(&world, &gone, |resource| resource.active = false).await;
    let idle = world.resource(pb::ResourceKind::Practitioner, "microneedling").await;
    update(&world, &idle, |resource| resource.working_hours = Vec::new()).await;
    let unskilled = world.resource(pb::ResourceKind::Practitioner, "reading").await;
    assert_eq!(found(&world, &ask(&[&gone, &idle, &unskilled])).await, []);
    let sauna = treatment("", &world.sauna, pb::BodyArea::Unspecified);
    let sauna = pb::FindSlotsRequest { visit: Some(sauna), ..ask(&[one]) };
    assert_eq!(found(&world, &sauna).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weekdays_and_hours_leave_the_visits_that_lie_within_them() {
    let world = World::in_zone("Asia/Kathmandu").await;
    let visit = || treatment("", &world.needling, pb::BodyArea::Face);
    let all = search(&world, visit(), "2026-02-02", "2026-02-15");
    let every = found(&world, &all).await;
    let part = |from: &str, until: &str| pb::TimesOfDay { from: from.into(), until: until.into() };
    let minutes = |at: DateTime<FixedOffset>| at.hour() * 60 + at.minute();
    for (weekdays, parts) in [
        (vec![], vec![(16 * 60, 20 * 60)]),
        (vec![2, 4, 4, 7], vec![]),
        (vec![1, 6], vec![(9 * 60 + 7, 11 * 60), (0, 66), (18 * 60, 19 * 60 + 4)]),
        (vec![3], vec![(60, 124)]),
    ] {
        let clock = |m: u32| format!("{:02}:{:02}", m / 60, m % 60);
        let hours = parts.iter().map(|(from, until)| part(&clock(*from), &clock(*until))).collect();
        let request = pb::FindSlotsRequest { weekdays: weekdays.clone(), hours, ..all.clone() };
        let fits = |slot: &&pb::Slot| {
            let (from, until) = (local(&slot.local_start), local(&slot.local_end));
            let on = |at: DateTime<FixedOffset>| {
                let day = i32::try_from(chrono::Datelike::weekday(&at).number_from_monday()).unwrap();
                weekdays.is_empty() || weekdays.contains(&day)
            };
            let within = parts.iter().any(|part| {
                from.date_naive() == until.date_naive() && part.0 <= minutes(from) && minutes(until) <= part.1
            });
            on(from) && on(until - TimeDelta::minutes(1)) && (parts.is_empty() || within)
        };
        let expected: Vec<&pb::Slot> = every.iter().filter(fits).collect();
        assert!(expected.is_empty() == (parts == [(60, 124)]), "the last part is a minute too short");
        assert!(found(&world, &request).await.iter().eq(expected), "{weekdays:?} {parts:?}");
    }
    // Parts that touch are one, also at midnight.
    let request = |hours| pb::FindSlotsRequest { hours, ..search(&world, visit(), "2026-02-02", "2026-02-02") };
    let noon = found(&world, &request(vec![part("11:00", "12:00"), part("12:00", "13:00")])).await;
    assert_eq!(shown(&noon), every_five_minutes(&world, "2026-02-02T11:00", "2026-02-02T11:55"));
    let night = found(&world, &request(vec![part("23:00", "24:00"), part("00:00", "00:30")])).await;
    assert_eq!(shown(&night), every_five_minutes(&world, "2026-02-02T23:00", "2026-02-02T23:25"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hours_and_grid_follow_the_wall_clock_in_the_nights_in_which_it_changes() {
    let world = World::new().await;
    let sauna = || treatment("", &world.sauna, pb::BodyArea::Unspecified);
    let ask = async |day: &str, grid| {
        let hours = vec![pb::TimesOfDay { from: "01:30".into(), until: "04:00".into() }];
        let request = search(&world, sauna(), day, day);
        let request = pb::FindSlotsRequest { hours, start_grid_minutes: grid, ..request };
        found(&world, &request).await.iter().map(|slot| slot.local_start[11..].to_owned()).collect::<Vec<_>>()
    };
    // From 2:00 to 3:00 there is nothing; in autumn there is everything twice.
    assert_eq!(ask("2026-03-29", 30).await, ["01:30:00+01:00", "03:00:00+02:00", "03:30:00+02:00"]);
    assert_eq!(
        ask("2026-10-25", 30).await,
        [
            "01:30:00+02:00",
            "02:00:00+02:00",
            "02:30:00+02:00",
            "02:00:00+01:00",
            "02:30:00+01:00",
            "03:00:00+01:00",
            "03:30:00+01:00"
        ]
    );
    assert_eq!(ask("2026-03-29", 60).await, ["03:00:00+02:00"]);
    assert_eq!(ask("2026-10-25", 60).await, ["02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_lie_on_the_grid_of_the_clinics_wall_clock() {
    // Offsets of 5:45, of 10:30 and 11:00 in one night, and of 12:45 and 13:45 in another.
    for (zone, first, last) in [
        ("Asia/Kathmandu", "2026-04-03", "2026-04-04"),
        ("Australia/Lord_Howe", "2026-04-04", "2026-04-06"),
        ("Pacific/Chatham", "2026-09-26", "2026-09-28"),
    ] {
        let world = World::in_zone(zone).await;
        let ask = |grid| {
            let request = search(&world, treatment("", &world.sauna, pb::BodyArea::Unspecified), first, last);
            pb::FindSlotsRequest { start_grid_minutes: grid, ..request }
        };
        let all = found(&world, &ask(5)).await;
        for grid in [0, 10, 15, 20, 25, 45, 60, 95, 240] {
            let step = if grid == 0 { 15 } else { u32::try_from(grid).unwrap() };
            let on_grid =
                |slot: &&pb::Slot| local(&slot.local_start).num_seconds_from_midnight().is_multiple_of(60 * step);
            let found = found(&world, &ask(grid)).await;
            assert!(found.iter().eq(all.iter().filter(on_grid)), "every {grid} minutes in {zone}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_offered_before_the_notice_or_beyond_the_horizon() {
    let world = World::new().await;
    let visit = || treatment(&world.patients[0], &world.sauna, pb::BodyArea::Unspecified);
    let Some(()) = world.server.set_clock(NOW) else { return };
    let today = search(&world, visit(), "2026-01-05", "2026-01-06");
    let first = async |notice| {
        let request = pb::FindSlotsRequest { minimum_notice_minutes: notice, ..today.clone() };
        found(&world, &request).await.first().map(|slot| slot.local_start[..16].to_owned())
    };
    // It is 9:00.
    assert_eq!(first(0).await.unwrap(), "2026-01-05T09:00");
    assert_eq!(first(1).await.unwrap(), "2026-01-05T09:05");
    assert_eq!(first(60).await.unwrap(), "2026-01-05T10:00");
    assert_eq!(first(38 * 60 + 55).await.unwrap(), "2026-01-06T23:55");
    assert_eq!(first(39 * 60).await, None);
    world.server.set_clock("2026-01-05T08:00:01Z").unwrap();
    assert_eq!(first(0).await.unwrap(), "2026-01-05T09:05");
    world.server.set_clock("2026-01-06T22:51:00Z").unwrap();
    assert_eq!(first(0).await.unwrap(), "2026-01-06T23:55");
    world.server.set_clock("2026-01-07T08:00:00Z").unwrap();
    assert_eq!(first(0).await, None);

    // 400 days later, to the minute.
    world.server.set_clock(NOW).unwrap();
    let far = found(&world, &search(&world, visit(), "2027-02-08", "2027-03-01")).await;
    assert_eq!(*shown(&far).last().unwrap(), "2027-02-09T09:00");
    // Long ago, and long after.
    for (first, last) in [("2000-01-01", "2001-02-03"), ("2027-02-10", "2028-03-15"), ("2100-01-01", "2100-12-31")] {
        let request = search(&world, visit(), first, last);
        assert_eq!(found(&world, &request).await, []);
        assert_eq!(days(&world.manager, &request).await.unwrap(), []);
    }
    // A year passes: what is known of the clinic's days has to grow with it.
    world.server.set_clock("2027-02-01T08:00:00Z").unwrap();
    let far = found(&world, &search(&world, visit(), "2028-03-01", "2028-03-31")).await;
    assert_eq!(*shown(&far).last().unwrap(), "2028-03-07T09:00");
    // And going back, as a rehearsal may.
    world.server.set_clock(NOW).unwrap();
    assert_eq!(first(0).await.unwrap(), "2026-01-05T09:00");
}

// --- The patient -----------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aftercare_leaves_out_what_it_forbids_whichever_was_booked_first() {
    let world = World::new().await;
    let patient = world.patients[0].clone();
    let peel = world.publish_treatment(simple("Peel", 30, vec![pb::Activity::ChemicalPeel])).await;
    let other_area = pb::BodyArea::Back;
    let none = pb::BodyArea::Unspecified;
    let ask = async |visit, first, last| {
        let found = found(&world, &search(&world, visit, first, last)).await;
        found.iter().map(|slot| slot.local_start[..16].to_owned()).collect::<Vec<_>>()
    };
    let around = |first: &str, until: &str, from: &str, last: &str| {
        let mut both = every_five_minutes(&world, &format!("{first}T00:00"), until);
        both.extend(every_five_minutes(&world, from, &format!("{last}T23:55")));
        both
    };
    // Needling from 10:30 to 11:00; the patient is there from 10:00 to 11:05. The clocks change on the 29th.
    world.book(needling_request(&world, &patient, pb::BodyArea::Face, "2026-03-26T10:00:00")).await.unwrap();
    assert_eq!(
        ask(treatment(&patient, &world.sauna, none), "2026-03-26", "2026-03-31").await,
        around("2026-03-26", "2026-03-26T09:30", "2026-03-31T11:00", "2026-03-31")
    );
    assert_eq!(
        ask(treatment(&patient, &peel, none), "2026-03-12", "2026-04-09").await,
        around("2026-03-12", "2026-03-12T10:00", "2026-04-09T11:00", "2026-04-09")
    );
    // The other way round: what is booked would come into the window of the needling that is looked for.
    world.book_sauna("2026-06-05T10:00:00").await.unwrap();
    assert_eq!(
        ask(treatment(&patient, &world.needling, other_area), "2026-05-31", "2026-06-05").await,
        around("2026-05-31", "2026-05-31T09:00", "2026-06-05T10:30", "2026-06-05")
    );
    world.book(world.visit_request(&peel, "2026-11-04T10:00:00")).await.unwrap();
    assert_eq!(
        ask(treatment(&patient, &world.needling, other_area), "2026-10-21", "2026-11-18").await,
        around("2026-10-21", "2026-10-21T09:00", "2026-11-18T10:00", "2026-11-18")
    );
    // Nobody else is concerned, nor is the clinic.
    for patient in [world.patients[1].as_str(), ""] {
        let found = ask(treatment(patient, &world.sauna, none), "2026-03-27", "2026-03-27").await;
        assert_eq!(found, every_five_minutes(&world, "2026-03-27T00:00", "2026-03-27T23:55"));
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gap_between_sessions_on_an_area_is_kept_on_both_sides() {
    let world = World::new().await;
    let patient = &world.patients[0];
    world.book(needling_request(&world, patient, pb::BodyArea::Face, "2026-03-02T10:00:00")).await.unwrap();
    let dates = async |area| {
        let visit = treatment(patient, &world.needling, area);
        let days = days(&world.manager, &search(&world, visit, "2026-01-20", "2026-04-20")).await.unwrap();
        days.into_iter().map(|day| day.date).collect::<Vec<String>>()
    };
    let face = dates(pb::BodyArea::Face).await;
    assert_eq!(face.len(), 91 - 55);
    assert_eq!((face[13].as_str(), face[14].as_str()), ("2026-02-02", "2026-03-30"));
    assert_eq!(dates(pb::BodyArea::Neck).await.len(), 91);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_patient_the_clinic_alone_decides() {
    let world = World::new().await;
    let area = pb::BodyArea::Face;
    world.book(needling_request(&world, &world.patients[0], area, "2026-02-02T10:00:00")).await.unwrap();
    world.book(needling_request(&world, &world.patients[1], area, "2026-02-02T10:40:00")).await.unwrap();
    let newcomer = world.patient().await;
    for (id, area) in [(&world.needling, area), (&world.sauna, pb::BodyArea::Unspecified)] {
        let ask = async |patient| {
            found(&world, &search(&world, treatment(patient, id, area), "2026-02-01", "2026-02-03")).await
        };
        let anybody = ask("").await;
        assert_eq!(anybody, ask(&newcomer).await);
        let known = ask(&world.patients[0]).await;
        assert!(known.len() < anybody.len() && known.iter().all(|slot| anybody.contains(slot)));
    }
    world.server.assert_clean().await;
}

// --- Series and moving -----------------------------------------------------------------------------------------------

async fn dates(world: &World, visit: Visit) -> Vec<String> {
    let request = pb::FindSlotsRequest { start_grid_minutes: 240, ..search(world, visit, "2026-01-06", "2026-10-31") };
    days(&world.manager, &request).await.unwrap().into_iter().map(|day| day.date).collect()
}

/// The first and the last of so many days in a row.
fn in_a_row(dates: &[String]) -> (&str, &str, usize) {
    let day = |text: &str| text.parse::<chrono::NaiveDate>().unwrap();
    let (first, last) = (dates.first().expect("a day"), dates.last().unwrap());
    assert_eq!((day(last) - day(first)).num_days() + 1, i64::try_from(dates.len()).unwrap(), "{dates:?}");
    (first, last, dates.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_offered_between_its_neighbours_only() {
    let world = World::new().await;
    let starts = ["2026-02-02T10:00:00", "2026-03-14T10:00:00", "2026-04-23T10:00:00", "2026-06-02T10:00:00"];
    let series = world.book_series(&starts).await.unwrap();
    world.cancel(session(&series, 2)).await.unwrap();
    // The same edges at which booking draws the line.
    assert_eq!(in_a_row(&dates(&world, session_of(&series, 2)).await), ("2026-03-02", "2026-03-26", 25));
    for day in ["2026-03-01", "2026-03-27"] {
        world.book(session_request(&world, &series, 2, &format!("{day}T12:00:00"))).await.unwrap_err();
    }
    // The first has no neighbour before it, and the last none after it.
    world.cancel(session(&series, 1)).await.unwrap();
    world.cancel(session(&series, 4)).await.unwrap();
    let third = get_series(&world, &series.series_id).await;
    assert_eq!(session(&third, 3).local_start, "2026-04-23T10:00:00+02:00");
    assert_eq!(in_a_row(&dates(&world, session_of(&series, 4)).await), ("2026-05-21", "2026-06-18", 29));
    assert_eq!(in_a_row(&dates(&world, session_of(&series, 2)).await), ("2026-02-26", "2026-03-26", 29));
    // Two numbers away there is no longest gap.
    assert_eq!(in_a_row(&dates(&world, session_of(&series, 1)).await), ("2026-01-06", "2026-03-26", 80));
    // The protocol's gap, and not the shorter or longer one of a visit by itself, and the same visit by the clock.
    let alone = treatment(&world.patients[0], &world.needling, pb::BodyArea::Abdomen);
    assert_eq!(dates(&world, alone).await.len(), 299 - 55);
    world.book(session_request(&world, &series, 2, "2026-02-26T16:00:00")).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_moved_is_taken_as_gone() {
    let world = World::new().await;
    let patient = world.patients[0].clone();
    let area = pb::BodyArea::Back;
    let series = world.book_series(&FOUR).await.unwrap();
    let single = world.book(needling_request(&world, &patient, area, "2026-03-05T10:00:00")).await.unwrap();
    // Both assistants, both rooms and both pens are needed elsewhere at times.
    world.book(needling_request(&world, &world.patients[1], area, "2026-03-02T10:10:00")).await.unwrap();
    let third = world.patient().await;
    world.book(needling_request(&world, &third, area, "2026-03-05T10:20:00")).await.unwrap();
    let second = session(&series, 2).clone();
    let alone = || treatment(&patient, &world.needling, area);
    for (visit, appointment) in [(alone(), &single), (session_of(&series, 2), &second)] {
        let without = search(&world, visit, "2026-03-01", "2026-03-09");
        let moving =
            pb::FindSlotsRequest { moving_appointment_id: appointment.appointment_id.clone(), ..without.clone() };
        let (moved, moved_days) = (found(&world, &moving).await, days(&world.manager, &moving).await.unwrap());
        assert!(moved.iter().any(|slot| slot.start_time == appointment.start_time), "where it is it could stay");
        // It is as if it had been cancelled, and nothing was.
        assert_eq!(crate::desk::get_appointment(&world, &appointment.appointment_id).await, *appointment);
        world.cancel(appointment).await.unwrap();
        assert_eq!(found(&world, &without).await, moved);
        assert_eq!(days(&world.manager, &without).await.unwrap(), moved_days);
        // What is cancelled cannot be moved.
        let status = refused(&world, &moving).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "NOT_FOUND"));
        assert!(status.message().ends_with("moving_appointment_id"), "{status:?}");
    }
    // Of somebody else, or for nobody.
    let other = session(&series, 3).appointment_id.clone();
    for patient in [third.as_str(), ""] {
        let request = search(&world, treatment(patient, &world.needling, area), "2026-03-01", "2026-03-09");
        let request = pb::FindSlotsRequest { moving_appointment_id: other.clone(), ..request };
        assert_eq!(fields(&refused(&world, &request).await), ["moving_appointment_id"]);
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_is_moved_in_the_version_that_it_was_booked_in() {
    let world = World::new().await;
    let patient = world.patients[0].clone();
    let area = pb::BodyArea::Back;
    let old = world.book(needling_request(&world, &patient, area, "2026-03-05T10:00:00")).await.unwrap();
    let get = pb::GetTreatmentRequest { treatment_id: world.needling.clone(), ..Default::default() };
    let now = world.manager.catalog().get_treatment(get).await.unwrap().into_inner().treatment.unwrap();
    let mut content = now.content.unwrap();
    content.phases[1].minutes = 15;
    let shorter = pb::PublishTreatmentRequest {
        request_id: request_id(),
        treatment_id: world.needling.clone(),
        etag: now.etag,
        content: Some(content),
        ..Default::default()
    };
    world.manager.catalog().publish_treatment(shorter).await.unwrap();
    // Open for an hour and a half: with turnover, 65 minutes fit in at three times, and 50 at six.
    crate::desk::close(&world, "2026-03-10T00:00:00", "2026-03-10T10:00:00").await;
    crate::desk::close(&world, "2026-03-10T11:30:00", "2026-03-11T00:00:00").await;
    let new = search(&world, treatment(&patient, &world.needling, area), "2026-03-10", "2026-03-10");
    let moving = pb::FindSlotsRequest { moving_appointment_id: old.appointment_id.clone(), ..new.clone() };
    let offered = found(&world, &moving).await;
    assert_eq!(shown(&offered), ["2026-03-10T10:00", "2026-03-10T10:05", "2026-03-10T10:10"]);
    assert!(offered.iter().all(|slot| instant(slot.end_time.as_ref()) - start(slot) == TimeDelta::minutes(65)));
    let other = treatment(&world.patients[1], &world.needling, area);
    let anew = found(&world, &pb::FindSlotsRequest { visit: Some(other), ..new }).await;
    assert_eq!(anew.len(), 6);
    assert!(anew.iter().all(|slot| instant(slot.end_time.as_ref()) - start(slot) == TimeDelta::minutes(50)));
    // And so it is moved.
    let to = async |start| {
        let request = pb::RescheduleAppointmentRequest {
            request_id: request_id(),
            etag: old.etag.clone(),
            appointment_id: old.appointment_id.clone(),
            start_time: timestamp(world.local(start)),
            ..Default::default()
        };
        world.manager.appointments().reschedule_appointment(request).await
    };
    let late = to("2026-03-10T10:15:00").await.unwrap_err();
    assert!(said(&world, &late)[0].starts_with("CLINIC_CLOSED"), "{late:?}");
    let moved = to("2026-03-10T10:10:00").await.unwrap().into_inner().appointment.unwrap();
    assert_eq!((moved.end_time, moved.treatment_version), (offered[2].end_time, 1));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_moved_must_be_the_very_visit_that_is_named() {
    let world = World::new().await;
    let (patient, other) = (world.patients[0].as_str(), world.patients[1].as_str());
    let (area, needling) = (pb::BodyArea::Back, world.needling.as_str());
    let series = world.book_series(&FOUR).await.unwrap();
    let single = world.book(needling_request(&world, patient, area, "2026-03-05T10:00:00")).await.unwrap();
    let second = session(&series, 2);
    let moving = |visit: &Visit, moved: &pb::Appointment| pb::FindSlotsRequest {
        moving_appointment_id: moved.appointment_id.clone(),
        ..search(&world, visit.clone(), "2026-03-02", "2026-03-09")
    };
    for (visit, moved) in [
        (treatment(other, needling, area), &single),
        (treatment("", needling, area), &single),
        (treatment(patient, &world.sauna, pb::BodyArea::Unspecified), &single),
        (treatment(patient, needling, pb::BodyArea::Abdomen), &single),
        (session_of(&series, 2), &single),
        // A session is no visit by itself, though patient, treatment and area are the same.
        (treatment(patient, needling, pb::BodyArea::Abdomen), second),
        (session_of(&series, 1), second),
        (session_of(&series, 3), second),
    ] {
        let status = refused(&world, &moving(&visit, moved)).await;
        let named = vec!["moving_appointment_id".to_owned()];
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, named), "{visit:?}");
    }
    for (visit, moved) in [(treatment(patient, needling, area), &single), (session_of(&series, 2), second)] {
        assert!(!found(&world, &moving(&visit, moved)).await.is_empty());
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_booked_on_any_day_is_refused_as_booking_refuses_it() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = &session(&series, 1).appointment_id;
    let patient = &world.patients[0];
    let ask = async |visit| {
        let status = refused(&world, &search(&world, visit, "2026-02-01", "2026-02-28")).await;
        said(&world, &status)
    };
    for patient in [patient.as_str(), ""] {
        let none = treatment(patient, &world.needling, pb::BodyArea::Unspecified);
        assert_eq!(ask(none).await, ["BODY_AREA_MISMATCH"]);
        assert_eq!(ask(treatment(patient, &world.sauna, pb::BodyArea::Face)).await, ["BODY_AREA_MISMATCH"]);
    }
    let already = [format!("SESSION_ALREADY_BOOKED against {first}")];
    assert_eq!(ask(session_of(&series, 1)).await, already);
    // Moving another session does not make this one open.
    let moving = pb::FindSlotsRequest {
        moving_appointment_id: session(&series, 2).appointment_id.clone(),
        ..search(&world, session_of(&series, 1), "2026-02-01", "2026-02-28")
    };
    assert_eq!(fields(&refused(&world, &moving).await), ["moving_appointment_id"]);
    let beyond = search(&world, session_of(&series, 5), "2026-02-01", "2026-02-28");
    assert_eq!(fields(&refused(&world, &beyond).await), ["session.session_number"]);
    cancel_series(&world, &series).await.unwrap();
    assert_eq!(ask(session_of(&series, 1)).await, ["SERIES_NOT_ACTIVE"]);
    world.server.assert_clean().await;
}

// --- What is not taken -----------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_practice_does_not_have_is_not_found_whether_or_not_others_have_it() {
    let server = TestServer::start().await;
    let (world, foreign) = (World::on(server.clone(), "Europe/Berlin").await, World::on(server, "Europe/Berlin").await);
    let elsewhere = foreign.book_series(&FOUR).await.unwrap();
    let area = pb::BodyArea::Face;
    let good = search(&world, treatment(&world.patients[0], &world.needling, area), "2026-02-02", "2026-02-02");
    let unknown = request_id();
    type Change<'a> = (&'a str, String, Box<dyn Fn(&mut pb::FindSlotsRequest, String)>);
    let visit = |change: fn(&mut pb::TreatmentVisit, String)| {
        move |request: &mut pb::FindSlotsRequest, id| match &mut request.visit {
            Some(Visit::Treatment(visit)) => change(visit, id),
            _ => unreachable!(),
        }
    };
    let changes: Vec<Change<'_>> = vec![
        ("clinic_ids[1]", foreign.clinic.clone(), Box::new(|request, id| request.clinic_ids.push(id))),
        ("practitioner_ids[0]", foreign.practitioners[0].clone(), Box::new(|r, id| r.practitioner_ids.push(id))),
        ("treatment.patient_id", foreign.patients[0].clone(), Box::new(visit(|visit, id| visit.patient_id = id))),
        ("treatment.treatment_id", foreign.needling.clone(), Box::new(visit(|visit, id| visit.treatment_id = id))),
        (
            "session.series_id",
            elsewhere.series_id.clone(),
            Box::new(|request, id| {
                request.visit = Some(Visit::Session(pb::SessionVisit { series_id: id, session_number: 1 }));
            }),
        ),
        (
            "moving_appointment_id",
            session(&elsewhere, 1).appointment_id.clone(),
            Box::new(|request, id| request.moving_appointment_id = id),
        ),
    ];
    // Cold, and with the boards in memory.
    for _ in 0..2 {
        for (field, theirs, change) in &changes {
            for id in [&unknown, theirs] {
                let mut request = good.clone();
                change(&mut request, id.clone());
                let status = refused(&world, &request).await;
                assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "NOT_FOUND"), "{field}");
                assert!(status.message().ends_with(field), "{field}: {status:?}");
            }
        }
        assert!(!found(&world, &good).await.is_empty());
        assert!(
            !found(&foreign, &search(&foreign, treatment("", &foreign.needling, area), "2026-02-02", "2026-02-02"))
                .await
                .is_empty()
        );
    }
    // A room is no practitioner, on the board or off it.
    let request =
        pb::FindSlotsRequest { practitioner_ids: vec![world.practitioners[0].clone(), world.rooms[0].clone()], ..good };
    assert!(refused(&world, &request).await.message().ends_with("practitioner_ids[1]"));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_makes_no_sense_is_told_which_field_is_at_fault() {
    let world = World::new().await;
    let visit = || treatment("", &world.needling, pb::BodyArea::Face);
    let good = search(&world, visit(), "2026-02-02", "2026-03-02");
    let ask = |change: &dyn Fn(&mut pb::FindSlotsRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let part = |from: &str, until: &str| pb::TimesOfDay { from: from.into(), until: until.into() };
    let ids = |n| std::iter::repeat_with(request_id).take(n).collect::<Vec<_>>();
    let cases: Vec<(pb::FindSlotsRequest, &[&str])> = vec![
        (ask(&|r| r.visit = None), &["visit"]),
        (ask(&|r| r.end_date = "2026-02-01".into()), &["end_date"]),
        (ask(&|r| r.end_date = "2027-03-09".into()), &["end_date"]),
        (ask(&|r| r.start_date = "1999-12-31".into()), &["start_date"]),
        (ask(&|r| (r.start_date, r.end_date) = (String::new(), String::new())), &["start_date", "end_date"]),
        (ask(&|r| r.clinic_ids.clear()), &["clinic_ids"]),
        (ask(&|r| r.clinic_ids.push(world.clinic.to_uppercase())), &["clinic_ids"]),
        (ask(&|r| r.clinic_ids = ids(11)), &["clinic_ids"]),
        (ask(&|r| r.practitioner_ids = ids(21)), &["practitioner_ids"]),
        (ask(&|r| r.practitioner_ids = vec![world.practitioners[0].clone(); 2]), &["practitioner_ids"]),
        (ask(&|r| r.hours = vec![part("09:00", "12:00"), part("11:59", "13:00")]), &["hours"]),
        (ask(&|r| r.hours = vec![part("09:00", "12:00"); 2]), &["hours"]),
        (ask(&|r| r.hours = (0..11).map(|h| part(&format!("{h:02}:00"), &format!("{h:02}:30"))).collect()), &["hours"]),
        (ask(&|r| r.hours = vec![part("", "12:00"), part("12:00", "12:00")]), &["hours[0].from", "hours[1].until"]),
        (ask(&|r| r.weekdays = vec![1, 0, 8]), &["weekdays[1]", "weekdays[2]"]),
        (ask(&|r| r.weekdays = vec![1; 8]), &["weekdays"]),
        (ask(&|r| r.start_grid_minutes = 7), &["start_grid_minutes"]),
        (ask(&|r| r.start_grid_minutes = 245), &["start_grid_minutes"]),
        (ask(&|r| r.minimum_notice_minutes = 43_201), &["minimum_notice_minutes"]),
        (ask(&|r| r.view = 3), &["view"]),
        (ask(&|r| r.page_size = 501), &["page_size"]),
        (
            ask(&|r| {
                (r.view, r.page_size, r.start_grid_minutes, r.clinic_ids) = (-1, -1, -5, vec!["x".into()]);
                r.hours = vec![part("10:00", "09:00")];
                r.visit = Some(treatment("x", "", pb::BodyArea::Face));
            }),
            &[
                "page_size",
                "treatment.patient_id",
                "treatment.treatment_id",
                "clinic_ids[0]",
                "hours[0].until",
                "start_grid_minutes",
                "view",
            ],
        ),
    ];
    for (request, named) in cases {
        let status = world.manager.appointments().find_slots(request.clone()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "FIELD_INVALID"), "{request:?}");
        assert_eq!(fields(&status), named, "{request:?}");
    }
    // The longest stretch of days, with the most of everything.
    let most = ask(&|r| {
        r.end_date = "2027-03-08".into();
        r.hours = (0..10).map(|h| part(&format!("{h:02}:00"), &format!("{h:02}:59"))).collect();
        r.weekdays = vec![1, 2, 3, 4, 5, 6, 7];
        (r.start_grid_minutes, r.minimum_notice_minutes) = (240, 43_200);
    });
    found(&world, &most).await;

    // A token of one search is no token of another; the size of the page does not matter.
    let first = pb::FindSlotsRequest { page_size: 3, ..good.clone() };
    let token = world.manager.appointments().find_slots(first.clone()).await.unwrap().into_inner().next_page_token;
    for change in [
        &|r: &mut pb::FindSlotsRequest| r.end_date = "2026-03-03".into(),
        &(|r: &mut pb::FindSlotsRequest| r.view = pb::SlotView::Days.into()) as &dyn Fn(&mut _),
        &|r: &mut pb::FindSlotsRequest| r.weekdays = vec![1],
        &|r: &mut pb::FindSlotsRequest| r.minimum_notice_minutes = 5,
        &|r: &mut pb::FindSlotsRequest| r.start_grid_minutes = 15,
        &|r: &mut pb::FindSlotsRequest| r.practitioner_ids = vec![world.practitioners[0].clone()],
        &|r: &mut pb::FindSlotsRequest| {
            r.visit = Some(treatment(&world.patients[0], &world.needling, pb::BodyArea::Face));
        },
    ] {
        let mut other = pb::FindSlotsRequest { page_token: token.clone(), ..first.clone() };
        change(&mut other);
        let status = world.manager.appointments().find_slots(other).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
        assert_eq!(fields(&status), ["page_token"]);
    }
    let next = pb::FindSlotsRequest { page_token: token, page_size: 4, ..first };
    let next = world.manager.appointments().find_slots(next).await.unwrap().into_inner();
    assert_eq!(shown(&next.slots), every_five_minutes(&world, "2026-02-02T00:15", "2026-02-02T00:30"));
}

// --- Others book, too ------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_somebody_else_took_meanwhile_is_refused() {
    let world = World::new().await;
    let area = pb::BodyArea::Face;
    let request = search(&world, treatment("", &world.needling, area), "2026-02-02", "2026-02-02");
    let held = found(&world, &request).await;
    let ten = held.iter().find(|slot| slot.local_start.starts_with("2026-02-02T10:00")).unwrap();
    assert_eq!(ten.practitioner_ids.len(), 2);
    let book = async |patient: &str, practitioner: &str| {
        let mut request = needling_request(&world, patient, area, "2026-02-02T10:00:00");
        (request.start_time, request.resource_ids) = (ten.start_time, vec![practitioner.to_owned()]);
        world.book(request).await
    };
    let (one, other) = (&ten.practitioner_ids[0], &ten.practitioner_ids[1]);
    let first = book(&world.patients[0], one).await.unwrap();
    // What is held says that she is free.
    let status = book(&world.patients[1], one).await.unwrap_err();
    let against = &first.appointment_id;
    assert_eq!(said(&world, &status), [format!("RESOURCE_BUSY against {against} of {one} from 2026-02-02T10:30")]);
    let now = found(&world, &request).await;
    let ten_now = now.iter().find(|slot| slot.start_time == ten.start_time).unwrap();
    assert_eq!(ten_now.practitioner_ids, std::slice::from_ref(other));
    book(&world.patients[1], other).await.unwrap();
    let now = found(&world, &request).await;
    assert!(now.iter().all(|slot| slot.start_time != ten.start_time));
    let third = world.patient().await;
    book(&third, other).await.unwrap_err();
    time_off(&world, one, "2026-02-02T12:00:00", "2026-02-02T13:00:00").await;
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_hold_the_same_slots_do_not_take_one_twice() {
    let world = World::new().await;
    let area = pb::BodyArea::Face;
    let request = pb::FindSlotsRequest {
        hours: vec![pb::TimesOfDay { from: "09:00".into(), until: "14:00".into() }],
        start_grid_minutes: 20,
        ..search(&world, treatment("", &world.needling, area), "2026-02-02", "2026-02-02")
    };
    let other = World { server: world.server.beside().await, ..world.clone() };
    let (_, token) = crate::wire::bearer(&world.server, &world.practice, pb::Role::FrontDesk, "").await;
    let clients = [world.server.clients(&token), other.server.clients(&token)];
    let mut tasks = Vec::new();
    for turn in 0..16 {
        let patient = world.patient().await;
        let clients = clients[turn % 2].clone();
        let held = slots(&clients, &request).await.unwrap();
        assert_eq!(held.len(), 12, "nobody has booked yet");
        let ask = treatment_request(&world, &patient, &world.needling, area, "2026-02-02T09:00:00");
        tasks.push((turn, clients, held, ask));
    }
    let tasks: Vec<_> = tasks
        .into_iter()
        .map(|(turn, clients, held, ask)| {
            let request = request.clone();
            tokio::spawn(async move {
                let mut taken = 0;
                for slot in held.iter().cycle().skip(turn / 2).take(held.len()) {
                    let mut ask = pb::BookAppointmentRequest { request_id: request_id(), ..ask.clone() };
                    (ask.start_time, ask.resource_ids) =
                        (slot.start_time, vec![slot.practitioner_ids[turn % 2].clone()]);
                    match clients.appointments().book_appointment(ask).await {
                        Ok(_) => {
                            taken += 1;
                            break;
                        }
                        Err(status) => assert!(!crate::harness::refusal(&status).is_empty()),
                    }
                    // Questions in between, while the practice goes from one revision to the next.
                    let left = slots(&clients, &request).await.unwrap();
                    assert!(left.iter().all(|slot| held.iter().any(|held| held.start_time == slot.start_time)));
                    if left.is_empty() {
                        break;
                    }
                }
                taken
            })
        })
        .collect();
    let mut taken = 0;
    for task in tasks {
        taken += task.await.unwrap();
    }
    // Two rooms, for 80 minutes each, from 9:00 until 14:00.
    assert!((4..=6).contains(&taken), "{taken}");
    assert_eq!(crate::desk::clinic_sheet(&world).await.len(), taken);
    let left = slots(&clients[0], &request).await.unwrap();
    assert_eq!(left, slots(&clients[1], &request).await.unwrap());
    let without_memory = world.server.beside().await.clients(&token);
    assert_eq!(left, slots(&without_memory, &request).await.unwrap());
    world.server.assert_clean().await;
}
