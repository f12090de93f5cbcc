//! The codec: protobuf that is taken at its word. Unknown fields are an error instead of being dropped, because a
//! caller who sends one believes that it does something; malformed bytes are the caller's error, not the server's.

use std::marker::PhantomData;
use std::sync::LazyLock;

use prost::encoding::{WireType, decode_key, decode_varint, skip_field};
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::{pb, status};

/// Every message type of the service.
pub static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(pb::DESCRIPTORS).unwrap_or_else(|error| panic!("the build made broken descriptors: {error}"))
});

/// Deepest nesting of messages that is looked into; the schema has less.
const MAX_DEPTH: u32 = 16;

/// Protobuf, with unknown fields refused.
#[derive(Debug, Clone)]
pub struct StrictCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for StrictCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for StrictCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = StrictDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        StrictDecoder(PhantomData)
    }
}

/// See [`StrictCodec`].
#[derive(Debug)]
pub struct StrictDecoder<U>(PhantomData<U>);

impl<U: Message + Name + Default> Decoder for StrictDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        use bytes::Buf as _;
        decoded(&buf.copy_to_bytes(buf.remaining())).map(Some)
    }
}

/// The message in these bytes, unless it has a field that the server does not know.
pub fn decoded<U: Message + Name + Default>(bytes: &[u8]) -> Result<U, Status> {
    let message = U::decode(bytes).map_err(|_| status::malformed_message())?;
    if let Some(descriptor) = DESCRIPTORS.get_message_by_name(&U::full_name())
        && let Some(Some(field)) = unknown_field(&descriptor, bytes, 0)
    {
        return Err(status::unknown_field(&field));
    }
    Ok(message)
}

/// Names a field that the descriptor does not know, if there is one. The outer nothing means that the bytes end too
/// early, which decoding has ruled out.
#[expect(clippy::option_option, reason = "the outer one carries `?` over the reading, the inner one is the answer")]
fn unknown_field(message: &MessageDescriptor, mut bytes: &[u8], depth: u32) -> Option<Option<String>> {
    let context = prost::encoding::DecodeContext::default();
    while !bytes.is_empty() {
        let (tag, wire_type) = decode_key(&mut bytes).ok()?;
        let Some(field) = message.get_field(tag) else {
            return Some(Some(format!("field number {tag} of {}", message.full_name())));
        };
        match (field.kind(), wire_type) {
            (Kind::Message(inner), WireType::LengthDelimited) if depth < MAX_DEPTH => {
                let length = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
                let (head, tail) = bytes.split_at_checked(length)?;
                bytes = tail;
                let found = unknown_field(&inner, head, depth + 1)?;
                if found.is_some() {
                    return Some(found);
                }
            }
            _ => skip_field(wire_type, tag, &mut bytes, context.clone()).ok()?,
        }
    }
    Some(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown<M: Message + Name>(bytes: &[u8]) -> Option<String> {
        let descriptor = DESCRIPTORS.get_message_by_name(&M::full_name()).unwrap();
        unknown_field(&descriptor, bytes, 0).unwrap()
    }

    #[test]
    fn no_message_of_the_schema_is_nested_so_deep_that_it_would_not_be_looked_into() {
        fn depth(message: &MessageDescriptor) -> u32 {
            let inner = message.fields().filter_map(|field| field.kind().as_message().cloned());
            inner.map(|inner| 1 + depth(&inner)).max().unwrap_or_default()
        }
        let methods = DESCRIPTORS.services().flat_map(|service| service.methods().collect::<Vec<_>>());
        let deepest = methods.map(|method| depth(&method.input())).max().unwrap();
        assert!((3..MAX_DEPTH).contains(&deepest), "{deepest}");
    }

    #[test]
    fn a_field_of_the_future_is_found_at_any_depth() {
        let known = pb::BookSeriesRequest {
            patient_id: "x".into(),
            sessions: vec![pb::SessionRequest { resource_ids: vec!["r".into()], ..Default::default() }],
            ..Default::default()
        };
        let mut bytes = known.encode_to_vec();
        assert_eq!(unknown::<pb::BookSeriesRequest>(&bytes), None);
        // Field 8 (sessions), two bytes long, holding field 99 as a varint: tag 0x98 0x06, value 1.
        bytes.extend([0x42, 0x03, 0x98, 0x06, 0x01]);
        assert_eq!(
            unknown::<pb::BookSeriesRequest>(&bytes).as_deref(),
            Some("field number 99 of stipple.v1.SessionRequest")
        );
    }
}
