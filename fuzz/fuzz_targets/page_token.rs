//! Page tokens: any text is a place in the list or none, no place has two texts, and no token is good for another query.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use stipple::domain::ids::{AppointmentId, PatientId};
use stipple::domain::interval::Instant;
use stipple::rpc::page::{Place, Query};
use uuid::Uuid;

fuzz_target!(|input: (&str, &[u8])| {
    let (text, place) = input;
    let query = Query::new("List", &[text]);
    // As a caller writes it, and as only somebody could who knows what the token is bound to.
    let bound = URL_SAFE_NO_PAD.decode(query.token(&0_i64)).expect("a token");
    let bound = URL_SAFE_NO_PAD.encode([&bound[..bound.len() - 8], place].concat());
    for token in [text, &bound] {
        read::<i64>(&query, token);
        read::<Uuid>(&query, token);
        read::<Instant>(&query, token);
        read::<PatientId>(&query, token);
        read::<(Instant, AppointmentId)>(&query, token);
    }
});

fn read<P: Place>(query: &Query, token: &str) {
    if let Ok(Some(place)) = query.place::<P>(token) {
        assert_eq!(query.token(&place), token);
        assert!(Query::new("List", &[token, token]).place::<P>(token).is_err());
    }
}
