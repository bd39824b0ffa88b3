//! The figures by which filters are compared (those of the TREC spam track, 2005 to 2007).

use super::Cost;
use judge::junk::Size;
use serde::Serialize;

/// One message classified.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    pub is_junk: bool,
    pub probability: f64,
    /// Which message of the index, counted from 0.
    pub number: usize,
}

/// From how many messages on the cold start is over.
const COLD: usize = 1_000;
/// At which probabilities mistakes are counted.
const THRESHOLDS: [f64; 6] = [0.1, 0.5, 0.9, 0.95, 0.99, 0.999];
/// How many times the messages are drawn again for the interval.
const DRAWS: usize = 400;

/// All that is said of a run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    pub messages: usize,
    pub junk: usize,
    pub wanted: usize,
    /// 1-ROCA %: how often a wanted message scores higher than junk, drawn at random; ties count half.
    pub above_curve_percent: f64,
    /// Its 95 % interval by bootstrap.
    pub interval_percent: [f64; 2],
    /// Junk missed at the threshold that loses 0.1 % of wanted mail, over all and after the first thousand messages.
    pub missed_percent: f64,
    pub missed_later_percent: Option<f64>,
    /// Logistic average misclassification at 0.5.
    pub lam_percent: f64,
    pub thresholds: Vec<Threshold>,
    /// How sure it is and how often right: mean of -ln(probability given to the truth).
    pub log_loss: f64,
    pub messages_per_s: f64,
    pub classify_cpu_ms: f64,
    pub train_cpu_ms: f64,
    pub model_octets: usize,
}

/// Mistakes if mail from this probability on is junk.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Threshold {
    pub probability: f64,
    pub lost_percent: f64,
    pub missed_percent: f64,
}

impl Figures {
    /// None without junk or without wanted mail.
    pub fn of(judged: &[Judged], cost: &Cost, took_s: f64) -> Option<Figures> {
        let sorted = sorted(judged);
        let junk = judged.iter().filter(|one| one.is_junk).count();
        let wanted = judged.len() - junk;
        if junk == 0 || wanted == 0 {
            return None;
        }
        let later: Vec<Judged> = judged.iter().filter(|one| one.number >= COLD).copied().collect();
        let each = |seconds: f64, count: usize| 1000.0 * seconds / count.max(1) as f64;
        Some(Figures {
            messages: judged.len(),
            junk,
            wanted,
            above_curve_percent: above_curve(&sorted, |_| 1)?,
            interval_percent: interval(&sorted),
            missed_percent: missed_at(judged, 0.001)?,
            missed_later_percent: missed_at(&later, 0.001),
            lam_percent: lam(judged, 0.5),
            thresholds: THRESHOLDS.map(|probability| mistakes(judged, probability)).to_vec(),
            log_loss: log_loss(judged),
            messages_per_s: cost.classified.max(cost.taught) as f64 / took_s.max(1e-9),
            classify_cpu_ms: each(cost.classify_s, cost.classified),
            train_cpu_ms: each(cost.train_s, cost.taught),
            model_octets: Size::MAILBOX.octets(),
        })
    }
}

fn sorted(judged: &[Judged]) -> Vec<Judged> {
    let mut sorted = judged.to_vec();
    sorted.sort_by(|a, b| a.probability.total_cmp(&b.probability));
    sorted
}

/// The area above the curve in percent, of messages in order of their scores, each so many times.
fn above_curve(sorted: &[Judged], times: impl Fn(usize) -> u64) -> Option<f64> {
    let (mut wanted, mut junk, mut wrong) = (0_u64, 0_u64, 0.0);
    let mut at = 0;
    while let Some(first) = sorted.get(at) {
        let ties = sorted[at..]
            .iter()
            .take_while(|one| one.probability == first.probability)
            .count();
        let (mut wanted_here, mut junk_here) = (0, 0);
        for (index, one) in sorted.iter().enumerate().skip(at).take(ties) {
            match one.is_junk {
                true => junk_here += times(index),
                false => wanted_here += times(index),
            }
        }
        // A wanted message is wrong with all junk that scores less, and half with what scores the same.
        wrong += wanted_here as f64 * (junk as f64 + junk_here as f64 / 2.0);
        wanted += wanted_here;
        junk += junk_here;
        at += ties;
    }
    (wanted > 0 && junk > 0).then(|| 100.0 * wrong / (wanted as f64 * junk as f64))
}

/// Junk and wanted mail are drawn apart, as many as there are, with the same numbers at every run.
fn interval(sorted: &[Judged]) -> [f64; 2] {
    let of = |is_junk| {
        (0..sorted.len())
            .filter(|&at| sorted[at].is_junk == is_junk)
            .collect::<Vec<_>>()
    };
    let sorts = [of(true), of(false)];
    let mut state = 1_u64;
    let mut areas: Vec<f64> = (0..DRAWS)
        .filter_map(|_| {
            let mut times = vec![0_u64; sorted.len()];
            for sort in &sorts {
                for _ in 0..sort.len() {
                    times[sort[draw(&mut state, sort.len())]] += 1;
                }
            }
            above_curve(sorted, |at| times[at])
        })
        .collect();
    areas.sort_by(f64::total_cmp);
    let at = |share: f64| {
        areas
            .get((share * areas.len() as f64) as usize)
            .copied()
            .unwrap_or_default()
    };
    [at(0.025), at(0.975)]
}

/// A number below a bound, by splitmix64.
fn draw(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ mixed >> 31) % below as u64) as usize
}

/// Points of the curve from the lowest threshold on: shares of wanted mail lost and of junk missed.
pub(super) fn curve(judged: &[Judged]) -> Vec<(f64, f64)> {
    let sorted = sorted(judged);
    let junk = sorted.iter().filter(|one| one.is_junk).count();
    let wanted = sorted.len() - junk;
    let (mut lost, mut missed) = (wanted, 0);
    let mut points = Vec::new();
    for (at, one) in sorted.iter().enumerate() {
        if at == 0 || sorted[at - 1].probability < one.probability {
            points.push((lost as f64 / wanted.max(1) as f64, missed as f64 / junk.max(1) as f64));
        }
        match one.is_junk {
            true => missed += 1,
            false => lost -= 1,
        }
    }
    points.push((0.0, 1.0));
    points
}

/// Percent of junk missed at the lowest threshold that loses no larger share of wanted mail.
fn missed_at(judged: &[Judged], lost_max: f64) -> Option<f64> {
    let has = |is_junk| judged.iter().any(|one| one.is_junk == is_junk);
    let points = curve(judged);
    let point = points.iter().find(|(lost, _)| *lost <= lost_max)?;
    (has(true) && has(false)).then_some(100.0 * point.1)
}

/// How many of a sort, and how many of them on the wrong side.
fn wrong(judged: &[Judged], is_junk: bool, threshold: f64) -> (usize, usize) {
    let sort = judged.iter().filter(|one| one.is_junk == is_junk);
    let wrong = sort.clone().filter(|one| (one.probability >= threshold) != is_junk);
    (sort.count(), wrong.count())
}

fn mistakes(judged: &[Judged], probability: f64) -> Threshold {
    let percent = |is_junk| {
        let (all, wrong) = wrong(judged, is_junk, probability);
        100.0 * wrong as f64 / all.max(1) as f64
    };
    Threshold {
        probability,
        lost_percent: percent(false),
        missed_percent: percent(true),
    }
}

/// The mean of both error rates on the scale of log-odds, in percent; smoothed as TREC did.
fn lam(judged: &[Judged], threshold: f64) -> f64 {
    let odds = |is_junk| {
        let (all, wrong) = wrong(judged, is_junk, threshold);
        let share = (wrong as f64 + 0.5) / (all as f64 + 1.0);
        (share / (1.0 - share)).ln()
    };
    100.0 / (1.0 + (-(odds(true) + odds(false)) / 2.0).exp())
}

fn log_loss(judged: &[Judged]) -> f64 {
    let given = |one: &Judged| {
        if one.is_junk {
            one.probability
        } else {
            1.0 - one.probability
        }
    };
    judged.iter().map(|one| -given(one).max(1e-12).ln()).sum::<f64>() / judged.len().max(1) as f64
}
