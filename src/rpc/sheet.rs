//! The day sheet: visits with what staff should know of them.

use super::catalog::clinical::rendered_class;
use super::screening::lifted_by;
use super::{appointment, pb, render, status};
use crate::app::SheetEntry;
use crate::domain::alert::Alert;
use crate::domain::screening::ConditionClass;

/// A visit as a day sheet shows it.
pub fn rendered_entry(entry: &SheetEntry) -> pb::Appointment {
    let SheetEntry { appointment, patient, alerts } = entry;
    let record = &patient.record;
    let note = pb::SheetNote {
        patient_given_name: record.given_name.expose().as_str().to_owned(),
        patient_family_name: record.family_name.expose().as_str().to_owned(),
        patient_birth_date: record.birth_date.expose().to_string(),
        alerts: alerts.iter().map(|alert| rendered_alert(alert, entry)).collect(),
    };
    pb::Appointment { sheet: Some(note), ..appointment::rendered(appointment) }
}

fn rendered_alert(alert: &Alert, entry: &SheetEntry) -> pb::VisitAlert {
    use pb::VisitAlertKind as Kind;
    let told = |kind: Kind, description: String| pb::VisitAlert {
        kind: kind.into(),
        description,
        ..pb::VisitAlert::default()
    };
    match alert {
        Alert::Held { until } => pb::VisitAlert {
            until: Some(render::timestamp(*until)),
            ..told(Kind::Held, format!("only held, until {}", entry.appointment.zone.written(*until)))
        },
        Alert::OnHold { series, reactions } => pb::VisitAlert {
            series_id: series.map(|id| id.to_string()).unwrap_or_default(),
            reaction_ids: reactions.iter().map(ToString::to_string).collect(),
            ..told(Kind::SeriesOnHold, "a reaction of the patient has not been cleared".into())
        },
        Alert::ScreeningDue { text } => {
            pb::VisitAlert { reason: pb::Reason::ScreeningMissing.into(), ..told(Kind::ScreeningDue, text.clone()) }
        }
        Alert::AtRisk { rule, text } => {
            pb::VisitAlert { reason: status::reason(*rule).into(), ..told(Kind::AtRisk, text.clone()) }
        }
        Alert::Overdue { series, latest } => pb::VisitAlert {
            series_id: series.to_string(),
            latest_date: latest.to_string(),
            ..told(
                Kind::SeriesOverdue,
                format!("the next session of a series should have been on {latest} at the latest"),
            )
        },
        Alert::Combination { treatment, approval } => pb::VisitAlert {
            add_on_treatment_id: treatment.to_string(),
            override_id: approval.to_string(),
            ..told(Kind::Combination, "another treatment is added to the visit".into())
        },
        Alert::Condition { condition, class, meaning, lifted } => {
            let condition = condition.expose().as_str();
            let reason = if lifted.is_some() { pb::Reason::Unspecified } else { status::reason(class.rule()) };
            let (override_id, clearance_id) = lifted_by(*lifted);
            pb::VisitAlert {
                condition: condition.to_owned(),
                condition_class: rendered_class(*class).into(),
                lifted: lifted.is_some(),
                override_id,
                clearance_id,
                reason: reason.into(),
                ..told(Kind::ConditionNoted, described(condition, *class, lifted.is_some(), meaning.expose().as_str()))
            }
        }
    }
}

fn described(condition: &str, class: ConditionClass, lifted: bool, meaning: &str) -> String {
    let stands = match (lifted, class) {
        (true, _) => "lifted by a practitioner",
        (false, ConditionClass::Block) => "rules the treatment out while it lasts",
        (false, ConditionClass::Defer) => "puts the treatment off",
        (false, ConditionClass::Clear) => "needs a practitioner to clear it",
        (false, ConditionClass::Premed) => "needs a prescription",
    };
    format!("{condition}, {stands}: {meaning}")
}
