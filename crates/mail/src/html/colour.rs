//! Colours as CSS writes them (CSS Color 4 §4 to §6), as far as they are sure.

/// A colour as red, green, blue.
pub(super) type Rgb = [u8; 3];

/// Colours that differ by less than this in all three are one to the eye.
const ALIKE: u8 = 16;

/// What text, or what is behind it, is painted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Colour(Rgb),
    /// Nothing: what is behind it is seen.
    Clear,
    /// What is around decides.
    Inherited,
    /// A picture, a gradient, half a colour, or whatever is not understood.
    Unknown,
}

/// Whether text of the one colour on the other is seen by nobody.
pub(super) fn is_alike(a: Rgb, b: Rgb) -> bool {
    a.into_iter().zip(b).all(|(a, b)| a.abs_diff(b) < ALIKE)
}

/// The value of a `color`, in lower case.
pub(super) fn paint(text: &str) -> Paint {
    match text {
        "transparent" => return Paint::Clear,
        "inherit" | "currentcolor" => return Paint::Inherited,
        _ => {}
    }
    if let Some(digits) = text.strip_prefix('#') {
        return by_digits(digits);
    }
    if let Some((function, inside)) = text.split_once('(') {
        return inside
            .strip_suffix(')')
            .map_or(Paint::Unknown, |inside| by_function(function, inside));
    }
    named(text).map_or(Paint::Unknown, Paint::Colour)
}

/// The value of a `bgcolor`. Of what browsers make of garbage nothing is sure.
pub(super) fn paint_of_attribute(text: &str) -> Paint {
    let text = text
        .trim_matches(|c: char| c.is_ascii_whitespace())
        .to_ascii_lowercase();
    match text.strip_prefix('#') {
        Some(digits) if matches!(digits.len(), 3 | 6) => by_digits(digits),
        Some(_) => Paint::Unknown,
        None if text.len() == 6 && text.bytes().all(|b| b.is_ascii_hexdigit()) => by_digits(&text),
        None => named(&text).map_or(Paint::Unknown, Paint::Colour),
    }
}

/// `#rgb`, `#rgba`, `#rrggbb`, `#rrggbbaa`, without the `#`.
fn by_digits(digits: &str) -> Paint {
    let values: Option<Vec<u8>> = digits
        .chars()
        .take(9)
        .map(|c| c.to_digit(16).and_then(|value| u8::try_from(value).ok()))
        .collect();
    let rgba = match values.as_deref() {
        Some(&[r, g, b]) => [r * 17, g * 17, b * 17, 255],
        Some(&[r, g, b, a]) => [r * 17, g * 17, b * 17, a * 17],
        Some(&[r, s, g, t, b, u]) => [r * 16 + s, g * 16 + t, b * 16 + u, 255],
        Some(&[r, s, g, t, b, u, a, c]) => [r * 16 + s, g * 16 + t, b * 16 + u, a * 16 + c],
        _ => return Paint::Unknown,
    };
    let [r, g, b, a] = rgba;
    blended([r, g, b], f32::from(a) / 255.0)
}

fn blended(colour: Rgb, alpha: f32) -> Paint {
    match alpha {
        alpha if alpha >= 1.0 => Paint::Colour(colour),
        alpha if alpha <= 0.0 => Paint::Clear,
        _ => Paint::Unknown,
    }
}

/// `rgb()`, `rgba()`, `hsl()`, `hsla()` with commas or with blanks; the last of four is how opaque it is.
fn by_function(function: &str, inside: &str) -> Paint {
    let mut parts = inside
        .split([',', '/', ' ', '\t', '\n'])
        .filter(|part| !part.is_empty());
    let mut next = || parts.next().unwrap_or_default();
    let (a, b, c, alpha) = (next(), next(), next(), next());
    if !next().is_empty() {
        return Paint::Unknown;
    }
    let alpha = match alpha {
        "" => Some(1.0),
        alpha => number(alpha, 1.0),
    };
    let colour = match function {
        "rgb" | "rgba" => rgb(a, b, c),
        "hsl" | "hsla" => hsl(a, b, c),
        _ => None,
    };
    match (colour, alpha) {
        (Some(colour), Some(alpha)) => blended(colour, alpha),
        _ => Paint::Unknown,
    }
}

/// A number, or a share of what is the whole.
fn number(text: &str, whole: f32) -> Option<f32> {
    let (text, factor) = match text.strip_suffix('%') {
        Some(share) => (share, whole / 100.0),
        None => (text, 1.0),
    };
    let is_plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e'));
    let number: f32 = text.parse().ok().filter(|_| is_plain)?;
    Some(number * factor)
}

fn octet(number: f32) -> u8 {
    // In range by the clamp; a number that is none is 0.
    number.round().clamp(0.0, 255.0) as u8
}

fn rgb(r: &str, g: &str, b: &str) -> Option<Rgb> {
    let part = |text| number(text, 255.0).map(octet);
    Some([part(r)?, part(g)?, part(b)?])
}

/// CSS Color 4 §7.1.
fn hsl(hue: &str, saturation: &str, light: &str) -> Option<Rgb> {
    let hue = number(hue.strip_suffix("deg").unwrap_or(hue), 360.0)?.rem_euclid(360.0);
    let share = |text: &str| number(text.strip_suffix('%').unwrap_or(text), 1.0).map(|n| (n / 100.0).clamp(0.0, 1.0));
    let (saturation, light) = (share(saturation)?, share(light)?);
    let part = |n: f32| {
        let k = (n + hue / 30.0) % 12.0;
        let a = saturation * light.min(1.0 - light);
        octet(255.0 * (light - a * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0)))
    };
    Some([part(0.0), part(8.0), part(4.0)])
}

fn named(name: &str) -> Option<Rgb> {
    let at = NAMES.binary_search_by_key(&name, |(name, _)| name).ok()?;
    let [_, red, green, blue] = NAMES.get(at)?.1.to_be_bytes();
    Some([red, green, blue])
}

/// All names of CSS Color 4 §6.1, sorted.
#[rustfmt::skip]
const NAMES: [(&str, u32); 148] = [
    ("aliceblue", 0xf0f8ff), ("antiquewhite", 0xfaebd7), ("aqua", 0x00ffff), ("aquamarine", 0x7fffd4),
    ("azure", 0xf0ffff), ("beige", 0xf5f5dc), ("bisque", 0xffe4c4), ("black", 0x000000), ("blanchedalmond", 0xffebcd),
    ("blue", 0x0000ff), ("blueviolet", 0x8a2be2), ("brown", 0xa52a2a), ("burlywood", 0xdeb887),
    ("cadetblue", 0x5f9ea0), ("chartreuse", 0x7fff00), ("chocolate", 0xd2691e), ("coral", 0xff7f50),
    ("cornflowerblue", 0x6495ed), ("cornsilk", 0xfff8dc), ("crimson", 0xdc143c), ("cyan", 0x00ffff),
    ("darkblue", 0x00008b), ("darkcyan", 0x008b8b), ("darkgoldenrod", 0xb8860b), ("darkgray", 0xa9a9a9),
    ("darkgreen", 0x006400), ("darkgrey", 0xa9a9a9), ("darkkhaki", 0xbdb76b), ("darkmagenta", 0x8b008b),
    ("darkolivegreen", 0x556b2f), ("darkorange", 0xff8c00), ("darkorchid", 0x9932cc), ("darkred", 0x8b0000),
    ("darksalmon", 0xe9967a), ("darkseagreen", 0x8fbc8f), ("darkslateblue", 0x483d8b), ("darkslategray", 0x2f4f4f),
    ("darkslategrey", 0x2f4f4f), ("darkturquoise", 0x00ced1), ("darkviolet", 0x9400d3), ("deeppink", 0xff1493),
    ("deepskyblue", 0x00bfff), ("dimgray", 0x696969), ("dimgrey", 0x696969), ("dodgerblue", 0x1e90ff),
    ("firebrick", 0xb22222), ("floralwhite", 0xfffaf0), ("forestgreen", 0x228b22), ("fuchsia", 0xff00ff),
    ("gainsboro", 0xdcdcdc), ("ghostwhite", 0xf8f8ff), ("gold", 0xffd700), ("goldenrod", 0xdaa520),
    ("gray", 0x808080), ("green", 0x008000), ("greenyellow", 0xadff2f), ("grey", 0x808080), ("honeydew", 0xf0fff0),
    ("hotpink", 0xff69b4), ("indianred", 0xcd5c5c), ("indigo", 0x4b0082), ("ivory", 0xfffff0), ("khaki", 0xf0e68c),
    ("lavender", 0xe6e6fa), ("lavenderblush", 0xfff0f5), ("lawngreen", 0x7cfc00), ("lemonchiffon", 0xfffacd),
    ("lightblue", 0xadd8e6), ("lightcoral", 0xf08080), ("lightcyan", 0xe0ffff), ("lightgoldenrodyellow", 0xfafad2),
    ("lightgray", 0xd3d3d3), ("lightgreen", 0x90ee90), ("lightgrey", 0xd3d3d3), ("lightpink", 0xffb6c1),
    ("lightsalmon", 0xffa07a), ("lightseagreen", 0x20b2aa), ("lightskyblue", 0x87cefa), ("lightslategray", 0x778899),
    ("lightslategrey", 0x778899), ("lightsteelblue", 0xb0c4de), ("lightyellow", 0xffffe0), ("lime", 0x00ff00),
    ("limegreen", 0x32cd32), ("linen", 0xfaf0e6), ("magenta", 0xff00ff), ("maroon", 0x800000),
    ("mediumaquamarine", 0x66cdaa), ("mediumblue", 0x0000cd), ("mediumorchid", 0xba55d3), ("mediumpurple", 0x9370db),
    ("mediumseagreen", 0x3cb371), ("mediumslateblue", 0x7b68ee), ("mediumspringgreen", 0x00fa9a),
    ("mediumturquoise", 0x48d1cc), ("mediumvioletred", 0xc71585), ("midnightblue", 0x191970), ("mintcream", 0xf5fffa),
    ("mistyrose", 0xffe4e1), ("moccasin", 0xffe4b5), ("navajowhite", 0xffdead), ("navy", 0x000080),
    ("oldlace", 0xfdf5e6), ("olive", 0x808000), ("olivedrab", 0x6b8e23), ("orange", 0xffa500),
    ("orangered", 0xff4500), ("orchid", 0xda70d6), ("palegoldenrod", 0xeee8aa), ("palegreen", 0x98fb98),
    ("paleturquoise", 0xafeeee), ("palevioletred", 0xdb7093), ("papayawhip", 0xffefd5), ("peachpuff", 0xffdab9),
    ("peru", 0xcd853f), ("pink", 0xffc0cb), ("plum", 0xdda0dd), ("powderblue", 0xb0e0e6), ("purple", 0x800080),
    ("rebeccapurple", 0x663399), ("red", 0xff0000), ("rosybrown", 0xbc8f8f), ("royalblue", 0x4169e1),
    ("saddlebrown", 0x8b4513), ("salmon", 0xfa8072), ("sandybrown", 0xf4a460), ("seagreen", 0x2e8b57),
    ("seashell", 0xfff5ee), ("sienna", 0xa0522d), ("silver", 0xc0c0c0), ("skyblue", 0x87ceeb),
    ("slateblue", 0x6a5acd), ("slategray", 0x708090), ("slategrey", 0x708090), ("snow", 0xfffafa),
    ("springgreen", 0x00ff7f), ("steelblue", 0x4682b4), ("tan", 0xd2b48c), ("teal", 0x008080), ("thistle", 0xd8bfd8),
    ("tomato", 0xff6347), ("turquoise", 0x40e0d0), ("violet", 0xee82ee), ("wheat", 0xf5deb3), ("white", 0xffffff),
    ("whitesmoke", 0xf5f5f5), ("yellow", 0xffff00), ("yellowgreen", 0x9acd32),
];
