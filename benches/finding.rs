//! How fast slots and plans of whole series are found: a real server on a durable PostgreSQL of its own, one client that
//! waits for each answer.
//!
//! `cargo bench --bench finding` prints three tables, in less than five minutes:
//!
//! - `FindSlots` on ten practitioners with 4,000 bookings, beside one SQL statement that finds the same slots with
//!   multiranges in the same data (without JIT, which is faster here), and beside `SELECT 1` over the same pool;
//! - `ProposeSeries` and `BookSeries` of six sessions on twenty resources that are taken for four fifths of their time;
//! - the same questions after 10,000 and after 1,000,000 past appointments, warm and cold. `BENCH_PAST` is another
//!   number in place of the million.
//!
//! Bookings that are only there to be in the way are written with SQL, under every constraint of the schema. The clock
//! starts at the same moment each time, so that each run asks the same.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures elapsed time")]
#![expect(clippy::pedantic, reason = "a benchmark is not called by others")]

mod common;
#[path = "common/dice.rs"]
mod dice;
#[path = "common/server.rs"]
mod server;
#[path = "common/timed.rs"]
mod timed;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use sqlx::postgres::PgPoolOptions;
use stipple::app::clock::{Clock, SystemClock};
use stipple::app::ids::{IdSource as _, SystemIds};
use stipple::domain::zone::Zone;
use stipple::rpc::pb;
use stipple::store::PgPool;
use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;

use common::{Database, Desk, NEEDS, call, hours, id, is_quick, needling, phase, restrictions, with};
use dice::Dice;
use server::Server;
use timed::{percentiles, select_one, timed};

type Appointments = pb::appointment_service_client::AppointmentServiceClient<Channel>;
type SeriesClient = pb::series_service_client::SeriesServiceClient<Channel>;

/// How long each line is measured.
const MEASURE: Duration = Duration::from_secs(2);
/// When the clock starts: in the night to a Monday, four weeks before clocks go forward.
const START: &str = "2027-03-01T02:00:00Z";
/// Days that slots are looked for in.
const DAYS: u64 = 90;
/// Practitioners of the first table.
const PRACTITIONERS: usize = 10;
/// Bookings of the first table.
const BOOKINGS: usize = 4_000;
/// Resources of each kind of the second table.
const TEAMS: usize = 5;
/// Days in which they are taken: those that a server of today knows, and some.
const TAKEN_DAYS: u64 = 410;
/// Visits that are written at once.
const CHUNK: usize = 10_000;
/// How often a restarted server is asked, for one line.
const RESTARTS: usize = 7;
/// Patients of the visits that are written.
const PATIENTS: usize = 1_000;
/// The need of the first table.
const CARE: (pb::ResourceKind, &str) = (pb::ResourceKind::Practitioner, "care");
/// Where series take place, at which the first table does not look.
const SUITE: (pb::ResourceKind, &str) = (pb::ResourceKind::Room, "suite");

/// A visit that is only there to be in the way.
struct Visit {
    start: DateTime<Utc>,
    minutes: i64,
    /// Places among the clinic's resources, in the order of the needs that they serve.
    resources: Vec<usize>,
}

/// Where slots are looked for.
struct Place {
    desk: Desk,
    practice: Uuid,
    clinic: String,
    treatment: String,
    /// Resources, in the order in which they were made.
    resources: Vec<String>,
    patients: Vec<Uuid>,
}

/// One line of a table.
struct Line {
    p50: f64,
}

#[tokio::main]
async fn main() {
    let quick = is_quick();
    let begun = Instant::now();
    let database = Database::start().await;
    let start: DateTime<Utc> = START.parse().expect("a time");
    // PostgreSQL takes the statements for larger than they are, and would spend longer on compiling than on running them.
    let options = database.pool.connect_options().as_ref().clone().options([("jit", "off")]);
    let without_jit = PgPoolOptions::new().max_connections(1).connect_with(options).await.expect("PostgreSQL answers");
    let bench = Bench {
        without_jit,
        measure: if quick { Duration::from_millis(30) } else { MEASURE },
        size: if quick { 20 } else { 1 },
        restarts: if quick { 2 } else { RESTARTS },
        clock: Arc::new(SystemClock::starting_at(start)),
        database,
    };
    let app = bench.database.app(bench.clock.clone());
    let operator = app.create_operator_token("bench").await.expect("a token is made");
    let server = Server::start(app).await;
    let server = bench.slots(server, &operator).await.expect("nothing is refused");
    let past = std::env::var("BENCH_PAST").map_or(1_000_000, |past| past.parse().expect("a number of appointments"));
    let server = bench.plans(server, &operator, past).await.expect("nothing is refused");
    server.stop().await;
    bench.without_jit.close().await;
    bench.database.stop().await;
    println!("\n{:.0} s in all", begun.elapsed().as_secs_f64());
}

struct Bench {
    database: Database,
    /// For the SQL statements.
    without_jit: PgPool,
    clock: Arc<SystemClock>,
    measure: Duration,
    /// Instances are so many times smaller.
    size: usize,
    /// How often a restarted server is asked.
    restarts: usize,
}

impl Bench {
    /// The first table.
    async fn slots(&self, server: Server, operator: &str) -> Result<Server, Status> {
        let channel = server.connect().await;
        let place = self.ten_practitioners(&channel, operator).await?;
        let pool = &self.database.pool;
        let mut client = Appointments::new(channel.clone());
        let statement = concat!(include_str!("finding/starts.sql"), include_str!("finding/slots.sql"));
        let days_statement = concat!(include_str!("finding/starts.sql"), include_str!("finding/days.sql"));

        let found = place.all_slots(&channel, self.ask(&place), 500).await?;
        assert_eq!(found, self.sql_slots(&place, statement).await, "SQL and FindSlots find the same slots");
        let days = place.days(&channel, self.ask(&place)).await?;
        assert_eq!(days, self.sql_days(&place, days_statement).await, "SQL and FindSlots find the same days");
        println!(
            "FindSlots: {PRACTITIONERS} practitioners, {} bookings, {DAYS} days, {} slots on {} days, the same as by SQL\n",
            BOOKINGS / self.size,
            found.len(),
            days.len()
        );

        header();
        let one = self.line("SELECT 1 over the pool", || select_one(pool)).await;
        let least = || async {
            let ask = with(&place.desk.token, pb::GetPracticeRequest::default());
            let path = "/stipple.v1.PracticeService/GetPractice";
            call::<_, pb::GetPracticeResponse>(&channel, path, ask).await.map(drop)
        };
        let least = self.line("GetPractice: one row", least).await;
        let sql = self.line("SQL: all slots", || self.sql(&place, statement)).await;
        let sql_days = self.line("SQL: by day", || self.sql(&place, days_statement)).await;
        let ask =
            |view: pb::SlotView, page_size| pb::FindSlotsRequest { view: view.into(), page_size, ..self.ask(&place) };
        let by_day = ask(pb::SlotView::Days, 100);
        let by_day_line = self.line("FindSlots: by day", || place.find(&channel, &by_day)).await;
        let first = ask(pb::SlotView::Slots, 100);
        let first_line = self.line("FindSlots: first 100 slots", || place.find(&channel, &first)).await;
        let all = || async { place.all_slots(&channel, self.ask(&place), 500).await.map(drop) };
        let all_line = self.line("FindSlots: all, in pages of 500", all).await;

        let patient = self.patient_with_a_series(&place, &channel).await?;
        let mut named = by_day.clone();
        if let Some(pb::find_slots_request::Visit::Treatment(visit)) = &mut named.visit {
            visit.patient_id = patient;
        }
        self.line("FindSlots: by day, for a patient", || place.find(&channel, &named)).await;

        let mut latencies = Vec::new();
        for number in 0..300 / self.size {
            self.book(&place, &mut client, number).await?;
            let asked = Instant::now();
            place.find(&channel, &by_day).await?;
            latencies.push(asked.elapsed());
        }
        let after = report("FindSlots: by day, after a booking", latencies);
        let (server, latencies) = self.restarted(server, &place, &by_day).await?;
        let cold = report("FindSlots: by day, after a restart", latencies);
        let channel = server.connect().await;
        let found = place.all_slots(&channel, self.ask(&place), 500).await?;
        assert_eq!(found, self.sql_slots(&place, statement).await, "SQL and FindSlots still find the same slots");

        println!("\nTimes as long, p50 to p50:");
        for (name, line, other) in [
            ("FindSlots by day / SQL by day", &by_day_line, &sql_days),
            ("FindSlots all pages / SQL all slots", &all_line, &sql),
            ("FindSlots by day after a booking / SQL by day", &after, &sql_days),
            ("FindSlots by day after a restart / SQL by day", &cold, &sql_days),
            ("GetPractice / SELECT 1", &least, &one),
            ("FindSlots by day / GetPractice", &by_day_line, &least),
            ("FindSlots by day / SELECT 1", &by_day_line, &one),
            ("FindSlots first 100 / SELECT 1", &first_line, &one),
            ("FindSlots all pages / SELECT 1", &all_line, &one),
        ] {
            println!("{name:<48}{:>8.3}", line.p50 / other.p50);
        }
        Ok(server)
    }

    /// The second and the third table.
    async fn plans(&self, server: Server, operator: &str, past: usize) -> Result<Server, Status> {
        let channel = server.connect().await;
        let place = self.twenty_resources(&channel, operator).await?;
        let protocol = place.desk.protocol(&place.treatment, 6).await?;
        let patient = place.desk.patient().await?;
        let propose = |plan_count| pb::ProposeSeriesRequest {
            patient_id: patient.clone(),
            protocol_id: protocol.clone(),
            body_area: pb::BodyArea::Face.into(),
            clinic_id: place.clinic.clone(),
            plan_count,
            ..Default::default()
        };
        let book = || pb::BookSeriesRequest {
            request_id: id(),
            validate_only: true,
            patient_id: patient.clone(),
            protocol_id: protocol.clone(),
            body_area: pb::BodyArea::Face.into(),
            clinic_id: place.clinic.clone(),
            wishes: Some(pb::SeriesWishes::default()),
            ..Default::default()
        };
        println!(
            "\nProposeSeries: 6 sessions, {} resources, taken for 80 % of {} days\n",
            4 * TEAMS,
            TAKEN_DAYS as usize / self.size
        );
        header();
        let series = SeriesClient::new(channel.clone());
        self.line("SELECT 1 over the pool", || select_one(&self.database.pool)).await;
        self.line("ProposeSeries: 1 plan", || place.propose(&channel, propose(1))).await;
        self.line("ProposeSeries: 3 plans", || place.propose(&channel, propose(3))).await;
        let validate = |mut series: SeriesClient| {
            let request = with(&place.desk.token, book());
            async move { series.book_series(request).await.map(drop) }
        };
        self.line("BookSeries with wishes, only validated", || validate(series.clone())).await;

        println!("\nThe past: on the resources of the second table\n");
        let by_day = pb::FindSlotsRequest { view: pb::SlotView::Days.into(), ..self.ask(&place) };
        let mut server = server;
        let mut lines: Vec<[Line; 4]> = Vec::new();
        let mut written = 0;
        header();
        for past in [10_000 / self.size.pow(2), past / self.size.pow(3)] {
            self.past(&place, written..past).await;
            self.settle().await;
            written = past.max(written);
            let channel = server.connect().await;
            let name = |what: &str| format!("{written:>9} past: {what}");
            self.line(&name("SELECT 1"), || select_one(&self.database.pool)).await;
            let find = self.line(&name("FindSlots"), || place.find(&channel, &by_day)).await;
            let plan = self.line(&name("ProposeSeries, 3 plans"), || place.propose(&channel, propose(3))).await;
            let (again, latencies) = self.restarted(server, &place, &by_day).await?;
            let cold_find = report(&name("FindSlots, cold"), latencies);
            let mut latencies = Vec::new();
            server = again;
            for _ in 0..self.restarts {
                server = self.restart(server).await;
                let channel = server.connect().await;
                let asked = Instant::now();
                place.propose(&channel, propose(3)).await?;
                latencies.push(asked.elapsed());
            }
            lines.push([find, plan, cold_find, report(&name("ProposeSeries, cold"), latencies)]);
        }
        if let [short, long] = &lines[..] {
            println!("\nTimes as long with the long past, p50 to p50:");
            let names = ["FindSlots", "ProposeSeries", "FindSlots, cold", "ProposeSeries, cold"];
            for (name, (short, long)) in names.into_iter().zip(short.iter().zip(long)) {
                println!("{name:<48}{:>8.3}", long.p50 / short.p50);
            }
        }
        Ok(server)
    }

    /// A clinic with ten practitioners, each with hours of their own, a lunch break and a room that nobody else's visits
    /// take; so rooms never decide.
    async fn ten_practitioners(&self, channel: &Channel, operator: &str) -> Result<Place, Status> {
        let desk = Desk::found(channel, operator).await?;
        let clinic = desk.clinic().await?;
        let mut resources = Vec::new();
        for number in 0..PRACTITIONERS {
            let (opens, closes) = opening(number);
            let wall = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
            let noon = 12 * 60 + 15 * (number as i64 % 4);
            let (morning, afternoon) = ((wall(opens), wall(noon)), (wall(noon + 45), wall(closes)));
            let stretches = [(&*morning.0, &*morning.1), (&*afternoon.0, &*afternoon.1)];
            resources.push(desk.resource(&clinic, CARE, &hours(1..=5, &stretches)).await?);
        }
        for need in [NEEDS[0], SUITE] {
            for _ in 0..PRACTITIONERS {
                resources.push(desk.resource(&clinic, need, &[]).await?);
            }
        }
        let content = pb::TreatmentContent {
            name: "Bench".into(),
            spacing_days: 0,
            phases: vec![phase("peel", 45, (true, true), &[CARE, NEEDS[0]])],
            exposures: vec![pb::Activity::ChemicalPeel.into()],
            ..Default::default()
        };
        let treatment = desk.treatment(content).await?;
        let place = self.place(desk, clinic, treatment, resources).await;

        let mut dice = Dice(1);
        let mut visits: Vec<Visit> = Vec::new();
        let mut taken: BTreeMap<(usize, u64), Vec<i64>> = BTreeMap::new();
        while visits.len() < BOOKINGS / self.size {
            let (number, day) = (dice.below(PRACTITIONERS as u64) as usize, dice.below(DAYS));
            let (opens, closes) = opening(number);
            let at = opens + 5 * dice.below((closes - opens - 45) as u64 / 5) as i64;
            let there = taken.entry((number, day)).or_default();
            let noon = 12 * 60 + 15 * (number as i64 % 4);
            let works = at + 45 <= noon || noon + 45 <= at;
            let date = self.today() + Days::new(day);
            if works && is_weekday(date) && there.iter().all(|other| (other - at).abs() >= 45) {
                there.push(at);
                let start = berlin().midnight(date) + TimeDelta::minutes(at);
                // No night of a clock change is a weekday, so that minutes of the wall clock are minutes.
                visits.push(Visit { start, minutes: 45, resources: vec![number, PRACTITIONERS + number] });
            }
        }
        self.write(&place, visits).await;
        self.database.analyze().await;
        Ok(place)
    }

    /// A clinic with five of each kind of resource, each free for one stretch of a fifth of the day.
    async fn twenty_resources(&self, channel: &Channel, operator: &str) -> Result<Place, Status> {
        const OPENS: i64 = 9 * 60;
        const CLOSES: i64 = 17 * 60;
        const FREE: i64 = 95;
        let desk = Desk::found(channel, operator).await?;
        let clinic = desk.clinic().await?;
        let week = hours(1..=5, &[("09:00", "17:00")]);
        let mut resources = Vec::new();
        for need in NEEDS {
            for _ in 0..TEAMS {
                resources.push(desk.resource(&clinic, need, &week).await?);
            }
        }
        let treatment = desk.treatment(needling()).await?;
        let place = self.place(desk, clinic, treatment, resources).await;
        let mut dice = Dice(1);
        let mut visits = Vec::new();
        for date in self.today().iter_days().take(TAKEN_DAYS as usize / self.size).filter(|date| is_weekday(*date)) {
            for resource in 0..place.resources.len() {
                let free = OPENS + 5 * dice.below((CLOSES - OPENS - FREE) as u64 / 5) as i64;
                for (from, to) in [(OPENS, free), (free + FREE, CLOSES)] {
                    for at in (from..to).step_by(80) {
                        let start = berlin().midnight(date) + TimeDelta::minutes(at);
                        visits.push(Visit { start, minutes: (to - at).min(80), resources: vec![resource] });
                    }
                }
            }
        }
        self.write(&place, visits).await;
        self.database.analyze().await;
        Ok(place)
    }

    async fn place(&self, desk: Desk, clinic: String, treatment: String, resources: Vec<String>) -> Place {
        let pool = &self.database.pool;
        let practice = sqlx::query_scalar("SELECT practice_id FROM clinics WHERE clinic_id = $1")
            .bind(uuid(&clinic))
            .fetch_one(pool)
            .await
            .expect("the clinic is there");
        let now = self.clock.now();
        let patients: Vec<Uuid> = (0..PATIENTS).map(|_| SystemIds.new_id(now)).collect();
        sqlx::query(include_str!("finding/patients.sql"))
            .bind(practice)
            .bind(&patients)
            .bind(now)
            .execute(pool)
            .await
            .expect("patients are registered");
        Place { desk, practice, clinic, treatment, resources, patients }
    }

    /// Past visits of a place by number: each of its resources every half an hour, back and back.
    async fn past(&self, place: &Place, numbers: Range<usize>) {
        let now = berlin().midnight(self.today());
        let each = place.resources.len();
        let visit = |number: usize| Visit {
            start: now - TimeDelta::minutes(30) * i32::try_from(number / each + 1).expect("few enough"),
            minutes: 25,
            resources: vec![number % each],
        };
        let numbers: Vec<usize> = numbers.collect();
        for chunk in numbers.chunks(CHUNK) {
            self.write(place, chunk.iter().map(|number| visit(*number)).collect()).await;
        }
    }

    /// Leaves the tables as they are when the past was not written a minute ago: looked over, and on the disk.
    async fn settle(&self) {
        sqlx::query("VACUUM (ANALYZE)").execute(&self.database.pool).await.expect("it looks over its tables");
        // Another database may not let everybody do this; it will do it by itself.
        let _ = sqlx::query("CHECKPOINT").execute(&self.database.pool).await;
    }

    /// Writes visits under every constraint. Patients take turns, so that none is in two places at a time.
    async fn write(&self, place: &Place, mut visits: Vec<Visit>) {
        visits.sort_by_key(|visit| visit.start);
        let now = self.clock.now();
        for chunk in visits.chunks(CHUNK) {
            let ids: Vec<Uuid> = chunk.iter().map(|_| SystemIds.new_id(now)).collect();
            let patients: Vec<Uuid> = (0..chunk.len()).map(|number| place.patients[number % PATIENTS]).collect();
            let starts: Vec<DateTime<Utc>> = chunk.iter().map(|visit| visit.start).collect();
            let ends: Vec<DateTime<Utc>> =
                chunk.iter().map(|visit| visit.start + TimeDelta::minutes(visit.minutes)).collect();
            let taken: Vec<(usize, usize, i16)> = chunk
                .iter()
                .enumerate()
                .flat_map(|(row, visit)| {
                    visit.resources.iter().zip(0..).map(move |(resource, need)| (row, *resource, need))
                })
                .collect();
            sqlx::query(include_str!("finding/occupy.sql"))
                .bind(place.practice)
                .bind(uuid(&place.clinic))
                .bind(uuid(&place.treatment))
                .bind(now)
                .bind(&ids)
                .bind(patients)
                .bind(&starts)
                .bind(&ends)
                .bind(taken.iter().map(|(row, ..)| ids[*row]).collect::<Vec<_>>())
                .bind(taken.iter().map(|(_, resource, _)| uuid(&place.resources[*resource])).collect::<Vec<_>>())
                .bind(taken.iter().map(|(.., need)| *need).collect::<Vec<_>>())
                .bind(taken.iter().map(|(row, ..)| starts[*row]).collect::<Vec<_>>())
                .bind(taken.iter().map(|(row, ..)| ends[*row]).collect::<Vec<_>>())
                .execute(&self.database.pool)
                .await
                .expect("nothing is refused");
        }
    }

    fn today(&self) -> NaiveDate {
        berlin().day(self.clock.now())
    }

    /// The question of the first table.
    fn ask(&self, place: &Place) -> pb::FindSlotsRequest {
        let visit = pb::TreatmentVisit {
            treatment_id: place.treatment.clone(),
            // Who needles is told where, and the treatment of the first table does not.
            body_area: if place.resources.len() == 4 * TEAMS { pb::BodyArea::Face.into() } else { 0 },
            ..Default::default()
        };
        pb::FindSlotsRequest {
            visit: Some(pb::find_slots_request::Visit::Treatment(visit)),
            clinic_ids: vec![place.clinic.clone()],
            start_date: self.today().to_string(),
            end_date: self.last_day().to_string(),
            start_grid_minutes: 15,
            ..Default::default()
        }
    }

    fn last_day(&self) -> NaiveDate {
        self.today() + Days::new(DAYS - 1)
    }

    /// The SQL statement, with all rows that it returns.
    async fn rows(&self, place: &Place, statement: &'static str) -> Result<Vec<sqlx::postgres::PgRow>, Status> {
        let rows = sqlx::query(statement)
            .bind(place.practice)
            .bind(uuid(&place.clinic))
            .bind(CARE.1)
            .bind(self.today())
            .bind(self.last_day())
            .bind(self.clock.now());
        rows.fetch_all(&self.without_jit).await.map_err(|error| Status::internal(error.to_string()))
    }

    async fn sql(&self, place: &Place, statement: &'static str) -> Result<(), Status> {
        self.rows(place, statement).await.map(drop)
    }

    async fn sql_slots(&self, place: &Place, statement: &'static str) -> BTreeMap<i64, Vec<String>> {
        use sqlx::Row as _;
        let rows = self.rows(place, statement).await.expect("PostgreSQL answers");
        let row = |row: &sqlx::postgres::PgRow| {
            let who: Vec<Uuid> = row.get("practitioners");
            let start: DateTime<Utc> = row.get("start");
            (start.timestamp(), who.iter().map(Uuid::to_string).collect())
        };
        rows.iter().map(row).collect()
    }

    async fn sql_days(&self, place: &Place, statement: &'static str) -> Vec<(String, i64, i64, i64)> {
        use sqlx::Row as _;
        let rows = self.rows(place, statement).await.expect("PostgreSQL answers");
        let row = |row: &sqlx::postgres::PgRow| {
            let (day, count): (NaiveDate, i64) = (row.get("day"), row.get("count"));
            let (first, last): (DateTime<Utc>, DateTime<Utc>) = (row.get("first"), row.get("last"));
            (day.to_string(), count, first.timestamp(), last.timestamp())
        };
        rows.iter().map(row).collect()
    }

    /// A patient with a series of four sessions there.
    async fn patient_with_a_series(&self, place: &Place, channel: &Channel) -> Result<String, Status> {
        let content = pb::TreatmentContent {
            name: "Bench".into(),
            spacing_days: 28,
            phases: vec![phase("needling", 60, (true, true), &[CARE, SUITE])],
            restrictions: restrictions(),
            ..Default::default()
        };
        let protocol = place.desk.protocol(&place.desk.treatment(content).await?, 4).await?;
        let patient = place.desk.patient().await?;
        let request = pb::BookSeriesRequest {
            request_id: id(),
            patient_id: patient.clone(),
            protocol_id: protocol,
            body_area: pb::BodyArea::Face.into(),
            clinic_id: place.clinic.clone(),
            wishes: Some(pb::SeriesWishes::default()),
            ..Default::default()
        };
        SeriesClient::new(channel.clone()).book_series(with(&place.desk.token, request)).await?;
        Ok(patient)
    }

    /// Books some slot for a patient of whom there is nothing else.
    async fn book(&self, place: &Place, client: &mut Appointments, number: usize) -> Result<(), Status> {
        let day = self.today() + Days::new(7 * (number as u64 % 11) + number as u64 % 5);
        let ask = pb::FindSlotsRequest { start_date: day.to_string(), page_size: 1, ..self.ask(place) };
        let slots = client.find_slots(with(&place.desk.token, ask)).await?.into_inner().slots;
        let slot = slots.into_iter().next().ok_or_else(|| Status::not_found("no slot is left"))?;
        let who = slot.practitioner_ids.first().cloned().unwrap_or_default();
        let place_of = place.resources.iter().position(|known| *known == who).unwrap_or_default();
        let visit = pb::TreatmentVisit {
            patient_id: place.desk.patient().await?,
            treatment_id: place.treatment.clone(),
            ..Default::default()
        };
        let request = pb::BookAppointmentRequest {
            request_id: id(),
            visit: Some(pb::book_appointment_request::Visit::Treatment(visit)),
            clinic_id: place.clinic.clone(),
            start_time: slot.start_time,
            resource_ids: vec![who, place.resources[PRACTITIONERS + place_of].clone()],
            ..Default::default()
        };
        client.book_appointment(with(&place.desk.token, request)).await.map(drop)
    }

    /// The same server again, which knows nothing yet.
    async fn restart(&self, server: Server) -> Server {
        server.stop().await;
        Server::start(self.database.app(self.clock.clone())).await
    }

    /// What a restarted server takes for its first question.
    async fn restarted(
        &self,
        mut server: Server,
        place: &Place,
        ask: &pb::FindSlotsRequest,
    ) -> Result<(Server, Vec<Duration>), Status> {
        let mut latencies = Vec::new();
        for _ in 0..self.restarts {
            server = self.restart(server).await;
            let channel = server.connect().await;
            let asked = Instant::now();
            place.find(&channel, ask).await?;
            latencies.push(asked.elapsed());
        }
        Ok((server, latencies))
    }

    /// Measures one line, warm.
    async fn line<F>(&self, name: &str, mut act: impl FnMut() -> F) -> Line
    where
        F: Future<Output = Result<(), Status>>,
    {
        timed(self.measure / 6, &mut act).await;
        report(name, timed(self.measure, act).await)
    }
}

/// One page of slots.
async fn find_slots(
    channel: &Channel,
    request: tonic::Request<pb::FindSlotsRequest>,
) -> Result<pb::FindSlotsResponse, Status> {
    call(channel, "/stipple.v1.AppointmentService/FindSlots", request).await
}

impl Place {
    async fn find(&self, channel: &Channel, ask: &pb::FindSlotsRequest) -> Result<(), Status> {
        let answer = find_slots(channel, with(&self.desk.token, ask.clone())).await?;
        assert!(!answer.days.is_empty() || !answer.slots.is_empty(), "something is free");
        Ok(())
    }

    async fn propose(&self, channel: &Channel, ask: pb::ProposeSeriesRequest) -> Result<(), Status> {
        let wanted = usize::try_from(ask.plan_count).unwrap_or_default();
        let path = "/stipple.v1.SeriesService/ProposeSeries";
        let answer: pb::ProposeSeriesResponse = call(channel, path, with(&self.desk.token, ask)).await?;
        assert_eq!(answer.plans.len(), wanted, "so many plans");
        Ok(())
    }

    /// All slots, page by page: who can treat, by start.
    async fn all_slots(
        &self,
        channel: &Channel,
        mut ask: pb::FindSlotsRequest,
        page_size: i32,
    ) -> Result<BTreeMap<i64, Vec<String>>, Status> {
        ask.page_size = page_size;
        let mut all = BTreeMap::new();
        loop {
            let page = find_slots(channel, with(&self.desk.token, ask.clone())).await?;
            all.extend(page.slots.into_iter().map(|slot| (seconds(slot.start_time), slot.practitioner_ids)));
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            ask.page_token = page.next_page_token;
        }
    }

    async fn days(
        &self,
        channel: &Channel,
        mut ask: pb::FindSlotsRequest,
    ) -> Result<Vec<(String, i64, i64, i64)>, Status> {
        ask.view = pb::SlotView::Days.into();
        let answer = find_slots(channel, with(&self.desk.token, ask)).await?;
        assert!(answer.next_page_token.is_empty(), "one page holds all days");
        let day = |day: pb::SlotDay| {
            (day.date, i64::from(day.slot_count), seconds(day.first_start_time), seconds(day.last_start_time))
        };
        Ok(answer.days.into_iter().map(day).collect())
    }
}

/// When a practitioner of the first table comes and goes, in minutes of the wall clock.
fn opening(number: usize) -> (i64, i64) {
    let opens = 8 * 60 + 15 * (number as i64 % 5);
    (opens, opens + 9 * 60)
}

fn is_weekday(date: NaiveDate) -> bool {
    !matches!(chrono::Datelike::weekday(&date), chrono::Weekday::Sat | chrono::Weekday::Sun)
}

fn berlin() -> Zone {
    Zone::from_name("Europe/Berlin").expect("a zone")
}

fn seconds(at: Option<prost_types::Timestamp>) -> i64 {
    at.unwrap_or_default().seconds
}

fn uuid(id: &str) -> Uuid {
    id.parse().expect("an id")
}

fn header() {
    println!("{:<48}{:>8}{:>10}{:>10}", "", "times", "p50 ms", "p99 ms");
}

fn report(name: &str, mut latencies: Vec<Duration>) -> Line {
    let (p50, p99) = percentiles(&mut latencies);
    println!("{name:<48}{:>8}{p50:>10.2}{p99:>10.2}", latencies.len());
    Line { p50 }
}
