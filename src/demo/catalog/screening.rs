//! The screening rules of the default catalogue: what to ask a patient, and what an answer means. They are the same for
//! every protocol, but for what only radio frequency rules out.

use super::{Cited, Course, cited};
use crate::app::Error;
use crate::demo::step::{broken, prose};
use crate::domain::catalog::Grade;
use crate::domain::screening::Asks::{self, Age, Presence, PresenceAndDate, SkinType};
use crate::domain::screening::{ConditionClass, Deferral, Range, ScreeningRule};
use crate::domain::text::Code;

/// What a condition does: its class, for how long if that is known, and whether a practitioner may lift it.
type Effect = (ConditionClass, Option<Deferral>, bool);

const BLOCK: Effect = (ConditionClass::Block, None, false);
const BLOCK_UNLESS_CLEARED: Effect = (ConditionClass::Block, None, true);
const DEFER_UNTIL_RESOLVED: Effect = (ConditionClass::Defer, None, false);
const DEFER_14_DAYS: Effect = (ConditionClass::Defer, Some(Deferral::Days(14)), false);
const DEFER_6_MONTHS_UNLESS_CLEARED: Effect = (ConditionClass::Defer, Some(Deferral::Months(6)), true);
const CLEAR: Effect = (ConditionClass::Clear, None, true);
const PREMED: Effect = (ConditionClass::Premed, None, true);

/// A condition: its code, how it is found out, what it does, what to ask, what it means, and where that comes from.
type Row = (&'static str, Asks, Effect, &'static str, &'static str, Cited);

const ON_THE_AREA: Cited = (
    "The commissioning document; InMode Optimas manual; clinic page fineskin.com.",
    Grade::A,
    "All of them treat healthy skin only. It is asked about the area, because skin elsewhere does not matter.",
);
const SKIN_HISTORY: Cited = (
    "The commissioning document; what follows from it is a judgement of this project.",
    Grade::Own,
    "The document names eczema, rosacea and acne as conditions that matter; a practitioner decides what they mean for \
     this patient.",
);
const ISOTRETINOIN: Cited = (
    "InMode Optimas manual; consensus of the American Society for Dermatologic Surgery, ASDS 2017.",
    Grade::A,
    "Sources ask for 3 to 12 months after the last dose. ASDS 2017 questions the delay, so a practitioner may shorten \
     it.",
);
const PREGNANCY: Cited = (
    "Most clinic pages.",
    Grade::B,
    "Most clinics do not treat during that time. A practitioner may decide otherwise.",
);
const SCARRING: Cited = (
    "Clinic pages; a source of grade A calls it a relative contraindication.",
    Grade::A,
    "Clinics decline, the better source does not rule it out: it is for a practitioner to decide.",
);
const BLEEDING: Cited = (
    "Clinic pages: balancedayspa.com, filtered-skin.com.",
    Grade::B,
    "Needling draws blood, and more of it then: it is for a practitioner to decide.",
);
const IMMUNE: Cited = (
    "InMode Optimas manual; clinic page yazbekartistry.com.",
    Grade::A,
    "The skin has to defend itself and to heal. A practitioner may decide otherwise.",
);
const COLD_SORE: Cited = (
    "InMode Optimas manual; clinic page filtered-skin.com.",
    Grade::A,
    "Needling can bring cold sores back: an active one has to heal first, and who has had them gets medicine before a \
     session.",
);
const SUN: Cited = (
    "InMode Optimas manual; clinic page filtered-skin.com.",
    Grade::A,
    "14 days are also how long to keep out of the sun before a session.",
);
const METAL: Cited = (
    "Clinic page: perfectfacelajolla.com.",
    Grade::B,
    "Radio frequency sends a current through the body and its needles; needling without it does not.",
);
const LIDOCAINE: Cited = (
    "Clinic page: balancedayspa.com.",
    Grade::B,
    "Numbing creams contain it. A session without numbing is possible if a practitioner and the patient want it.",
);
const PIGMENT: Cited = (
    "InMode Optimas manual (with caution); clinic page craftedbalanceclinic.com.",
    Grade::A,
    "Such skin changes its colour more easily after an injury. It is for a practitioner to decide, with caution.",
);
const AGE: Cited = (
    "US Food and Drug Administration (FDA): authorised uses of microneedling devices are for people of 22 and older, \
     and do not include stretch marks. What follows from it is a judgement of this project.",
    Grade::Own,
    "From 22 on the devices are authorised. Up to 21 a practitioner decides; minors are not booked at all.",
);

/// What is asked for every protocol, in the order in which to ask.
#[rustfmt::skip]
const EVERYBODY: &[Row] = &[
    ("active_acne", Presence, DEFER_UNTIL_RESOLVED,
        "Is there active acne on the area to be treated?",
        "No session until the area has healed.", ON_THE_AREA),
    ("infection_rash_or_wound", Presence, DEFER_UNTIL_RESOLVED,
        "Is there an infection, a rash or an open wound on the area to be treated?",
        "No session until the area has healed.", ON_THE_AREA),
    ("skin_flare", Presence, DEFER_UNTIL_RESOLVED,
        "Is eczema, rosacea or psoriasis flaring up on the area to be treated?",
        "No session until the flare has settled.", ON_THE_AREA),
    ("cold_sore_active", Presence, DEFER_UNTIL_RESOLVED,
        "Does the patient have a cold sore at the moment?",
        "No session until it has healed.", COLD_SORE),
    ("sunburn_or_tan", PresenceAndDate, DEFER_14_DAYS,
        "Is the area to be treated sunburnt or tanned? If so, on which day was it last in the sun or on a sunbed?",
        "No session until 14 days after that day.", SUN),
    ("isotretinoin", PresenceAndDate, DEFER_6_MONTHS_UNLESS_CLEARED,
        "Does the patient take isotretinoin, or has the patient ever taken it? If so, on which day was the last dose? \
         Who still takes it: today.",
        "No session until 6 months after the last dose, unless a practitioner decides for an earlier day.",
        ISOTRETINOIN),
    ("pregnancy", Presence, BLOCK_UNLESS_CLEARED,
        "Is the patient pregnant?",
        "No session during pregnancy, unless a practitioner decides otherwise.", PREGNANCY),
    ("nursing", Presence, BLOCK_UNLESS_CLEARED,
        "Is the patient breastfeeding?",
        "No session while breastfeeding, unless a practitioner decides otherwise.", PREGNANCY),
    ("immunosuppression", Presence, BLOCK_UNLESS_CLEARED,
        "Does the patient have a weakened immune system, or take medicine that weakens it?",
        "No session while that is so, unless a practitioner decides otherwise.", IMMUNE),
    ("collagen_vascular_disease", Presence, BLOCK_UNLESS_CLEARED,
        "Does the patient have a disease of the connective tissue (collagen vascular disease)?",
        "No session while that is so, unless a practitioner decides otherwise.", IMMUNE),
    ("chemotherapy_or_radiotherapy", Presence, BLOCK_UNLESS_CLEARED,
        "Is the patient having chemotherapy or radiotherapy?",
        "No session while that is so, unless a practitioner decides otherwise.", IMMUNE),
    ("cold_sore_history", Presence, PREMED,
        "Has the patient ever had cold sores?",
        "Medicine against herpes has to be prescribed before a session; a practitioner confirms it.", COLD_SORE),
    ("eczema_history", Presence, CLEAR,
        "Has the patient ever had eczema?",
        "A practitioner has to decide whether this skin may be needled.", SKIN_HISTORY),
    ("rosacea_history", Presence, CLEAR,
        "Has the patient ever had rosacea?",
        "A practitioner has to decide whether this skin may be needled.", SKIN_HISTORY),
    ("acne_history", Presence, CLEAR,
        "Has the patient ever had acne?",
        "A practitioner has to decide whether this skin may be needled.", SKIN_HISTORY),
    ("keloid_or_hypertrophic_scars", Presence, CLEAR,
        "Do the patient's wounds heal with thick, raised scars (keloids, hypertrophic scars)?",
        "A practitioner has to decide whether needling is worth the risk of new scars.", SCARRING),
    ("anticoagulants", Presence, CLEAR,
        "Does the patient take medicine that thins the blood?",
        "A practitioner has to decide about it. Nobody stops such medicine for a session on their own.", BLEEDING),
    ("bleeding_disorder", Presence, CLEAR,
        "Does the patient have a disorder that makes bleeding last longer?",
        "A practitioner has to decide about it.", BLEEDING),
    ("lidocaine_allergy", Presence, CLEAR,
        "Is the patient allergic to lidocaine?",
        "No numbing cream. A practitioner has to decide about a session without it.", LIDOCAINE),
    ("pigment_change_history", Presence, CLEAR,
        "Has the patient's skin ever become darker or lighter after an injury, a rash or a treatment?",
        "A practitioner has to decide: needling may change the colour of the skin.", PIGMENT),
    ("skin_type_5_or_6", SkinType(Range { least: 5, most: 6 }), CLEAR, "",
        "Brown to black skin (Fitzpatrick V or VI). A practitioner has to decide: needling may change the colour of \
         the skin.", PIGMENT),
    ("under_18", Age(Range { least: 0, most: 17 }), BLOCK, "",
        "Minors are not treated.", AGE),
    ("age_18_to_21", Age(Range { least: 18, most: 21 }), CLEAR, "",
        "The devices are authorised from 22 on. A practitioner has to decide.", AGE),
];

/// What is asked for radio frequency besides.
#[rustfmt::skip]
const RADIO_FREQUENCY: &[Row] = &[
    ("pacemaker", Presence, BLOCK,
        "Does the patient have a pacemaker?",
        "No radio frequency. Needling without it is possible.", METAL),
    ("metal_implant", Presence, BLOCK,
        "Does the patient have a metal implant?",
        "No radio frequency. Needling without it is possible.", METAL),
    ("metal_allergy", Presence, BLOCK,
        "Is the patient allergic to a metal?",
        "No radio frequency. Needling without it is a question for a practitioner.", METAL),
];

/// The screening rules of a course, in the order in which to ask.
///
/// # Errors
///
/// None, unless the tables are broken; a test holds that they are not.
pub fn screening(course: Course) -> Result<Vec<ScreeningRule>, Error> {
    let besides = match course {
        Course::RadioFrequency => RADIO_FREQUENCY,
        Course::StretchMarks | Course::AcneScars | Course::Rejuvenation | Course::Prp => &[],
    };
    let rows = EVERYBODY.iter().chain(besides);
    rows.map(|&(condition, asks, (class, deferral, may_be_cleared), question, meaning, source)| {
        Ok(ScreeningRule {
            condition: Code::new(condition).ok_or_else(|| broken("a condition must be a code"))?,
            asks,
            question: prose(question)?,
            class,
            deferral,
            may_be_cleared,
            meaning: prose(meaning)?,
            evidence: cited(source)?,
        })
    })
    .collect()
}
