//! What a refusal offers is really to be had: random requests against a half-full calendar.

use chrono::{DateTime, TimeDelta, Utc};
use stipple::rpc::pb;

use crate::desk::{instant, said, session_request, simple, treatment_request, work};
use crate::harness::random::Random;
use crate::harness::world::{every_day, request_id, timestamp};
use crate::harness::{World, refusal};

/// A start in three weeks of February, in the hours in which the clinic is open, or nearly so.
fn some_start(world: &World, random: &mut Random) -> DateTime<Utc> {
    let minutes = 7 * 60 + 5 * random.below(132);
    let day = world.local("2026-02-02T00:00:00") + TimeDelta::days(i64::try_from(random.below(21)).unwrap());
    day + TimeDelta::minutes(i64::try_from(minutes).unwrap())
}

/// Opens the clinic from 8 to 18 only, and gives everybody hours of their own.
async fn keep_hours(world: &World) {
    let mut practices = world.manager.practices();
    let request = pb::GetClinicRequest { clinic_id: world.clinic.clone(), ..Default::default() };
    let clinic = practices.get_clinic(request).await.unwrap().into_inner().clinic.unwrap();
    let request = pb::UpdateClinicRequest {
        request_id: request_id(),
        etag: clinic.etag,
        clinic_id: clinic.clinic_id,
        name: clinic.name,
        opening_hours: every_day("08:00", "18:00"),
        ..Default::default()
    };
    practices.update_clinic(request).await.unwrap();
    let people = world.practitioners.iter().chain(&world.assistants);
    let hours = [("08:00", "13:00"), ("12:00", "18:00"), ("07:00", "14:00"), ("13:00", "19:00")];
    for (id, hours) in people.zip(hours) {
        work(world, id, &[hours]).await;
    }
}

/// Books what it can of random requests. When one rule alone is in the way and the refusal offers a start, asks for
/// that start: the same rule must not be in the way again.
async fn take_offers(seed: u64, requests: usize) -> (usize, usize, Vec<String>) {
    let world = World::new().await;
    keep_hours(&world).await;
    let peel = world.publish_treatment(simple("Peel", 45, vec![pb::Activity::ChemicalPeel])).await;
    let mut random = Random(seed);
    let mut patients = world.patients.clone();
    patients.push(world.patient().await);
    let areas = [pb::BodyArea::Face, pb::BodyArea::Back];
    let named: Vec<&String> = world.practitioners.iter().chain(&world.rooms).chain(&world.pens).collect();
    let (mut offered, mut booked, mut broken) = (0, 0, Vec::new());
    for _ in 0..requests {
        let (treatment, area) = match random.below(3) {
            0 => (&world.sauna, pb::BodyArea::Unspecified),
            1 => (&peel, pb::BodyArea::Unspecified),
            _ => (&world.needling, *random.of(&areas)),
        };
        let patient = random.of(&patients).clone();
        let mut request = treatment_request(&world, &patient, treatment, area, "2026-02-02T10:00:00");
        request.start_time = timestamp(some_start(&world, &mut random));
        if treatment == &world.needling && random.below(3) == 0 {
            request.resource_ids = vec![(*random.of(&named)).clone()];
        }
        // A handful of offers in a row lead somewhere, or each is for another rule than the one before.
        for _ in 0..6 {
            request.request_id = request_id();
            let Err(status) = world.book(request.clone()).await else {
                booked += 1;
                break;
            };
            let violations = refusal(&status);
            let [violation] = violations.as_slice() else { break };
            let Some(offer) = &violation.earliest_start else { break };
            assert!(instant(Some(offer)) > instant(request.start_time.as_ref()));
            let before = said(&world, &status);
            request.start_time = Some(*offer);
            request.request_id = request_id();
            request.validate_only = true;
            offered += 1;
            if let Err(status) = world.book(request.clone()).await
                && refusal(&status).iter().any(|again| again.reason == violation.reason)
            {
                broken.push(format!("{before:?}, then {:?}", said(&world, &status)));
            }
            request.validate_only = false;
        }
    }
    world.server.assert_clean().await;
    (offered, booked, broken)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_that_a_refusal_offers_is_not_refused_for_the_same_reason() {
    let (offered, booked, broken) = take_offers(0x5717_9913, 150).await;
    println!("{offered} offers, {booked} bookings");
    assert!(offered >= 30 && booked >= 40, "{offered} offers, {booked} bookings");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_too_soon_can_be_booked_on_the_offered_day() {
    let world = World::new().await;
    let starts = ["2026-02-02T10:00:00", "2026-03-14T10:00:00", "2026-04-23T10:00:00"];
    let series = world.book_series(&starts).await.unwrap();
    world.cancel(series.sessions[1].appointment.as_ref().unwrap()).await.unwrap();
    let mut request = session_request(&world, &series, 2, "2026-02-27T10:00:00");
    let status = world.book(request.clone()).await.unwrap_err();
    let [violation] = refusal(&status).try_into().unwrap();
    assert_eq!(violation.reason(), pb::Reason::SessionTooSoon);
    request.start_time = violation.earliest_start;
    assert_eq!(world.book(request).await.unwrap().local_start, "2026-03-02T00:00:00+01:00");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_is_offered_only_when_every_need_can_be_served() {
    let world = World::new().await;
    // Practitioners work in the afternoon; assistants do not between 11:00 and 14:00.
    for id in &world.practitioners {
        work(&world, id, &[("12:00", "18:00")]).await;
    }
    for id in &world.assistants {
        work(&world, id, &[("07:00", "11:00"), ("14:00", "18:00")]).await;
    }
    let patient = &world.patients[0];
    let area = pb::BodyArea::Face;
    let mut request = treatment_request(&world, patient, &world.needling, area, "2026-02-02T09:00:00");
    let status = world.book(request.clone()).await.unwrap_err();
    assert_eq!(said(&world, &status), ["NO_RESOURCE_FREE from 2026-02-02T14:00"]);
    request.start_time = timestamp(world.local("2026-02-02T14:00:00"));
    world.book(request).await.unwrap();
    world.server.assert_clean().await;
}
