//! Pictures with codes, and such as break decoders. `testdata/links/README.md` tells how they were made.

use super::*;
use proptest::prelude::*;

macro_rules! pictures {
    ($($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../../../testdata/links/", $name)).as_slice())),*]
    };
}

const PICTURES: [(&str, &[u8]); 12] = pictures![
    "plain.png",
    "plain.gif",
    "plain.jpg",
    "progressive.jpg",
    "turned.png",
    "light-on-dark.png",
    "transparent.png",
    "mirrored.png",
    "two.png",
    "long.png",
    "wifi.png",
    "blank.png"
];

fn picture(name: &str) -> Vec<u8> {
    let found = PICTURES.iter().find(|(known, _)| *known == name);
    found.map(|(_, octets)| octets.to_vec()).unwrap()
}

fn decoded(octets: &[u8], mut pixels_left: usize) -> Option<Gray> {
    Gray::decode(octets, &mut pixels_left)
}

fn codes(octets: &[u8]) -> Vec<String> {
    let mut pixels_left = PIXELS_MAX;
    qr_codes(octets, &mut pixels_left)
}

/// More than one picture may have.
const PIXELS_MAX: usize = image::PIXELS_MAX + image::PIXELS_MAX / 2;

const LOGIN: &str = "https://203.0.113.5/login";

#[test]
fn codes_are_read_whatever_they_are_drawn_with() {
    for name in [
        "plain.png",
        "plain.gif",
        "plain.jpg",
        "progressive.jpg",
        "turned.png",
        "light-on-dark.png",
        "transparent.png",
        "mirrored.png",
    ] {
        assert_eq!(codes(&picture(name)), [LOGIN], "{name}");
    }
    let mut two = codes(&picture("two.png"));
    two.sort();
    assert_eq!(two, [LOGIN, "https://www.ann.com/menu"]);
    assert_eq!(
        codes(&picture("long.png")),
        [["https://go.ann.com/", &"a1b2c3d4".repeat(60)].concat()]
    );
    assert!(codes(&picture("wifi.png"))[0].starts_with("WIFI:"));
    assert!(codes(&picture("blank.png")).is_empty());
}

/// Which costs as much as one that shows something.
#[test]
fn a_picture_that_breaks_off_is_paid_for() {
    for name in ["plain.png", "plain.gif"] {
        let whole = picture(name);
        let mut left = [PIXELS_MAX; 2];
        qr_codes(&whole, &mut left[0]);
        qr_codes(&whole[..whole.len() - 20], &mut left[1]);
        assert!(left[0] == left[1] && left[0] < PIXELS_MAX, "{name}");
    }
    // What is no picture, and what is too large to be looked at, costs nothing.
    let mut left = PIXELS_MAX;
    qr_codes(b"GIF89a", &mut left);
    qr_codes(&picture("blank.png")[..20], &mut left);
    assert_eq!(left, PIXELS_MAX);
}

#[test]
fn pictures_have_their_limits() {
    let plain = picture("plain.png");
    // What it claims to be is too large, whatever it is.
    let mut vast = plain.clone();
    vast[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    assert!(decoded(&vast, PIXELS_MAX).is_none());
    let mut vast = picture("plain.gif");
    vast[6..10].copy_from_slice(&[0xff; 4]);
    assert!(decoded(&vast, PIXELS_MAX).is_none());
    let jpeg = picture("plain.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let mut vast = jpeg.clone();
    vast[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert!(decoded(&vast, PIXELS_MAX).is_none());
    assert!(decoded(&plain, 100).is_none());
}

#[test]
fn broken_pictures_are_none() {
    for name in ["plain.png", "plain.gif", "plain.jpg", "progressive.jpg"] {
        let whole = picture(name);
        for len in (0..whole.len()).step_by(31) {
            let _ = codes(&whole[..len]);
        }
        for at in (0..whole.len().min(400)).step_by(3) {
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            let _ = codes(&changed);
        }
    }
}

/// A picture full of finder patterns, and one of lines that are almost some: what costs other readers minutes.
#[test]
fn pictures_that_are_all_corners_end_soon() {
    let (width, height) = (1200, 1200);
    let finder = |x: usize, y: usize| {
        let ring = [x.abs_diff(3), y.abs_diff(3)].into_iter().max();
        ring.is_some_and(|ring| ring != 2 && ring <= 3)
    };
    let drawings: [&dyn Fn(usize, usize) -> bool; 4] = [
        &|x, y| finder(x % 8, y % 8),
        &|x, _| [true, false, true, true, true, false, true, false][x % 8],
        &|x, y| (x + y) % 2 == 0,
        &|x, y| (x * 7 + y * 13) % 11 < 5,
    ];
    for draw in drawings {
        let pixels = (0..width * height).map(|at| if draw(at % width, at / width) { 0 } else { 255 });
        let gray = Gray {
            width,
            height,
            pixels: pixels.collect(),
        };
        assert!(qr::read(&gray).is_empty());
    }
}

proptest! {
    #[test]
    fn any_picture_is_read(width in 1_usize..60, pixels in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let height = pixels.len() / width;
        let pixels = pixels[..width * height].to_vec();
        let gray = Gray { width, height, pixels };
        prop_assert!(qr::read(&gray).len() <= qr::CODES_MAX);
    }
}
