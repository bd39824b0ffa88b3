//! Messages in order of their scores, and what is read off that order: the area above the curve, and the junk missed
//! where little wanted mail is lost. Each message may count several times or not at all, as a bootstrap draws it.

use super::figures::Judged;

/// Messages by rising score.
pub(super) struct Ranking {
    places: Vec<Place>,
}

struct Place {
    /// Which of the messages ranked, in the order in which they were given.
    message: usize,
    is_junk: bool,
    /// Whether it scores more than the one before it.
    is_step: bool,
}

impl Ranking {
    pub fn of(judged: &[Judged]) -> Ranking {
        let mut order: Vec<(usize, &Judged)> = judged.iter().enumerate().collect();
        order.sort_by(|(_, a), (_, b)| a.probability.total_cmp(&b.probability));
        let mut last = None;
        let place = |(message, one): (usize, &Judged)| Place {
            message,
            is_junk: one.is_junk,
            is_step: last.replace(one.probability) != Some(one.probability),
        };
        Ranking {
            places: order.into_iter().map(place).collect(),
        }
    }

    /// 1-ROCA in percent. `None` without junk or without wanted mail.
    pub fn above_curve(&self, times: impl Fn(usize) -> u32) -> Option<f64> {
        let (mut wanted, mut junk, mut wrong) = (0_u64, 0_u64, 0.0);
        let (mut wanted_here, mut junk_here) = (0_u64, 0_u64);
        // A wanted message is wrong with all junk that scores less, and half with what scores the same.
        let pairs = |wanted: u64, below: u64, beside: u64| wanted as f64 * (below as f64 + beside as f64 / 2.0);
        for place in &self.places {
            if place.is_step {
                wrong += pairs(wanted_here, junk, junk_here);
                wanted += std::mem::take(&mut wanted_here);
                junk += std::mem::take(&mut junk_here);
            }
            match place.is_junk {
                true => junk_here += u64::from(times(place.message)),
                false => wanted_here += u64::from(times(place.message)),
            }
        }
        wrong += pairs(wanted_here, junk, junk_here);
        let (wanted, junk) = (wanted + wanted_here, junk + junk_here);
        (wanted > 0 && junk > 0).then(|| 100.0 * wrong / (wanted as f64 * junk as f64))
    }

    /// Percent of junk missed at the lowest threshold that loses no larger share of wanted mail. `None` without junk or
    /// without wanted mail.
    pub fn missed(&self, lost_max: f64, times: impl Fn(usize) -> u32) -> Option<f64> {
        let (mut wanted, mut junk) = (0_u64, 0_u64);
        for place in &self.places {
            *(if place.is_junk { &mut junk } else { &mut wanted }) += u64::from(times(place.message));
        }
        if wanted == 0 || junk == 0 {
            return None;
        }
        let (mut lost, mut missed) = (wanted, 0_u64);
        for place in &self.places {
            if place.is_step && lost as f64 / wanted as f64 <= lost_max {
                return Some(100.0 * missed as f64 / junk as f64);
            }
            match place.is_junk {
                true => missed += u64::from(times(place.message)),
                false => lost -= u64::from(times(place.message)),
            }
        }
        Some(100.0)
    }

    /// Points of the curve from the lowest threshold on: shares of wanted mail lost and of junk missed.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let junk = self.places.iter().filter(|place| place.is_junk).count();
        let wanted = self.places.len() - junk;
        let (mut lost, mut missed) = (wanted, 0);
        let mut points = Vec::new();
        for place in &self.places {
            if place.is_step {
                points.push((lost as f64 / wanted.max(1) as f64, missed as f64 / junk.max(1) as f64));
            }
            match place.is_junk {
                true => missed += 1,
                false => lost -= 1,
            }
        }
        points.push((0.0, 1.0));
        points
    }
}

/// Messages drawn again and again for intervals: junk and wanted mail apart, as many as there are, and the same at every
/// run.
pub(super) struct Draws {
    sorts: [Vec<usize>; 2],
    times: Vec<u32>,
    state: u64,
}

impl Draws {
    pub fn new(judged: &[Judged]) -> Draws {
        let of = |is_junk| {
            let all = judged.iter().enumerate();
            all.filter(|(_, one)| one.is_junk == is_junk)
                .map(|(at, _)| at)
                .collect::<Vec<_>>()
        };
        Draws {
            sorts: [of(true), of(false)],
            times: vec![0; judged.len()],
            state: 1,
        }
    }

    /// How many times each message was drawn.
    pub fn again(&mut self) -> &[u32] {
        self.times.fill(0);
        for sort in &self.sorts {
            for _ in 0..sort.len() {
                self.times[sort[draw(&mut self.state, sort.len())]] += 1;
            }
        }
        &self.times
    }
}

/// A number below a bound, by splitmix64.
fn draw(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ mixed >> 31) % below as u64) as usize
}

/// Where 95 of 100 values lie.
pub(super) fn interval(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (share * values.len() as f64) as usize;
        values.get(index).copied().unwrap_or_default()
    };
    [at(0.025), at(0.975)]
}
