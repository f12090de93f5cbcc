//! What the database holds of a practice, read past the server.

use std::collections::HashSet;

use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

/// A digest over all rows of a practice in all tables that there are.
pub struct Digest(String);

impl Digest {
    /// Finds the tables.
    pub async fn new(pool: &PgPool) -> Self {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT table_name::text FROM information_schema.columns JOIN information_schema.tables
                USING (table_schema, table_name)
              WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND column_name = 'practice_id' ORDER BY 1",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        assert!(tables.len() > 30, "{tables:?}");
        let rows = tables.iter().map(|table| {
            format!("SELECT string_agg(md5('{table}' || t::text), '' ORDER BY t::text) FROM {table} t WHERE practice_id = $1")
        });
        let all = rows.map(|rows| format!("coalesce(({rows}), '')")).collect::<Vec<_>>().join(" || ");
        Self(format!("SELECT md5({all})"))
    }

    /// The digest now.
    pub async fn of(&self, pool: &PgPool, practice: Uuid) -> String {
        sqlx::query_scalar(AssertSqlSafe(self.0.clone())).bind(practice).fetch_one(pool).await.unwrap()
    }
}

/// The revision of a practice.
pub async fn revision(pool: &PgPool, practice: Uuid) -> i64 {
    let revision = sqlx::query_scalar("SELECT revision FROM practices WHERE practice_id = $1");
    revision.bind(practice).fetch_one(pool).await.unwrap()
}

/// The request ids in a practice's history after a revision, but for those of holds that ended by the clock, which
/// nobody asked for.
pub async fn recorded(pool: &PgPool, practice: Uuid, after: i64) -> HashSet<Uuid> {
    let recorded = sqlx::query_scalar(
        "SELECT request_id FROM changes
          WHERE practice_id = $1 AND revision > $2 AND kind <> 'appointment.hold_expired'",
    );
    recorded.bind(practice).bind(after).fetch_all(pool).await.unwrap().into_iter().collect()
}
