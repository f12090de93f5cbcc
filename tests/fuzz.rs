//! Messages that nobody would send, by the thousand: none of them may be the server's fault.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use stipple::rpc::pb;
use tonic::Code;

use crate::harness::World;
use crate::harness::kill::Killed;
use crate::harness::world::request_id;
use crate::wire::{Ids, call, filled, instant, leaves, rpcs, with};

/// How many messages.
const MESSAGES: usize = 3000;
/// How many when servers are killed and started anew all the time.
const MESSAGES_WITH_KILLS: usize = 150;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // splitmix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

fn value(random: &mut Random, field: &FieldDescriptor, ids: &Ids) -> Value {
    match field.kind() {
        Kind::Message(inner) if inner.full_name() == "google.protobuf.Timestamp" => {
            // Around the world's visits, around the clock changes, at the edges of what is supported, and beyond.
            let visits = 1_770_000_000 + i64::try_from(random.below(40_000)).unwrap() * 300;
            let seconds = [
                visits,
                visits,
                visits,
                visits,
                1_774_746_000,
                946_684_800,
                4_133_980_500,
                4_133_980_799,
                0,
                i64::MAX,
                i64::MIN,
            ];
            instant(random.pick(&seconds), random.pick(&[0, 0, 0, 0, 0, 1, 999_999_999, -1, i32::MAX]))
        }
        Kind::Message(inner) => Value::Message(message(random, &inner, ids)),
        Kind::Enum(_) => Value::EnumNumber(random.pick(&[0, 1, 2, 3, 4, 5, 8, 14, 15, -1, i32::MAX])),
        Kind::Bool => Value::Bool(random.below(2) == 0),
        Kind::Int64 => Value::I64(random.pick(&[0, 1, 40, -1, i64::MAX, i64::MIN])),
        Kind::Int32 => {
            Value::I32(random.pick(&[0, 1, 2, 3, 5, 12, 13, 15, 30, 365, 480, 1000, -1, i32::MAX, i32::MIN]))
        }
        Kind::String if field.name() == "request_id" && random.below(8) != 0 => Value::String(request_id()),
        Kind::String if field.name() == "practice_id" && random.below(8) != 0 => Value::String(String::new()),
        Kind::String => {
            let mut known: Vec<&String> = ids.by_field.values().collect();
            known.sort();
            let own = ids.by_field.get(field.name()).cloned().unwrap_or_default();
            let any = random.pick(&known).clone();
            let texts = [
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
            let text = random.pick(&texts).to_owned();
            let long = text.repeat(random.pick(&[1, 1, 1, 50, 5000]));
            Value::String(random.pick(&[own.clone(), own.clone(), own, any, text.clone(), text, long]))
        }
        kind => panic!("teach the fuzzer {kind:?}"),
    }
}

fn message(random: &mut Random, descriptor: &MessageDescriptor, ids: &Ids) -> DynamicMessage {
    let mut made = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if random.below(4) == 0 {
            continue;
        }
        if field.is_list() {
            let length = random.pick(&[0, 1, 1, 2, 3, 3, 9, 13, 60]);
            made.set_field(&field, Value::List((0..length).map(|_| value(random, &field, ids)).collect()));
        } else {
            made.set_field(&field, value(random, &field, ids));
        }
    }
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_answered_with_a_fault_of_the_server() {
    let seed = std::env::var("STIPPLE_TEST_FUZZ").ok().map_or(20_260_105, |seed| seed.parse().unwrap());
    println!("STIPPLE_TEST_FUZZ={seed}");
    let mut random = Random(seed);
    let world = World::new().await;
    let ids = Ids::of(&world).await;
    let rpcs = rpcs();
    let mut codes: BTreeMap<String, usize> = BTreeMap::new();
    let count = if Killed::wanted().is_some() { MESSAGES_WITH_KILLS } else { MESSAGES };
    for turn in 0..count {
        let rpc = &rpcs[turn % rpcs.len()];
        let message = match random.below(3) {
            0 => message(&mut random, &rpc.input, &ids),
            // Almost right.
            1 if !leaves(&rpc.input).is_empty() => {
                let leaf = random.pick(&leaves(&rpc.input));
                let value = value(&mut random, leaf.field(), &ids);
                with(rpc, &ids, &leaf, value)
            }
            _ => {
                let mut right = filled(&rpc.input, &ids);
                for field in rpc.input.fields() {
                    if random.below(6) == 0 && !field.is_list() {
                        right.set_field(&field, value(&mut random, &field, &ids));
                    }
                }
                right
            }
        };
        let answer = call(&world.server, Some(ids.token(rpc)), rpc, &message).await;
        let code = answer.as_ref().map_or_else(tonic::Status::code, |_| Code::Ok);
        let sane = [
            Code::Ok,
            Code::InvalidArgument,
            Code::NotFound,
            Code::Aborted,
            Code::FailedPrecondition,
            Code::PermissionDenied,
        ];
        assert!(sane.contains(&code), "seed {seed}, turn {turn}: {} {message:?}: {answer:?}", rpc.name);
        *codes.entry(format!("{code:?}")).or_default() += 1;
    }
    println!("{codes:?}");
    if count == MESSAGES {
        assert!(codes["Ok"] > 100 && codes["NotFound"] > 50 && codes["InvalidArgument"] > 500, "{codes:?}");
    }
    world.manager.practices().get_practice(pb::GetPracticeRequest::default()).await.unwrap();
    world.server.assert_clean().await;
}
