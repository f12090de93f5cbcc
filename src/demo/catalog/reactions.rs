//! The reactions of the default catalogue: what patients report after a session, how grave it is, and what to do. They
//! are the same for every protocol.

use super::{Cited, cited};
use crate::app::Error;
use crate::demo::step::{broken, label, prose};
use crate::domain::catalog::Grade;
use crate::domain::reaction::ReactionGrade::{self, Normal, Serious, Warning};
use crate::domain::reaction::ReactionRule;
use crate::domain::text::Code;

const EXPECTED: Cited = (
    "A judgement of this project: no source grades reactions.",
    Grade::Own,
    "Part of how the skin heals, and gone in 1 to 3 days.",
);
const PAUSES: Cited = (
    "A judgement of this project: no published rule for a pause was found.",
    Grade::Own,
    "Nothing more is done to skin that may not be healing until a practitioner has looked at it.",
);
const HERPES: Cited = (
    "A judgement of this project: no published rule for a pause was found.",
    Grade::Own,
    "Nothing more is done until a practitioner has looked at it. From then on the patient is somebody who has had cold \
     sores: the rest of the series needs medicine first.",
);

/// A reaction: its code, what the staff call it, how grave it is, the condition that it counts as (empty for none),
/// what to do, and where that comes from.
type Row = (&'static str, &'static str, ReactionGrade, &'static str, &'static str, Cited);

/// The reactions, in the order in which to show them.
#[rustfmt::skip]
const REACTIONS: &[Row] = &[
    ("redness", "Redness", Normal, "",
        "Expected for 1 to 3 days. If it lasts beyond 48 hours or comes back, report that instead.", EXPECTED),
    ("swelling", "Swelling", Normal, "",
        "Expected for 1 to 3 days.", EXPECTED),
    ("discomfort", "Discomfort", Normal, "",
        "Expected for 1 to 3 days. If it grows into pain, report growing pain instead.", EXPECTED),
    ("pinpoint_bleeding", "Pinpoint bleeding", Normal, "",
        "Expected, and gone in 1 to 3 days.", EXPECTED),
    ("redness_beyond_48_hours", "Redness beyond 48 hours, or coming back", Warning, "",
        "Let a practitioner look at it. Ask for a photograph if the patient cannot come in.", PAUSES),
    ("pus", "Pus", Warning, "",
        "Let a practitioner look at it today: it may be an infection. Ask about fever and growing pain.", PAUSES),
    ("fever", "Fever", Warning, "",
        "Let a practitioner call the patient today: it may be an infection.", PAUSES),
    ("growing_pain", "Growing pain", Warning, "",
        "Let a practitioner look at it today. Pain after a session becomes less, not more.", PAUSES),
    ("infection", "Infection", Serious, "",
        "Get a practitioner at once: it has to be treated. Note the lots of the cartridges that were used.", PAUSES),
    ("scarring", "Scarring", Serious, "",
        "Let a practitioner see the patient soon, and photograph it.", PAUSES),
    ("pigment_change", "Change of pigment", Serious, "",
        "Let a practitioner see the patient soon, and photograph it. The patient keeps the area out of the sun.", PAUSES),
    ("herpes_flare", "Herpes flare", Serious, "cold_sore_history",
        "Get a practitioner at once: medicine against herpes helps early. Later sessions need it prescribed before.",
        HERPES),
];

/// The reaction rules of every course.
///
/// # Errors
///
/// None, unless the table is broken; a test holds that it is not.
pub fn reactions() -> Result<Vec<ReactionRule>, Error> {
    let code = |text| Code::new(text).ok_or_else(|| broken("a reaction and what it counts as must be codes"));
    let rows = REACTIONS.iter();
    rows.map(|&(kind, name, grade, counts_as, instruction, source)| {
        Ok(ReactionRule {
            kind: code(kind)?,
            name: label(name)?,
            grade,
            counts_as: if counts_as.is_empty() { None } else { Some(code(counts_as)?) },
            instruction: prose(instruction)?,
            evidence: cited(source)?,
        })
    })
    .collect()
}
