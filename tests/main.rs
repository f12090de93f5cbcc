//! Everything that is promised, over the wire, against a real server and a real database.

#![expect(clippy::pedantic, reason = "tests are written to be read, not to be called")]

mod access;
mod across_areas;
mod aftercare;
mod assessments;
mod bad_input;
mod catalog;
mod changes;
mod clearances;
mod combinations;
mod crud;
mod desk;
mod fitness;
mod fuzz;
mod harness;
mod holds;
mod house;
mod maintenance;
mod messages;
mod moves;
mod no_shows;
mod offers;
mod overdue;
mod overrides;
mod patients;
mod plans;
mod privacy;
mod races;
mod reactions;
mod rebooking;
mod repeats;
mod running;
mod schema;
mod screenings;
mod series;
mod slots;
mod steps;
mod story;
mod tenancy;
mod verify;
mod visit_records;
mod visits;
mod wall_clock;
mod who_and_where;
mod wire;
