//! One of those who send: with a connection and practices of its own, in which nobody else writes, so that it knows what
//! must have changed and what must not.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prost_reflect::DynamicMessage;
use tonic::Code;
use tonic::codegen::http::{HeaderMap, HeaderValue, header};
use tonic::transport::Channel;
use uuid::Uuid;

use super::broken;
use super::line::{Answer, Asked, send};
use super::messages::{Known, Shapes, bases};
use super::random::Random;
use super::rows::{Digest, recorded, revision};
use crate::harness::{TestServer, World};
use crate::wire::{Ids, Rpc, frame, rpcs};

/// One in so many writes that were done is sent again.
const ONE_IS_REPEATED: usize = 8;
/// How many writes that change nothing are looked at of a round, all rows before and after.
const LOOKS: usize = 20;
/// One in so many writes is looked at until then.
const ONE_IS_LOOKED_AT: usize = 40;
/// Writes that may find that all is as it is asked to be; then they are OK and leave no entry.
const MAY_CHANGE_NOTHING: [&str; 6] =
    ["TakeMessages", "RevokeToken", "RevokeClearance", "RevokeOverride", "RenewHold", "RenewSeriesHold"];
/// What a request may be answered with that is nobody's fault but the caller's.
const SANE: [Code; 6] =
    [Code::Ok, Code::InvalidArgument, Code::NotFound, Code::Aborted, Code::FailedPrecondition, Code::PermissionDenied];

/// In which way a request is not what a client would send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Would be taken, but for a field or two, or not even for those.
    AlmostRight,
    /// Arbitrary fields.
    Arbitrary,
    /// Bytes that are no message, or another.
    BrokenMessage,
    /// A frame that is not what its head says.
    BrokenFrame,
    /// Headers that are missing or wrong.
    BrokenHead,
}

/// How often which way is taken.
pub type Ways = [(usize, Way); 5];

/// Of a few requests: many that get far.
pub const FAR: Ways = [
    (30, Way::AlmostRight),
    (20, Way::Arbitrary),
    (35, Way::BrokenMessage),
    (8, Way::BrokenFrame),
    (7, Way::BrokenHead),
];
/// Of very many: fewer of those that cost the database most.
pub const WIDE: Ways = [
    (5, Way::AlmostRight),
    (7, Way::Arbitrary),
    (38, Way::BrokenMessage),
    (25, Way::BrokenFrame),
    (25, Way::BrokenHead),
];

/// What came of it.
#[derive(Default)]
pub struct Tally {
    /// How often a method answered with a code.
    pub codes: BTreeMap<(String, String), u64>,
    /// How many requests went which way, and how many of them were OK.
    pub ways: BTreeMap<Way, (u64, u64)>,
    /// Changes that were acknowledged, each of them found in the history.
    pub changes: u64,
    /// Writes that changed nothing, with all rows compared.
    pub looks: u64,
    /// Writes that were sent twice.
    pub repeats: u64,
}

/// What all of them share.
pub struct Site {
    /// Where practices are made.
    pub server: TestServer,
    pub rpcs: Vec<Rpc>,
    pub shapes: Shapes,
    pub digest: Digest,
    pub seed: u64,
    /// How often which way is taken.
    pub ways: Ways,
    /// Practices that one of them tries, one after the other.
    pub rounds: u64,
    /// Requests to each.
    pub requests: u64,
    /// Requests of all so far.
    pub sent: AtomicU64,
}

impl Site {
    /// A site around a server.
    pub async fn new(server: TestServer, seed: u64, ways: Ways, (rounds, requests): (u64, u64)) -> Arc<Self> {
        let digest = Digest::new(server.pool()).await;
        let (rpcs, shapes, sent) = (rpcs(), Shapes::new(), AtomicU64::new(0));
        Arc::new(Self { server, rpcs, shapes, digest, seed, ways, rounds, requests, sent })
    }
}

/// Sends all that one of them is to send.
pub async fn run(site: Arc<Site>, number: u64, channel: Channel) -> Tally {
    let mut tally = Tally::default();
    for round in 0..site.rounds {
        let random = Random::new(site.seed, number * site.rounds + round);
        let mut round = Round::new(&site, &channel, random).await;
        for turn in 0..site.requests {
            // All methods in turn, so that none is left to chance.
            let rpc = usize::try_from(turn).unwrap() % site.rpcs.len();
            round.turn(rpc, &mut tally).await;
            site.sent.fetch_add(1, Ordering::Relaxed);
        }
        tally.changes += round.finish().await;
    }
    tally
}

/// A practice, and what is known of it.
struct Round<'a> {
    site: &'a Site,
    channel: &'a Channel,
    random: Random,
    world: World,
    practice: Uuid,
    /// The headers with which each method is called.
    headers: Vec<HeaderMap>,
    /// Messages that would be taken, of each method.
    bases: Vec<Vec<Vec<u8>>>,
    known: Known,
    /// The revision that it began with.
    began: i64,
    /// Requests that were answered OK, and must be in the history.
    done: HashSet<Uuid>,
    /// Those that need not.
    idle: HashSet<Uuid>,
    looks: usize,
}

impl<'a> Round<'a> {
    async fn new(site: &'a Site, channel: &'a Channel, mut random: Random) -> Self {
        let world = World::on(site.server.clone(), "Europe/Berlin").await;
        let ids = Ids::of(&world).await;
        let practice = world.practice.parse().unwrap();
        let began = revision(site.server.pool(), practice).await;
        let headers = site.rpcs.iter().map(|rpc| headers(ids.token(rpc))).collect();
        let bases = site.rpcs.iter().map(|rpc| bases(&mut random, rpc, &ids)).collect();
        let (done, idle, known) = (HashSet::new(), HashSet::new(), Known::new(&ids));
        Self { site, channel, random, world, practice, headers, bases, known, began, done, idle, looks: 0 }
    }

    async fn turn(&mut self, place: usize, tally: &mut Tally) {
        let rpc = &self.site.rpcs[place];
        let (way, asked) = self.make(place);
        let is_write = rpc.input.get_field_by_name("request_id").is_some();
        let looked = is_write && self.looks < LOOKS && self.random.one_in(ONE_IS_LOOKED_AT);
        let before = if looked { Some(self.look().await) } else { None };
        let answer = send(self.channel, &asked).await;
        self.hold_to_codes(rpc, way, &asked, &answer);
        *tally.codes.entry((rpc.name.clone(), answer.code())).or_default() += 1;
        let of_way = tally.ways.entry(way).or_default();
        *of_way = (of_way.0 + 1, of_way.1 + u64::from(answer.is(Code::Ok)));

        let mut changed = false;
        if let (true, Answer::Message(message)) = (is_write, &answer) {
            changed = self.note(rpc, &asked);
            self.known.learn(&DynamicMessage::decode(rpc.output.clone(), message.clone()).unwrap());
            if changed && self.random.one_in(ONE_IS_REPEATED) {
                let again = send(self.channel, &asked).await;
                assert!(again.is(Code::Ok), "{}: {} is repeated: {again:?}", self.told(), rpc.name);
                tally.repeats += 1;
            }
        }
        if let Some((revision, rows)) = before.filter(|_| !changed) {
            let after = self.look().await;
            // A hold may have ended meanwhile, by the clock; that is not the request's doing.
            let expired = after.0 > revision && recorded(self.pool(), self.practice, revision).await.is_empty();
            let same = after.1 == rows || expired;
            assert!(same, "{}: {} changed something: {answer:?} {:?}", self.told(), rpc.name, asked.body);
            self.looks += 1;
            tally.looks += 1;
        }
    }

    /// The next request to a method.
    fn make(&mut self, place: usize) -> (Way, Asked) {
        let (rpc, random) = (&self.site.rpcs[place], &mut self.random);
        let ways = &self.site.ways;
        let mut drawn = random.below(ways.iter().map(|(often, _)| often).sum());
        let way =
            ways.iter().find(|(often, _)| drawn.checked_sub(*often).map(|left| drawn = left).is_none()).unwrap().1;
        let (name, shapes) = (rpc.input.full_name(), &self.site.shapes);
        let mut message = match way {
            Way::Arbitrary => shapes.any(random, name, &self.known),
            _ => random.pick(&self.bases[place]).clone(),
        };
        if way == Way::AlmostRight {
            for _ in 0..random.below(4) {
                shapes.bend(random, name, &self.known, &mut message);
            }
        }
        shapes.sign(random, name, &self.known, &mut message);
        let (mut path, mut headers) = (format!("/{}", rpc.name), self.headers[place].clone());
        let body = match way {
            Way::AlmostRight | Way::Arbitrary => frame(&message),
            Way::BrokenMessage => {
                broken::message(random, &mut message);
                frame(&message)
            }
            Way::BrokenFrame => broken::frame(random, &message),
            Way::BrokenHead => {
                broken::head(random, &mut path, &mut headers);
                frame(&message)
            }
        };
        (way, Asked { path, headers, body })
    }

    /// Fails unless the answer is one that such a request may have.
    fn hold_to_codes(&self, rpc: &Rpc, way: Way, asked: &Asked, answer: &Answer) {
        let sane = match answer {
            Answer::Http(code) => way == Way::BrokenHead && *code == 415,
            Answer::Refused(status) if way == Way::BrokenHead => {
                let more = [Code::Unauthenticated, Code::Unimplemented, Code::DeadlineExceeded];
                SANE.contains(&status.code()) || more.contains(&status.code())
            }
            _ => SANE.iter().any(|code| answer.is(*code)),
        };
        // Each says why.
        let told = if let Answer::Refused(status) = answer { !status.details().is_empty() } else { true };
        assert!(sane && told, "{}: {} {way:?}: {answer:?} {:?} {:?}", self.told(), rpc.name, asked.headers, asked.body);
    }

    /// Notes what a write that is OK was about, and tells whether it can have changed anything.
    fn note(&mut self, rpc: &Rpc, asked: &Asked) -> bool {
        // Of a body with more than one frame, the first.
        let length = u32::from_be_bytes(asked.body[1..5].try_into().unwrap()) as usize;
        let message = DynamicMessage::decode(rpc.input.clone(), asked.body.slice(5..5 + length)).unwrap();
        let text = |name: &str| message.get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
        let tried = message.get_field_by_name("validate_only").is_some_and(|value| value.as_bool() == Some(true));
        // A new practice has a history of its own.
        if !tried && !rpc.name.ends_with("/CreatePractice") {
            let id: Uuid = text("request_id").parse().unwrap();
            let may_be_idle = MAY_CHANGE_NOTHING.iter().any(|name| rpc.name.ends_with(&format!("/{name}")));
            if may_be_idle && !self.done.contains(&id) {
                self.idle.insert(id);
            } else {
                self.done.insert(id);
            }
        }
        !tried
    }

    /// The revision and a digest of all rows.
    async fn look(&self) -> (i64, String) {
        let revision = revision(self.pool(), self.practice).await;
        (revision, self.site.digest.of(self.pool(), self.practice).await)
    }

    /// Holds the history to exactly what was acknowledged, and tells how much that was.
    async fn finish(self) -> u64 {
        let recorded = recorded(self.pool(), self.practice, self.began).await;
        let lost: Vec<_> = self.done.difference(&recorded).collect();
        let more: Vec<_> = recorded.iter().filter(|id| !self.done.contains(id) && !self.idle.contains(id)).collect();
        assert!(lost.is_empty() && more.is_empty(), "{}: not recorded {lost:?}, not OK {more:?}", self.told());
        u64::try_from(recorded.len()).unwrap()
    }

    fn pool(&self) -> &sqlx::PgPool {
        self.site.server.pool()
    }

    fn told(&self) -> String {
        format!("seed {}, practice {}", self.site.seed, self.world.practice)
    }
}

/// The headers of every request.
pub fn headers(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    headers
}
