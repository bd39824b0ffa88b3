//! Codes in pictures, which are drawn here in words: `drawn PIXELS TEXT`. What is in real ones the crate `pictures` says.

use super::*;

const DRAWN: &[u8] = b"drawn ";
const LOGIN: &str = "https://203.0.113.5/login";

/// The code of a drawn picture. One without text breaks off, and what is larger than may be is not looked at.
pub(super) fn drawn(octets: &[u8], pixels_left: &mut usize) -> Vec<String> {
    let Some(rest) = octets.strip_prefix(DRAWN) else {
        return Vec::new();
    };
    let (pixels, text) = std::str::from_utf8(rest).unwrap().split_once(' ').unwrap();
    let Some(left) = pixels_left.checked_sub(pixels.parse().unwrap()) else {
        return Vec::new();
    };
    *pixels_left = left;
    Some(text.to_owned())
        .filter(|text| !text.is_empty())
        .into_iter()
        .collect()
}

fn picture(pixels: usize, text: &str) -> Vec<u8> {
    [DRAWN, format!("{pixels} {text}").as_bytes()].concat()
}

fn coded(pixels: usize, text: &str) -> String {
    BASE64_MIME_PERMISSIVE.encode(&picture(pixels, text))
}

/// A message with a picture that is attached.
fn attaching(text: &str) -> Links {
    let coded = coded(441, text);
    read(&format!(
        "Content-Type: image/png\nContent-Transfer-Encoding: base64\n\n{coded}\n"
    ))
}

/// Which costs as much as one that shows something.
#[test]
fn a_picture_that_breaks_off_is_paid_for() {
    let mut reader = Reader::new(&PublicSuffixes::BuiltIn, &drawn);
    reader.image(&picture(441, ""));
    assert_eq!(
        (reader.pixels_left, reader.images_left),
        (PIXELS_MAX - 441, IMAGES_MAX - 1)
    );
    // What is no picture, and what is too large to be looked at, costs nothing.
    let mut reader = Reader::new(&PublicSuffixes::BuiltIn, &drawn);
    reader.image(b"GIF89a");
    reader.image(&picture(PIXELS_MAX + 1, LOGIN));
    assert_eq!((reader.pixels_left, reader.images_left), (PIXELS_MAX, IMAGES_MAX));
    assert_eq!(reader.links, Links::default());
}

#[test]
fn a_code_is_a_link() {
    use Sign::*;
    let links = attaching(LOGIN);
    assert_eq!(signs(&links), [Address, QrCode]);
    assert_eq!(texts(&links), ["a QR code leads to 203.0.113.5"]);
    assert_eq!(
        attaching("WIFI:T:WPA;S:guests;P:www.secret.example;;"),
        Links::default(),
        "a network's password"
    );
    // By its octets, whatever it is called; and in the page itself.
    let named = "Content-Type: application/octet-stream; name=code.PNG\nContent-Transfer-Encoding: base64\n\n";
    let coded = coded(441, LOGIN);
    assert_eq!(signs(&read(&[named, &coded].concat())), [Address, QrCode]);
    for html in [
        format!("<img src=\"data:image/gif;base64,{coded}\">"),
        format!("<p style='background:url(data:image/png;x=y;base64,{coded})'>"),
    ] {
        assert_eq!(signs(&page(&html)), [Address, QrCode]);
    }
}

#[test]
fn pictures_have_their_limits() {
    let found = attaching(LOGIN);
    let part = |coded: &str| format!("--b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n{coded}\n");
    let beside = |coded: &str, count: usize| {
        let head = "Content-Type: multipart/mixed; boundary=b\n\n";
        read(&[head, &part(coded).repeat(count), &part(&self::coded(441, LOGIN))].concat())
    };
    // No more than eight are read, the smallest first.
    let (small, large) = (coded(441, ""), coded(441, &"x".repeat(60)));
    assert_eq!(beside(&small, IMAGES_MAX - 1), found);
    assert_eq!(beside(&small, IMAGES_MAX), Links::default());
    assert_eq!(beside(&large, 2 * IMAGES_MAX), found);
    // Nor more pixels than so many.
    let half = coded(PIXELS_MAX / 2, "");
    assert_eq!(beside(&half, 1), found);
    assert_eq!(beside(&half, 2), Links::default());
}
