//! smoke
use crate::harness::{World, refusal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_four_session_series_is_booked_whole() {
    let world = World::new().await;
    let series = world
        .book_series(&["2026-02-02T10:00:00", "2026-03-02T10:00:00", "2026-03-30T10:00:00", "2026-04-27T10:00:00"])
        .await
        .unwrap();
    assert_eq!(series.sessions.len(), 4);
    let status = world.book_sauna("2026-02-05T10:00:00").await.unwrap_err();
    println!("{status:?}");
    assert_eq!(refusal(&status).len(), 1);
    world.server.assert_clean().await;
}
