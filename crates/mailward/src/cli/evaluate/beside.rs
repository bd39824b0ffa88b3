//! Another filter's scores of the same mail, and whether the difference is more than chance.
//!
//! Both filters are asked about the same messages, so these are drawn together: what is hard for both cancels out, and
//! the interval of the difference is narrower than those of the two figures let expect (a paired bootstrap).

use super::figures::{COLD, Judged, LOST_MAX};
use super::ranking::{Draws, Ranking, interval};
use super::{Entry, INDEX_OCTETS_MAX, read, text_of};
use crate::cli::Trouble;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How many times messages are drawn.
const DRAWS: usize = 1_000;

/// `[NAME=]FILE` of the command line.
#[derive(Debug, Clone)]
pub(super) struct Source {
    name: String,
    path: PathBuf,
}

impl std::str::FromStr for Source {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Source, Self::Err> {
        let (name, path) = text.split_once('=').unwrap_or(("the other", text));
        Ok(Source {
            name: name.to_owned(),
            path: path.into(),
        })
    }
}

/// What another filter said of the same messages.
pub(super) struct Other {
    pub name: String,
    pub judged: Vec<Judged>,
}

impl Other {
    /// Reads scores, which must be of these messages in this order.
    pub fn read(source: &Source, entries: &[Entry], first: usize) -> Result<Other, Trouble> {
        let text = text_of(read(&source.path, INDEX_OCTETS_MAX + 1)?, &source.path)?;
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let expected = entries.get(first..).unwrap_or_default();
        if lines.len() != expected.len() {
            let (found, wanted) = (lines.len(), expected.len());
            return Err(unlike(&source.path, format!(": {found} scores for {wanted} messages")));
        }
        let mut judged = Vec::with_capacity(lines.len());
        for (at, (line, entry)) in lines.into_iter().zip(expected).enumerate() {
            let (is_junk, probability) = score(line).ok_or_else(|| wrong_line(&source.path, at + 1, line))?;
            if is_junk != entry.is_junk {
                let label = if entry.is_junk { "spam" } else { "ham" };
                let what = format!(":{}: `{line}`, but the index says {label}", at + 1);
                return Err(unlike(&source.path, what));
            }
            judged.push(Judged {
                is_junk,
                probability,
                number: first + at,
            });
        }
        Ok(Other {
            name: source.name.clone(),
            judged,
        })
    }
}

/// `spam SCORE` or `ham SCORE`: the higher, the more like junk; on any scale.
fn score(line: &str) -> Option<(bool, f64)> {
    let (label, score) = line.split_once(char::is_whitespace)?;
    let is_junk = match label {
        "spam" => true,
        "ham" => false,
        _ => return None,
    };
    let score = score.trim().parse().ok().filter(|score: &f64| score.is_finite())?;
    Some((is_junk, score))
}

fn wrong_line(path: &Path, number: usize, line: &str) -> Trouble {
    Trouble::hint(
        format!(
            "{}:{number}: neither `spam SCORE` nor `ham SCORE`: `{line}`",
            path.display()
        ),
        "`mailward evaluate INDEX --scores FILE` writes such lines",
    )
}

fn unlike(path: &Path, what: String) -> Trouble {
    Trouble::hint(
        format!("{}{what}", path.display()),
        "filters are compared on the same messages in the same order: give it the same index, `--limit` and `--batch`",
    )
}

/// Two filters on the same mail.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Comparison {
    pub name: String,
    /// 1-ROCA %.
    pub above_curve: Figure,
    /// Junk missed where 0.1 % of wanted mail is lost, in percent.
    pub missed: Figure,
    /// The same after the first thousand messages.
    pub missed_later: Option<Figure>,
}

/// One figure of two filters: the less, the better.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    pub ours: f64,
    pub theirs: f64,
    /// Ours less theirs.
    pub difference: f64,
    /// Its 95 % interval by bootstrap, the same messages drawn for both.
    pub interval: [f64; 2],
    /// In how many percent of the draws ours was better; ties count half.
    pub better_percent: f64,
}

impl Comparison {
    /// None without junk or without wanted mail. Both lists are of the same messages.
    pub fn of(ours: &[Judged], other: &Other) -> Option<Comparison> {
        let missed = |ranking: &Ranking, times: &[u32]| ranking.missed(LOST_MAX, |at| times[at]);
        let later = |all: &[Judged]| -> Vec<Judged> { all.iter().filter(|one| one.number >= COLD).copied().collect() };
        Some(Comparison {
            name: other.name.clone(),
            above_curve: compared(ours, &other.judged, |ranking, times| {
                ranking.above_curve(|at| times[at])
            })?,
            missed: compared(ours, &other.judged, missed)?,
            missed_later: compared(&later(ours), &later(&other.judged), missed),
        })
    }
}

fn compared(ours: &[Judged], theirs: &[Judged], figure: impl Fn(&Ranking, &[u32]) -> Option<f64>) -> Option<Figure> {
    let rankings = [Ranking::of(ours), Ranking::of(theirs)];
    let both = |times: &[u32]| Some((figure(&rankings[0], times)?, figure(&rankings[1], times)?));
    let (once_ours, once_theirs) = both(&vec![1; ours.len()])?;
    let mut draws = Draws::new(ours);
    let drawn: Vec<(f64, f64)> = (0..DRAWS).filter_map(|_| both(draws.again())).collect();
    let wins = |(ours, theirs): &(f64, f64)| match ours.total_cmp(theirs) {
        std::cmp::Ordering::Less => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Greater => 0.0,
    };
    Some(Figure {
        ours: once_ours,
        theirs: once_theirs,
        difference: once_ours - once_theirs,
        interval: interval(drawn.iter().map(|(ours, theirs)| ours - theirs).collect()),
        better_percent: 100.0 * drawn.iter().map(wins).sum::<f64>() / drawn.len().max(1) as f64,
    })
}
