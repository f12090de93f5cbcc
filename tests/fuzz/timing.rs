//! Whether the time that an answer takes tells ids that another practice has from ids that nobody has.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Message as _;
use prost_reflect::Value;
use tonic::transport::Channel;

use super::line::{Answer, Asked, send};
use super::worker::headers;
use crate::harness::world::request_id;
use crate::harness::{TestServer, World};
use crate::wire::{Ids, Leaf, Rpc, frame, id_leaves, rpcs, with};

/// How often a field is asked for each of both ids.
const ASKED: usize = 60;
/// How often, if the first time there seemed to be a difference.
const ASKED_AGAIN: usize = 600;
/// How many times the noise a difference has to be.
const BEYOND: f64 = 4.0;
/// What is within the noise anyway, in microseconds.
const LEAST: f64 = 10.0;

/// What was measured of a field, in microseconds.
struct Measured {
    unknown: f64,
    foreign: f64,
    /// The largest difference between the medians of two halves of the same kind.
    noise: f64,
}

impl Measured {
    fn difference(&self) -> f64 {
        self.foreign - self.unknown
    }

    fn is_beyond_noise(&self) -> bool {
        self.difference().abs() > BEYOND * self.noise.max(LEAST)
    }
}

/// Asks for both ids by turns, and tells how long that took.
async fn measure(channel: &Channel, asked: &[Asked; 2], times: usize) -> Measured {
    // Of each kind of id, the even and the odd turns.
    let mut took = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    for turn in 0..times {
        // Neither always comes first.
        for which in if turn / 2 % 2 == 0 { [0, 1] } else { [1, 0] } {
            took[which][turn % 2].push(timed(channel, &asked[which]).await.as_secs_f64() * 1e6);
        }
    }
    let noise = took.iter().map(|[even, odd]| (median(even) - median(odd)).abs()).fold(0.0, f64::max);
    let [unknown, foreign] = took.map(|halves| median(&halves.concat()));
    Measured { unknown, foreign, noise }
}

#[expect(clippy::disallowed_methods, reason = "what is measured is time")]
async fn timed(channel: &Channel, asked: &Asked) -> Duration {
    let begun = std::time::Instant::now();
    let answer = send(channel, asked).await;
    let took = begun.elapsed();
    assert!(!matches!(answer, Answer::Http(_)), "{answer:?}");
    took
}

fn median(of: &[f64]) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Measures every field of every method that takes an id, and prints what is beyond the noise, and the most of the rest.
pub async fn compare(server: &TestServer, channel: &Channel) {
    let (a, b) = (World::on(server.clone(), "Europe/Berlin").await, World::on(server.clone(), "Europe/Berlin").await);
    let (foreign, own) = (Ids::of(&a).await, Ids::of(&b).await);
    let mut found = BTreeMap::new();
    for rpc in rpcs() {
        for leaf in id_leaves(&rpc.input) {
            let Some(id) = foreign.by_field.get(leaf.field().name()) else { continue };
            let asked = [request_id(), id.clone()].map(|id| asked(&rpc, &leaf, &own, id));
            let mut measured = measure(channel, &asked, ASKED).await;
            if measured.is_beyond_noise() {
                measured = measure(channel, &asked, ASKED_AGAIN).await;
            }
            found.insert(format!("{} {}", rpc.name.split('/').nth(1).unwrap(), leaf.name), measured);
        }
    }
    let mut sorted: Vec<_> = found.iter().collect();
    sorted.sort_by(|a, b| b.1.difference().abs().total_cmp(&a.1.difference().abs()));
    println!("{:56} {:>8} {:>8} {:>10} {:>6}", "median in microseconds", "unknown", "foreign", "difference", "noise");
    for (number, (name, measured)) in sorted.iter().enumerate() {
        let beyond = measured.is_beyond_noise();
        if beyond || number < 10 {
            let Measured { unknown, foreign, noise } = measured;
            let (difference, said) = (measured.difference(), if beyond { " BEYOND NOISE" } else { "" });
            println!("{name:56} {unknown:>8.0} {foreign:>8.0} {difference:>10.0} {noise:>6.0}{said}");
        }
    }
    let beyond = found.values().filter(|measured| measured.is_beyond_noise()).count();
    println!("{} fields that take an id, {beyond} beyond noise", found.len());
}

fn asked(rpc: &Rpc, leaf: &Leaf, own: &Ids, id: String) -> Asked {
    let message = with(rpc, own, leaf, Value::String(id)).encode_to_vec();
    Asked { path: format!("/{}", rpc.name), headers: headers(own.token(rpc)), body: frame(&message) }
}
