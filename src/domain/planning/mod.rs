//! Planning whole series: the exact optimum of a documented cost, why there is none, what follows from a move, and where
//! displaced visits go.

mod cost;
mod displaced;
mod explain;
mod moving;
mod optimum;
mod reach;
mod search;
mod series;

pub use cost::{Cost, CostKind};
pub use displaced::{Destined, Displaced, Displacement, Followed};
pub use explain::{NoPlan, Relaxation, RelaxationKind, Sought};
pub use moving::{Following, Later, MoveQuestion, Moving};
pub use series::{MAX_AWAY, MAX_PLANS, Plan, PlanKind, PlannedSession, SeriesQuestion, SessionPlace, Wishes};

#[cfg(test)]
mod tests;
