//! The waiting list: who would take time that comes free, in which order, and how it is offered.

use sqlx::{AssertSqlSafe, Executor as _};
use stipple::rpc::pb;
use stipple::rpc::pb::add_entry_request::Visit;
use tonic::{Code, Status};

use crate::desk::{FOUR, get_appointment, get_series, needling_request, said, session, session_request};
use crate::harness::World;
use crate::harness::wire::fields;
use crate::harness::world::request_id;

const START: &str = "2026-01-26T10:00:00";
/// The test's clock stands at 8:00 UTC on that day, so that a hold of ten minutes ends then.
const EXPIRED: &str = "2026-01-05T08:10:00Z";

fn wish(world: &World, patient: &str, treatment: &str) -> pb::AddEntryRequest {
    pb::AddEntryRequest {
        request_id: request_id(),
        visit: Some(Visit::Treatment(pb::TreatmentVisit {
            patient_id: patient.into(),
            treatment_id: treatment.into(),
            ..Default::default()
        })),
        clinic_id: world.clinic.clone(),
        first_date: "2026-01-26".into(),
        last_date: "2026-01-30".into(),
        ..Default::default()
    }
}

async fn add(world: &World, request: pb::AddEntryRequest) -> Result<pb::WaitingEntry, Status> {
    Ok(world.manager.waiting().add_entry(request).await?.into_inner().entry.unwrap())
}

async fn list(world: &World, include_ended: bool) -> Vec<pb::WaitingEntry> {
    let request = pb::ListEntriesRequest { include_ended, ..Default::default() };
    world.manager.waiting().list_entries(request).await.unwrap().into_inner().entries
}

async fn get(world: &World, id: &str) -> pb::WaitingEntry {
    list(world, true).await.into_iter().find(|entry| entry.waiting_id == id).unwrap()
}

fn offer_request(world: &World, entry: &pb::WaitingEntry, start: &str) -> pb::OfferTimeRequest {
    pb::OfferTimeRequest {
        request_id: request_id(),
        etag: entry.etag.clone(),
        waiting_id: entry.waiting_id.clone(),
        start_time: world.visit_request(&world.sauna, start).start_time,
        ..Default::default()
    }
}

async fn offer(world: &World, entry: &pb::WaitingEntry, start: &str) -> Result<pb::OfferTimeResponse, Status> {
    Ok(world.manager.waiting().offer_time(offer_request(world, entry, start)).await?.into_inner())
}

async fn withdraw(world: &World, entry: &pb::WaitingEntry) -> Result<pb::WaitingEntry, Status> {
    let request = pb::WithdrawEntryRequest {
        request_id: request_id(),
        etag: entry.etag.clone(),
        waiting_id: entry.waiting_id.clone(),
        ..Default::default()
    };
    Ok(world.manager.waiting().withdraw_entry(request).await?.into_inner().entry.unwrap())
}

async fn convert(world: &World, held: &pb::Appointment) -> pb::Appointment {
    let request = pb::ConvertHoldRequest {
        request_id: request_id(),
        etag: held.etag.clone(),
        appointment_id: held.appointment_id.clone(),
        ..Default::default()
    };
    world.manager.appointments().convert_hold(request).await.unwrap().into_inner().appointment.unwrap()
}

async fn cancel(world: &World, appointment: &pb::Appointment) -> pb::CancelAppointmentResponse {
    let request = pb::CancelAppointmentRequest {
        request_id: request_id(),
        etag: appointment.etag.clone(),
        appointment_id: appointment.appointment_id.clone(),
        ..Default::default()
    };
    world.manager.appointments().cancel_appointment(request).await.unwrap().into_inner()
}

fn ids(matches: &[pb::WaitingMatch]) -> Vec<String> {
    matches.iter().map(|found| found.entry.as_ref().unwrap().waiting_id.clone()).collect()
}

async fn last_change(world: &World, kind: &str) -> pb::Change {
    let request = pb::ListChangesRequest { page_size: 500, ..Default::default() };
    let changes = world.manager.history().list_changes(request).await.unwrap().into_inner().changes;
    changes.into_iter().rfind(|change| change.kind == kind).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_that_comes_free_is_offered_to_who_is_urgent_first_and_then_to_who_has_waited_longest() {
    let world = World::new().await;
    let booked = world.book_sauna(START).await.unwrap();
    let others = [world.patient().await, world.patient().await, world.patient().await];
    let first = add(&world, wish(&world, &others[0], &world.sauna)).await.unwrap();
    let second = add(&world, wish(&world, &others[1], &world.sauna)).await.unwrap();
    let urgent = pb::AddEntryRequest { urgent: true, ..wish(&world, &others[2], &world.sauna) };
    let urgent = add(&world, urgent).await.unwrap();
    // Whom it does not suit: the patient themself, another day, other hours, a practitioner who was not there.
    add(&world, wish(&world, &world.patients[0], &world.sauna)).await.unwrap();
    for unsuited in [
        pb::AddEntryRequest { first_date: "2026-01-27".into(), ..wish(&world, &others[0], &world.sauna) },
        pb::AddEntryRequest { weekdays: vec![pb::Weekday::Tuesday.into()], ..wish(&world, &others[0], &world.sauna) },
        pb::AddEntryRequest {
            hours: vec![pb::TimesOfDay { from: "16:00".into(), until: "24:00".into() }],
            ..wish(&world, &others[0], &world.sauna)
        },
        pb::AddEntryRequest {
            practitioner_id: world.practitioners[0].clone(),
            ..wish(&world, &others[0], &world.sauna)
        },
    ] {
        add(&world, unsuited).await.unwrap();
    }

    let answer = cancel(&world, &booked).await;
    let order = [&urgent, &first, &second].map(|entry| entry.waiting_id.clone());
    assert_eq!(ids(&answer.waiting_matches), order);
    assert_eq!(last_change(&world, "appointment.cancelled").await.waiting_ids, order);
    for found in &answer.waiting_matches {
        assert_eq!(found.freed_appointment_id, booked.appointment_id);
        let slot = found.slot.as_ref().unwrap();
        let (from, until) = (booked.start_time.unwrap().seconds, booked.end_time.unwrap().seconds);
        assert!(slot.start_time.unwrap().seconds < until && from < slot.end_time.unwrap().seconds, "{slot:?}");
    }

    // Who is offered it has it for themselves, and is not told of it any more.
    let request = offer_request(&world, &urgent, START);
    let mut client = world.manager.waiting();
    let offered = client.offer_time(request.clone()).await.unwrap().into_inner();
    assert_eq!(client.offer_time(request).await.unwrap().into_inner(), offered, "the same request holds once");
    let (held, entry) = (offered.appointment.unwrap(), offered.entry.unwrap());
    assert_eq!((held.state(), &held.patient_id), (pb::AppointmentState::Held, &others[2]));
    assert_eq!((entry.state(), &entry.appointment_id), (pb::WaitingState::Offered, &held.appointment_id));
    assert_eq!(
        said(&world, &offer(&world, &entry, START).await.unwrap_err())[0].split(' ').next(),
        Some("NOT_WAITING")
    );
    assert_eq!(said(&world, &withdraw(&world, &entry).await.unwrap_err())[0].split(' ').next(), Some("NOT_WAITING"));
    let find = pb::FindMatchesRequest { appointment_id: booked.appointment_id.clone(), ..Default::default() };
    let left = client.find_matches(find.clone()).await.unwrap().into_inner().matches;
    assert_eq!(ids(&left), order[1..]);
    convert(&world, &held).await;
    let entry = get(&world, &urgent.waiting_id).await;
    assert_eq!((entry.state(), &entry.appointment_id), (pb::WaitingState::Booked, &held.appointment_id));
    assert!(!list(&world, false).await.contains(&entry));
    // It stays so, whatever becomes of the visit.
    cancel(&world, &get_appointment(&world, &held.appointment_id).await).await;
    assert_eq!(get(&world, &urgent.waiting_id).await, entry);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_offered_what_gaps_or_aftercare_forbid() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let other = world.patient().await;
    let after_the_first = |patient: &str, treatment: &str| pb::AddEntryRequest {
        first_date: "2026-02-02".into(),
        last_date: "2026-02-06".into(),
        ..wish(&world, patient, treatment)
    };
    // The first session forbids its patient heat for five days.
    let sauna = add(&world, after_the_first(&world.patients[0], &world.sauna)).await.unwrap();
    let free = add(&world, after_the_first(&other, &world.sauna)).await.unwrap();
    let mut needling = after_the_first(&world.patients[0], &world.needling);
    if let Some(Visit::Treatment(visit)) = &mut needling.visit {
        visit.body_area = series.body_area;
    }
    let needling = add(&world, needling).await.unwrap();
    let third = world.patient().await;
    let booked = world.book(needling_request(&world, &third, pb::BodyArea::Neck, "2026-02-04T10:00:00")).await.unwrap();
    let answer = cancel(&world, &booked).await;
    assert_eq!(ids(&answer.waiting_matches), [free.waiting_id.as_str()]);
    // All three wished for that time, as the history says; that two of them may not have it, a booking decides.
    let wished = last_change(&world, "appointment.cancelled").await.waiting_ids;
    assert_eq!(wished, [&sauna, &free, &needling].map(|entry| entry.waiting_id.clone()));
    let refused = offer(&world, &sauna, "2026-02-04T10:00:00").await.unwrap_err();
    assert!(said(&world, &refused)[0].starts_with("ACTIVITY_FORBIDDEN"), "{refused}");
    assert_eq!(get(&world, &sauna.waiting_id).await, sauna);
    assert_eq!(session(&series, 1).state(), pb::AppointmentState::Booked);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_moved_away_is_offered_too_and_a_session_once_it_is_cancelled() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let wished = |number: i32| pb::AddEntryRequest {
        visit: Some(Visit::Session(pb::SessionVisit { series_id: series.series_id.clone(), session_number: number })),
        last_date: "2026-06-30".into(),
        ..wish(&world, "", "")
    };
    assert_eq!(
        said(&world, &add(&world, wished(4)).await.unwrap_err())[0].split(' ').next(),
        Some("SESSION_ALREADY_BOOKED")
    );
    world.cancel(session(&series, 4)).await.unwrap();
    let entry = add(&world, wished(4)).await.unwrap();
    assert_eq!((&entry.patient_id, entry.session_number), (&world.patients[0], 4));
    let other = world.patient().await;
    let mut booked = world.visit_request(&world.sauna, "2026-05-04T10:00:00");
    if let Some(pb::book_appointment_request::Visit::Treatment(visit)) = &mut booked.visit {
        visit.patient_id = other;
    }
    let booked = world.book(booked).await.unwrap();
    let move_it = pb::RescheduleAppointmentRequest {
        request_id: request_id(),
        etag: booked.etag.clone(),
        appointment_id: booked.appointment_id.clone(),
        start_time: world.visit_request(&world.sauna, "2026-05-11T10:00:00").start_time,
        ..Default::default()
    };
    let dry = pb::RescheduleAppointmentRequest { validate_only: true, ..move_it.clone() };
    let mut client = world.manager.appointments();
    assert_eq!(client.reschedule_appointment(dry).await.unwrap().into_inner().waiting_matches, []);
    let answer = client.reschedule_appointment(move_it).await.unwrap().into_inner();
    assert_eq!(ids(&answer.waiting_matches), [entry.waiting_id.as_str()]);
    let start = answer.waiting_matches[0].slot.as_ref().unwrap().start_time;
    let request = pb::OfferTimeRequest { start_time: start, ..offer_request(&world, &entry, START) };
    let held = world.manager.waiting().offer_time(request).await.unwrap().into_inner().appointment.unwrap();
    assert_eq!((held.session_number, held.start_time), (4, start));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_whose_session_is_booked_otherwise_or_is_no_more_does_not_wait() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    world.cancel(session(&series, 4)).await.unwrap();
    let wished = pb::AddEntryRequest {
        visit: Some(Visit::Session(pb::SessionVisit { series_id: series.series_id.clone(), session_number: 4 })),
        last_date: "2026-06-30".into(),
        ..wish(&world, "", "")
    };
    let entry = add(&world, wished).await.unwrap();
    let booked = world.book(session_request(&world, &series, 4, FOUR[3])).await.unwrap();
    assert_eq!(get(&world, &entry.waiting_id).await.state(), pb::WaitingState::Lapsed);
    assert_eq!(list(&world, false).await, []);
    let refused = offer(&world, &entry, "2026-05-04T10:00:00").await.unwrap_err();
    assert_eq!(said(&world, &refused), ["NOT_WAITING"]);
    // Once that is cancelled, it waits again; and no more when the series has fewer sessions.
    world.cancel(&booked).await.unwrap();
    assert_eq!(list(&world, false).await, std::slice::from_ref(&entry));
    let shorter = pb::ShortenSeriesRequest {
        request_id: request_id(),
        etag: get_series(&world, &series.series_id).await.etag,
        series_id: series.series_id.clone(),
        session_count: 3,
        ..Default::default()
    };
    world.manager.series().shorten_series(shorter).await.unwrap();
    assert_eq!(list(&world, false).await, []);
    // It keeps nobody else from being told.
    let free = add(&world, wish(&world, &world.patient().await, &world.sauna)).await.unwrap();
    let sauna = world.book_sauna(START).await.unwrap();
    assert_eq!(ids(&cancel(&world, &sauna).await.waiting_matches), [free.waiting_id.as_str()]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_whose_hold_ends_waits_again_and_others_are_told_of_the_time() {
    let world = World::new().await;
    let others = [world.patient().await, world.patient().await];
    let first = add(&world, wish(&world, &others[0], &world.sauna)).await.unwrap();
    let second = add(&world, wish(&world, &others[1], &world.sauna)).await.unwrap();
    let offered = offer(&world, &first, START).await.unwrap();
    let Some(()) = world.server.set_clock(EXPIRED) else { return };
    let again = get(&world, &first.waiting_id).await;
    assert_eq!((again.state(), again.appointment_id.as_str()), (pb::WaitingState::Waiting, ""));
    let expired = last_change(&world, "appointment.hold_expired").await;
    assert_eq!(expired.waiting_ids, [second.waiting_id.as_str()]);
    let find =
        pb::FindMatchesRequest { appointment_id: offered.appointment.unwrap().appointment_id, ..Default::default() };
    let found = world.manager.waiting().find_matches(find).await.unwrap().into_inner().matches;
    assert_eq!(ids(&found), [second.waiting_id.as_str()]);
    // Offered again, it is released by hand.
    let held = offer(&world, &again, START).await.unwrap().appointment.unwrap();
    assert_eq!(ids(&cancel(&world, &held).await.waiting_matches), [second.waiting_id.as_str()]);
    let gone = withdraw(&world, &get(&world, &first.waiting_id).await).await.unwrap();
    assert_eq!(gone.state(), pb::WaitingState::Withdrawn);
    assert_eq!(said(&world, &withdraw(&world, &gone).await.unwrap_err()), ["NOT_WAITING"]);
    assert_eq!(list(&world, false).await, std::slice::from_ref(&second));
    let Some(()) = world.server.set_clock("2026-02-01T08:00:00Z") else { return };
    assert_eq!(list(&world, false).await, []);
    assert_eq!(get(&world, &second.waiting_id).await.state(), pb::WaitingState::Lapsed);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_desks_that_offer_one_time_or_one_entry_exactly_one_does() {
    let world = World::new().await;
    for day in 26..31 {
        let start = format!("2026-01-{day}T10:00:00");
        let later = format!("2026-01-{day}T14:00:00");
        let entries = [
            add(&world, wish(&world, &world.patient().await, &world.sauna)).await.unwrap(),
            add(&world, wish(&world, &world.patient().await, &world.sauna)).await.unwrap(),
        ];
        // One room, so that there is one place.
        let ask = |entry: &pb::WaitingEntry, start: &str| {
            let mut client = world.manager.waiting();
            let resource_ids = vec![world.rooms[0].clone()];
            let request = pb::OfferTimeRequest { resource_ids, ..offer_request(&world, entry, start) };
            async move { client.offer_time(request).await }
        };
        let (one, other) = tokio::join!(ask(&entries[0], &start), ask(&entries[1], &start));
        assert_ne!(one.is_ok(), other.is_ok());
        let loser = if one.is_ok() { &entries[1] } else { &entries[0] };
        let (one, other) = tokio::join!(ask(loser, &later), ask(loser, &format!("2026-01-{day}T16:00:00")));
        assert_ne!(one.is_ok(), other.is_ok());
        let refused = one.err().or(other.err()).unwrap();
        assert_eq!(said(&world, &refused)[0].split(' ').next(), Some("NOT_WAITING"));
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_listed_in_the_order_in_which_they_are_offered_time_page_by_page() {
    let world = World::new().await;
    let mut expected = Vec::new();
    for place in 0..5 {
        let urgent = place % 2 == 1;
        let request = pb::AddEntryRequest { urgent, ..wish(&world, &world.patients[0], &world.sauna) };
        expected.push(add(&world, request).await.unwrap());
    }
    expected.sort_by_key(|entry| !entry.urgent);
    let (mut read, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListEntriesRequest {
            patient_id: world.patients[0].clone(),
            page_size: 2,
            page_token,
            ..Default::default()
        };
        let page = world.manager.waiting().list_entries(request).await.unwrap().into_inner();
        read.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(read, expected);
    let theirs = pb::ListEntriesRequest { patient_id: world.patients[1].clone(), ..Default::default() };
    assert_eq!(world.manager.waiting().list_entries(theirs).await.unwrap().into_inner().entries, []);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_nobody_could_be_offered_time_for_is_not_taken() {
    let world = World::new().await;
    let good = wish(&world, &world.patients[0], &world.sauna);
    for (bad, field) in [
        (pb::AddEntryRequest { last_date: "2026-01-25".into(), ..good.clone() }, "last_date"),
        (pb::AddEntryRequest { last_date: "2027-03-03".into(), ..good.clone() }, "last_date"),
        (
            pb::AddEntryRequest { first_date: "2026-01-01".into(), last_date: "2026-01-04".into(), ..good.clone() },
            "last_date",
        ),
        (pb::AddEntryRequest { visit: None, ..good.clone() }, "visit"),
    ] {
        assert_eq!(fields(&add(&world, bad).await.unwrap_err()), [field]);
    }
    let needling = add(&world, wish(&world, &world.patients[0], &world.needling)).await.unwrap_err();
    assert_eq!(said(&world, &needling), ["BODY_AREA_MISMATCH"]);
    let entry = add(&world, good).await.unwrap();
    let stale = pb::WaitingEntry { etag: "1".into(), ..entry };
    assert_eq!(offer(&world, &stale, START).await.unwrap_err().code(), Code::Aborted);
    assert_eq!(withdraw(&world, &stale).await.unwrap_err().code(), Code::Aborted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_an_offer_of_something_else_than_was_wished() {
    for damage in [
        "UPDATE waiting_list SET patient_id = (SELECT patient_id FROM patients WHERE patient_id <> waiting_list.patient_id LIMIT 1)",
        "UPDATE waiting_list SET treatment_id = gen_random_uuid()",
        "UPDATE waiting_list SET offered_appointment_id = (SELECT appointment_id FROM appointments WHERE held_revision IS NULL)",
    ] {
        let world = World::new().await;
        world.book_sauna("2026-01-27T10:00:00").await.unwrap();
        let entry = add(&world, wish(&world, &world.patients[0], &world.sauna)).await.unwrap();
        offer(&world, &entry, START).await.unwrap();
        world.server.assert_clean().await;
        world.server.pool().execute(AssertSqlSafe(damage.to_owned())).await.unwrap();
        let report = world.server.verify().await;
        let what = "what is offered to an entry of the waiting list is what it is about";
        let found = report.checks.iter().find(|check| check.what == what).unwrap();
        assert_eq!(found.violations, 1, "{damage}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_want_a_time_the_first_are_told_in_the_history_and_fewer_offered_at_once() {
    let world = World::new().await;
    let booked = world.book_sauna(START).await.unwrap();
    let other = world.patient().await;
    let mut waiting = Vec::new();
    for _ in 0..52 {
        waiting.push(add(&world, wish(&world, &other, &world.sauna)).await.unwrap().waiting_id);
    }
    let answer = cancel(&world, &booked).await;
    assert_eq!(ids(&answer.waiting_matches), waiting[..10]);
    assert_eq!(last_change(&world, "appointment.cancelled").await.waiting_ids, waiting[..50]);
}
