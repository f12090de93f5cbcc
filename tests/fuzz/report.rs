//! What a run has to tell.

use std::collections::{BTreeMap, BTreeSet};

use super::worker::{Tally, Way};

impl Tally {
    /// Adds what another one did.
    pub fn add(&mut self, other: Self) {
        let Self { codes, ways, changes, looks, repeats } = other;
        codes.into_iter().for_each(|(key, count)| *self.codes.entry(key).or_default() += count);
        for (way, (sent, ok)) in ways {
            let all = self.ways.entry(way).or_default();
            *all = (all.0 + sent, all.1 + ok);
        }
        self.changes += changes;
        self.looks += looks;
        self.repeats += repeats;
    }

    /// How many requests went which way.
    pub fn went(&self, way: Way) -> u64 {
        self.ways.get(&way).map_or(0, |(sent, _)| *sent)
    }

    /// How often a code was answered.
    pub fn coded(&self, code: &str) -> u64 {
        self.codes.iter().filter(|((_, answered), _)| answered == code).map(|(_, count)| count).sum()
    }

    /// How many requests in all.
    pub fn sent(&self) -> u64 {
        self.codes.values().sum()
    }

    /// Prints each method with how often it answered what.
    pub fn print(&self) {
        let codes: BTreeSet<&str> = self.codes.keys().map(|(_, code)| code.as_str()).collect();
        let mut methods: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for ((method, code), count) in &self.codes {
            methods.entry(method.split('/').nth(1).unwrap()).or_default().insert(code, *count);
        }
        let head: String = codes.iter().map(|code| format!(" {code:>18}")).collect();
        println!("{:24}{head}", "");
        for (method, counts) in &methods {
            let counts: String =
                codes.iter().map(|code| format!(" {:>18}", counts.get(code).copied().unwrap_or(0))).collect();
            println!("{method:24}{counts}");
        }
        let sums: String = codes.iter().map(|code| format!(" {:>18}", self.coded(code))).collect();
        println!("{:24}{sums}", "in all");
        for (way, (sent, ok)) in &self.ways {
            println!("{:24} {sent:>18} sent {ok:>18} OK", format!("{way:?}"));
        }
        println!(
            "{} changes, each once in the history; {} writes that changed nothing, row by row; {} repeats",
            self.changes, self.looks, self.repeats
        );
    }
}
