//! QR codes in pictures (ISO/IEC 18004): what they say.
//!
//! Codes in mail are drawn by programs, not photographed: they are flat, however turned. So three finder patterns tell
//! where each module lies, and no more than a few triples of them are tried. `rqrr` decodes what was found; its own search
//! copies the picture for each triple, which a picture full of finder patterns turns into minutes.
//!
//! Time is linear in the pixels, whatever they show: a row is looked at once, what follows from one place in it is
//! bounded by how much of the row made that place stand out, and decoding by [`TRIES_MAX`].

use super::image::Gray;
use rqrr::{Grid, SimpleGrid};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Finder patterns that are kept; of a picture full of them those that were met most often are tried.
const FINDERS_MAX: usize = 64;
const FINDERS_TRIED: usize = 12;
/// Places of a picture that are looked at closer; a code makes some ten of them.
const LOOKS_MAX: u32 = 20_000;
/// Triples of finder patterns, and codes in them, that are decoded.
const TRIES_MAX: usize = 20;
/// Codes of one picture.
pub(super) const CODES_MAX: usize = 4;
/// Modules of the smallest code and of the largest one.
const MODULES: std::ops::RangeInclusive<usize> = 21..=177;

/// What the codes of a picture say.
pub(super) fn read(gray: &Gray) -> Vec<String> {
    let Some(threshold) = threshold(gray) else {
        return Vec::new();
    };
    // Light codes on dark paper are read by telephones, too.
    for inverted in [false, true] {
        let picture = Picture {
            gray,
            threshold,
            inverted,
        };
        let found = picture.codes();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// The shade that divides dark from light best (Otsu): where the two groups differ most. Nothing of a blank picture.
fn threshold(gray: &Gray) -> Option<u8> {
    let mut counts = [0_u64; 256];
    for pixel in &gray.pixels {
        if let Some(count) = counts.get_mut(usize::from(*pixel)) {
            *count += 1;
        }
    }
    let all = gray.pixels.len() as f64;
    let sum: f64 = counts
        .iter()
        .zip(0_u32..)
        .map(|(count, at)| *count as f64 * f64::from(at))
        .sum();
    let (mut below, mut sum_below, mut best) = (0.0, 0.0, (0.0, None));
    for (count, at) in counts.iter().zip(0_u8..=255) {
        below += *count as f64;
        sum_below += *count as f64 * f64::from(at);
        let above = all - below;
        if below == 0.0 || above <= 0.0 {
            continue;
        }
        let apart = sum_below / below - (sum - sum_below) / above;
        let spread = below * above * apart * apart;
        if spread > best.0 {
            best = (spread, at.checked_add(1));
        }
    }
    best.1
}

struct Picture<'a> {
    gray: &'a Gray,
    threshold: u8,
    inverted: bool,
}

/// A square within a square, which stands in three corners of each code.
#[derive(Debug, Clone, Copy)]
struct Finder {
    x: f64,
    y: f64,
    /// Pixels of one module.
    module: f64,
    /// Rows in which it was met.
    rows: u32,
}

impl Picture<'_> {
    fn is_dark(&self, x: usize, y: usize) -> bool {
        let row = y.saturating_mul(self.gray.width);
        let pixel = self.gray.pixels.get(row.saturating_add(x)).copied();
        pixel.is_some_and(|pixel| (pixel < self.threshold) != self.inverted)
    }

    /// Rounded to a pixel; outside of the picture is paper.
    fn is_dark_at(&self, x: f64, y: f64) -> bool {
        let (x, y) = (x.floor(), y.floor());
        let is_inside = x >= 0.0 && y >= 0.0 && x < self.gray.width as f64 && y < self.gray.height as f64;
        is_inside && self.is_dark(x as usize, y as usize)
    }

    fn codes(&self) -> Vec<String> {
        let mut finders = self.finders();
        finders.sort_by_key(|finder| std::cmp::Reverse(finder.rows));
        finders.truncate(FINDERS_TRIED);
        let (mut found, mut tries) = (Vec::new(), 0);
        for (at, a) in finders.iter().enumerate() {
            for (next, b) in finders.iter().enumerate().skip(at + 1) {
                for c in finders.iter().skip(next + 1) {
                    let Some(corner) = Corner::of([*a, *b, *c]) else {
                        continue;
                    };
                    for modules in corner.modules() {
                        if tries >= TRIES_MAX || found.len() >= CODES_MAX {
                            return found;
                        }
                        if !self.has_timing(&corner, modules) {
                            continue;
                        }
                        tries += 1;
                        if let Some(text) = self.decode(&corner, modules)
                            && !found.contains(&text)
                        {
                            found.push(text);
                            break;
                        }
                    }
                }
            }
        }
        found
    }

    /// Dark and light in the ratio 1:1:3:1:1 in a row, and in the column through its middle.
    fn finders(&self) -> Vec<Finder> {
        let (mut found, mut looks): (Vec<Finder>, u32) = (Vec::new(), 0);
        for (y, row) in self.gray.pixels.chunks_exact(self.gray.width.max(1)).enumerate() {
            let row = row.iter().map(|pixel| (*pixel < self.threshold) != self.inverted);
            // How long the last five runs are; the newest last.
            let mut runs = [0_usize; 5];
            let (mut start, mut dark, mut seen) = (0, false, 0_usize);
            // Outside of the picture is paper.
            for (x, is_dark) in row.chain([false]).enumerate() {
                if is_dark == dark {
                    continue;
                }
                runs.rotate_left(1);
                if let Some(newest) = runs.last_mut() {
                    *newest = x - start;
                }
                (start, seen) = (x, seen + 1);
                let was_dark = std::mem::replace(&mut dark, is_dark);
                if was_dark && seen >= 5 && looks < LOOKS_MAX && is_finder(runs) {
                    looks += 1;
                    self.note(&mut found, runs, x, y);
                }
            }
        }
        found
    }

    /// Looks closer at what may be a finder pattern whose last run ends before `end`.
    fn note(&self, found: &mut Vec<Finder>, runs: [usize; 5], end: usize, y: usize) {
        let total: usize = runs.iter().sum();
        let [_, _, middle, light, dark] = runs;
        let x = end - dark - light - middle.div_ceil(2);
        let Some((down, height)) = self.along((x, y), (0, 1), total) else {
            return;
        };
        // Rows that are met first lie above the middle.
        let Some(middle_y) = y.checked_add_signed(down.round() as isize) else {
            return;
        };
        let Some((right, width)) = self.along((x, middle_y), (1, 0), total) else {
            return;
        };
        let (x, y) = (x as f64 + right + 0.5, y as f64 + down + 0.5);
        let module = (height + width) / 14.0;
        let is_near = |finder: &Finder| {
            let off = (finder.x - x).abs().max((finder.y - y).abs());
            off < 2.0 * module && finder.module < 2.0 * module
        };
        if let Some(finder) = found.iter_mut().find(|finder| is_near(finder)) {
            finder.rows += 1;
        } else if found.len() < FINDERS_MAX {
            found.push(Finder { x, y, module, rows: 1 });
        }
    }

    /// From the dark middle of a pattern both ways: how far off its true middle is, and the length of all five runs. No
    /// more than `limit` pixels are looked at on each side.
    fn along(&self, (x, y): (usize, usize), (right, down): (isize, isize), limit: usize) -> Option<(f64, f64)> {
        let limit = isize::try_from(limit).ok()?;
        let is_dark = |by: isize| {
            let (x, y) = (x.checked_add_signed(right * by), y.checked_add_signed(down * by));
            x.zip(y).is_some_and(|(x, y)| x < self.gray.width && self.is_dark(x, y))
        };
        if !is_dark(0) {
            return None;
        }
        // The rest of the middle, then light, then dark.
        let way = |sign: isize| {
            let (mut at, mut lengths) = (1, [0_usize; 3]);
            for (run, wants_dark) in lengths.iter_mut().zip([true, false, true]) {
                while at <= limit && is_dark(sign * at) == wants_dark {
                    *run += 1;
                    at += 1;
                }
            }
            lengths
        };
        let ([back, back_light, back_dark], [on, on_light, on_dark]) = (way(-1), way(1));
        let runs = [back_dark, back_light, back + 1 + on, on_light, on_dark];
        let off = (on as f64 - back as f64) / 2.0;
        is_finder(runs).then(|| (off, runs.iter().sum::<usize>() as f64))
    }

    /// Row and column 6 are dark and light by turns.
    fn has_timing(&self, corner: &Corner, modules: usize) -> bool {
        let places = 8..modules - 8;
        let fits = |(column, row): (usize, usize)| {
            let (x, y) = corner.place(column, row, modules);
            self.is_dark_at(x, y) == ((column + row) % 2 == 0)
        };
        let fitting = |way: &dyn Fn(usize) -> (usize, usize)| places.clone().filter(|at| fits(way(*at))).count();
        let count = places.len();
        let (row, column) = (fitting(&|at| (at, 6)), fitting(&|at| (6, at)));
        row * 5 >= count * 4 && column * 5 >= count * 4
    }

    fn decode(&self, corner: &Corner, modules: usize) -> Option<String> {
        let grid = SimpleGrid::from_func(modules, |column, row| {
            let (x, y) = corner.place(column, row, modules);
            self.is_dark_at(x, y)
        });
        let mut octets = Vec::new();
        let decode = || Grid::new(grid).decode_to(&mut octets).is_ok();
        // What the decoder takes for impossible is no code.
        let is_code = catch_unwind(AssertUnwindSafe(decode)).unwrap_or(false);
        is_code.then(|| String::from_utf8_lossy(&octets).into_owned())
    }
}

/// 1:1:3:1:1, each within half a module; small ones within a pixel.
fn is_finder(runs: [usize; 5]) -> bool {
    let total: usize = runs.iter().sum();
    if total < 7 {
        return false;
    }
    let module = total as f64 / 7.0;
    let off = (module / 2.0).max(1.0);
    let fits = |(run, modules): (usize, f64)| run > 0 && (run as f64 - modules * module).abs() <= modules.sqrt() * off;
    runs.into_iter().zip([1.0, 1.0, 3.0, 1.0, 1.0]).all(fits)
}

/// Three finder patterns as a code has them.
struct Corner {
    /// In the corner.
    origin: Finder,
    right: Finder,
    below: Finder,
}

impl Corner {
    /// Nothing if they are no two equal sides with a right angle between.
    fn of(three: [Finder; 3]) -> Option<Corner> {
        let [a, b, c] = three;
        let modules = three.map(|finder| finder.module);
        let (least, most) = modules
            .iter()
            .fold((f64::MAX, 0.0_f64), |(least, most), m| (least.min(*m), most.max(*m)));
        if most > 1.5 * least {
            return None;
        }
        [(a, b, c), (b, a, c), (c, a, b)]
            .into_iter()
            .find_map(|(origin, one, other)| {
                let (first, second) = (
                    (one.x - origin.x, one.y - origin.y),
                    (other.x - origin.x, other.y - origin.y),
                );
                let (long, short) = (length(first).max(length(second)), length(first).min(length(second)));
                let turn = first.0 * second.1 - first.1 * second.0;
                let lean = first.0 * second.0 + first.1 * second.1;
                if short <= 0.0 || long > 1.2 * short || lean.abs() > 0.2 * long * short {
                    return None;
                }
                // With the ordinate downwards, what is below is a right turn from what is to the right.
                let (right, below) = if turn > 0.0 { (one, other) } else { (other, one) };
                Some(Corner { origin, right, below })
            })
    }

    /// How many modules a side may have, the likeliest first.
    fn modules(&self) -> impl Iterator<Item = usize> + use<> {
        let side = length((self.right.x - self.origin.x, self.right.y - self.origin.y));
        // A turned pattern is cut askew, and looks larger by up to the root of two.
        let (dx, dy) = (
            (self.right.x - self.origin.x).abs(),
            (self.right.y - self.origin.y).abs(),
        );
        let turned = side / dx.max(dy).max(1.0);
        let module = (self.origin.module + self.right.module + self.below.module) / 3.0 / turned;
        let version = ((side / module + 7.0 - 17.0) / 4.0).round();
        [0.0, -1.0, 1.0, -2.0, 2.0].into_iter().filter_map(move |by: f64| {
            let version = version + by;
            let modules = if (1.0..=40.0).contains(&version) {
                17 + 4 * (version as usize)
            } else {
                0
            };
            MODULES.contains(&modules).then_some(modules)
        })
    }

    /// The middle of a module.
    fn place(&self, column: usize, row: usize, modules: usize) -> (f64, f64) {
        let (across, down) = (
            (column as f64 - 3.0) / (modules as f64 - 7.0),
            (row as f64 - 3.0) / (modules as f64 - 7.0),
        );
        let Corner { origin, right, below } = self;
        (
            origin.x + across * (right.x - origin.x) + down * (below.x - origin.x),
            origin.y + across * (right.y - origin.y) + down * (below.y - origin.y),
        )
    }
}

fn length((x, y): (f64, f64)) -> f64 {
    x.hypot(y)
}
