//! Calendars as bitsets: one bit for each five minutes, in absolute time, so that daylight saving costs nothing.

use std::ops::Range;

use chrono::TimeDelta;

use crate::domain::catalog::GRID_MINUTES;
use crate::domain::interval::{Instant, Interval};

const BITS: usize = 64;
const TICK_MICROS: i64 = GRID_MINUTES as i64 * 60 * 1_000_000;

/// So many ticks, or the tick so many after another, for minutes on the grid.
pub fn ticks_of(minutes: i64) -> i64 {
    minutes / i64::from(GRID_MINUTES)
}

/// The same as a number of ticks; none for what is negative.
pub fn count(minutes: i64) -> usize {
    usize::try_from(ticks_of(minutes)).unwrap_or_default()
}

/// The number of the tick in which an instant lies, counted from 1970 on: the same for every window.
pub fn tick_number(at: Instant) -> i64 {
    at.timestamp_micros().div_euclid(TICK_MICROS)
}

/// The number of the first tick that does not begin before an instant.
pub fn next_tick_number(at: Instant) -> i64 {
    -(-at.timestamp_micros()).div_euclid(TICK_MICROS)
}

/// When the tick of a number begins.
pub fn instant_of(number: i64) -> Instant {
    Instant::UNIX_EPOCH + TimeDelta::microseconds(number * TICK_MICROS)
}

/// A stretch of time that is looked at, as numbered ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    start: Instant,
    ticks: usize,
}

impl Window {
    /// The window of all ticks that lie in a stretch of time.
    pub fn new(span: Interval) -> Self {
        let whole = |micros: i64| micros * TICK_MICROS;
        let (first, end) = (next_tick_number(span.start()), tick_number(span.end()));
        let start = span.start() + TimeDelta::microseconds(whole(first) - span.start().timestamp_micros());
        Self { start, ticks: usize::try_from(end - first).unwrap_or_default() }
    }

    /// How many ticks it has.
    pub const fn ticks(self) -> usize {
        self.ticks
    }

    /// When a tick begins.
    pub fn instant(self, tick: usize) -> Instant {
        self.start + TimeDelta::microseconds(i64::try_from(tick).unwrap_or(i64::MAX / TICK_MICROS) * TICK_MICROS)
    }

    /// All of it.
    pub fn span(self) -> Option<Interval> {
        Interval::new(self.start, self.instant(self.ticks))
    }

    /// The first tick that does not begin before an instant; it may lie outside.
    pub fn tick_from(self, at: Instant) -> i64 {
        -(self.start - at).num_microseconds().unwrap_or_default().div_euclid(TICK_MICROS)
    }

    /// The tick in which an instant lies; it may lie outside.
    pub fn tick_at(self, at: Instant) -> i64 {
        (at - self.start).num_microseconds().unwrap_or_default().div_euclid(TICK_MICROS)
    }

    /// The ticks from one to another, exclusive, as far as they are in the window.
    pub fn clip(self, from: i64, to: i64) -> Range<usize> {
        let bound = |tick: i64| usize::try_from(tick).unwrap_or_default().min(self.ticks);
        bound(from)..bound(to).max(bound(from))
    }

    /// The ticks that lie wholly in an interval.
    pub fn inside(self, interval: Interval) -> Range<usize> {
        self.clip(self.tick_from(interval.start()), self.tick_at(interval.end()))
    }

    /// The ticks that share an instant with an interval.
    pub fn touched(self, interval: Interval) -> Range<usize> {
        self.clip(self.tick_at(interval.start()), self.tick_from(interval.end()))
    }

    /// The part of the window that holds these ticks, widened to whole words, and the words.
    fn part(self, ticks: &Range<usize>) -> (Self, Range<usize>) {
        let words = ticks.start / BITS..ticks.end.div_ceil(BITS);
        let start = words.start * BITS;
        let end = (words.end * BITS).min(self.ticks).max(start);
        (Self { start: self.instant(start), ticks: end - start }, words)
    }
}

/// A set of ticks of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticks {
    words: Vec<u64>,
}

impl Ticks {
    /// No tick of a window.
    pub fn none(window: Window) -> Self {
        Self { words: vec![0; window.ticks.div_ceil(BITS)] }
    }

    /// Every tick of a window.
    pub fn all(window: Window) -> Self {
        let mut all = Self::none(window);
        all.add(0..window.ticks);
        all
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    /// Adds a run of ticks.
    pub fn add(&mut self, run: Range<usize>) {
        self.each_word(run, |word, mask| *word |= mask);
    }

    /// Takes a run of ticks away.
    pub fn remove(&mut self, run: Range<usize>) {
        self.each_word(run, |word, mask| *word &= !mask);
    }

    /// Takes away all but a run of ticks.
    pub fn keep(&mut self, run: Range<usize>) {
        let end = self.words.len() * BITS;
        self.remove(run.end.max(run.start)..end);
        self.remove(0..run.start);
    }

    fn each_word(&mut self, run: Range<usize>, act: impl Fn(&mut u64, u64)) {
        if run.is_empty() {
            return;
        }
        let (first, last) = (run.start / BITS, (run.end - 1) / BITS);
        for (place, word) in self.words.iter_mut().enumerate().take(last + 1).skip(first) {
            let from = if place == first { run.start % BITS } else { 0 };
            let to = if place == last { (run.end - 1) % BITS + 1 } else { BITS };
            act(word, u64::MAX >> (BITS - (to - from)) << from);
        }
    }

    /// Whether a tick is in it.
    pub fn has(&self, tick: usize) -> bool {
        self.words.get(tick / BITS).is_some_and(|word| word >> (tick % BITS) & 1 == 1)
    }

    /// Keeps what is in another set of the same window too.
    pub fn and(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// Adds what is in another set of the same window.
    pub fn or(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// Takes away what is in another set of the same window.
    pub fn minus(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    /// The part of the set in a part of its window.
    fn part(&self, words: Range<usize>) -> Self {
        Self { words: self.words.get(words).unwrap_or_default().to_vec() }
    }

    /// The starts from which all ticks from `from` to `to`, exclusive, both counted from the start, are in the set.
    #[must_use]
    pub fn eroded(&self, from: usize, to: usize) -> Self {
        let mut left = self.clone();
        let run = to.saturating_sub(from);
        let mut joined = 1;
        // Runs of 1, 2, 4, ... ticks from each start, then of exactly as many as are wanted.
        while joined < run {
            let step = joined.min(run - joined);
            left.and_shifted(step);
            joined += step;
        }
        left.shift(from);
        left
    }

    fn shifted_word(&self, place: usize, by: usize) -> u64 {
        let (words, bits) = (by / BITS, by % BITS);
        let low = self.words.get(place + words).copied().unwrap_or_default();
        if bits == 0 {
            return low;
        }
        let high = self.words.get(place + words + 1).copied().unwrap_or_default();
        low >> bits | high << (BITS - bits)
    }

    fn and_shifted(&mut self, by: usize) {
        // From the front, so that the words that are read have not been written yet.
        for place in 0..self.words.len() {
            let shifted = self.shifted_word(place, by);
            self.words[place] &= shifted;
        }
    }

    fn shift(&mut self, by: usize) {
        if by == 0 {
            return;
        }
        for place in 0..self.words.len() {
            self.words[place] = self.shifted_word(place, by);
        }
    }

    /// The ticks of a run that are in the set, in order.
    pub fn within(&self, run: Range<usize>) -> impl Iterator<Item = usize> + '_ {
        let mut next = run.start;
        std::iter::from_fn(move || {
            while next < run.end {
                let word = self.words.get(next / BITS)? >> (next % BITS);
                if word == 0 {
                    next = (next / BITS + 1) * BITS;
                    continue;
                }
                let found = next + word.trailing_zeros() as usize;
                next = found + 1;
                return (found < run.end).then_some(found);
            }
            None
        })
    }

    /// The last tick of a run that is in the set.
    pub fn last_within(&self, run: Range<usize>) -> Option<usize> {
        let mut end = run.end.min(self.words.len() * BITS);
        while end > run.start {
            let place = (end - 1) / BITS;
            let used = (end - 1) % BITS + 1;
            let word = self.words.get(place)? << (BITS - used);
            if word == 0 {
                end = place * BITS;
                continue;
            }
            let found = end - 1 - word.leading_zeros() as usize;
            return (found >= run.start).then_some(found);
        }
        None
    }

    /// How many ticks of a run are in the set.
    pub fn count_within(&self, run: Range<usize>) -> usize {
        let run = run.start..run.end.min(self.words.len() * BITS);
        if run.is_empty() {
            return 0;
        }
        let (first, last) = (run.start / BITS, (run.end - 1) / BITS);
        let words = self.words.iter().enumerate().take(last + 1).skip(first);
        let ones = words.map(|(place, word)| {
            let from = if place == first { run.start % BITS } else { 0 };
            let to = if place == last { (run.end - 1) % BITS + 1 } else { BITS };
            (word & (u64::MAX >> (BITS - (to - from)) << from)).count_ones() as usize
        });
        ones.sum()
    }

    /// Whether no tick is in it.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }
}

/// Sets of ticks cut down to the words around a run of them.
#[derive(Debug, Clone)]
pub struct Cut {
    words: Range<usize>,
    /// The window that is left.
    pub window: Window,
}

impl Cut {
    /// The cut of a window around a run of ticks.
    pub fn new(window: Window, run: &Range<usize>) -> Self {
        let (window, words) = window.part(run);
        Self { words, window }
    }

    /// What is left of a set.
    pub fn of(&self, ticks: &Ticks) -> Ticks {
        ticks.part(self.words.clone())
    }
}

/// The ticks that are in at least `most` of some sets of a window; in every tick if that is none.
pub fn in_at_least<'a>(most: usize, window: Window, sets: impl Iterator<Item = &'a Ticks>) -> Ticks {
    let Some(top) = most.checked_sub(1) else { return Ticks::all(window) };
    // `levels[n]`: in at least n + 1 of those seen so far.
    let mut levels = vec![Ticks::none(window); most];
    for set in sets {
        for level in (0..most).rev() {
            for place in 0..set.words.len() {
                let below = if level == 0 { u64::MAX } else { levels[level - 1].words[place] };
                levels[level].words[place] |= set.words[place] & below;
            }
        }
    }
    levels.swap_remove(top)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::{TimeZone, Utc};
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Instant {
        Utc.timestamp_opt(1_700_000_100 + seconds, 0).unwrap()
    }

    fn window(ticks: i64) -> Window {
        Window::new(Interval::new(at(0), at(300 * ticks)).unwrap())
    }

    fn runs() -> impl Strategy<Value = Vec<(usize, usize)>> {
        prop::collection::vec((0..300_usize, 1..90_usize), 0..8)
    }

    fn set(runs: &[(usize, usize)]) -> (Ticks, BTreeSet<usize>) {
        let window = window(320);
        let (mut ticks, mut slow) = (Ticks::none(window), BTreeSet::new());
        for (place, (from, length)) in runs.iter().enumerate() {
            let run = *from..(from + length).min(320);
            if place % 3 == 2 {
                ticks.remove(run.clone());
                slow.retain(|tick| !run.contains(tick));
            } else {
                ticks.add(run.clone());
                slow.extend(run);
            }
        }
        (ticks, slow)
    }

    fn listed(ticks: &Ticks) -> BTreeSet<usize> {
        ticks.within(0..10_000).collect()
    }

    proptest! {
        #[test]
        fn sets_of_ticks_agree_with_sets_of_numbers(a in runs(), b in runs(), from in 0..320_usize, length in 0..200_usize) {
            let ((a, slow_a), (b, slow_b)) = (set(&a), set(&b));
            prop_assert_eq!(listed(&a), slow_a.clone());
            let apply = |act: fn(&mut Ticks, &Ticks)| { let mut out = a.clone(); act(&mut out, &b); listed(&out) };
            prop_assert_eq!(apply(Ticks::and), &slow_a & &slow_b);
            prop_assert_eq!(apply(Ticks::or), &slow_a | &slow_b);
            prop_assert_eq!(apply(Ticks::minus), &slow_a - &slow_b);
            let run = from..from + length;
            let inside: BTreeSet<usize> = slow_a.iter().copied().filter(|tick| run.contains(tick)).collect();
            prop_assert_eq!(a.within(run.clone()).collect::<BTreeSet<_>>(), inside.clone());
            prop_assert_eq!(a.last_within(run.clone()), inside.last().copied());
            prop_assert_eq!(a.count_within(run.clone()), inside.len());
            prop_assert!((0..330).all(|tick| a.has(tick) == slow_a.contains(&tick)));
            let mut kept = a.clone();
            kept.keep(run);
            prop_assert_eq!(listed(&kept), inside);
        }

        #[test]
        fn eroding_keeps_the_starts_whose_every_tick_is_in_the_set(a in runs(), from in 0..150_usize, length in 1..140_usize) {
            let (ticks, slow) = set(&a);
            let to = from + length;
            let starts = (0..320).filter(|start| (start + from..start + to).all(|tick| slow.contains(&tick)));
            prop_assert_eq!(listed(&ticks.eroded(from, to)), starts.collect::<BTreeSet<_>>());
        }

        #[test]
        fn ticks_in_at_least_so_many_sets_are_counted(sets in prop::collection::vec(runs(), 0..5), most in 0..5_usize) {
            let (fast, slow): (Vec<_>, Vec<_>) = sets.iter().map(|runs| set(runs)).unzip();
            let counted = (0..320).filter(|tick| slow.iter().filter(|set| set.contains(tick)).count() >= most);
            prop_assert_eq!(listed(&in_at_least(most, window(320), fast.iter())), counted.collect::<BTreeSet<_>>());
        }

        #[test]
        fn intervals_touch_and_hold_ticks_as_counted_second_by_second(from in -900..2_000_i64, length in 1..1_500_i64) {
            let window = window(5);
            let interval = Interval::new(at(from), at(from + length)).unwrap();
            let second = |tick: usize| { let start = i64::try_from(tick).unwrap() * 300; start..start + 300 };
            let taken = from..from + length;
            let touched = (0..5).filter(|tick| second(*tick).any(|s| taken.contains(&s)));
            prop_assert_eq!(window.touched(interval).collect::<Vec<_>>(), touched.collect::<Vec<_>>());
            let inside = (0..5).filter(|tick| second(*tick).all(|s| taken.contains(&s)));
            prop_assert_eq!(window.inside(interval).collect::<Vec<_>>(), inside.collect::<Vec<_>>());
        }

        #[test]
        fn a_cut_keeps_what_lies_around_its_run(a in runs(), from in 0..300_usize, length in 1..100_usize) {
            let (ticks, slow) = set(&a);
            let run = from..(from + length).min(320);
            let cut = Cut::new(window(320), &run);
            let left = cut.of(&ticks);
            for tick in run {
                let here = usize::try_from(cut.window.tick_at(window(320).instant(tick))).unwrap();
                prop_assert_eq!(left.has(here), slow.contains(&tick));
                prop_assert_eq!(cut.window.instant(here), window(320).instant(tick));
            }
        }
    }

    #[test]
    fn a_window_holds_whole_ticks_only() {
        let window = Window::new(Interval::new(at(1), at(901)).unwrap());
        assert_eq!((window.ticks(), window.instant(0)), (2, at(300)));
        assert_eq!(window.span(), Interval::new(at(300), at(900)));
    }
}
