//! The assessments of the default catalogue: when to photograph and look at the result. They are the same for every
//! protocol, because no source tells them apart.

use crate::app::Error;
use crate::demo::step::{broken, label, prose};
use crate::domain::assessment::{Assessment, AssessmentDue};
use crate::domain::catalog::{Evidence, Grade};

const TRIALS: &str = "Trials of microneedling photograph before the first session, after session 3, after session 5, \
    and 4 weeks to 3 months after the last.";

const BASELINE: &str = "Without a picture from before there is nothing to compare with. It is meant for the \
    consultation; the day of the first session will still do.";

const INTERIM: &str = "The trials look once after session 3. That it is done in the visit of session 3, so that the \
    patient need not come once more, is a judgement of this project.";

const RESULT: &str = "4 weeks to 3 months are those of the trials. The target is a judgement of this project: results \
    show after a few weeks to a couple of months. This is where a series is extended or ended.";

/// The assessments, in the order in which to show them.
///
/// # Errors
///
/// None, unless the table is broken; a test holds that it is not.
pub fn assessments() -> Result<Vec<Assessment>, Error> {
    let after_last = AssessmentDue::after_last(28, 56, 90).ok_or_else(|| broken("days after the last session"))?;
    let rows = [
        ("Baseline, at the consultation", AssessmentDue::BeforeFirst, Grade::A, BASELINE),
        ("Interim look, at session 3", AssessmentDue::AtSession(3), Grade::Own, INTERIM),
        ("Result", after_last, Grade::A, RESULT),
    ];
    rows.into_iter()
        .map(|(name, due, grade, why)| {
            let evidence = Evidence { source: prose(TRIALS)?, grade, rationale: prose(why)? };
            Ok(Assessment { name: label(name)?, due, evidence })
        })
        .collect()
}
