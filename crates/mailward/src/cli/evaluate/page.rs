//! The figures as text, scores as lines, and the curve as a picture.

use super::beside::{Comparison, Figure, Other};
use super::figures::{Figures, Judged};
use super::ranking::Ranking;
use std::fmt::{self, Write};

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = self.interval_percent;
        writeln!(
            f,
            "messages       {} ({} junk, {} wanted)",
            self.messages, self.junk, self.wanted
        )?;
        writeln!(
            f,
            "1-ROCA         {:.4} %  [{low:.4} - {high:.4}]",
            self.above_curve_percent
        )?;
        write!(
            f,
            "junk missed    {:.2} % where 0.1 % of wanted mail is lost",
            self.missed_percent
        )?;
        if let Some(later) = self.missed_later_percent {
            write!(f, "; {later:.2} % after the first 1,000 messages")?;
        }
        writeln!(
            f,
            "\nLAM            {:.3} %   log loss {:.4}",
            self.lam_percent, self.log_loss
        )?;
        writeln!(f, "threshold      wanted lost   junk missed")?;
        for at in &self.thresholds {
            writeln!(
                f,
                "{:<14} {:>9.3} % {:>11.3} %",
                at.probability, at.lost_percent, at.missed_percent
            )?;
        }
        let (classify, train) = (self.classify_cpu_ms, self.train_cpu_ms);
        writeln!(f, "speed          {:.0} messages a second", self.messages_per_s)?;
        writeln!(
            f,
            "CPU            {classify:.4} ms to classify a message, {train:.4} ms to learn from it"
        )?;
        writeln!(
            f,
            "model          {:.1} MiB",
            self.model_octets as f64 / f64::from(1 << 20)
        )?;
        match &self.beside {
            Some(comparison) => comparison.fmt(f),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "beside {}: ours, theirs, ours less theirs with its 95 % interval, and how often ours is better if the same \
             messages are drawn for both",
            self.name
        )?;
        let mut row = |name: &str, figure: &Figure, places: usize| {
            let (ours, theirs, [low, high]) = (figure.ours, figure.theirs, figure.interval);
            writeln!(
                f,
                "{name:<14} {ours:.places$} %, {theirs:.places$} %, {:+.places$} [{low:+.places$} to {high:+.places$}], \
                 better in {:.1} % of draws",
                figure.difference, figure.better_percent
            )
        };
        row("1-ROCA", &self.above_curve, 4)?;
        row("junk missed", &self.missed, 2)?;
        match &self.missed_later {
            Some(later) => row("after 1,000", later, 2),
            None => Ok(()),
        }
    }
}

/// A line for each message classified, in order.
pub(super) fn scores(judged: &[Judged]) -> String {
    let mut text = String::with_capacity(judged.len() * 26);
    for one in judged {
        let label = if one.is_junk { "spam" } else { "ham" };
        let _ = writeln!(text, "{label} {}", one.probability);
    }
    text
}

/// Sides of the picture, and what is left free around.
const SIDE: f64 = 480.0;
const MARGIN: f64 = 60.0;
/// Both axes go from 0.01 % to 100 %, in powers of ten.
const DECADES: f64 = 4.0;
/// Colours of a picture that is seen on light and on dark pages; theirs is dashed too, for those who see no colours.
const STYLE: &str = "<style>text{font:12px sans-serif;fill:#333}.page{fill:#fff}path{fill:none}.grid{stroke:#ccc}\
.ours{stroke:#06c;stroke-width:2}.theirs{stroke:#c40;stroke-width:2;stroke-dasharray:6 3}\
@media(prefers-color-scheme:dark){text{fill:#ddd}.page{fill:#161616}.grid{stroke:#444}.ours{stroke:#5af}\
.theirs{stroke:#f96}}</style>\n";

/// Junk missed against wanted mail lost, both axes logarithmic: filters differ near the corner.
pub(super) fn svg(judged: &[Judged], other: Option<&Other>) -> String {
    let (all, end) = (SIDE + 2.0 * MARGIN, MARGIN + SIDE);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {all} {all}\" width=\"{all}\" height=\"{all}\">\n\
         {STYLE}<rect class=\"page\" width=\"{all}\" height=\"{all}\"/>\n"
    );
    for (label, share) in [
        ("0.01 %", 1e-4),
        ("0.1 %", 1e-3),
        ("1 %", 1e-2),
        ("10 %", 1e-1),
        ("100 %", 1.0),
    ] {
        let (x, y) = place(share, share);
        let _ = writeln!(
            text,
            "<path class=\"grid\" d=\"M{x:.1} {MARGIN}V{end}M{MARGIN} {y:.1}H{end}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\
             <text x=\"{}\" y=\"{y:.1}\" text-anchor=\"end\">{label}</text>",
            end + 18.0,
            MARGIN - 6.0
        );
    }
    let theirs = other.map(|other| ("theirs", other.name.as_str(), other.judged.as_slice()));
    for (number, (class, name, judged)) in theirs.into_iter().chain([("ours", "mailward", judged)]).enumerate() {
        let (x, y) = (end - 150.0, MARGIN + 20.0 + 18.0 * number as f64);
        let _ = writeln!(
            text,
            "<path class=\"{class}\" d=\"{}M{x} {}h30\"/><text x=\"{}\" y=\"{y}\">{}</text>",
            line(judged),
            y - 4.0,
            x + 36.0,
            escaped(name)
        );
    }
    let middle = all / 2.0;
    let _ = writeln!(
        text,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">wanted mail lost</text>\n\
         <text transform=\"translate(14 {middle}) rotate(-90)\" text-anchor=\"middle\">junk missed</text>\n</svg>",
        all - 10.0
    );
    text
}

/// A curve as a path. Points that fall on one dot are one, and those between the ends of a straight run are left out, so
/// that it is never long, however much mail there was.
fn line(judged: &[Judged]) -> String {
    let mut dots: Vec<(f64, f64)> = Vec::new();
    for (lost, missed) in Ranking::of(judged).curve() {
        let (x, y) = place(lost, missed);
        let dot = (x.round(), y.round());
        if let [.., a, b] = dots[..]
            && (a.0 == b.0 && b.0 == dot.0 || a.1 == b.1 && b.1 == dot.1)
        {
            dots.pop();
        }
        if dots.last() != Some(&dot) {
            dots.push(dot);
        }
    }
    let piece = |(at, (x, y)): (usize, &(f64, f64))| format!("{}{x} {y}", if at == 0 { 'M' } else { 'L' });
    dots.iter().enumerate().map(piece).collect()
}

/// A name that came from the command line, as text of XML.
fn escaped(name: &str) -> String {
    name.chars()
        .take(20)
        .map(|c| if c.is_alphanumeric() || c == '.' { c } else { ' ' })
        .collect()
}

/// Where a point of the curve stands.
fn place(lost: f64, missed: f64) -> (f64, f64) {
    let along = |share: f64| (share.max(1e-4).log10() + DECADES) / DECADES;
    (MARGIN + SIDE * along(lost), MARGIN + SIDE * (1.0 - along(missed)))
}
