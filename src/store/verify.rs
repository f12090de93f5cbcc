//! The promises, derived once more from the tables. Nothing here leans on a constraint, an index or a generated column
//! being right: what they hold is what is checked.

use std::fmt;

use sqlx::PgConnection;

use super::StoreError;

/// Most examples that a check names: enough to see what kind of thing is wrong.
pub const MAX_EXAMPLES: i64 = 10;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The checks, by promise.
    pub checks: Vec<Check>,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The promise that it belongs to, for example `P1`.
    pub promise: &'static str,
    /// What has to hold.
    pub what: String,
    /// How many rows it looked at.
    pub rows_checked: i64,
    /// How many of them break it.
    pub violations: i64,
    /// Ids of at most [`MAX_EXAMPLES`] that do; never personal data.
    pub examples: Vec<String>,
}

impl Report {
    /// Whether everything holds.
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(|check| check.violations == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.checks.iter().map(|check| check.what.chars().count()).max().unwrap_or_default();
        writeln!(f, "{:<7}  {:<width$}  {:>10}  {:>10}", "promise", "what holds", "rows", "violations")?;
        for check in &self.checks {
            let Check { promise, what, rows_checked, violations, examples } = check;
            writeln!(f, "{promise:<7}  {what:<width$}  {rows_checked:>10}  {violations:>10}")?;
            for example in examples {
                writeln!(f, "         ! {example}")?;
            }
        }
        let rows: i64 = self.checks.iter().map(|check| check.rows_checked).sum();
        let violations: i64 = self.checks.iter().map(|check| check.violations).sum();
        let checks = self.checks.len();
        if self.is_clean() {
            write!(f, "clean: {checks} checks over {rows} rows found no violation")
        } else {
            let broken = self.checks.iter().filter(|check| check.violations != 0).count();
            write!(f, "NOT CLEAN: {violations} violations, in {broken} of {checks} checks over {rows} rows")
        }
    }
}

/// Derives the promises from the tables. For one answer about one state, the connection has to be in a transaction
/// that keeps its snapshot; reading is all it does, so it can run beside a busy server.
pub async fn verify(db: &mut PgConnection) -> Result<Report, StoreError> {
    make_room(db).await?;
    let mut checks = Vec::new();
    let rows = sqlx::query_file_as!(Row, "src/store/verify/p1.sql", MAX_EXAMPLES).fetch_all(&mut *db).await?;
    checks.extend(rows.into_iter().map(|row| row.read("P1")));
    let rows = sqlx::query_file_as!(Row, "src/store/verify/p2.sql", MAX_EXAMPLES).fetch_all(&mut *db).await?;
    checks.extend(rows.into_iter().map(|row| row.read("P2")));
    let rows = sqlx::query_file_as!(Row, "src/store/verify/p3.sql", MAX_EXAMPLES).fetch_all(&mut *db).await?;
    checks.extend(rows.into_iter().map(|row| row.read("P3")));
    let rows = sqlx::query_file_as!(Row, "src/store/verify/p4.sql", MAX_EXAMPLES).fetch_all(&mut *db).await?;
    checks.extend(rows.into_iter().map(|row| row.read("P4")));
    let rows = sqlx::query_file_as!(Row, "src/store/verify/p5.sql", MAX_EXAMPLES).fetch_all(&mut *db).await?;
    checks.extend(rows.into_iter().map(|row| row.read("P5")));
    let rows = sqlx::query_file_as!(Row, "src/store/verify/p6.sql", MAX_EXAMPLES).fetch_all(&mut *db).await?;
    checks.extend(rows.into_iter().map(|row| row.read("P6")));
    let rows = sqlx::query_file_as!(Row, "src/store/verify/p7.sql", MAX_EXAMPLES).fetch_all(&mut *db).await?;
    checks.extend(rows.into_iter().map(|row| row.read("P7")));
    let rows = sqlx::query_file_as!(Row, "src/store/verify/messages.sql", MAX_EXAMPLES).fetch_all(&mut *db).await?;
    checks.extend(rows.into_iter().map(|row| row.read("P7")));
    Ok(Report { checks })
}

/// Until the transaction ends: memory to sort whole tables in, and time, because the limit on a request's statements
/// is not meant for this. Indexes are left out, because one that is wrong could hide the row that it should hold.
/// Nested loops are left out, because the planner cannot know how many rows a derived table has, takes it for one and
/// pairs up hundreds of thousands.
async fn make_room(db: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT set_config('work_mem', '64MB', true) AS work_mem,
             set_config('statement_timeout', '0', true) AS statement_timeout,
             set_config('jit', 'off', true) AS jit,
             set_config('enable_nestloop', 'off', true) AS enable_nestloop,
             set_config('enable_indexscan', 'off', true) AS enable_indexscan,
             set_config('enable_indexonlyscan', 'off', true) AS enable_indexonlyscan,
             set_config('enable_bitmapscan', 'off', true) AS enable_bitmapscan"
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

struct Row {
    what: String,
    rows_checked: i64,
    violations: i64,
    examples: Vec<String>,
}

impl Row {
    fn read(self, promise: &'static str) -> Check {
        let Self { what, rows_checked, violations, examples } = self;
        Check { promise, what, rows_checked, violations, examples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(violations: i64, examples: &[&str]) -> Check {
        let examples = examples.iter().map(|&example| example.to_owned()).collect();
        Check { promise: "P1", what: "a thing holds".to_owned(), rows_checked: 12, violations, examples }
    }

    #[test]
    fn a_clean_report_ends_in_its_verdict() {
        let report = Report { checks: vec![check(0, &[]), check(0, &[])] };
        assert!(report.is_clean());
        assert!(report.to_string().ends_with("\nclean: 2 checks over 24 rows found no violation"));
    }

    #[test]
    fn a_report_of_violations_names_examples_and_ends_in_its_verdict() {
        let report = Report { checks: vec![check(0, &[]), check(3, &["practice 7", "practice 8"])] };
        assert!(!report.is_clean());
        let text = report.to_string();
        assert!(text.contains("         ! practice 7\n         ! practice 8\n"));
        assert!(text.ends_with("\nNOT CLEAN: 3 violations, in 1 of 2 checks over 24 rows"));
    }
}
