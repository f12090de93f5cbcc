//! Planning whole series: the exact optimum of a documented cost, why there is none, and what follows from a move.

mod cost;
mod explain;
mod moving;
mod optimum;
mod reach;
mod search;
mod series;

pub use cost::{Cost, CostKind};
pub use explain::{NoPlan, Relaxation, RelaxationKind, Sought};
pub use moving::{Following, Later, MoveQuestion, Moving};
pub use series::{MAX_AWAY, MAX_PLANS, Plan, PlanKind, PlannedSession, SeriesQuestion, SessionPlace, Wishes};

#[cfg(test)]
mod tests;
