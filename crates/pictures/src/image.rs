//! Images as shades of grey, for those who look for a code in them.
//!
//! Decoders of others do the work, on octets of strangers: the size that an image claims is asked before anything is
//! allocated, only the first picture of several counts, and a decoder that breaks means that there is no picture.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

/// Larger images are not looked at: this is the picture of a telephone's whole screen.
pub(super) const PIXELS_MAX: usize = 4 << 20;
/// The smallest code has so many modules.
const SIDE_MIN: usize = 21;
/// Whichever way a decoder goes about it, it needs no more octets.
const DECODER_OCTETS_MAX: usize = 6 * PIXELS_MAX;
/// A progressive JPEG has about ten scans; each costs as much as the whole.
const JPEG_SCANS_MAX: usize = 20;

/// A picture without colours.
pub(super) struct Gray {
    pub width: usize,
    pub height: usize,
    /// Row by row: 0 is black.
    pub pixels: Vec<u8>,
}

impl Gray {
    /// Decodes a PNG, JPEG or GIF, known by its first octets, of at most so many pixels. These are taken from what is
    /// left, also for one that breaks off: it costs as much.
    pub fn decode(octets: &[u8], pixels_left: &mut usize) -> Option<Gray> {
        let decode = || match octets {
            [0x89, b'P', b'N', b'G', ..] => png(octets, pixels_left),
            [0xff, 0xd8, 0xff, ..] => jpeg(octets, pixels_left),
            [b'G', b'I', b'F', b'8', ..] => gif(octets, pixels_left),
            _ => None,
        };
        let gray = catch_unwind(AssertUnwindSafe(decode)).ok()??;
        (gray.pixels.len() == gray.width * gray.height && gray.width > 0).then_some(gray)
    }
}

/// Width and height, if the picture is not too large, nor too small for a code.
fn size(width: usize, height: usize, pixels_left: usize) -> Option<(usize, usize)> {
    let pixels = width.checked_mul(height)?;
    (pixels <= pixels_left.min(PIXELS_MAX) && width.min(height) >= SIDE_MIN).then_some((width, height))
}

/// The same of one that is decoded now.
fn paid(width: usize, height: usize, pixels_left: &mut usize) -> Option<(usize, usize)> {
    let size = size(width, height, *pixels_left)?;
    *pixels_left -= width * height;
    Some(size)
}

/// What the eye makes of a colour (ITU-R BT.601), on white paper where it is transparent.
fn shade(red: u8, green: u8, blue: u8, opacity: u8) -> u8 {
    let light = (299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)) / 1000;
    let opacity = u32::from(opacity);
    u8::try_from((light * opacity + 255 * (255 - opacity)) / 255).unwrap_or(u8::MAX)
}

fn png(octets: &[u8], pixels_left: &mut usize) -> Option<Gray> {
    let limits = png::Limits {
        bytes: DECODER_OCTETS_MAX,
    };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(octets), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().ok()?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    paid(width, height, pixels_left)?;
    let mut buffer = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut buffer).ok()?;
    let pixels = buffer.get(..info.buffer_size())?;
    let pixels = match info.color_type {
        png::ColorType::Grayscale => pixels.to_vec(),
        png::ColorType::GrayscaleAlpha => each(pixels, |[light, a]| shade(light, light, light, a)),
        png::ColorType::Rgb => each(pixels, |[r, g, b]| shade(r, g, b, 255)),
        png::ColorType::Rgba => each(pixels, |[r, g, b, a]| shade(r, g, b, a)),
        png::ColorType::Indexed => return None,
    };
    Some(Gray { width, height, pixels })
}

fn each<const N: usize>(octets: &[u8], shade: impl Fn([u8; N]) -> u8) -> Vec<u8> {
    octets.as_chunks::<N>().0.iter().map(|pixel| shade(*pixel)).collect()
}

fn jpeg(octets: &[u8], pixels_left: &mut usize) -> Option<Gray> {
    let options = DecoderOptions::default()
        .set_max_width(PIXELS_MAX)
        .set_max_height(PIXELS_MAX)
        .set_use_unsafe(false)
        .jpeg_set_max_scans(JPEG_SCANS_MAX)
        .jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(octets), options);
    decoder.decode_headers().ok()?;
    let info = decoder.info()?;
    let (width, height) = paid(info.width.into(), info.height.into(), pixels_left)?;
    let pixels = decoder.decode().ok()?;
    // It keeps the colours of those that it cannot turn into grey.
    let pixels = match pixels.len() / (width * height).max(1) {
        1 => pixels,
        3 => each(&pixels, |[r, g, b]| shade(r, g, b, 255)),
        _ => return None,
    };
    Some(Gray { width, height, pixels })
}

fn gif(octets: &[u8], pixels_left: &mut usize) -> Option<Gray> {
    let mut options = gif::DecodeOptions::new();
    let octets_max = std::num::NonZeroU64::new(u64::try_from(DECODER_OCTETS_MAX).ok()?)?;
    options.set_memory_limit(gif::MemoryLimit::Bytes(octets_max));
    let mut decoder = options.read_info(Cursor::new(octets)).ok()?;
    size(decoder.width().into(), decoder.height().into(), *pixels_left)?;
    let (width, height) = {
        let frame = decoder.next_frame_info().ok()??;
        paid(frame.width.into(), frame.height.into(), pixels_left)?
    };
    let transparent = decoder.current_frame_info()?.transparent;
    let palette: Vec<u8> = decoder
        .palette()
        .ok()?
        .as_chunks::<3>()
        .0
        .iter()
        .map(|[r, g, b]| shade(*r, *g, *b, 255))
        .collect();
    let mut pixels = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut pixels).ok()?;
    for pixel in &mut pixels {
        let is_seen = transparent != Some(*pixel);
        *pixel = palette
            .get(usize::from(*pixel))
            .copied()
            .filter(|_| is_seen)
            .unwrap_or(255);
    }
    Some(Gray { width, height, pixels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_transparent_is_paper() {
        assert_eq!(shade(0, 0, 0, 0), 255);
        assert_eq!(shade(0, 0, 0, 255), 0);
        assert_eq!(shade(255, 255, 255, 255), 255);
        assert_eq!(shade(0, 255, 0, 255), 149);
    }
}
