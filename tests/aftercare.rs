//! Nothing that aftercare forbids is booked inside its window, whichever of the two is booked first; and patients can
//! ask beforehand.

use stipple::rpc::pb;

use crate::desk::{FOUR, hours_after, instant, needling_request, said, session, simple};
use crate::harness::World;
use crate::harness::clinical::Clinic;
use crate::harness::wire::{fields, reason};
use crate::harness::world::{evidence, needling, request_id, timestamp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sauna_in_the_aftercare_window_is_refused_and_right_after_it_accepted() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = &session(&series, 1).appointment_id;
    // The window begins with the needling at 10:30, and ends 5 days after it ended.
    for inside in ["2026-02-02T11:05:00", "2026-02-05T10:00:00", "2026-02-07T10:55:00"] {
        let status = world.book_sauna(inside).await.unwrap_err();
        assert_eq!(said(&world, &status), [format!("ACTIVITY_FORBIDDEN against {first} from 2026-02-07T11:00")]);
    }
    world.book_sauna("2026-02-02T09:30:00").await.unwrap();
    world.book_sauna("2026-02-07T11:00:00").await.unwrap();
    // Another patient may.
    let mut request = world.visit_request(&world.sauna, "2026-02-05T10:00:00");
    if let Some(pb::book_appointment_request::Visit::Treatment(visit)) = &mut request.visit {
        visit.patient_id = world.patients[1].clone();
    }
    world.book(request).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_would_forbid_a_booked_sauna_is_refused() {
    let world = World::new().await;
    let sauna = world.book_sauna("2026-03-05T10:00:00").await.unwrap();
    let against = &sauna.appointment_id;
    let status = world.book_series(&FOUR).await.unwrap_err();
    // Needling after the sauna has ended, at 10:30, would do: that is, a visit that begins at 10:00.
    assert_eq!(
        said(&world, &status),
        [format!("FORBIDS_BOOKED_ACTIVITY sessions[1] against {against} from 2026-03-05T10:00")]
    );
    // The patient is in the sauna until 10:30; needling begins half an hour after the visit does.
    let patient = &world.patients[0];
    let request = needling_request(&world, patient, pb::BodyArea::Face, "2026-03-05T10:30:00");
    world.book(request).await.unwrap();
    // Needling that ended 5 days before the sauna begins is no obstacle, and 5 minutes later it is.
    let request = needling_request(&world, patient, pb::BodyArea::Back, "2026-02-28T09:05:00");
    let status = world.book(request).await.unwrap_err();
    assert_eq!(said(&world, &status), [format!("FORBIDS_BOOKED_ACTIVITY against {against} from 2026-03-05T10:00")]);
    let request = needling_request(&world, patient, pb::BodyArea::Back, "2026-02-28T09:00:00");
    world.book(request).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peel_in_the_two_weeks_before_a_session_is_refused_whichever_is_booked_first() {
    let world = World::new().await;
    let peel = world.publish_treatment(simple("Peel", 30, vec![pb::Activity::ChemicalPeel])).await;
    let patient = world.patients[0].clone();
    let face = pb::BodyArea::Face;
    // The session is booked first. Needling is from 10:30 to 11:00.
    let session = world.book(needling_request(&world, &patient, face, "2026-03-20T10:00:00")).await.unwrap();
    let against = &session.appointment_id;
    let status = world.book(world.visit_request(&peel, "2026-03-06T10:05:00")).await.unwrap_err();
    assert_eq!(said(&world, &status), [format!("ACTIVITY_FORBIDDEN against {against} from 2026-04-03T11:00")]);
    world.book(world.visit_request(&peel, "2026-03-06T10:00:00")).await.unwrap();
    // The peel is booked first.
    let booked = world.book(world.visit_request(&peel, "2026-05-04T10:00:00")).await.unwrap();
    let against = &booked.appointment_id;
    let status = world.book(needling_request(&world, &patient, face, "2026-05-17T10:00:00")).await.unwrap_err();
    // The peel ends at 10:30: needling from 10:30 on, 14 days later, would do.
    assert_eq!(said(&world, &status), [format!("FORBIDS_BOOKED_ACTIVITY against {against} from 2026-05-18T10:00")]);
    world.book(needling_request(&world, &patient, face, "2026-05-18T10:00:00")).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_treatment_may_forbid_more_of_what_it_is() {
    let world = World::new().await;
    let mut content = simple("Gold", 30, vec![pb::Activity::BotulinumToxin]);
    content.restrictions = vec![hours_after(pb::Activity::BotulinumToxin, 48)];
    let gold = world.publish_treatment(content).await;
    let first = world.book(world.visit_request(&gold, "2026-02-02T10:00:00")).await.unwrap();
    let against = &first.appointment_id;
    let status = world.book(world.visit_request(&gold, "2026-02-04T10:00:00")).await.unwrap_err();
    assert_eq!(said(&world, &status), [format!("ACTIVITY_FORBIDDEN against {against} from 2026-02-04T10:30")]);
    let status = world.book(world.visit_request(&gold, "2026-02-01T10:00:00")).await.unwrap_err();
    assert_eq!(said(&world, &status).len(), 1, "the one before would forbid the booked one");
    assert!(said(&world, &status)[0].starts_with(&format!("FORBIDS_BOOKED_ACTIVITY against {against}")));
    world.book(world.visit_request(&gold, "2026-02-04T10:30:00")).await.unwrap();
    world.server.assert_clean().await;
}

async fn check(world: &World, activity: pb::Activity, start: &str, end: Option<&str>) -> pb::CheckActivityResponse {
    let request = pb::CheckActivityRequest {
        patient_id: world.patients[0].clone(),
        activity: activity.into(),
        start_time: timestamp(world.local(start)),
        end_time: end.and_then(|end| timestamp(world.local(end))),
        ..Default::default()
    };
    world.manager.aftercare().check_activity(request).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_can_ask_whether_an_activity_is_allowed_and_from_when() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let heat = pb::Activity::Heat;
    let friday = check(&world, heat, "2026-02-06T18:00:00", None).await;
    assert!(!friday.allowed);
    assert_eq!(friday.earliest_start, timestamp(world.local("2026-02-07T11:00:00")));
    assert_eq!(friday.local_earliest_start, "2026-02-07T11:00:00+01:00");
    let [window] = friday.windows.as_slice() else { panic!("one window forbids it: {friday:?}") };
    assert_eq!(window.activity(), heat);
    assert_eq!(window.appointment_id, session(&series, 1).appointment_id);
    assert_eq!(window.local_start, "2026-02-02T10:30:00+01:00");
    assert_eq!(window.local_end, "2026-02-07T11:00:00+01:00");
    assert_eq!(window.instruction, "No sauna.");
    assert_eq!(window.evidence.as_ref().unwrap().source, "a source");

    // An hour that ends when the needling begins, and one that begins when the window ends.
    for start in ["2026-02-02T09:30:00", "2026-02-07T11:00:00"] {
        let answer = check(&world, heat, start, None).await;
        assert!(answer.allowed && answer.windows.is_empty());
        assert_eq!(answer.earliest_start, timestamp(world.local(start)));
        assert_eq!(answer.local_earliest_start, "");
    }
    let answer = check(&world, heat, "2026-02-02T09:30:00", Some("2026-02-02T10:31:00")).await;
    assert!(!answer.allowed);
    assert_eq!(answer.earliest_start, timestamp(world.local("2026-02-07T11:00:00")));
    // 20 days in a row: between the sessions, from 16 February on, a peel is forbidden before the second.
    let peel = pb::Activity::ChemicalPeel;
    let answer = check(&world, peel, "2026-02-16T10:00:00", Some("2026-02-16T11:00:00")).await;
    assert_eq!(answer.windows.len(), 2);
    // 28 days between sessions are 14 after and 14 before, save for the half hour of the needling itself.
    assert_eq!(answer.earliest_start, timestamp(world.local("2026-05-11T11:00:00")));
    assert_eq!(answer.local_earliest_start, "2026-05-11T11:00:00+02:00");
    assert!(check(&world, pb::Activity::Alcohol, "2026-02-02T11:00:00", None).await.allowed);

    // A cancelled session forbids nothing.
    world.cancel(session(&series, 1)).await.unwrap();
    assert!(check(&world, heat, "2026-02-06T18:00:00", None).await.allowed);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aftercare_of_a_patient_comes_in_pages_in_order() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let mut aftercare = world.manager.aftercare();
    let mut request = pb::GetAftercareRequest { patient_id: world.patients[0].clone(), ..Default::default() };
    let all = aftercare.get_aftercare(request.clone()).await.unwrap().into_inner();
    assert_eq!(all.next_page_token, "");
    assert_eq!(all.windows.len(), 8);
    assert!(all.windows.is_sorted_by_key(|window| instant(window.start_time.as_ref())));
    for number in 1..=4 {
        let of = all.windows.iter().filter(|w| w.appointment_id == session(&series, number).appointment_id);
        let mut activities: Vec<_> = of.map(pb::AftercareWindow::activity).collect();
        activities.sort_unstable();
        assert_eq!(activities, [pb::Activity::Heat, pb::Activity::ChemicalPeel]);
    }
    for page_size in [1, 3, 8] {
        let (mut paged, mut token) = (Vec::new(), String::new());
        loop {
            (request.page_size, request.page_token) = (page_size, token);
            let page = aftercare.get_aftercare(request.clone()).await.unwrap().into_inner();
            assert!(page.windows.len() <= usize::try_from(page_size).unwrap());
            paged.extend(page.windows);
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(paged, all.windows);
    }
    // Half-open on both sides: the window of heat of the first session is from 2 February 10:30 to 7 February 11:00.
    let found = async |start: &str, end: &str| {
        let request = pb::GetAftercareRequest {
            patient_id: world.patients[0].clone(),
            start_time: timestamp(world.local(start)),
            end_time: timestamp(world.local(end)),
            ..Default::default()
        };
        let windows = world.manager.aftercare().get_aftercare(request).await.unwrap().into_inner().windows;
        windows.iter().filter(|window| window.activity() == pb::Activity::Heat).count()
    };
    assert_eq!(found("2026-02-02T10:00:00", "2026-02-02T10:30:00").await, 0);
    assert_eq!(found("2026-02-02T10:00:00", "2026-02-02T10:31:00").await, 1);
    assert_eq!(found("2026-02-07T10:59:00", "2026-02-08T00:00:00").await, 1);
    assert_eq!(found("2026-02-07T11:00:00", "2026-02-08T00:00:00").await, 0);
    world.server.assert_clean().await;
}

fn days(days: i32) -> Option<pb::Span> {
    Some(pb::Span { amount: Some(pb::span::Amount::Days(days)) })
}

/// Needling that advises against alcohol for a day on each side, and asks for sunscreen for four weeks.
fn caring() -> pb::TreatmentContent {
    let mut content = needling();
    content.restrictions.push(pb::Restriction {
        before: days(1),
        after: days(1),
        advice_only: true,
        instruction: "No alcohol.".into(),
        ..hours_after(pb::Activity::Alcohol, 1)
    });
    content.duties = vec![sunscreen(days(1), days(28))];
    content
}

fn sunscreen(from: Option<pb::Span>, until: Option<pb::Span>) -> pb::Duty {
    pb::Duty {
        activity: pb::Activity::SunExposure.into(),
        from,
        until,
        instruction: "Wear sunscreen.".into(),
        evidence: evidence(),
    }
}

async fn timeline(world: &World) -> Vec<pb::AftercareWindow> {
    let request = pb::GetAftercareRequest { patient_id: world.patients[0].clone(), ..Default::default() };
    world.manager.aftercare().get_aftercare(request).await.unwrap().into_inner().windows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn advice_and_duties_are_told_and_keep_no_booking_away() {
    let mut world = World::new().await;
    world.needling = world.publish_treatment(caring()).await;
    let tasting = simple("Tasting", 30, vec![pb::Activity::Alcohol, pb::Activity::SunExposure]);
    let tasting = world.publish_treatment(tasting).await;
    let patient = world.patients[0].clone();
    // Needling is from 10:30 to 11:00. The tastings are booked before it and after it, inside all of its windows.
    world.book(world.visit_request(&tasting, "2026-03-16T08:00:00")).await.unwrap();
    world.book(needling_request(&world, &patient, pb::BodyArea::Face, "2026-03-16T10:00:00")).await.unwrap();
    world.book(world.visit_request(&tasting, "2026-03-17T10:30:00")).await.unwrap();
    world.server.assert_clean().await;

    let answer = check(&world, pb::Activity::Alcohol, "2026-03-16T20:00:00", None).await;
    let [window] = answer.windows.as_slice() else { panic!("one window: {answer:?}") };
    assert!(!answer.allowed);
    assert_eq!((window.kind(), window.instruction.as_str()), (pb::AftercareKind::Advice, "No alcohol."));
    assert_eq!(answer.earliest_start, timestamp(world.local("2026-03-17T11:00:00")));
    // Whoever wears sunscreen may go out.
    let answer = check(&world, pb::Activity::SunExposure, "2026-03-20T12:00:00", None).await;
    assert!(answer.allowed && answer.windows.is_empty());
    assert_eq!(answer.earliest_start, timestamp(world.local("2026-03-20T12:00:00")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_timeline_of_a_patient_says_when_to_take_care_before_and_after() {
    let mut world = World::new().await;
    let mut content = caring();
    // The same activity is forbidden and a duty.
    content.duties.push(pb::Duty { activity: pb::Activity::Heat.into(), ..sunscreen(None, days(2)) });
    world.needling = world.publish_treatment(content).await;
    let patient = world.patients[0].clone();
    let visit = needling_request(&world, &patient, pb::BodyArea::Face, "2026-03-16T10:00:00");
    let visit = world.book(visit).await.unwrap();
    let windows = timeline(&world).await;
    let told: Vec<_> = windows
        .iter()
        .map(|w| (w.kind(), w.activity(), w.pre_care_words.as_str(), w.aftercare_words.as_str()))
        .collect();
    use pb::AftercareKind::{Advice, Duty, Forbidden};
    assert_eq!(
        told,
        [
            (
                Forbidden,
                pb::Activity::ChemicalPeel,
                "From Monday 2 March 2026, 10:30, until the treatment on Monday 16 March 2026, 10:30",
                "Until Monday 30 March 2026, 11:00"
            ),
            (
                Advice,
                pb::Activity::Alcohol,
                "From Sunday 15 March 2026, 10:30, until the treatment on Monday 16 March 2026, 10:30",
                "Until Tuesday 17 March 2026, 11:00"
            ),
            (Forbidden, pb::Activity::Heat, "", "Until Saturday 21 March 2026, 11:00"),
            (Duty, pb::Activity::Heat, "", "From Monday 16 March 2026, 11:00, until Wednesday 18 March 2026, 11:00"),
            (
                Duty,
                pb::Activity::SunExposure,
                "",
                "From Tuesday 17 March 2026, 11:00, until Monday 13 April 2026, 11:00"
            ),
        ]
    );
    for window in &windows {
        assert_eq!(window.appointment_id, visit.appointment_id);
        assert_eq!(window.treatment_start_time, timestamp(world.local("2026-03-16T10:30:00")));
        assert_eq!(window.treatment_end_time, timestamp(world.local("2026-03-16T11:00:00")));
        assert_eq!(window.override_id, "");
    }
    assert_eq!(windows[4].instruction, "Wear sunscreen.");
    assert_eq!(windows[4].evidence, evidence());
    // One by one they are the same, also where a visit has two of one activity.
    let (mut paged, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            pb::GetAftercareRequest { patient_id: patient.clone(), page_size: 1, page_token, ..Default::default() };
        let page = world.manager.aftercare().get_aftercare(request).await.unwrap().into_inner();
        paged.extend(page.windows);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, windows);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duty_from_a_day_on_has_no_time_where_that_day_is_as_long_as_the_duty() {
    let mut world = World::new().await;
    let hours = Some(pb::Span { amount: Some(pb::span::Amount::Hours(25)) });
    world.needling =
        world.publish_treatment(pb::TreatmentContent { duties: vec![sunscreen(days(1), hours)], ..needling() }).await;
    let patient = world.patients[0].clone();
    // The clocks are put back in the night to the 25th.
    for (start, duties) in [("2026-10-24T10:00:00", 0), ("2026-11-23T10:00:00", 1)] {
        world.book(needling_request(&world, &patient, pb::BodyArea::Face, start)).await.unwrap();
        let windows = timeline(&world).await;
        assert_eq!(windows.iter().filter(|w| w.kind() == pb::AftercareKind::Duty).count(), duties);
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_shortens_what_the_patient_is_told() {
    let clinic = Clinic::new().await;
    // The protocol that says who may decide goes with the treatment.
    let request = pb::PublishTreatmentRequest {
        request_id: request_id(),
        etag: {
            let request = pb::GetTreatmentRequest { treatment_id: clinic.world.needling.clone(), ..Default::default() };
            let mut catalog = clinic.world.manager.catalog();
            catalog.get_treatment(request).await.unwrap().into_inner().treatment.unwrap().etag
        },
        treatment_id: clinic.world.needling.clone(),
        content: Some(caring()),
        ..Default::default()
    };
    clinic.world.manager.catalog().publish_treatment(request).await.unwrap();
    clinic.fit().await;
    let world = &clinic.world;
    let patient = world.patients[0].clone();
    let visit = needling_request(world, &patient, pb::BodyArea::Abdomen, "2026-03-16T10:00:00");
    let visit = world.book(visit).await.unwrap();
    let grant = |activity: pb::Activity| pb::GrantOverrideRequest {
        request_id: request_id(),
        patient_id: patient.clone(),
        purpose: Some(pb::grant_override_request::Purpose::Aftercare(pb::AftercareOverride {
            appointment_id: visit.appointment_id.clone(),
            activity: activity.into(),
            after: days(2),
        })),
        override_reason: "Hardly any redness.".into(),
        ..Default::default()
    };
    // What is only advice binds nobody, and neither does a duty.
    for activity in [pb::Activity::Alcohol, pb::Activity::SunExposure] {
        let status = clinic.practitioner.patients().grant_override(grant(activity)).await.unwrap_err();
        assert_eq!(fields(&status), ["aftercare.activity"]);
    }
    let granted = clinic.practitioner.patients().grant_override(grant(pb::Activity::Heat)).await.unwrap();
    let granted = granted.into_inner().r#override.unwrap();
    let windows = timeline(world).await;
    let heat = windows.iter().find(|window| window.activity() == pb::Activity::Heat).unwrap();
    assert_eq!(heat.override_id, granted.override_id);
    assert_eq!(heat.aftercare_words, "Until Wednesday 18 March 2026, 11:00");
    assert!(windows.iter().all(|window| window.activity() == pb::Activity::Heat || window.override_id.is_empty()));
    assert!(!check(world, pb::Activity::Heat, "2026-03-18T10:30:00", None).await.allowed);
    assert!(check(world, pb::Activity::Heat, "2026-03-18T11:00:00", None).await.allowed);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_about_aftercare_that_cannot_be_answered_name_their_field() {
    let world = World::new().await;
    let mut aftercare = world.manager.aftercare();
    let request = pb::CheckActivityRequest {
        patient_id: world.patients[0].clone(),
        start_time: timestamp(world.local("2026-02-02T10:00:00")),
        end_time: timestamp(world.local("2026-02-02T10:00:00")),
        ..Default::default()
    };
    let status = aftercare.check_activity(request.clone()).await.unwrap_err();
    let mut told = fields(&status);
    told.sort_unstable();
    assert_eq!(told, ["activity", "end_time"]);
    let request = pb::CheckActivityRequest {
        patient_id: world.practice.clone(),
        activity: pb::Activity::Heat.into(),
        end_time: None,
        ..request
    };
    assert_eq!(reason(&aftercare.check_activity(request).await.unwrap_err()), "NOT_FOUND");
    let request = pb::GetAftercareRequest { patient_id: world.practice.clone(), ..Default::default() };
    assert_eq!(reason(&aftercare.get_aftercare(request).await.unwrap_err()), "NOT_FOUND");
    world.server.assert_clean().await;
}
