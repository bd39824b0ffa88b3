//! The figures as text, scores as lines, and the curve as a picture.

use super::figures::{Figures, Judged, curve};
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
        )
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

/// Junk missed against wanted mail lost, both axes logarithmic: filters differ near the corner.
pub(super) fn svg(judged: &[Judged]) -> String {
    let all = SIDE + 2.0 * MARGIN;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {all} {all}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{all}\" height=\"{all}\" fill=\"white\"/>\n"
    );
    for (label, share) in [
        ("0.01 %", 1e-4),
        ("0.1 %", 1e-3),
        ("1 %", 1e-2),
        ("10 %", 1e-1),
        ("100 %", 1.0),
    ] {
        let (x, y) = place(share, share);
        let (end, low) = (MARGIN + SIDE, MARGIN + SIDE + 18.0);
        let _ = writeln!(
            text,
            "<path d=\"M{x:.1} {MARGIN}V{end}M{MARGIN} {y:.1}H{end}\" stroke=\"#ccc\"/>\
             <text x=\"{x:.1}\" y=\"{low}\" text-anchor=\"middle\">{label}</text>\
             <text x=\"{}\" y=\"{y:.1}\" text-anchor=\"end\">{label}</text>",
            MARGIN - 6.0
        );
    }
    let points = curve(judged).into_iter().map(|(lost, missed)| place(lost, missed));
    let mut path = String::new();
    for (at, (x, y)) in points.enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    }
    let middle = all / 2.0;
    let _ = writeln!(
        text,
        "<path d=\"{path}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"2\"/>\n\
         <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">wanted mail lost</text>\n\
         <text transform=\"translate(14 {middle}) rotate(-90)\" text-anchor=\"middle\">junk missed</text>\n</svg>",
        all - 10.0
    );
    text
}

/// Where a point of the curve stands.
fn place(lost: f64, missed: f64) -> (f64, f64) {
    let along = |share: f64| (share.max(1e-4).log10() + DECADES) / DECADES;
    (MARGIN + SIDE * along(lost), MARGIN + SIDE * (1.0 - along(missed)))
}
