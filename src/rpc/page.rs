//! Page tokens: opaque, and good for the query that they came with only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::app::Error;
use crate::app::page::Page;

/// Bytes after which a page ends, whatever its size in entries: callers take messages of 4 MiB unless told otherwise.
const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of the query's digest that a token carries.
const BINDING: usize = 8;

/// What a page token is bound to: the method, and everything in the request that decides which entries the list has.
#[derive(Debug, Clone)]
pub struct Query([u8; BINDING]);

impl Query {
    /// The query of a method with these parts.
    pub fn new(method: &str, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(&method).chain(parts) {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self::bound(&hash.finalize())
    }

    /// The query of a method with a message that holds nothing but what decides which entries the list has.
    pub fn of(method: &str, message: &impl prost::Message) -> Self {
        let mut hash = Sha256::new();
        hash.update(method.as_bytes());
        hash.update([0]);
        hash.update(message.encode_to_vec());
        Self::bound(&hash.finalize())
    }

    fn bound(digest: &[u8]) -> Self {
        let mut binding = [0; BINDING];
        binding.copy_from_slice(&digest[..BINDING]);
        Self(binding)
    }

    /// The messages of a page, and the token of the next one; empty on the last. A page that would grow too large for
    /// callers ends early.
    pub fn render<T, P: Place, M: prost::Message>(
        &self,
        page: Page<T, P>,
        render: impl Fn(&T) -> M,
    ) -> (Vec<M>, String) {
        let mut messages = Vec::with_capacity(page.items.len());
        let mut bytes = 0;
        let mut last = None;
        for (item, place) in page.items {
            let message = render(&item);
            bytes += message.encoded_len();
            if let Some(before) = &last
                && bytes > MAX_PAGE_BYTES
            {
                return (messages, self.token(before));
            }
            messages.push(message);
            last = Some(place);
        }
        let next = if page.more { last.map(|place| self.token(&place)) } else { None };
        (messages, next.unwrap_or_default())
    }

    /// The token for the page after a place in the list, or for whatever else is good for this query only.
    pub fn token(&self, after: &impl Place) -> String {
        let mut bytes = self.0.to_vec();
        after.write(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a token stands for; none for the empty token of the first page.
    pub fn place<P: Place>(&self, token: &str) -> Result<Option<P>, Error> {
        if token.is_empty() {
            return Ok(None);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Error::PageToken)?;
        let place = bytes.strip_prefix(&self.0[..]).and_then(P::read).ok_or(Error::PageToken)?;
        Ok(Some(place))
    }
}

/// A place in a list that a token can carry.
pub trait Place: Sized {
    /// Appends it.
    fn write(&self, bytes: &mut Vec<u8>);
    /// Reads it; nothing if these bytes are no such place.
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl Place for uuid::Uuid {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Self::from_slice(bytes).ok()
    }
}

impl Place for i64 {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_be_bytes)
    }
}

impl Place for crate::domain::interval::Instant {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.timestamp_micros().write(bytes);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Self::from_timestamp_micros(i64::read(bytes)?).filter(|at| crate::domain::zone::in_supported_years(*at))
    }
}

macro_rules! id_places {
    ($($id:ident),+ $(,)?) => {$(
        impl Place for crate::domain::ids::$id {
            fn write(&self, bytes: &mut Vec<u8>) {
                self.0.write(bytes);
            }

            fn read(bytes: &[u8]) -> Option<Self> {
                uuid::Uuid::read(bytes).map(Self)
            }
        }
    )+};
}

id_places!(
    ScreeningId,
    ClearanceId,
    PracticeId,
    ClinicId,
    ClosureId,
    ResourceId,
    TimeOffId,
    TreatmentId,
    ProtocolId,
    PatientId,
    SeriesId,
    AppointmentId,
    OverrideId,
    ReactionId,
    MessageId,
    TokenId
);

/// Two places one after the other; the first has a fixed length of 8 bytes.
impl<B: Place> Place for (crate::domain::interval::Instant, B) {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
        self.1.write(bytes);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.split_at_checked(8)?;
        Some((Place::read(first)?, B::read(second)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_it_grows_too_large() {
        let query = Query::new("List", &[]);
        let items = (0..5).map(|number: i64| (number, number)).collect();
        let large = |_: &i64| "x".repeat(MAX_PAGE_BYTES / 2 - 100);
        let (messages, token) = query.render(Page { items, more: false }, large);
        assert_eq!((messages.len(), query.place::<i64>(&token).unwrap()), (2, Some(1)));
        let huge = |_: &i64| "x".repeat(MAX_PAGE_BYTES + 1);
        let (messages, token) = query.render(Page { items: vec![(7, 7), (8, 8)], more: true }, huge);
        assert_eq!((messages.len(), query.place::<i64>(&token).unwrap()), (1, Some(7)));
    }

    #[test]
    fn a_token_is_good_for_its_own_query_only() {
        let query = Query::new("List", &["clinic", "a"]);
        let token = query.token(&42_i64);
        assert_eq!(query.place::<i64>(&token).unwrap(), Some(42));
        assert_eq!(query.place::<i64>("").unwrap(), None);
        assert!(matches!(Query::new("List", &["clinica", ""]).place::<i64>(&token), Err(Error::PageToken)));
        assert!(matches!(query.place::<uuid::Uuid>(&token), Err(Error::PageToken)));
        assert!(matches!(query.place::<i64>("no token"), Err(Error::PageToken)));
    }
}
