//! Messages as bytes, written from the descriptors. No message is built first: that takes many times as long, and cannot
//! say a field twice, or two of which only one may be.

use std::collections::HashMap;

use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value};
use stipple::rpc::codec::DESCRIPTORS;

use super::random::Random;
use crate::harness::world::request_id;
use crate::wire::{Ids, Leaf, Rpc, filled, leaves, likely, with};

const ENUMS: &[i64] = &[0, 1, 2, 3, 4, 5, 8, 14, 15, -1, i32::MAX as i64];
const BOOLS: &[i64] = &[0, 1];
const INT32S: &[i64] =
    &[0, 1, 2, 3, 5, 12, 13, 15, 30, 365, 480, 1000, -1, i32::MAX as i64, i32::MIN as i64, i64::MAX, i64::MIN];
const INT64S: &[i64] = &[0, 1, 40, -1, i64::MAX, i64::MIN];
/// Around the clock changes, at the edges of what is supported, and beyond.
const SECONDS: &[i64] =
    &[1_774_746_000, 946_684_800, 4_133_980_500, 4_133_980_799, 0, 253_402_300_800, -1, i64::MAX, i64::MIN];
const NANOS: &[i64] = &[0, 0, 0, 0, 0, 1, 999_999_999, -1, i32::MAX as i64];
const TEXTS: &[&str] = &[
    "",
    "1",
    "20",
    "-1",
    "x",
    "\0",
    "'; DROP TABLE practices; --",
    "%",
    "\\",
    "_",
    "\u{202e}abc",
    "🩹",
    "٣",
    "09:00",
    "24:00",
    "2026-02-30",
    "1990-04-01",
    "2026-02-02",
    "2026-03-30",
    "Europe/Berlin",
    "Pacific/Apia",
    "treatment_room",
    "a_code",
    "a@b",
    "NaN",
];
/// How many entries a list has: some have more than any may have.
const LENGTHS: &[usize] = &[0, 1, 1, 2, 3, 3, 9, 13, 60];
/// How many one has that is in another.
const INNER_LENGTHS: &[usize] = &[0, 1, 1, 2, 3];
/// One in so many of those is as long as any.
const ONE_IS_LONG: usize = 50;
/// How deep messages nest that are written from the descriptors; the schema has less.
const DEPTH: u32 = 8;
/// How many messages that would be taken are kept of a method.
const BASES: usize = 7;
/// How many ids of a kind are kept, of those that answers told.
const KEPT: usize = 8;

/// One field of a message type.
struct Shape {
    tag: u32,
    list: bool,
    name: String,
    what: What,
}

enum What {
    Timestamp,
    /// Of the type with that name.
    Message(String),
    Number(&'static [i64]),
    Text,
}

impl Shape {
    fn of(field: &FieldDescriptor) -> Self {
        let what = match field.kind() {
            Kind::Message(inner) if inner.full_name() == "google.protobuf.Timestamp" => What::Timestamp,
            Kind::Message(inner) => What::Message(inner.full_name().to_owned()),
            Kind::Enum(_) => What::Number(ENUMS),
            Kind::Bool => What::Number(BOOLS),
            Kind::Int32 => What::Number(INT32S),
            Kind::Int64 => What::Number(INT64S),
            Kind::String => What::Text,
            kind => panic!("teach the fuzzer {kind:?}"),
        };
        Self { tag: field.number(), list: field.is_list(), name: field.name().to_owned(), what }
    }
}

/// What messages may name in a practice: what was there at first, and what answers told since.
pub struct Known {
    by_field: HashMap<String, Vec<String>>,
    all: Vec<String>,
    /// Things with the etag that they had last: the field that names them, their id, their etag.
    things: Vec<(String, String, String)>,
}

impl Known {
    /// What a practice has at first.
    pub fn new(ids: &Ids) -> Self {
        let by_field: HashMap<_, _> =
            ids.by_field.iter().map(|(field, id)| ((*field).to_owned(), vec![id.clone()])).collect();
        let mut all: Vec<String> = ids.by_field.values().cloned().collect();
        all.sort();
        Self { by_field, all, things: Vec::new() }
    }

    /// Learns the ids and etags of an answer.
    pub fn learn(&mut self, answer: &DynamicMessage) {
        let text = |name: &str| answer.get_field_by_name(name)?.as_str().map(ToOwned::to_owned);
        let mut own = None;
        for (field, value) in answer.fields() {
            match value {
                Value::String(id) if field.name().ends_with("_id") && field.name() != "practice_id" => {
                    own.get_or_insert_with(|| (field.name().to_owned(), id.clone()));
                    let of_kind = self.by_field.entry(field.name().to_owned()).or_default();
                    keep(of_kind, id.clone(), |old| old == id);
                }
                // Those are the callers themselves, whose tokens nobody is to revoke.
                Value::Message(inner) if inner.descriptor().full_name() == "stipple.v1.Author" => {}
                Value::Message(inner) => self.learn(inner),
                Value::List(list) => list.iter().filter_map(Value::as_message).for_each(|inner| self.learn(inner)),
                _ => {}
            }
        }
        if let (Some((field, id)), Some(etag)) = (own, text("etag")) {
            keep(&mut self.things, (field, id.clone(), etag), |old| old.1 == id);
        }
    }
}

/// Adds the newest, and lets go of what it replaces, or of the oldest.
fn keep<T>(kept: &mut Vec<T>, newest: T, replaces: impl Fn(&T) -> bool) {
    kept.retain(|old| !replaces(old));
    if kept.len() == KEPT {
        kept.remove(0);
    }
    kept.push(newest);
}

/// All message types.
pub struct Shapes(HashMap<String, Vec<Shape>>);

impl Shapes {
    /// Of every type of the service.
    pub fn new() -> Self {
        let of = |message: MessageDescriptor| {
            (message.full_name().to_owned(), message.fields().map(|field| Shape::of(&field)).collect())
        };
        Self(DESCRIPTORS.all_messages().filter(|message| message.full_name().starts_with("stipple.")).map(of).collect())
    }

    /// A message of that type with arbitrary fields.
    pub fn any(&self, random: &mut Random, message: &str, known: &Known) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(random, message, known, &mut out, 0);
        out
    }

    fn write(&self, random: &mut Random, message: &str, known: &Known, out: &mut Vec<u8>, depth: u32) {
        for shape in &self.0[message] {
            let times = match shape.list {
                _ if random.one_in(4) => 0,
                true if depth == 0 || random.one_in(ONE_IS_LONG) => *random.pick(LENGTHS),
                true => *random.pick(INNER_LENGTHS),
                // Whatever is said last counts.
                false if random.one_in(50) => 2,
                false => 1,
            };
            for _ in 0..times {
                self.field(random, shape, known, out, depth);
            }
        }
    }

    fn field(&self, random: &mut Random, shape: &Shape, known: &Known, out: &mut Vec<u8>, depth: u32) {
        match &shape.what {
            What::Number(numbers) => number(shape.tag, *random.pick(numbers), out),
            What::Text => bytes(shape.tag, text(random, &shape.name, known).as_bytes(), out),
            What::Timestamp => {
                let visit = 1_770_000_000 + i64::try_from(random.below(40_000)).unwrap() * 300;
                let mut inner = Vec::with_capacity(16);
                number(1, if random.one_in(4) { *random.pick(SECONDS) } else { visit }, &mut inner);
                number(2, *random.pick(NANOS), &mut inner);
                bytes(shape.tag, &inner, out);
            }
            What::Message(of) => {
                let mut inner = Vec::new();
                if depth < DEPTH {
                    self.write(random, of, known, &mut inner, depth + 1);
                }
                bytes(shape.tag, &inner, out);
            }
        }
    }

    /// Says one field somewhere in a message anew: appended, it is what counts, or one more of a list.
    pub fn bend(&self, random: &mut Random, message: &str, known: &Known, out: &mut Vec<u8>) {
        let shapes = &self.0[message];
        if shapes.is_empty() {
            return;
        }
        let shape = random.pick(shapes);
        match &shape.what {
            What::Message(of) if !random.one_in(4) => {
                let mut inner = Vec::new();
                self.bend(random, of, known, &mut inner);
                bytes(shape.tag, &inner, out);
            }
            _ => self.field(random, shape, known, out, 0),
        }
    }

    /// Gives a message a request id of its own, and often a thing that is known with its etag.
    pub fn sign(&self, random: &mut Random, message: &str, known: &Known, out: &mut Vec<u8>) {
        let tag = |name: &str| self.0[message].iter().find(|shape| shape.name == name).map(|shape| shape.tag);
        if let Some(tag) = tag("request_id").filter(|_| !random.one_in(16)) {
            bytes(tag, request_id().as_bytes(), out);
        }
        let Some(etag) = tag("etag").filter(|_| !random.one_in(4)) else { return };
        let fitting: Vec<_> = known.things.iter().filter_map(|thing| Some((tag(&thing.0)?, thing))).collect();
        if !fitting.is_empty() {
            let (id, thing) = *random.pick(&fitting);
            bytes(id, thing.1.as_bytes(), out);
            bytes(etag, thing.2.as_bytes(), out);
        }
    }
}

/// Writes a number as a field, whatever its type: all that the schema has are varints.
fn number(tag: u32, value: i64, out: &mut Vec<u8>) {
    encode_key(tag, WireType::Varint, out);
    encode_varint(value.cast_unsigned(), out);
}

/// Writes a text, or a message, as a field.
pub fn bytes(tag: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(u64::try_from(value.len()).unwrap(), out);
    out.extend_from_slice(value);
}

fn text(random: &mut Random, name: &str, known: &Known) -> String {
    match name {
        "request_id" if !random.one_in(8) => return request_id(),
        "practice_id" if !random.one_in(8) => return String::new(),
        _ => {}
    }
    let of_kind = known.by_field.get(name).filter(|ids| !ids.is_empty());
    match (random.below(6), of_kind) {
        (0..3, Some(ids)) => random.pick(ids).clone(),
        (3, _) => random.pick(&known.all).clone(),
        _ if random.one_in(100) => random.pick(TEXTS).repeat(5000),
        _ if random.one_in(10) => random.pick(TEXTS).repeat(50),
        _ => (*random.pick(TEXTS)).to_owned(),
    }
}

/// Messages to a method that, as far as one can tell, would be taken: with everything set, and with this or that of its
/// alternatives.
pub fn bases(random: &mut Random, rpc: &Rpc, ids: &Ids) -> Vec<Vec<u8>> {
    let leaves = leaves(&rpc.input);
    let some = |random: &mut Random| -> Option<Vec<u8>> {
        let leaf: &Leaf = random.pick(&leaves);
        Some(with(rpc, ids, leaf, likely(leaf.field(), ids)?).encode_to_vec())
    };
    let mut bases = vec![filled(&rpc.input, ids).encode_to_vec()];
    if !leaves.is_empty() {
        bases.extend((1..BASES).filter_map(|_| some(random)));
    }
    bases
}
