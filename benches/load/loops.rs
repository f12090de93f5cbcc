//! The two ways of asking: who waits for an answer before asking again, and who comes when they come.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tonic::transport::Channel;

use crate::dice::Dice;
use crate::figures::Recorder;
use crate::mix::Mix;
use crate::options::Spacing;
use crate::practice::Practice;

/// Most requests under way at once; further arrivals are counted and not sent. The server sheds long before.
const MAX_OUTSTANDING: u32 = 2_000;
/// How long the last requests of a step may take: longer than any client waits.
const LAST: Duration = Duration::from_secs(20);
/// What a draw is taken out of, where a share between 0 and 1 is wanted.
const FINE: u64 = 1 << 30;

/// A front desk: a connection of its own, of one practice.
#[derive(Clone)]
pub struct Seat {
    pub practice: Arc<Practice>,
    pub channel: Channel,
}

/// Each seat waits for its answer before it asks again, until the end of the window.
pub async fn closed(seats: &[Seat], mix: Mix, end: Instant, dice: &mut Dice, recorder: &Recorder) {
    let at_work = seats.iter().map(|seat| {
        let (seat, recorder, mut dice) = (seat.clone(), recorder.clone(), Dice(dice.below(FINE)));
        tokio::spawn(async move {
            while Instant::now() < end {
                let (wanted, start) = (mix.draw(&mut dice), Instant::now());
                let (operation, result) = seat.practice.act(&seat.channel, wanted, &mut dice).await;
                recorder.ended(operation, start, &result);
            }
        })
    });
    for seat in at_work.collect::<Vec<_>>() {
        seat.await.expect("a seat does not panic");
    }
}

/// How requests arrive.
#[derive(Clone, Copy)]
pub struct Arrivals {
    pub rate: f64,
    pub spacing: Spacing,
}

/// Requests arrive from the begin to the end, each at a seat that is drawn, and are sent whether or not others were
/// answered. How long one took counts from when it was to be sent, so that what a slow server keeps from being sent in
/// time is not left out.
pub async fn open(
    seats: &[Seat],
    mix: Mix,
    arrivals: Arrivals,
    during: Range<Instant>,
    dice: &mut Dice,
    recorder: &Recorder,
) {
    let places = Arc::new(Semaphore::new(MAX_OUTSTANDING as usize));
    let (seats, runtime, recorder) = (seats.to_vec(), Handle::current(), recorder.clone());
    let (mut dice, free) = (Dice(dice.below(FINE)), Arc::clone(&places));
    // A thread of its own: tokio's timer is no finer than a millisecond, which is as long as many an answer takes.
    let (done, all_arrived) = oneshot::channel();
    std::thread::spawn(move || {
        let mut next = during.start + arrivals.gap(&mut dice);
        while next < during.end {
            let intended = next;
            next += arrivals.gap(&mut dice);
            std::thread::sleep(intended.saturating_duration_since(Instant::now()));
            let seat = seats[dice.below(seats.len() as u64) as usize].clone();
            let (wanted, mut dice) = (mix.draw(&mut dice), Dice(dice.below(FINE)));
            let Ok(place) = Arc::clone(&free).try_acquire_owned() else {
                recorder.not_sent(intended);
                continue;
            };
            recorder.sent(intended);
            let recorder = recorder.clone();
            runtime.spawn(async move {
                let (operation, result) = seat.practice.act(&seat.channel, wanted, &mut dice).await;
                recorder.ended(operation, intended, &result);
                drop(place);
            });
        }
        // Nobody waits for it if the run was broken off.
        let _ = done.send(());
    });
    all_arrived.await.expect("arrivals do not panic");
    let all = tokio::time::timeout(LAST, places.acquire_many(MAX_OUTSTANDING)).await;
    all.expect("every request ends").expect("nobody closes the semaphore").forget();
}

impl Arrivals {
    /// How long after an arrival the next one comes.
    fn gap(self, dice: &mut Dice) -> Duration {
        let share = match self.spacing {
            Spacing::Constant => 1.0,
            Spacing::Exponential => -(1.0 - dice.below(FINE) as f64 / FINE as f64).ln(),
        };
        Duration::from_secs_f64(share / self.rate)
    }
}
