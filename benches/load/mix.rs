//! Of what a load is made.

use clap::ValueEnum;
use serde::Serialize;

use crate::dice::Dice;

/// What a front desk does, named as the method that it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Operation {
    /// Free time of a week, for a patient.
    FindSlots,
    /// The day sheet.
    ListAppointments,
    /// A series that was booked before.
    GetSeries,
    /// Plans of a whole series.
    ProposeSeries,
    /// One of these plans; the best there is, if none is known.
    BookSeries,
    /// One of the slots that were found; any time, if none is known.
    BookAppointment,
    /// A visit to another such time.
    RescheduleAppointment,
    /// A visit.
    CancelAppointment,
    /// A patient said that they will come.
    ConfirmAppointment,
    /// A patient of today has come.
    CheckIn,
}

/// A named mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Mix {
    /// A day at front desks, which look about three times before they write once.
    Day,
    /// Bookings, moves and cancellations only: what waits for the disk.
    Writes,
}

/// Sheets are looked at again and again, and slots while a patient is on the telephone; most calls end without a
/// booking. Of ten visits that are booked, about half are moved or cancelled, half are confirmed, and some come today.
/// Series are few, but each is four visits.
const DAY: &[(Operation, u64)] = &[
    (Operation::FindSlots, 30),
    (Operation::ListAppointments, 25),
    (Operation::GetSeries, 14),
    (Operation::ProposeSeries, 5),
    (Operation::BookSeries, 3),
    (Operation::BookAppointment, 9),
    (Operation::RescheduleAppointment, 4),
    (Operation::CancelAppointment, 3),
    (Operation::ConfirmAppointment, 5),
    (Operation::CheckIn, 2),
];

/// More is booked than cancelled, so that there is always something to move.
const WRITES: &[(Operation, u64)] = &[
    (Operation::BookAppointment, 50),
    (Operation::BookSeries, 5),
    (Operation::RescheduleAppointment, 25),
    (Operation::CancelAppointment, 20),
];

impl Mix {
    fn weights(self) -> &'static [(Operation, u64)] {
        match self {
            Mix::Day => DAY,
            Mix::Writes => WRITES,
        }
    }

    /// What is done next.
    pub fn draw(self, dice: &mut Dice) -> Operation {
        let weights = self.weights();
        let mut place = dice.below(weights.iter().map(|(_, weight)| weight).sum());
        for (operation, weight) in weights {
            if place < *weight {
                return *operation;
            }
            place -= weight;
        }
        unreachable!("the place lies below the sum of the weights")
    }
}

impl Operation {
    /// The method on the wire.
    pub fn path(self) -> &'static str {
        match self {
            Self::FindSlots => "/stipple.v1.AppointmentService/FindSlots",
            Self::ListAppointments => "/stipple.v1.AppointmentService/ListAppointments",
            Self::GetSeries => "/stipple.v1.SeriesService/GetSeries",
            Self::ProposeSeries => "/stipple.v1.SeriesService/ProposeSeries",
            Self::BookSeries => "/stipple.v1.SeriesService/BookSeries",
            Self::BookAppointment => "/stipple.v1.AppointmentService/BookAppointment",
            Self::RescheduleAppointment => "/stipple.v1.AppointmentService/RescheduleAppointment",
            Self::CancelAppointment => "/stipple.v1.AppointmentService/CancelAppointment",
            Self::ConfirmAppointment => "/stipple.v1.AppointmentService/ConfirmAppointment",
            Self::CheckIn => "/stipple.v1.AppointmentService/CheckIn",
        }
    }
}
