//! The practices under load, and the seats at their front desks.

use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use crate::common::connect;
use crate::dice::Dice;
use crate::loops::Seat;
use crate::options::Options;
use crate::practice::{Practice, TEAMS};
use crate::target::Target;

/// Practices that are made side by side: as many as the server has connections to the database.
const MAKERS: usize = 16;

/// See the module.
pub struct World {
    pub practices: Vec<Arc<Practice>>,
    /// As many as there are connections; practices take turns.
    pub seats: Vec<Seat>,
}

impl World {
    /// Makes practices over the wire, side by side, with visits of today.
    pub async fn make(target: &Target, options: &Options, dice: &mut Dice) -> Self {
        let made = (0..options.practices).map(|_| {
            let mut dice = Dice(dice.below(u64::from(u32::MAX)));
            async move {
                let channel = connect(&target.address).await;
                let practice = Practice::make(&channel, &target.operator, TEAMS, target.today).await;
                let practice = practice.expect("nothing is refused");
                practice.fill(&channel, &mut dice).await;
                Arc::new(practice)
            }
        });
        let practices: Vec<_> = stream::iter(made).buffered(MAKERS).collect().await;
        let seats = (0..options.most_connections()).map(|number| {
            let practice = Arc::clone(&practices[number % practices.len()]);
            async { Seat { practice, channel: connect(&target.address).await } }
        });
        Self { seats: join_all(seats).await, practices }
    }
}
