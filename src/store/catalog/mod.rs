//! The catalogue: treatments and protocols, in versions that are only ever added.

mod clinical;
mod new_treatment;
mod protocol;
mod treatment;

pub use clinical::may_be_cleared;
pub use new_treatment::insert_treatment;
pub use protocol::{clearing_protocol, insert_protocol, list_protocols, protocol, protocols, protocols_of};
pub use treatment::{existing, list_treatments, treatment, treatments};

use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::read;
use crate::domain::catalog::{Evidence, Grade};
use crate::domain::ids::PracticeId;

/// The version of a treatment or protocol that a change published.
pub async fn version_published(
    db: &mut PgConnection,
    practice: PracticeId,
    id: Uuid,
    revision: i64,
) -> Result<Option<i32>, StoreError> {
    let version = sqlx::query_scalar!(
        r#"SELECT version AS "version!" FROM treatments
           WHERE practice_id = $1 AND treatment_id = $2 AND published_revision = $3
           UNION ALL
           SELECT version FROM protocols WHERE practice_id = $1 AND protocol_id = $2 AND published_revision = $3"#,
        practice.0,
        id,
        revision
    );
    Ok(version.fetch_optional(db).await?)
}

/// Where a number comes from.
fn evidence(source: &str, grade: &str, rationale: &str) -> Result<Evidence, StoreError> {
    Ok(Evidence {
        source: read::prose(source)?,
        grade: read::named(Grade::from_name(grade))?,
        rationale: read::prose(rationale)?,
    })
}

/// Where a number comes from, if it is said.
fn known(source: Option<&str>, grade: Option<&str>, rationale: Option<&str>) -> Result<Option<Evidence>, StoreError> {
    let said = source.zip(grade).zip(rationale);
    said.map(|((source, grade), rationale)| evidence(source, grade, rationale)).transpose()
}
