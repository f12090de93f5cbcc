//! Two treatments in one visit: where the catalogue allows the pair and a practitioner approved it for the patient.

use stipple::rpc::pb;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::desk::{
    get_appointment, get_series, hours_after, instant, said, session, session_request, simple, treatment_request,
};
use crate::harness::wire::{fields, missing, reason};
use crate::harness::world::{evidence, needling, request_id, timestamp};
use crate::harness::{World, refusal};
use crate::no_shows::{mark, undo};

const ABDOMEN: pb::BodyArea = pb::BodyArea::Abdomen;

/// A practice with something to add to needling.
pub struct Clinic {
    /// The practice.
    pub world: World,
    /// Injects into the same area: numbing 30 (also with a cooler), injection 30 (room, and an injector), turnover 10.
    /// Exposes to filler;
    /// keeps the area for 30 days, and forbids heat for 8 days and a chemical peel for 6.
    pub injection: String,
}

fn need(kind: pb::ResourceKind, qualification: &str) -> pb::Need {
    pb::Need { kind: kind.into(), qualification: qualification.into() }
}

fn days_around(activity: pb::Activity, before: i32, after: i32) -> pb::Restriction {
    let days = |days| Some(pb::Span { amount: Some(pb::span::Amount::Days(days)) });
    let (before, after) = (if before == 0 { None } else { days(before) }, days(after));
    pb::Restriction { before, after, ..hours_after(activity, 1) }
}

fn injection() -> pb::TreatmentContent {
    let mut numbing = needling().phases[0].clone();
    numbing.needs.push(need(pb::ResourceKind::Device, "cooler"));
    let room = || need(pb::ResourceKind::Room, "treatment_room");
    let injector = need(pb::ResourceKind::Practitioner, "injecting");
    let phase = |name: &str, minutes, patient_present, exposing, needs| pb::Phase {
        name: name.into(),
        minutes,
        patient_present,
        exposing,
        needs,
        evidence: None,
    };
    pb::TreatmentContent {
        name: "Micro-injection".into(),
        spacing_days: 30,
        phases: vec![
            numbing,
            phase("injection", 30, true, true, vec![room(), injector]),
            phase("turnover", 10, false, false, vec![room()]),
        ],
        exposures: vec![pb::Activity::Filler.into()],
        restrictions: vec![
            pb::Restriction {
                instruction: "No sauna after the injection.".into(),
                ..days_around(pb::Activity::Heat, 0, 8)
            },
            days_around(pb::Activity::ChemicalPeel, 0, 6),
        ],
        ..Default::default()
    }
}

impl Clinic {
    /// A practice in Berlin.
    pub async fn new() -> Self {
        let mut world = World::new().await;
        world.resource(pb::ResourceKind::Practitioner, "injecting").await;
        world.resource(pb::ResourceKind::Device, "cooler").await;
        let injection = world.publish_treatment(injection()).await;
        let mut content = needling();
        content.restrictions.push(days_around(pb::Activity::Filler, 28, 28));
        content.combinations = vec![pb::Combination { add_on_treatment_id: injection.clone(), evidence: evidence() }];
        world.needling = world.publish_treatment(content).await;
        world.protocol = world.publish_protocol(&world.needling).await;
        Self { world, injection }
    }

    /// A practitioner approves that something is added to needling, for the first patient.
    pub async fn approve(&self, add_on: &str) -> Uuid {
        approve(&self.world, &self.world.patients[0], &self.world.needling, add_on).await
    }

    /// Needling of the first patient's abdomen, to which something is added.
    pub fn with(&self, add_on: &str, start: &str) -> pb::BookAppointmentRequest {
        let world = &self.world;
        let alone = treatment_request(world, &world.patients[0], &world.needling, ABDOMEN, start);
        pb::BookAppointmentRequest { add_on_treatment_id: add_on.into(), ..alone }
    }

    async fn book(&self, start: &str) -> Result<pb::Appointment, Status> {
        self.world.book(self.with(&self.injection, start)).await
    }
}

async fn approve(world: &World, patient: &str, treatment: &str, add_on: &str) -> Uuid {
    let id: Uuid = request_id().parse().unwrap();
    let uuid = |text: &str| text.parse::<Uuid>().unwrap();
    sqlx::query(
        "INSERT INTO overrides (practice_id, override_id, patient_id, kind, treatment_id, add_on_treatment_id, reason,
             granted_at, granted_by, granted_revision)
         VALUES ($1, $2, $3, 'combination', $4, $5, 'wished', '2026-01-01Z', $6, 1)",
    )
    .bind(uuid(&world.practice))
    .bind(id)
    .bind(uuid(patient))
    .bind(uuid(treatment))
    .bind(uuid(add_on))
    .bind(uuid(&world.practitioners[0]))
    .execute(world.server.pool())
    .await
    .unwrap();
    id
}

async fn revoke(world: &World, id: Uuid) {
    sqlx::query(
        "UPDATE overrides SET revoked_at = '2026-01-02Z', revoked_by = granted_by, revoked_revision = 1,
             revoke_reason = '' WHERE override_id = $1",
    )
    .bind(id)
    .execute(world.server.pool())
    .await
    .unwrap();
}

fn phases(appointment: &pb::Appointment) -> Vec<(&str, i64)> {
    let minutes = |phase: &pb::AppointmentPhase| {
        (instant(phase.end_time.as_ref()) - instant(phase.start_time.as_ref())).num_minutes()
    };
    appointment.phases.iter().map(|phase| (phase.name.as_str(), minutes(phase))).collect()
}

const BOTH: [(&str, i64); 5] =
    [("numbing", 30), ("needling", 30), ("injection", 30), ("aftercare talk", 5), ("turnover", 15)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_follow_a_session_may_be_added_to_it() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let first = world.book(clinic.with("", "2026-02-02T10:00:00")).await.unwrap().appointment_id;
    let alone = treatment_request(world, &world.patients[0], &clinic.injection, ABDOMEN, "2026-02-04T10:00:00");
    let status = world.book(alone).await.unwrap_err();
    let told = [
        format!("SESSION_TOO_SOON against {first} 2/28 days from 2026-03-02T00:00"),
        format!("ACTIVITY_FORBIDDEN against {first} from 2026-03-02T10:30"),
    ];
    assert_eq!(said(world, &status), told);
    // In the same visit, but nobody approved it.
    let status = clinic.book("2026-03-10T10:00:00").await.unwrap_err();
    assert_eq!(said(world, &status), ["COMBINATION_NOT_APPROVED"]);
    assert!(refusal(&status)[0].description.contains("PatientService.GrantOverride"));

    let approval = clinic.approve(&clinic.injection).await;
    let request = clinic.with(&clinic.injection, "2026-03-10T10:00:00");
    let both = world.book(request.clone()).await.unwrap();
    assert_eq!(phases(&both), BOTH);
    assert_eq!(both.local_end, "2026-03-10T11:35:00+01:00");
    assert_eq!((both.treatment_id.as_str(), both.treatment_version), (world.needling.as_str(), 1));
    assert_eq!((both.add_on_treatment_id.as_str(), both.add_on_treatment_version), (clinic.injection.as_str(), 1));
    assert_eq!(both.combination_override_id, approval.to_string());
    let of = |phase: usize| both.phases[phase].resources.iter().map(|r| r.resource_id.clone()).collect::<Vec<_>>();
    assert_eq!((of(0).len(), of(1).len(), of(2).len()), (3, 3, 2));
    assert_eq!(get_appointment(world, &both.appointment_id).await, both);
    // The same request again is answered with the same visit.
    assert_eq!(world.book(request).await.unwrap(), both);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_windows_of_a_combined_visit_are_those_of_both_treatments() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    clinic.approve(&clinic.injection).await;
    let mut lip = simple("Lip care", 20, vec![pb::Activity::LaserAndLight]);
    lip.restrictions = vec![days_around(pb::Activity::Filler, 3, 3)];
    let lip = world.publish_treatment(lip).await;
    let lips = world.book(world.visit_request(&lip, "2026-02-01T10:00:00")).await.unwrap().appointment_id;
    // What is added is a filler; without it, nothing stands in the way.
    let status = clinic.book("2026-02-02T10:00:00").await.unwrap_err();
    assert_eq!(said(world, &status), [format!("ACTIVITY_FORBIDDEN against {lips} from 2026-02-04T09:50")]);
    let mut alone = clinic.with("", "2026-02-02T10:00:00");
    alone.validate_only = true;
    world.book(alone).await.unwrap();

    let both = clinic.book("2026-02-04T09:50:00").await.unwrap();
    // The treatment proper is 10:20 to 11:20. Heat is forbidden for 5 days by one, for 8 by the other.
    let status = world.book_sauna("2026-02-11T10:00:00").await.unwrap_err();
    let told = format!("ACTIVITY_FORBIDDEN against {} from 2026-02-12T11:20", both.appointment_id);
    assert_eq!(said(world, &status), [told]);
    world.book_sauna("2026-02-12T11:20:00").await.unwrap();
    // The next filler, and the next needling of that area: 28 days forbid the one, 30 space the other.
    let alone = |start| treatment_request(world, &world.patients[0], &clinic.injection, ABDOMEN, start);
    let status = world.book(alone("2026-03-04T08:00:00")).await.unwrap_err();
    let told = [
        format!("SESSION_TOO_SOON against {} 28/30 days from 2026-03-06T00:00", both.appointment_id),
        format!("ACTIVITY_FORBIDDEN against {} from 2026-03-04T10:50", both.appointment_id),
    ];
    assert_eq!(said(world, &status), told);
    // What the patient is told are the words of the longer.
    let request = pb::GetAftercareRequest {
        patient_id: world.patients[0].clone(),
        start_time: both.start_time,
        end_time: timestamp(world.local("2026-02-20T00:00:00")),
        ..Default::default()
    };
    let windows = world.manager.aftercare().get_aftercare(request).await.unwrap().into_inner().windows;
    let of = |activity: pb::Activity| {
        let mut of = windows.iter().filter(|w| w.activity() == activity && w.appointment_id == both.appointment_id);
        let window = of.next().unwrap();
        assert!(of.next().is_none(), "one window of each activity");
        (window.instruction.as_str(), window.local_end.as_str())
    };
    assert_eq!(of(pb::Activity::Heat), ("No sauna after the injection.", "2026-02-12T11:20:00+01:00"));
    assert_eq!(of(pb::Activity::ChemicalPeel), ("No peel.", "2026-02-18T11:20:00+01:00"));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_combination_needs_the_catalogue_and_a_practitioner() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let start = "2026-02-02T10:00:00";
    let status = world.book(clinic.with(&request_id(), start)).await.unwrap_err();
    assert_eq!(missing(&status), "add_on_treatment_id");
    let status = world.book(clinic.with("injection", start)).await.unwrap_err();
    assert_eq!(fields(&status), ["add_on_treatment_id"]);
    // Not in the catalogue; and all else that is wrong is told at once.
    let told = |status: Status| said(world, &status);
    let status = world.book(clinic.with(&world.sauna, start)).await.unwrap_err();
    assert_eq!(told(status), ["COMBINATION_NOT_ALLOWED", "COMBINATION_NOT_APPROVED"]);
    clinic.approve(&world.sauna).await;
    let status = world.book(clinic.with(&world.sauna, start)).await.unwrap_err();
    assert_eq!(told(status), ["COMBINATION_NOT_ALLOWED"]);
    let status = world.book(clinic.with(&world.needling, start)).await.unwrap_err();
    assert_eq!(told(status), ["COMBINATION_NOT_ALLOWED", "COMBINATION_NOT_APPROVED"]);
    let status = clinic.book("2025-12-01T10:00:00").await.unwrap_err();
    let told = said(world, &status);
    assert!(told[0] == "COMBINATION_NOT_APPROVED" && told[1].starts_with("START_IN_PAST"), "{told:?}");
    // The other way round, for another patient, and revoked.
    approve(world, &world.patients[0], &clinic.injection, &world.needling).await;
    approve(world, &world.patients[1], &world.needling, &clinic.injection).await;
    let gone = clinic.approve(&clinic.injection).await;
    revoke(world, gone).await;
    let status = clinic.book(start).await.unwrap_err();
    assert_eq!(said(world, &status), ["COMBINATION_NOT_APPROVED"]);
    let approval = clinic.approve(&clinic.injection).await;
    assert_eq!(clinic.book(start).await.unwrap().combination_override_id, approval.to_string());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_treatments_that_are_too_long_together_are_no_combination() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let mut long = simple("Long", 480, vec![]);
    let rest = pb::Phase { name: "rest".into(), exposing: false, minutes: 240, ..long.phases[0].clone() };
    long.phases.push(rest);
    let long = world.publish_treatment(long).await;
    let request = pb::GetTreatmentRequest { treatment_id: world.needling.clone(), ..Default::default() };
    let needling = world.manager.catalog().get_treatment(request).await.unwrap().into_inner().treatment.unwrap();
    let mut content = needling.content.unwrap();
    content.combinations.push(pb::Combination { add_on_treatment_id: long.clone(), evidence: evidence() });
    let request = pb::PublishTreatmentRequest {
        request_id: request_id(),
        treatment_id: needling.treatment_id,
        etag: needling.etag,
        content: Some(content),
        ..Default::default()
    };
    world.manager.catalog().publish_treatment(request).await.unwrap();
    clinic.approve(&long).await;
    let status = world.book(clinic.with(&long, "2026-02-02T10:00:00")).await.unwrap_err();
    assert_eq!(said(world, &status), ["COMBINATION_NOT_ALLOWED"]);
    assert!(refusal(&status)[0].description.contains("720 minutes"), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_combinations_of_a_treatment_are_other_treatments_that_exist() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let request = pb::GetTreatmentRequest { treatment_id: world.needling.clone(), ..Default::default() };
    let before = world.manager.catalog().get_treatment(request).await.unwrap().into_inner().treatment.unwrap();
    assert_eq!(before.content.as_ref().unwrap().combinations[0].add_on_treatment_id, clinic.injection);
    let publish = async |ids: &[&str], evidence: Option<pb::Evidence>| {
        let combination = |id: &&str| pb::Combination { add_on_treatment_id: (*id).into(), evidence: evidence.clone() };
        let combinations = ids.iter().map(combination).collect();
        let request = pb::PublishTreatmentRequest {
            request_id: request_id(),
            treatment_id: before.treatment_id.clone(),
            etag: before.etag.clone(),
            content: Some(pb::TreatmentContent { combinations, ..needling() }),
            ..Default::default()
        };
        world.manager.catalog().publish_treatment(request).await.unwrap_err()
    };
    let (sauna, injection) = (world.sauna.as_str(), clinic.injection.as_str());
    assert_eq!(
        missing(&publish(&[sauna, &request_id()], evidence()).await),
        "content.combinations[1].add_on_treatment_id"
    );
    for (ids, evidence, field) in [
        (vec![sauna, sauna], evidence(), "content.combinations"),
        (vec![sauna, injection, "x"], evidence(), "content.combinations[2].add_on_treatment_id"),
        (vec![world.needling.as_str()], evidence(), "content.combinations[0].add_on_treatment_id"),
        (vec![injection], None, "content.combinations[0].evidence"),
        (vec![injection; 21], evidence(), "content.combinations"),
    ] {
        let status = publish(&ids, evidence).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "FIELD_INVALID"), "{status:?}");
        assert_eq!(fields(&status), [field]);
    }
}

/// A phase of so many minutes: before, in or after the treatment proper, or when the patient has gone.
fn phase(name: &str, minutes: i32, proper: bool, there: bool, needs: &[pb::Need]) -> pb::Phase {
    pb::Phase {
        name: name.into(),
        minutes,
        patient_present: there,
        exposing: proper,
        needs: needs.to_vec(),
        evidence: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_puts_two_treatments_together_as_booking_does() {
    let world = World::new().await;
    let room = || need(pb::ResourceKind::Room, "treatment_room");
    let (assistant, pen) =
        (|| need(pb::ResourceKind::Assistant, "assistance"), || need(pb::ResourceKind::Device, "needling_pen"));
    let restrict = |activity, before: Option<pb::span::Amount>, after: Option<pb::span::Amount>| pb::Restriction {
        before: before.map(|amount| pb::Span { amount: Some(amount) }),
        after: after.map(|amount| pb::Span { amount: Some(amount) }),
        ..hours_after(activity, 1)
    };
    let duty = |activity: pb::Activity, from: Option<pb::span::Amount>, until: Option<pb::span::Amount>| pb::Duty {
        activity: activity.into(),
        from: from.map(|amount| pb::Span { amount: Some(amount) }),
        until: until.map(|amount| pb::Span { amount: Some(amount) }),
        instruction: "Take care.".into(),
        evidence: evidence(),
    };
    let (hours, days) = (|hours| Some(pb::span::Amount::Hours(hours)), |days| Some(pb::span::Amount::Days(days)));
    let add_on = pb::TreatmentContent {
        phases: vec![
            phase("wash", 20, false, true, &[pen(), assistant()]),
            phase("wash", 5, false, true, &[room()]),
            phase("wash", 10, false, true, &[assistant()]),
            phase("treat", 10, true, true, &[room(), pen()]),
            phase("wash", 15, false, true, &[]),
            phase("air", 25, false, false, &[room()]),
        ],
        exposures: vec![pb::Activity::Heat.into(), pb::Activity::Swimming.into()],
        restrictions: vec![
            restrict(pb::Activity::Alcohol, hours(30), days(2)),
            pb::Restriction { advice_only: true, ..restrict(pb::Activity::MakeUp, None, hours(48)) },
            restrict(pb::Activity::Filler, days(3), None),
            pb::Restriction { advice_only: true, ..restrict(pb::Activity::Depilation, None, days(3)) },
        ],
        duties: vec![
            duty(pb::Activity::SunExposure, hours(20), days(10)),
            duty(pb::Activity::Heat, days(1), days(2)),
            duty(pb::Activity::Swimming, days(1), hours(49)),
            duty(pb::Activity::Exercise, None, days(3)),
        ],
        ..simple("Addition", 5, vec![])
    };
    let add_on = world.publish_treatment(add_on).await;
    let base = pb::TreatmentContent {
        phases: vec![
            phase("talk", 5, false, true, &[]),
            phase("wash", 5, false, true, &[room()]),
            phase("wash", 15, false, true, &[room()]),
            phase("treat", 30, true, true, &[room()]),
            phase("treat", 5, true, true, &[assistant()]),
            phase("talk", 10, false, true, &[]),
            phase("tidy", 5, false, false, &[room()]),
        ],
        exposures: vec![pb::Activity::Swimming.into(), pb::Activity::Exercise.into()],
        restrictions: vec![
            restrict(pb::Activity::Alcohol, days(1), hours(49)),
            restrict(pb::Activity::MakeUp, None, days(2)),
            pb::Restriction { advice_only: true, ..restrict(pb::Activity::Vaccination, days(1), days(1)) },
            pb::Restriction { advice_only: true, ..restrict(pb::Activity::Depilation, hours(5), days(1)) },
        ],
        duties: vec![
            duty(pb::Activity::SunExposure, days(1), days(14)),
            duty(pb::Activity::Heat, None, hours(48)),
            duty(pb::Activity::Swimming, hours(24), days(2)),
        ],
        combinations: vec![pb::Combination { add_on_treatment_id: add_on.clone(), evidence: evidence() }],
        ..simple("Base", 5, vec![])
    };
    let base = world.publish_treatment(base).await;
    approve(&world, &world.patients[0], &base, &add_on).await;
    // Windows in days reach over the change of the clock.
    let request =
        pb::BookAppointmentRequest { add_on_treatment_id: add_on, ..world.visit_request(&base, "2026-03-27T22:00:00") };
    let both = world.book(request).await.unwrap();
    let expected = [
        ("talk", 5),
        ("wash", 20),
        ("wash", 15),
        ("wash", 10),
        ("treat", 30),
        ("treat", 5),
        ("talk", 10),
        ("wash", 15),
        ("tidy", 5),
        ("air", 25),
    ];
    assert_eq!(phases(&both), expected);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needles_and_is_added_to_what_does_not_names_an_area() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let base = pb::TreatmentContent {
        combinations: vec![pb::Combination { add_on_treatment_id: clinic.injection.clone(), evidence: evidence() }],
        ..simple("Mask", 20, vec![])
    };
    let base = world.publish_treatment(base).await;
    approve(world, &world.patients[0], &base, &clinic.injection).await;
    let with = |area| pb::BookAppointmentRequest {
        add_on_treatment_id: clinic.injection.clone(),
        ..treatment_request(world, &world.patients[0], &base, area, "2026-02-02T10:00:00")
    };
    let status = world.book(with(pb::BodyArea::Unspecified)).await.unwrap_err();
    assert_eq!(said(world, &status), ["BODY_AREA_MISMATCH"]);
    let both = world.book(with(ABDOMEN)).await.unwrap();
    let needling = treatment_request(world, &world.patients[0], &world.needling, ABDOMEN, "2026-03-03T12:00:00");
    let told = said(world, &world.book(needling).await.unwrap_err());
    assert!(told[0].starts_with(&format!("SESSION_TOO_SOON against {} 29/30 days", both.appointment_id)), "{told:?}");
    world.server.assert_clean().await;
}

fn search(clinic: &Clinic, patient: &str, add_on: &str) -> pb::FindSlotsRequest {
    let world = &clinic.world;
    pb::FindSlotsRequest {
        visit: Some(pb::find_slots_request::Visit::Treatment(pb::TreatmentVisit {
            patient_id: patient.into(),
            treatment_id: world.needling.clone(),
            body_area: ABDOMEN.into(),
        })),
        clinic_ids: vec![world.clinic.clone()],
        start_date: "2026-02-02".into(),
        end_date: "2026-02-05".into(),
        start_grid_minutes: 60,
        page_size: 500,
        add_on_treatment_id: add_on.into(),
        ..Default::default()
    }
}

async fn found(world: &World, request: &pb::FindSlotsRequest) -> Result<Vec<pb::Slot>, Status> {
    Ok(world.manager.appointments().find_slots(request.clone()).await?.into_inner().slots)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_with_an_added_treatment_are_exactly_those_that_can_be_booked() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let patient = world.patients[0].as_str();
    for (patient, add_on, rules) in [
        (patient, &clinic.injection, vec!["COMBINATION_NOT_APPROVED"]),
        (patient, &world.sauna, vec!["COMBINATION_NOT_ALLOWED", "COMBINATION_NOT_APPROVED"]),
        ("", &world.sauna, vec!["COMBINATION_NOT_ALLOWED"]),
    ] {
        let status = found(world, &search(&clinic, patient, add_on)).await.unwrap_err();
        assert_eq!(said(world, &status), rules);
    }
    let status = found(world, &search(&clinic, patient, &request_id())).await.unwrap_err();
    assert_eq!(missing(&status), "add_on_treatment_id");

    clinic.approve(&clinic.injection).await;
    // A window that only what is added minds, and one that it opens for longer; and the injector is busy for a while.
    let mut lip = simple("Lip care", 20, vec![pb::Activity::LaserAndLight]);
    lip.restrictions = vec![hours_after(pb::Activity::Filler, 20)];
    let lip = world.publish_treatment(lip).await;
    world.book(world.visit_request(&lip, "2026-02-02T08:00:00")).await.unwrap();
    world.book_sauna("2026-02-12T16:00:00").await.unwrap();
    let other = treatment_request(world, &world.patients[1], &clinic.injection, ABDOMEN, "2026-02-03T12:30:00");
    world.book(other).await.unwrap();
    let with = search(&clinic, patient, &clinic.injection);
    let slots = found(world, &with).await.unwrap();
    let plain = found(world, &search(&clinic, patient, "")).await.unwrap();
    assert!(slots.len() < plain.len() && !slots.is_empty(), "{} of {}", slots.len(), plain.len());
    let starts: Vec<_> = slots.iter().map(|slot| slot.start_time).collect();
    for hour in 0..96 {
        let start = world.local("2026-02-02T00:00:00") + chrono::TimeDelta::hours(hour);
        let request = pb::BookAppointmentRequest {
            start_time: timestamp(start),
            validate_only: true,
            ..clinic.with(&clinic.injection, "2026-02-02T00:00:00")
        };
        let booked = world.book(request).await;
        assert_eq!(booked.is_ok(), starts.contains(&timestamp(start)), "{start}: {booked:?}");
        if let Ok(booked) = booked {
            let slot = slots.iter().find(|slot| slot.start_time == timestamp(start)).unwrap();
            assert_eq!(slot.end_time, booked.end_time);
        }
    }
    // Without a patient, only the clinic's side.
    let anybody = found(world, &search(&clinic, "", &clinic.injection)).await.unwrap();
    assert!(anybody.len() > slots.len() && anybody.len() < 96, "the injector is busy all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_that_is_moved_keeps_what_was_added_to_it() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let approval = clinic.approve(&clinic.injection).await;
    let old = clinic.book("2026-02-03T10:00:00").await.unwrap();
    // What is published since does not matter to it.
    let request = pb::GetTreatmentRequest { treatment_id: clinic.injection.clone(), ..Default::default() };
    let added = world.manager.catalog().get_treatment(request).await.unwrap().into_inner().treatment.unwrap();
    let mut longer = injection();
    longer.phases[1].minutes = 60;
    let request = pb::PublishTreatmentRequest {
        request_id: request_id(),
        treatment_id: added.treatment_id,
        etag: added.etag,
        content: Some(longer),
        ..Default::default()
    };
    world.manager.catalog().publish_treatment(request).await.unwrap();

    // To find where to, what was added is named, too.
    let moving = |add_on: &str| pb::FindSlotsRequest {
        moving_appointment_id: old.appointment_id.clone(),
        ..search(&clinic, &world.patients[0], add_on)
    };
    let status = found(world, &moving("")).await.unwrap_err();
    assert_eq!(fields(&status), ["moving_appointment_id"]);
    let slots = found(world, &moving(&clinic.injection)).await.unwrap();
    let slot = slots.iter().find(|slot| slot.local_start.starts_with("2026-02-03T11:00")).unwrap();
    let request = pb::RescheduleAppointmentRequest {
        request_id: request_id(),
        etag: old.etag.clone(),
        appointment_id: old.appointment_id.clone(),
        start_time: slot.start_time,
        ..Default::default()
    };
    let new = world.manager.appointments().reschedule_appointment(request).await.unwrap().into_inner();
    let new = new.appointment.unwrap();
    assert_eq!(phases(&new), BOTH);
    assert_eq!((new.end_time, new.add_on_treatment_version), (slot.end_time, 1));
    assert_eq!(new.combination_override_id, approval.to_string());
    assert_eq!(get_appointment(world, &old.appointment_id).await.add_on_treatment_id, clinic.injection);
    // A new visit takes the new version.
    world.cancel(&new).await.unwrap();
    let newest = clinic.book("2026-02-03T10:00:00").await.unwrap();
    assert_eq!((newest.add_on_treatment_version, newest.local_end.as_str()), (2, "2026-02-03T12:05:00+01:00"));
    world.server.assert_clean().await;
}

/// A series of four whose second session has something added.
async fn series_with_an_addition(clinic: &Clinic, starts: &[&str; 4]) -> pb::Series {
    let world = &clinic.world;
    let series = world.book_series(starts).await.unwrap();
    world.cancel(session(&series, 2)).await.unwrap();
    let mut request = session_request(world, &series, 2, starts[1]);
    request.add_on_treatment_id = clinic.injection.clone();
    let booked = world.book(request).await.unwrap();
    assert_eq!((booked.session_number, phases(&booked)), (2, BOTH.to_vec()));
    get_series(world, &series.series_id).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_may_have_something_added_and_keeps_the_longer_gap() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    clinic.approve(&clinic.injection).await;
    let near = ["2026-02-02T10:00:00", "2026-03-02T10:30:00", "2026-03-31T10:00:00", "2026-04-28T10:00:00"];
    let series = world.book_series(&near).await.unwrap();
    world.cancel(session(&series, 2)).await.unwrap();
    let third = &session(&series, 3).appointment_id;
    let mut request = session_request(world, &series, 2, near[1]);
    request.add_on_treatment_id = clinic.injection.clone();
    // The protocol's gap is 28 days, that of what is added 30; and the needling before and after forbids fillers.
    let told = said(world, &world.book(request.clone()).await.unwrap_err());
    assert!(
        told.iter().any(|line| line.starts_with(&format!("SESSION_TOO_SOON against {third} 29/30 days"))),
        "{told:?}"
    );
    let find = pb::FindSlotsRequest {
        visit: Some(pb::find_slots_request::Visit::Session(pb::SessionVisit {
            series_id: series.series_id.clone(),
            session_number: 2,
        })),
        start_date: "2026-02-20".into(),
        end_date: "2026-03-20".into(),
        view: pb::SlotView::Days.into(),
        ..search(&clinic, "", &clinic.injection)
    };
    let days = world.manager.appointments().find_slots(find).await.unwrap().into_inner().days;
    let days: Vec<&str> = days.iter().map(|day| day.date.as_str()).collect();
    // 28 days after the first is the day after the last that lies 30 days before the third.
    assert!(days.is_empty(), "{days:?}");
    world.cancel(session(&series, 3)).await.unwrap();
    request.request_id = request_id();
    let booked = world.book(request).await.unwrap();
    assert_eq!(booked.add_on_treatment_id, clinic.injection);
    let status = world.book(session_request(world, &series, 3, near[2])).await.unwrap_err();
    let told = said(world, &status);
    let expected = format!("SESSION_TOO_SOON against {} 29/30 days", booked.appointment_id);
    assert!(told.iter().any(|line| line.starts_with(&expected)), "{told:?}");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_move_keep_what_was_added_to_them() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    clinic.approve(&clinic.injection).await;
    let starts = ["2026-02-02T10:00:00", "2026-03-04T10:00:00", "2026-04-03T10:00:00", "2026-05-03T10:00:00"];
    let series = series_with_an_addition(&clinic, &starts).await;
    let to = |series: &pb::Series, number, start: &str| pb::RescheduleSessionRequest {
        request_id: request_id(),
        etag: series.etag.clone(),
        series_id: series.series_id.clone(),
        session_number: number,
        start_time: timestamp(world.local(start)),
        ..Default::default()
    };
    // The first moves by a week: the second follows with what was added, and the third keeps 30 days from it.
    let answer = world.manager.series().reschedule_session(to(&series, 1, "2026-02-09T10:00:00")).await.unwrap();
    let answer = answer.into_inner();
    let moved: Vec<i32> = answer.moves.iter().map(|moved| moved.session_number).collect();
    assert_eq!(moved, [1, 2, 3, 4]);
    let series = answer.series.unwrap();
    let added: Vec<bool> = (1..=4).map(|n| session(&series, n).add_on_treatment_id == clinic.injection).collect();
    assert_eq!(added, [false, true, false, false]);
    assert_eq!(phases(session(&series, 2)), BOTH);
    let day = |number| instant(session(&series, number).start_time.as_ref()).with_timezone(&world.zone).date_naive();
    assert_eq!((day(3) - day(2)).num_days(), 30);
    world.server.assert_clean().await;
    // It is moved itself, too.
    let start = format!("{}T15:00:00", day(2));
    let answer = world.manager.series().reschedule_session(to(&series, 2, &start)).await.unwrap().into_inner();
    let series = answer.series.unwrap();
    assert_eq!(session(&series, 2).local_start[11..16], *"15:00");
    assert_eq!(phases(session(&series, 2)), BOTH);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_what_is_wrong_with_a_combined_visit() {
    const SESSIONS: &str = "sessions on one area keep the gap that follows the earlier one";
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    clinic.approve(&clinic.injection).await;
    let both = clinic.book("2026-02-02T10:00:00").await.unwrap().appointment_id;
    let is_it = format!("appointment_id = '{both}'");
    let report = world.server.verify().await;
    assert!(report.is_clean(), "{report}");
    assert!(report.checks.iter().any(|check| check.what == SESSIONS && check.rows_checked == 1));
    for (promise, sql) in [
        // The injector.
        ("P1", format!("DELETE FROM occupancies WHERE {is_it} AND need = 5")),
        (
            "P1",
            format!(
                "UPDATE occupancies SET during = tstzrange(lower(during), upper(during) - interval '5 minutes') WHERE {is_it} AND need = 1"
            ),
        ),
        // Without the injection, needling would end half an hour earlier.
        (
            "P2",
            format!(
                "UPDATE appointments SET visit = tstzrange(lower(visit), upper(visit) - interval '30 minutes') WHERE {is_it}"
            ),
        ),
        // As long as needling alone asks for.
        ("P3", format!("UPDATE spacing_windows SET days = daterange(lower(days), lower(days) + 28) WHERE {is_it}")),
        ("P4", format!("DELETE FROM activity_windows WHERE {is_it} AND activity = 'filler' AND role = 'exposes'")),
        (
            "P4",
            format!(
                "UPDATE activity_windows SET during = tstzrange(lower(during), upper(during) - interval '3 days') WHERE {is_it} AND activity = 'heat'"
            ),
        ),
        ("P4", "UPDATE overrides SET add_on_treatment_id = treatment_id".to_owned()),
        // Approved by the change that booked it or later; and revoked although the patient has not come.
        (
            "P4",
            format!("UPDATE overrides SET granted_revision = booked_revision FROM appointments AS a WHERE a.{is_it}"),
        ),
        (
            "P4",
            format!(
                "UPDATE overrides SET revoked_at = '2026-01-06Z', revoked_by = granted_by, revoke_reason = '', revoked_revision = booked_revision FROM appointments AS a WHERE a.{is_it}"
            ),
        ),
    ] {
        use sqlx::Connection as _;
        let mut db = world.server.pool().acquire().await.unwrap();
        let mut transaction = db.begin().await.unwrap();
        let done = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(&mut *transaction).await.unwrap();
        assert!(done.rows_affected() > 0, "{sql}");
        let report = stipple::store::verify::verify(&mut transaction).await.unwrap();
        let mut broken: Vec<&str> =
            report.checks.iter().filter(|check| check.violations > 0).map(|check| check.promise).collect();
        broken.dedup();
        assert_eq!(broken, [promise], "{sql}\n{report}");
        transaction.rollback().await.unwrap();
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_stays_until_the_patient_has_come_however_late() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    // Who may revoke is what a protocol of the treatment says.
    let protocol = world.clinical_protocol().await;
    world.fit_for(&protocol, ABDOMEN).await;
    let approval = clinic.approve(&clinic.injection).await;
    let booked = clinic.book("2026-02-02T10:00:00").await.unwrap().appointment_id;
    let practitioner = world.practitioner(0).await;
    let revoke = async || {
        let request = pb::RevokeOverrideRequest {
            request_id: request_id(),
            override_id: approval.to_string(),
            revoke_reason: "changed my mind".into(),
            ..Default::default()
        };
        practitioner.patients().revoke_override(request).await
    };
    let Some(()) = world.server.set_clock("2026-02-02T09:05:00Z") else { return };
    let status = revoke().await.unwrap_err();
    assert_eq!(said(world, &status), [format!("OVERRIDE_IN_USE against {booked}")]);
    world.fit_for(&protocol, ABDOMEN).await;
    world.check_in(&booked).await.unwrap();
    world.server.assert_clean().await;
    revoke().await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_may_be_revoked_once_nobody_came_and_then_the_visit_stays_missed() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let protocol = world.clinical_protocol().await;
    world.fit_for(&protocol, ABDOMEN).await;
    let approval = clinic.approve(&clinic.injection).await;
    let missed = clinic.book("2026-02-02T10:00:00").await.unwrap().appointment_id;
    let Some(()) = world.server.set_clock("2026-02-02T09:05:00Z") else { return };
    mark(world, &missed).await.unwrap();
    undo(world, &missed).await.unwrap();
    mark(world, &missed).await.unwrap();
    let request =
        pb::RevokeOverrideRequest { request_id: request_id(), override_id: approval.to_string(), ..Default::default() };
    world.practitioner(0).await.patients().revoke_override(request).await.unwrap();
    assert_eq!(said(world, &undo(world, &missed).await.unwrap_err()), ["UNDO_NOT_ALLOWED"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_in_is_not_taken_back_once_the_approval_is_revoked() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let protocol = world.clinical_protocol().await;
    world.fit_for(&protocol, ABDOMEN).await;
    let approval = clinic.approve(&clinic.injection).await;
    let booked = clinic.book("2026-02-02T10:00:00").await.unwrap().appointment_id;
    let Some(()) = world.server.set_clock("2026-02-02T09:05:00Z") else { return };
    world.fit_for(&protocol, ABDOMEN).await;
    world.check_in(&booked).await.unwrap();
    let request =
        pb::RevokeOverrideRequest { request_id: request_id(), override_id: approval.to_string(), ..Default::default() };
    world.practitioner(0).await.patients().revoke_override(request).await.unwrap();
    assert_eq!(said(world, &undo(world, &booked).await.unwrap_err()), ["UNDO_NOT_ALLOWED"]);
    world.server.assert_clean().await;
}
