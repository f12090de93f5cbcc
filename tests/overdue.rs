//! Series whose next session is overdue: they are shown, listed, and can go on.

use stipple::rpc::pb;
use stipple::rpc::pb::find_slots_request as find;

use crate::assessments::{Course, days_offered};
use crate::desk::{FOUR, cancel_series, get_series, said, session, session_request};
use crate::harness::World;
use crate::harness::world::{request_id, timestamp};

/// The overdue series of a practice, in pages of one.
async fn overdue(world: &World, patient: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListSeriesRequest {
            patient_id: patient.into(),
            overdue_only: true,
            page_size: 1,
            page_token: page_token.clone(),
            ..Default::default()
        };
        let page = world.manager.series().list_series(request).await.unwrap().into_inner();
        for series in &page.series {
            assert_eq!(*series, get_series(world, &series.series_id).await);
        }
        found.extend(page.series.into_iter().map(|series| series.series_id));
        if page.next_page_token.is_empty() {
            return found;
        }
        page_token = page.next_page_token;
    }
}

fn third_of(series: &pb::Series) -> find::Visit {
    find::Visit::Session(pb::SessionVisit { series_id: series.series_id.clone(), session_number: 3 })
}

/// A series of four whose last two sessions were cancelled.
pub async fn broken_off(course: &Course) -> pb::Series {
    let series = course.book_series(&FOUR).await;
    for number in [4, 3] {
        course.world.cancel(session(&series, number)).await.unwrap();
    }
    get_series(&course.world, &series.series_id).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_is_overdue_from_the_day_after_the_last_that_would_have_done() {
    for (zone, last_second, first_second) in [
        // 56 days after 2 March 2026 is 27 April.
        ("Europe/Berlin", "2026-04-27T21:59:59Z", "2026-04-27T22:00:00Z"),
        ("Pacific/Kiritimati", "2026-04-27T09:59:59Z", "2026-04-27T10:00:00Z"),
        ("America/Los_Angeles", "2026-04-28T06:59:59Z", "2026-04-28T07:00:00Z"),
        ("Asia/Kathmandu", "2026-04-27T18:14:59Z", "2026-04-27T18:15:00Z"),
    ] {
        let course = Course::in_zone(zone).await;
        let world = &course.world;
        let series = broken_off(&course).await;
        let Some(()) = world.server.set_clock(last_second) else { return };
        assert_eq!(get_series(world, &series.series_id).await.overdue, None, "{zone}");
        assert_eq!(overdue(world, "").await, Vec::<String>::new(), "{zone}");
        let Some(()) = world.server.set_clock(first_second) else { return };
        let now = get_series(world, &series.series_id).await;
        let said = now.overdue.expect(zone);
        assert_eq!(
            (said.last_session_date.as_str(), said.latest_date.as_str()),
            ("2026-03-02", "2026-04-27"),
            "{zone}"
        );
        assert_eq!((said.days_over, said.advice.as_str()), (1, "Look at the skin first."), "{zone}");
        assert_eq!(said.evidence.unwrap().source, "a source");
        assert_eq!(overdue(world, "").await, [series.series_id.as_str()], "{zone}");
        assert_eq!(overdue(world, &world.patients[1]).await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_is_not_overdue_that_goes_on_has_ended_or_has_not_begun() {
    let course = Course::new().await;
    let world = &course.world;
    let of = async |area: pb::BodyArea, count: usize, hour: usize| {
        let patient_id = course.patient(hour + 3, area).await?;
        let hour = format!("T{hour:02}");
        let starts: Vec<String> = FOUR[..count].iter().map(|start| start.replace("T10", &hour)).collect();
        let starts: Vec<&str> = starts.iter().map(String::as_str).collect();
        let mut request = world.series_request(&starts);
        request.body_area = area.into();
        request.patient_id = patient_id;
        world.manager.series().book_series(request).await.unwrap().into_inner().series
    };
    let Some(whole) = of(pb::BodyArea::Abdomen, 3, 6).await else { return };
    let Some(open) = of(pb::BodyArea::Face, 4, 8).await else { return };
    world.cancel(session(&open, 4)).await.unwrap();
    let Some(later) = of(pb::BodyArea::Back, 4, 10).await else { return };
    world.cancel(session(&later, 3)).await.unwrap();
    let Some(unbegun) = of(pb::BodyArea::Thighs, 4, 12).await else { return };
    for number in [4, 3, 2, 1] {
        world.cancel(session(&unbegun, number)).await.unwrap();
    }
    let Some(cancelled) = of(pb::BodyArea::Calves, 4, 14).await else { return };
    world.cancel(session(&cancelled, 4)).await.unwrap();
    let Some(()) = world.server.set_clock("2026-04-26T12:00:00Z") else { return };
    // The fourth is booked for tomorrow, though the gap before it is long.
    assert_eq!(overdue(world, "").await, Vec::<String>::new());
    let Some(()) = world.server.set_clock("2026-06-30T12:00:00Z") else { return };
    let mut expected = [open.series_id.clone(), cancelled.series_id.clone()];
    expected.sort();
    assert_eq!(overdue(world, "").await, expected);
    cancel_series(world, &get_series(world, &cancelled.series_id).await).await.unwrap();
    for series in [&whole, &open, &later, &unbegun, &cancelled] {
        let now = get_series(world, &series.series_id).await;
        assert_eq!(now.overdue.is_some(), now.series_id == open.series_id);
    }
    assert_eq!(overdue(world, "").await, [open.series_id.as_str()]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overdue_series_goes_on_and_search_and_booking_agree() {
    let course = Course::new().await;
    let world = &course.world;
    let series = broken_off(&course).await;
    let second = &session(&series, 2).appointment_id;
    let Some(()) = world.server.set_clock("2026-04-27T12:00:00Z") else { return };
    // The last day on which the longest gap can be kept: it still binds.
    let days = days_offered(world, third_of(&series), "", "2026-04-20", "2026-06-30").await.unwrap();
    assert_eq!(days, ["2026-04-27"]);
    let status = world.book(session_request(world, &series, 3, "2026-04-28T10:00:00")).await.unwrap_err();
    assert_eq!(said(world, &status), [format!("SESSION_TOO_LATE against {second} 57/56 days until 2026-04-27")]);

    let Some(()) = world.server.set_clock("2026-04-27T22:00:00Z") else { return };
    let days = days_offered(world, third_of(&series), "", "2026-04-20", "2026-06-30").await.unwrap();
    assert_eq!((days.len(), days[0].as_str()), (64, "2026-04-28"));
    for day in ["2026-04-28", "2026-05-30", "2026-12-01"] {
        let mut request = session_request(world, &series, 3, &format!("{day}T10:00:00"));
        request.validate_only = true;
        world.book(request).await.expect(day);
    }
    // The session after it still has the longest gap before it.
    let propose = |session_count| pb::ProposeSeriesRequest {
        series_id: series.series_id.clone(),
        clinic_id: world.clinic.clone(),
        wishes: Some(pb::SeriesWishes { session_count, minimum_notice_minutes: 60, ..Default::default() }),
        plan_count: 1,
        ..Default::default()
    };
    let plan = world.manager.series().propose_series(propose(0)).await.unwrap().into_inner().plans.remove(0);
    let days: Vec<&str> = plan.sessions.iter().map(|session| &session.local_start[..10]).collect();
    assert_eq!(days, ["2026-02-02", "2026-03-02", "2026-04-28", "2026-06-02"], "as soon as can be, then as aimed at");
    let starts = |third: &str, fourth: &str| pb::ExtendSeriesRequest {
        request_id: request_id(),
        etag: series.etag.clone(),
        series_id: series.series_id.clone(),
        session_count: 5,
        clinic_id: world.clinic.clone(),
        validate_only: true,
        sessions: [third, fourth, "2026-09-20T10:00:00"]
            .map(|start| pb::SessionRequest { start_time: timestamp(world.local(start)), ..Default::default() })
            .to_vec(),
        ..Default::default()
    };
    let mut client = world.manager.series();
    let status = client.extend_series(starts("2026-06-01T10:00:00", "2026-08-01T10:00:00")).await.unwrap_err();
    assert_eq!(said(world, &status), ["SESSION_TOO_LATE sessions[1] against sessions[0] 61/56 days until 2026-07-27"]);
    client.extend_series(starts("2026-06-08T10:00:00", "2026-08-01T10:00:00")).await.unwrap();

    let book = pb::BookSeriesRequest { request_id: request_id(), plan: Some(plan), ..Default::default() };
    let booked = client.book_series(book).await.unwrap().into_inner().series.unwrap();
    assert_eq!((booked.overdue.as_ref(), booked.sessions[2].gap_days), (None, 57));
    assert_eq!(overdue(world, "").await, Vec::<String>::new());
    // What follows the gap that has passed may move, and takes the later one along.
    let moved = pb::RescheduleSessionRequest {
        request_id: request_id(),
        etag: booked.etag.clone(),
        series_id: booked.series_id.clone(),
        session_number: 3,
        start_time: timestamp(world.local("2026-05-20T10:00:00")),
        ..Default::default()
    };
    let moved = client.reschedule_session(moved).await.unwrap().into_inner();
    assert_eq!(moved.moves.len(), 2);
    let series = moved.series.unwrap();
    assert_eq!((series.sessions[2].gap_days, series.sessions[3].gap_days), (79, 28));
    world.server.assert_clean().await;
}
