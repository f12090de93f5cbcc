//! The demonstration's patients: invented people. Their telephone numbers come from the ranges that are set aside for
//! fiction (Berlin 030 23125, North America 555-01), their mailboxes from a domain that is set aside for examples.

use chrono::NaiveDate;

use super::step::{Seeder, broken, label, prose};
use crate::app::Error;
use crate::domain::access::Caller;
use crate::domain::ids::PatientId;
use crate::domain::patient::PatientRecord;
use crate::domain::text::Personal;

/// How many of the patients live in Berlin; they come first.
pub const IN_BERLIN: usize = 22;

/// Given name, family name, mailbox, and the day of birth as year, month, day.
pub type Row = (&'static str, &'static str, &'static str, (i32, u32, u32));

/// The patients. The first is the one of the examples, for whom nothing is ahead.
#[rustfmt::skip]
pub const PATIENTS: &[Row] = &[
    ("Marlene", "Hoffbauer", "marlene.hoffbauer", (1991, 4, 17)),
    ("Aylin", "Demirkaya", "aylin.demirkaya", (1988, 11, 2)),
    ("Katarzyna", "Wrzosek", "k.wrzosek", (1994, 6, 23)),
    ("Malte", "Overbeck", "malte.overbeck", (1999, 1, 30)),
    ("Thu Hà", "Nguyễn-Albers", "thuha.na", (1985, 9, 9)),
    ("Béatrice", "Lemarchal", "b.lemarchal", (1979, 3, 12)),
    ("Oluwaseun", "Adebisi", "seun.adebisi", (1990, 12, 5)),
    ("Ingrid", "Solheim-Krag", "ingrid.sk", (1983, 7, 28)),
    ("Farid", "Noorani", "farid.noorani", (1996, 2, 14)),
    ("Svetlana", "Morozkova", "s.morozkova", (1976, 10, 19)),
    ("Chiara", "Bellandi", "chiara.bellandi", (1993, 5, 6)),
    ("Jürgen", "Pfaffenrath", "j.pfaffenrath", (1964, 8, 21)),
    ("Eleni", "Vasilakou", "eleni.vasilakou", (1987, 1, 11)),
    ("Priyanka", "Chandrasekhar", "priyanka.c", (1995, 3, 3)),
    ("Nadia", "El-Khatibi", "nadia.elkhatibi", (1992, 9, 26)),
    ("Femke", "van der Zandt", "femke.vdz", (1989, 12, 18)),
    ("Luka", "Horvatinčić", "luka.h", (1997, 4, 8)),
    ("Hannelore", "Ziesemer", "h.ziesemer", (1958, 6, 1)),
    ("Zeynep", "Aksungur", "zeynep.aksungur", (2000, 2, 25)),
    ("Rosalind", "Achterberg", "r.achterberg", (1981, 11, 15)),
    ("Dmitri", "Kuzmenkov", "d.kuzmenkov", (1973, 7, 7)),
    ("Amara", "Diallo-Weiss", "amara.dw", (1998, 10, 31)),
    ("Imani", "Castleberry", "imani.castleberry", (1990, 5, 20)),
    ("Gabriela", "Montes-Ruelas", "gabriela.mr", (1986, 8, 13)),
    ("Hyun-woo", "Seong", "hyunwoo.seong", (1994, 12, 9)),
    ("Shoshana", "Feldheimer", "s.feldheimer", (1977, 2, 4)),
    ("Terrence", "Oakhollow", "t.oakhollow", (1984, 9, 17)),
    ("Mei-Lin", "Tsaowong", "meilin.t", (1999, 6, 29)),
    ("Kalani", "Kahanamauna", "kalani.k", (1992, 1, 22)),
    ("Beatriz", "Figueiroa", "bia.figueiroa", (1988, 4, 2)),
    ("Siobhán", "Mac Gillafhinn", "siobhan.mg", (1980, 3, 16)),
    ("Anjali", "Venkataraghavan", "anjali.v", (1996, 11, 27)),
    ("Darnell", "Brightwater", "d.brightwater", (1971, 10, 10)),
    ("Noor", "Saleh-Hartmann", "noor.sh", (2001, 5, 14)),
];

/// Registers the patients, in the order of the table.
pub async fn create(seeder: &Seeder<'_>) -> Result<Vec<PatientId>, Error> {
    let mut ids = Vec::with_capacity(PATIENTS.len());
    for number in 0..PATIENTS.len() {
        let command = seeder.command(&format!("patient {number}"), record(number)?);
        ids.push(seeder.app.create_patient(&Caller::COMMAND_LINE, &command).await?.id);
    }
    Ok(ids)
}

fn record(number: usize) -> Result<PatientRecord, Error> {
    let (given, family, mailbox, (year, month, day)) = PATIENTS.get(number).ok_or_else(|| broken("no such patient"))?;
    let birth_date = NaiveDate::from_ymd_opt(*year, *month, *day).ok_or_else(|| broken("no such day of birth"))?;
    let phone =
        if number < IN_BERLIN { format!("+49 30 23125 {number:03}") } else { format!("+1 212 555 01{number:02}") };
    Ok(PatientRecord {
        given_name: Personal::new(label(given)?),
        family_name: Personal::new(label(family)?),
        birth_date: Personal::new(birth_date),
        phone: Personal::new(prose(&phone)?),
        email: Personal::new(prose(&format!("{mailbox}@example.org"))?),
        notes: Personal::new(prose("")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_patient_has_a_record_of_their_own() {
        let records: Vec<_> = (0..PATIENTS.len()).map(|number| record(number).unwrap()).collect();
        let mut mailboxes: Vec<_> = records.iter().map(|record| record.email.expose().as_str()).collect();
        mailboxes.sort_unstable();
        mailboxes.dedup();
        assert_eq!(mailboxes.len(), PATIENTS.len());
    }
}
