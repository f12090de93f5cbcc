//! Gaps and aftercare in days are counted on the clinic's wall clock, also where the clocks change in between.

use chrono::TimeDelta;
use stipple::rpc::pb;

use crate::desk::{instant, needling_request, said, session};
use crate::harness::World;

/// Around a clock change: the day of a session, the day 27 days later, and the day 28 days later.
type Days = [&'static str; 3];

/// Books in a zone at the same wall-clock time across a clock change; `elapsed` is what 28 days come to.
async fn the_minimum_is_counted_in_days(zone: &str, days: Days, time: &str, elapsed: TimeDelta) {
    let world = World::in_zone(zone).await;
    let [start, too_soon, exact] = days.map(|day| format!("{day}T{time}:00"));
    // Within one request: one day too soon is refused, exactly the minimum is accepted.
    let third = (world.local(&exact).with_timezone(&world.zone).date_naive() + TimeDelta::days(30)).to_string();
    let third = format!("{third}T{time}:00");
    let status = world.book_series(&[&start, &too_soon, &third]).await.unwrap_err();
    let earliest = &days[2];
    assert_eq!(
        said(&world, &status),
        [format!("SESSION_TOO_SOON sessions[1] against sessions[0] 27/28 days from {earliest}T00:00")]
    );
    let series = world.book_series(&[&start, &exact, &third]).await.unwrap();
    let (first, second) = (session(&series, 1), session(&series, 2));
    assert_eq!(instant(second.start_time.as_ref()) - instant(first.start_time.as_ref()), elapsed);
    assert_eq!(series.sessions[1].gap_days, 28);
    assert!(second.local_start.starts_with(&format!("{}T{time}:00", days[2])), "{}", second.local_start);

    // Against a visit that is booked already.
    let patient = &world.patients[1];
    let area = pb::BodyArea::Face;
    let single = world.book(needling_request(&world, patient, area, &start)).await.unwrap();
    let status = world.book(needling_request(&world, patient, area, &too_soon)).await.unwrap_err();
    let against = &single.appointment_id;
    assert_eq!(said(&world, &status), [format!("SESSION_TOO_SOON against {against} 27/28 days from {earliest}T00:00")]);
    world.book(needling_request(&world, patient, area, &exact)).await.unwrap();
    world.server.assert_clean().await;
}

fn hours(hours: i64) -> TimeDelta {
    TimeDelta::hours(28 * 24 + hours)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_eight_days_in_berlin_are_an_hour_short_in_spring() {
    the_minimum_is_counted_in_days("Europe/Berlin", ["2026-03-02", "2026-03-29", "2026-03-30"], "10:00", hours(-1))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_eight_days_in_berlin_are_an_hour_long_in_autumn() {
    the_minimum_is_counted_in_days("Europe/Berlin", ["2026-10-05", "2026-11-01", "2026-11-02"], "23:30", hours(1))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_eight_days_in_new_york_are_an_hour_short_in_spring() {
    the_minimum_is_counted_in_days("America/New_York", ["2026-02-10", "2026-03-09", "2026-03-10"], "00:15", hours(-1))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_eight_days_in_new_york_are_an_hour_long_in_autumn() {
    the_minimum_is_counted_in_days("America/New_York", ["2026-10-06", "2026-11-02", "2026-11-03"], "22:00", hours(1))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_eight_days_on_lord_howe_island_are_half_an_hour_short_in_spring() {
    let elapsed = hours(0) - TimeDelta::minutes(30);
    the_minimum_is_counted_in_days("Australia/Lord_Howe", ["2026-09-08", "2026-10-05", "2026-10-06"], "08:00", elapsed)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_eight_days_on_lord_howe_island_are_half_an_hour_long_in_autumn() {
    let elapsed = hours(0) + TimeDelta::minutes(30);
    the_minimum_is_counted_in_days("Australia/Lord_Howe", ["2026-03-09", "2026-04-05", "2026-04-06"], "10:00", elapsed)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_in_kathmandu_begin_at_a_quarter_past_six_in_the_evening_of_utc() {
    the_minimum_is_counted_in_days("Asia/Kathmandu", ["2026-02-02", "2026-03-01", "2026-03-02"], "00:15", hours(0))
        .await;
    the_minimum_is_counted_in_days("Asia/Kathmandu", ["2026-02-02", "2026-03-01", "2026-03-02"], "23:45", hours(0))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_one_day_and_early_another_are_as_many_days_apart_as_the_calendar_says() {
    let world = World::new().await;
    // 27 days and 40 minutes, but 28 nights lie in between.
    world.book_series(&["2026-02-02T23:40:00", "2026-03-02T00:20:00", "2026-03-30T00:20:00"]).await.unwrap();
    // 28 days less 25 minutes elapse, and 27 calendar days: too soon by the calendar.
    let patient = &world.patients[1];
    world.book(needling_request(&world, patient, pb::BodyArea::Face, "2026-02-02T00:20:00")).await.unwrap();
    let request = needling_request(&world, patient, pb::BodyArea::Face, "2026-03-01T23:55:00");
    let status = world.book(request).await.unwrap_err();
    assert!(said(&world, &status)[0].ends_with("27/28 days from 2026-03-02T00:00"));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_days_of_aftercare_end_at_the_same_time_of_day_across_a_clock_change() {
    let around = [("2026-03-26", "2026-03-31", "+02:00", -1), ("2026-10-22", "2026-10-27", "+01:00", 1)];
    for (day, after, offset, longer) in around {
        let world = World::new().await;
        let patient = world.patients[0].clone();
        let request = needling_request(&world, &patient, pb::BodyArea::Face, &format!("{day}T10:00:00"));
        let needling = world.book(request).await.unwrap();
        // Needling ends at 11:00.
        let status = world.book_sauna(&format!("{after}T10:55:00")).await.unwrap_err();
        let against = &needling.appointment_id;
        assert_eq!(said(&world, &status), [format!("ACTIVITY_FORBIDDEN against {against} from {after}T11:00")]);
        let sauna = world.book_sauna(&format!("{after}T11:00:00")).await.unwrap();
        assert_eq!(sauna.local_start, format!("{after}T11:00:00{offset}"));
        let end_of_needling = instant(needling.phases[1].end_time.as_ref());
        let elapsed = instant(sauna.start_time.as_ref()) - end_of_needling;
        assert_eq!(elapsed, TimeDelta::hours(5 * 24 + longer));
        world.server.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aftercare_in_hours_is_elapsed_time_across_a_clock_change() {
    let world = World::new().await;
    let mut content = crate::desk::simple("Laser", 30, vec![pb::Activity::LaserAndLight]);
    content.restrictions = vec![crate::desk::hours_after(pb::Activity::Heat, 24)];
    let laser = world.publish_treatment(content).await;
    // Ends at 10:30; 24 hours later the clock shows 11:30.
    let visit = world.book(world.visit_request(&laser, "2026-03-28T10:00:00")).await.unwrap();
    let status = world.book_sauna("2026-03-29T11:25:00").await.unwrap_err();
    let against = &visit.appointment_id;
    assert_eq!(said(&world, &status), [format!("ACTIVITY_FORBIDDEN against {against} from 2026-03-29T11:30")]);
    world.book_sauna("2026-03-29T11:30:00").await.unwrap();
    world.server.assert_clean().await;
}
