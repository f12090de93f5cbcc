//! Bytes that are no message, frames that hold none, and requests without what every request has.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint};
use tonic::codegen::http::{HeaderMap, HeaderValue, header};

use super::messages::bytes;
use super::random::Random;

/// How deep a message is nested that is nested too deep; the decoder follows 100 levels.
const TOO_DEEP: usize = 150;
/// Bytes around the largest message that is taken.
const LARGE: &[usize] = &[250 * 1024, 256 * 1024 - 8, 256 * 1024 + 1, 600 * 1024];
/// One in so many broken messages is that large.
const ONE_IS_LARGE: usize = 400;
/// What is no token.
const TOKENS: &[&str] = &["Bearer", "Bearer ", "Basic c3RpcHBsZQ==", "Bearer stipple_AAAA", "bearer  x y", "~"];
const CONTENT_TYPES: &[&str] =
    &["application/json", "application/grpc+json", "application/grpc-web", "text/plain", "x"];
const ENCODINGS: &[&str] = &["gzip", "zstd", "identity", "nothing", ""];
/// What is no time, or a long one; a short one would be the client's to keep.
const TIMEOUTS: &[&str] = &["99999999H", "1", "S", "-1S", "999999999S", "soon"];
const PATHS: &[&str] =
    &["/stipple.v1.PracticeService/Nothing", "/stipple.v1.Nothing/GetPractice", "/", "/a/b/c", "/%00"];

/// Breaks a message in one of many ways, some of which leave it a message of other things.
pub fn message(random: &mut Random, message: &mut Vec<u8>) {
    if random.one_in(ONE_IS_LARGE) {
        return bytes(1, &random.bytes(1).repeat(*random.pick(LARGE)), message);
    }
    let at = random.below(message.len() + 1);
    match random.below(14) {
        0 => message.truncate(at),
        1..4 => flip(random, message),
        4 => drop(message.splice(at..at, random.bytes(3))),
        5 => drop(message.drain(at..(at + 3).min(message.len()))),
        // The first field with another wire type.
        6 => message.first_mut().into_iter().for_each(|key| *key = (*key & !7) | (*key + 1) & 7),
        7 => unknown(random, message),
        8 => deep(random, message),
        // A text that is longer than the message, or than anything.
        9 => {
            encode_key(1, WireType::LengthDelimited, message);
            encode_varint(*random.pick(&[100_000, 1 << 31, u64::MAX >> 1, u64::MAX]), message);
        }
        // A number that does not end, as key and as value.
        10 => message.extend([0xff; 11]),
        11 => {
            encode_key(1, WireType::Varint, message);
            message.extend([0xff; 11]);
        }
        // No characters.
        12 => bytes(1, &[0xc3, 0x28], message),
        _ => *message = random.bytes(at),
    }
}

fn flip(random: &mut Random, message: &mut [u8]) {
    for _ in 0..=random.below(4) {
        if !message.is_empty() {
            message[random.below(message.len())] ^= 1 << random.below(8);
        }
    }
}

/// A field that no message has.
fn unknown(random: &mut Random, message: &mut Vec<u8>) {
    let tag = *random.pick(&[77, 1000, (1 << 29) - 1]);
    match random.below(4) {
        0 => bytes(tag, b"of the future", message),
        1 => {
            encode_key(tag, WireType::Varint, message);
            encode_varint(1, message);
        }
        2 => {
            encode_key(tag, WireType::SixtyFourBit, message);
            message.extend([7; 8]);
        }
        _ => {
            encode_key(tag, WireType::StartGroup, message);
            encode_key(tag, WireType::EndGroup, message);
        }
    }
}

/// The same field in itself, again and again, or groups that do not end.
fn deep(random: &mut Random, message: &mut Vec<u8>) {
    let tag = u32::try_from(1 + random.below(12)).unwrap();
    if random.one_in(2) {
        return (0..TOO_DEEP * 10).for_each(|_| encode_key(tag, WireType::StartGroup, message));
    }
    let nested = (0..TOO_DEEP).fold(Vec::new(), |inner, _| {
        let mut outer = Vec::new();
        bytes(tag, &inner, &mut outer);
        outer
    });
    message.extend(nested);
}

/// Puts a message into a frame that is not what its head says.
pub fn frame(random: &mut Random, message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap();
    let framed = |flag: u8, length: u32| {
        let mut body = BytesMut::with_capacity(message.len() + 5);
        body.put_u8(flag);
        body.put_u32(length);
        body.put_slice(message);
        body
    };
    let body = match random.below(8) {
        0 => framed(*random.pick(&[1, 2, 7, 255]), length),
        1 => framed(0, length + 1 + u32::try_from(random.below(1000)).unwrap()),
        2 => framed(0, length / 2),
        3 => framed(0, *random.pick(&[u32::MAX, 1 << 31, 256 * 1024 + 1])),
        4 => [framed(0, length), framed(0, length)].concat().as_slice().into(),
        5 => framed(0, length).split_to(random.below(5)),
        6 => BytesMut::from(message),
        _ => random.bytes(20).as_slice().into(),
    };
    body.freeze()
}

/// What is wrong with a request's headers, or its method.
pub fn head(random: &mut Random, path: &mut String, headers: &mut HeaderMap) {
    let what = random.below(9);
    let mut set = |name: &'static str, values: &[&'static str]| {
        headers.insert(name, HeaderValue::from_static(random.pick::<&str>(values)));
    };
    match what {
        0 => drop(headers.remove(header::AUTHORIZATION)),
        1 | 2 => set("authorization", TOKENS),
        // A token that is like the caller's, but for one character.
        3 => {
            let own = headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
            let at = "Bearer stipple_".len() + random.below(80);
            let other = if own.as_bytes()[at] == b'A' { "B" } else { "A" };
            let other = format!("{}{other}{}", &own[..at], &own[at + 1..]);
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&other).unwrap());
        }
        4 => set("content-type", CONTENT_TYPES),
        5 => drop(headers.remove(random.pick(&[header::CONTENT_TYPE, header::TE]))),
        6 => set("grpc-encoding", ENCODINGS),
        7 => set("grpc-timeout", TIMEOUTS),
        _ => *path = (*random.pick::<&str>(PATHS)).to_owned(),
    }
}
