//! The rules, pure: no async, no I/O, no clock, no randomness. Facts in, decision out.

pub mod ids;
pub mod text;

pub mod interval;
pub mod zone;

pub mod calendar;
pub mod hours;

pub mod assessment;
pub mod catalog;
pub mod clearance;
pub mod combination;
pub mod fitness;
pub mod overrides;
pub mod reaction;
pub mod screening;

pub mod booking;
pub mod clinic;
pub mod displacement;
pub mod finding;
pub mod planning;
pub mod refusal;
pub mod resource;
pub mod series;

pub mod follow_up;
pub mod next_session;

pub mod access;
pub mod aftercare;
pub mod agenda;
pub mod alert;
pub mod appointment;
pub mod booking_rules;
pub mod history;
pub mod message;
pub mod patient;
pub mod visit;
pub mod visit_record;
pub mod waiting;

/// Declares an enum whose values have one lower-case name each, used in the database.
macro_rules! named_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value's name in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The value of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use named_enum;
