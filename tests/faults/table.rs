//! What a run was, in one table.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::desks::End;
use super::evidence::Evidence;
use super::stage::{Fault, Stage};
use super::told::Told;

/// The counts of a run.
pub struct Table {
    faults: BTreeMap<Fault, usize>,
    errors: BTreeMap<String, usize>,
    requests: usize,
    acknowledged: usize,
    refused: usize,
    found: usize,
    absent: usize,
    retries: usize,
    changes: usize,
    watched: usize,
    connections: usize,
}

impl Table {
    /// What was inflicted, and what clients were told of it.
    pub fn new(stage: &Stage, told: &Told) -> Self {
        Self {
            faults: stage.inflicted.clone(),
            errors: told.errors(),
            requests: 0,
            acknowledged: 0,
            refused: 0,
            found: 0,
            absent: 0,
            retries: 0,
            changes: 0,
            watched: 0,
            connections: 0,
        }
    }

    /// Adds what is left of a practice, and over how many connections it was watched.
    pub fn add(&mut self, evidence: &Evidence, connections: usize) {
        let ends = |wanted: fn(&End) -> bool| evidence.record.iter().filter(|sent| wanted(&sent.end)).count();
        let (found, absent) = evidence.unknown();
        self.requests += evidence.record.len();
        self.acknowledged += ends(|end| matches!(end, End::Acknowledged(_)));
        self.refused += ends(|end| matches!(end, End::Refused));
        self.found += found;
        self.absent += absent;
        self.retries += evidence.record.iter().map(|sent| sent.sends - 1).sum::<usize>();
        self.changes += evidence.history.len() - evidence.before;
        self.watched += evidence.watched.len();
        self.connections += connections;
    }
}

impl Display for Table {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "| fault | times |\n| --- | ---: |")?;
        for (fault, times) in &self.faults {
            writeln!(out, "| {} | {times} |", fault.name())?;
        }
        let kills: usize = self.faults.iter().map(|(fault, times)| fault.kills() * times).sum();
        writeln!(out, "| kills in all | {kills} |")?;
        writeln!(out, "\n| what became of it | count |\n| --- | ---: |")?;
        let counts = [
            ("requests", self.requests),
            ("acknowledged", self.acknowledged),
            ("refused by a rule", self.refused),
            ("unknown to their sender, and carried out", self.found),
            ("unknown to their sender, and not carried out", self.absent),
            ("sent again", self.retries),
            ("changes in the histories", self.changes),
            ("changes seen by watchers", self.watched),
            ("connections of watchers", self.connections),
        ];
        for (name, count) in counts {
            writeln!(out, "| {name} | {count} |")?;
        }
        for (error, times) in &self.errors {
            writeln!(out, "| told: {error} | {times} |")?;
        }
        Ok(())
    }
}
