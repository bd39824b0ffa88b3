//! How text looks in an open tag, as far as it decides whether it is seen.

/// A colour as red, green, blue.
type Colour = [u8; 3];

/// Colours that differ by less than this in all three are one to the eye.
const ALIKE: u8 = 16;

/// Whether text is seen, and its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    is_off: bool,
    colour: Colour,
    background: Colour,
}

impl Default for Look {
    /// Black on white.
    fn default() -> Look {
        Look {
            is_off: false,
            colour: [0; 3],
            background: [255; 3],
        }
    }
}

impl Look {
    /// Whether nobody sees text that looks so.
    pub fn is_hidden(&self) -> bool {
        let alike = self
            .colour
            .iter()
            .zip(self.background)
            .all(|(a, b)| a.abs_diff(b) < ALIKE);
        self.is_off || alike
    }

    /// Nothing in it is shown.
    pub fn hide(&mut self) {
        self.is_off = true;
    }

    /// What an attribute changes.
    pub fn apply(&mut self, name: &[u8], value: &str) {
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        if is(b"style") {
            value.split(';').take(64).for_each(|rule| self.rule(rule));
        } else if is(b"color") || is(b"text") {
            self.colour = colour(value).unwrap_or(self.colour);
        } else if is(b"bgcolor") {
            self.background = colour(value).unwrap_or(self.background);
        } else if is(b"hidden") {
            self.hide();
        }
    }

    fn rule(&mut self, rule: &str) {
        let Some((name, value)) = rule.split_once(':') else {
            return;
        };
        let (name, value) = (name.trim(), value.trim());
        let value = value.split('!').next().unwrap_or_default().trim();
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        let says = |wanted: &str| value.eq_ignore_ascii_case(wanted);
        if is("color") {
            self.colour = colour(value).unwrap_or(self.colour);
        } else if is("background-color") || is("background") {
            let first = value.split_ascii_whitespace().next().unwrap_or_default();
            self.background = colour(first).unwrap_or(self.background);
        } else if is("display") && says("none")
            || is("visibility") && (says("hidden") || says("collapse"))
            || is("opacity") && is_nothing(value)
            || is("font-size") && (is_nothing(value) || says("1px"))
            || (is("max-height") || is("height") || is("max-width") || is("width")) && says("0px")
            || is("mso-hide") && says("all")
        {
            self.hide();
        } else if is("font-size") {
            // A size of its own ends that of what is around: `font-size:0` stands around tables, against gaps.
            self.is_off = false;
        }
    }
}

/// `0`, `0px`, `0.0em`.
fn is_nothing(value: &str) -> bool {
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    number.parse::<f32>() == Ok(0.0)
}

/// `#fff`, `#ffffff`, `ffffff`, `rgb(255, 255, 255)`, and the names that pages use most.
fn colour(text: &str) -> Option<Colour> {
    let text = text.trim();
    if let Some(inside) = text.strip_prefix("rgb(").and_then(|text| text.strip_suffix(')')) {
        let mut numbers = inside.split(',').map(|number| number.trim().parse::<u8>().ok());
        return Some([numbers.next()??, numbers.next()??, numbers.next()??]);
    }
    const NAMES: [(&str, Colour); 10] = [
        ("white", [255; 3]),
        ("black", [0; 3]),
        ("red", [255, 0, 0]),
        ("blue", [0, 0, 255]),
        ("green", [0, 128, 0]),
        ("yellow", [255, 255, 0]),
        ("gray", [128; 3]),
        ("silver", [192; 3]),
        ("navy", [0, 0, 128]),
        ("maroon", [128, 0, 0]),
    ];
    if let Some((_, colour)) = NAMES.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)) {
        return Some(*colour);
    }
    let digits = text.strip_prefix('#').unwrap_or(text);
    let number = u32::from_str_radix(digits, 16).ok()?;
    match digits.len() {
        6 => {
            let [_, red, green, blue] = number.to_be_bytes();
            Some([red, green, blue])
        }
        3 => Some([8, 4, 0].map(|shift| u8::try_from(number >> shift & 15).unwrap_or_default() * 17)),
        _ => None,
    }
}
