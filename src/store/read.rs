//! Reading stored values back into domain types. What the constraints of the schema rule out is reported as corrupt.

use uuid::Uuid;

use crate::domain::access::{Author, Role};
use crate::domain::hours::{Stretch, weekday_from_iso};
use crate::domain::ids::TokenId;
use crate::domain::interval::{Instant, Interval};
use crate::domain::text::{Label, Prose};
use crate::domain::zone::Zone;

use super::StoreError;

pub fn label(text: &str) -> Result<Label, StoreError> {
    Label::new(text).map_err(|_| StoreError::Corrupt("label"))
}

pub fn prose<const MAX: usize>(text: &str) -> Result<Prose<MAX>, StoreError> {
    Prose::new(text).map_err(|_| StoreError::Corrupt("text"))
}

pub fn interval(start: Instant, end: Instant) -> Result<Interval, StoreError> {
    Interval::new(start, end).ok_or(StoreError::Corrupt("range"))
}

pub fn zone(name: &str) -> Result<Zone, StoreError> {
    Zone::from_name(name).ok_or(StoreError::Corrupt("time zone"))
}

pub fn stretch(weekday: i16, from: i32, to: i32) -> Result<Stretch, StoreError> {
    weekday_from_iso(weekday).and_then(|day| Stretch::new(day, from, to)).ok_or(StoreError::Corrupt("hours"))
}

/// Who made a change.
pub fn author(token: Option<Uuid>, role: &str) -> Result<Author, StoreError> {
    Ok(Author { token: token.map(TokenId), role: named(Role::from_name(role))? })
}

/// A value of an enum by its name: `named(BodyArea::from_name(text))`.
pub fn named<T>(value: Option<T>) -> Result<T, StoreError> {
    value.ok_or(StoreError::Corrupt("name of a value"))
}
