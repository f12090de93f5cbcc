//! That the checks can fail: evidence in which nothing is wrong, spoiled in one way after the other.

use stipple::rpc::pb;

use super::desks::{Ask, End, Sent};
use super::evidence::Evidence;
use crate::harness::world::request_id;

/// What is done to evidence, and what has to be said of it then.
type Spoiled = (fn(&mut Evidence), &'static str);

const SPOILED: [Spoiled; 14] = [
    (|of| acknowledged(of).request_id = request_id(), "was acknowledged, and None"),
    (|of| acknowledged(of).request_id = request_id(), "nobody asked for"),
    (|of| acknowledged(of).end = End::Refused, "was refused, and"),
    (|of| acknowledged(of).ended = 0, "was asked for when"),
    (|of| drop(of.history.remove(of.before)), "in the place of"),
    (|of| of.history.push(of.history[of.before].clone()), "repeats an earlier request"),
    (|of| drop(of.watched.remove(1)), "the watcher saw"),
    (|of| of.watched.insert(1, of.watched[0].clone()), "the watcher saw"),
    (|of| drop(booked_series(of).appointment_ids.pop()), "sessions"),
    (|of| drop(of.visits.pop_first()), "is in the history and not there"),
    (|of| drop(of.series.pop_first()), "is in the history and not there"),
    (|of| drop(of.patients.pop_first()), "is in the history and not there"),
    (|of| of.patients.extend([request_id()]), "is there and not in the history"),
    (|of| of.visits.values_mut().for_each(|visit| visit.etag = "1".into()), "does not stand so"),
];

/// Holds the checks to finding each.
pub fn is_found_out(whole: &Evidence) {
    assert_eq!(whole.findings(), [""; 0]);
    for (spoil, said) in SPOILED {
        let mut evidence = whole.clone();
        spoil(&mut evidence);
        let findings = evidence.findings();
        assert!(findings.iter().any(|finding| finding.contains(said)), "{said} is not in {findings:#?}");
    }
}

/// The last request that was acknowledged: others were asked for before it was.
fn acknowledged(of: &mut Evidence) -> &mut Sent {
    let acknowledged = of.record.iter_mut().filter(|sent| matches!(sent.end, End::Acknowledged(_)));
    acknowledged.last().expect("something was acknowledged")
}

fn booked_series(of: &mut Evidence) -> &mut pb::Change {
    let series = |sent: &&Sent| matches!((&sent.ask, &sent.end), (Ask::Series { .. }, End::Acknowledged(_)));
    let sent = of.record.iter().find(series).expect("a series was booked");
    of.history.iter_mut().find(|change| change.request_id == sent.request_id).unwrap()
}
