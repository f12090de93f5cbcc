//! Bearer tokens: any text is a token or none, and no token has two texts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stipple::app::access::Bearer;

fuzz_target!(|text: &str| {
    if let Some(bearer) = Bearer::read(text) {
        assert_eq!(bearer.write(), text);
    }
});
