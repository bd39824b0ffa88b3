//! The figures by which filters are compared (those of the TREC spam track, 2005 to 2007).

use super::Cost;
use super::beside::{Comparison, Other};
use super::ranking::{Draws, Ranking, interval};
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
pub(super) const COLD: usize = 1_000;
/// The share of wanted mail that may be lost where missed junk is counted.
pub(super) const LOST_MAX: f64 = 0.001;
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
    /// Another filter on the same mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside: Option<Comparison>,
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
    pub fn of(judged: &[Judged], cost: &Cost, took_s: f64, other: Option<&Other>) -> Option<Figures> {
        let ranking = Ranking::of(judged);
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
            above_curve_percent: ranking.above_curve(|_| 1)?,
            interval_percent: above_curve_interval(judged, &ranking),
            missed_percent: ranking.missed(LOST_MAX, |_| 1)?,
            missed_later_percent: Ranking::of(&later).missed(LOST_MAX, |_| 1),
            lam_percent: lam(judged, 0.5),
            thresholds: THRESHOLDS.map(|probability| mistakes(judged, probability)).to_vec(),
            log_loss: log_loss(judged),
            messages_per_s: cost.classified.max(cost.taught) as f64 / took_s.max(1e-9),
            classify_cpu_ms: each(cost.classify_s, cost.classified),
            train_cpu_ms: each(cost.train_s, cost.taught),
            model_octets: Size::MAILBOX.octets(),
            beside: other.and_then(|other| Comparison::of(judged, other)),
        })
    }
}

fn above_curve_interval(judged: &[Judged], ranking: &Ranking) -> [f64; 2] {
    let mut draws = Draws::new(judged);
    let areas = (0..DRAWS).filter_map(|_| {
        let times = draws.again();
        ranking.above_curve(|at| times[at])
    });
    interval(areas.collect())
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
