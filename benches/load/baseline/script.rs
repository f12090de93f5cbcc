//! A script for pgbench: the statements of a booking, and a table with the values of all of them, of which each run of
//! the script takes the next row.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres};
use stipple::store::PgPool;

use super::capture::Transaction;

/// The table with the values, and the sequence that says whose turn it is.
const TABLE: &str = "bench_bookings";
const TURN: &str = "bench_turn";

/// See the module.
pub struct Script {
    /// The same for all bookings of the kind.
    pub text: String,
    /// Values by column, in the order of the bookings.
    columns: BTreeMap<String, Vec<String>>,
    /// How many bookings there are.
    pub bookings: usize,
}

impl Script {
    /// What these transactions have in common, and what tells them apart.
    pub async fn of(transactions: &[Transaction], pool: &PgPool) -> Self {
        let first = &transactions[0];
        let same = |transaction: &Transaction| transaction.iter().map(|s| &s.sql).eq(first.iter().map(|s| &s.sql));
        assert!(transactions.iter().all(same), "all bookings are made of the same statements");
        let changes = first.iter().position(|statement| statement.sql.starts_with("INSERT INTO changes"));
        let changes = changes.expect("a booking is recorded");
        // The second value of the history is the revision, which is whatever it is when the script is run.
        let revision = |transaction: &Transaction| transaction[changes].values[1].clone();

        let mut text = format!(
            "-- Made from the log of PostgreSQL. What comes first is not the service's: the next booking's values.\n\
             SELECT * FROM {TABLE} WHERE number = (SELECT nextval('{TURN}')) \\gset\n"
        );
        let mut columns = BTreeMap::new();
        for (place, statement) in first.iter().enumerate() {
            let types = types(&statement.sql, statement.values.len(), pool).await;
            // Of two statements in one message the second is a setting, which pgbench's sessions have from the start.
            let mut sql =
                statement.sql.split_once("; SET LOCAL").map_or(&*statement.sql, |(first, _)| first).to_owned();
            // From the last on, so that $1 is not found in $12.
            for (number, kind) in types.iter().enumerate().rev() {
                let given: Vec<_> = transactions.iter().map(|t| t[place].values[number].as_ref()).collect();
                let is_revision =
                    kind == "bigint" && transactions.iter().all(|t| t[place].values[number] == revision(t));
                let value = if is_revision {
                    ":revision".to_owned()
                } else if given.iter().all(Option::is_none) {
                    "NULL".to_owned()
                } else {
                    let name = format!("v{place}_{}", number + 1);
                    let values = given.into_iter().map(|value| value.expect("NULL in none or in all").clone());
                    columns.insert(name.clone(), values.collect());
                    format!(":{name}")
                };
                sql = sql.replace(&format!("${}", number + 1), &format!("{value}::{kind}"));
            }
            let end = if sql.ends_with("RETURNING revision") { " \\gset" } else { ";" };
            writeln!(text, "{sql}{end}").expect("text can be written");
        }
        Self { text, columns, bookings: transactions.len() }
    }

    /// Makes the table anew.
    pub async fn prepare(&self, pool: &PgPool) {
        let names: Vec<&str> = self.columns.keys().map(String::as_str).collect();
        let run = async |sql: String| {
            sqlx::query(AssertSqlSafe(sql)).execute(pool).await.expect("the table can be made");
        };
        run(format!("DROP TABLE IF EXISTS {TABLE}")).await;
        run(format!("DROP SEQUENCE IF EXISTS {TURN}")).await;
        run(format!("CREATE SEQUENCE {TURN}")).await;
        let typed = names.iter().map(|name| format!(", {name} text")).collect::<String>();
        run(format!("CREATE TABLE {TABLE} (number bigint PRIMARY KEY{typed})")).await;
        let arrays = (0..names.len()).map(|place| format!(", ${}::text[]", place + 2)).collect::<String>();
        let fill = format!("INSERT INTO {TABLE} SELECT * FROM unnest($1::bigint[]{arrays})");
        let numbers: Vec<i64> = (1..).take(self.bookings).collect();
        let mut fill: Query<'_, Postgres, PgArguments> = sqlx::query(AssertSqlSafe(fill)).bind(numbers);
        for values in self.columns.values() {
            fill = fill.bind(values);
        }
        fill.execute(pool).await.expect("the table can be filled");
        run(format!("ANALYZE {TABLE}")).await;
    }
}

/// The types of a statement's values, as PostgreSQL takes them to be.
async fn types(sql: &str, values: usize, pool: &PgPool) -> Vec<String> {
    if values == 0 {
        return Vec::new();
    }
    let mut connection = pool.acquire().await.expect("a connection is free");
    let prepare = sqlx::raw_sql(AssertSqlSafe(format!("PREPARE bench_types AS {sql}")));
    prepare.execute(&mut *connection).await.expect("the statement can be prepared");
    let known: Vec<String> =
        sqlx::query_scalar("SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'bench_types'")
            .fetch_one(&mut *connection)
            .await
            .expect("it is known");
    sqlx::raw_sql("DEALLOCATE bench_types").execute(&mut *connection).await.expect("it is known");
    assert_eq!(known.len(), values, "each value has a type");
    known
}
