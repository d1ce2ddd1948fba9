//! Whole images by the public interface: every pixel, and what a decoder reads from them.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::io::Cursor;

use scanvault_qr::emv::Merchant;
use scanvault_qr::request::{Code, Image, ImageRequest, Settings};
use scanvault_qr::{Ecc, Level, Matrix, Plan, Version};

const ORANGE: [u8; 3] = [0xF3, 0x70, 0x21];
const GREY: [u8; 3] = [0x80; 3];
const BLACK: [u8; 3] = [0; 3];
const WHITE: [u8; 3] = [255; 3];

struct Pixels {
    size: usize,
    rgb: Vec<[u8; 3]>,
}

impl Pixels {
    fn of(png: &[u8]) -> Self {
        let mut decoder = png::Decoder::new(Cursor::new(png));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut buffer).unwrap();
        assert_eq!(info.width, info.height);
        let rgb = match info.color_type {
            png::ColorType::Grayscale => buffer.iter().map(|&grey| [grey; 3]).collect(),
            // No alpha anywhere: opaque white survives dark pages.
            png::ColorType::Rgb => buffer.as_chunks::<3>().0.to_vec(),
            other => panic!("{other:?}"),
        };
        Self { size: info.width as usize, rgb }
    }

    fn at(&self, x: usize, y: usize) -> [u8; 3] {
        self.rgb[y * self.size + x]
    }

    /// What `rqrr` reads; it gets luminance, as from a camera.
    fn decode(&self) -> Option<String> {
        let luma = |x, y| {
            let [red, green, blue] = self.at(x, y).map(u32::from);
            ((299 * red + 587 * green + 114 * blue) / 1000) as u8
        };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(self.size, self.size, luma);
        image.detect_grids().first()?.decode().ok().map(|(_, text)| text)
    }
}

fn settings() -> Settings {
    let merchant = Merchant::new("ZA", "710", "Corner Shop", "Cape Town").unwrap();
    Settings::new("https://pay.example", merchant).unwrap()
}

fn render(path: &str, query: &str) -> Image {
    let request = ImageRequest::parse(path, query).unwrap();
    request.render(&settings()).unwrap()
}

/// What the symbol of a request carries.
fn payload(kind: &str, code: &str) -> String {
    let code = Code::parse(code).unwrap();
    match kind {
        "url" => settings().code_url(code),
        "code" => code.to_string(),
        _ => {
            let merchant = Merchant::new("ZA", "710", "Corner Shop", "Cape Town").unwrap();
            scanvault_qr::emv::payload(code, &merchant)
        }
    }
}

/// Finds the symbol by its modules' colour alone and compares every pixel of the square around it.
fn assert_plain(pixels: &Pixels, matrix: &Matrix, margin: usize) {
    let modules = matrix.size() as usize;
    let scale = pixels.size / (modules + 2 * margin);
    let dark = |x: usize, y: usize| pixels.at(x, y) == BLACK;
    // The top left finder's corner is dark: it fixes the symbol's place.
    let top = (0..pixels.size).find(|&y| (0..pixels.size).any(|x| dark(x, y))).unwrap();
    let left = (0..pixels.size).find(|&x| (0..pixels.size).any(|y| dark(x, y))).unwrap();
    for (corner, name) in [(left, "left"), (top, "top")] {
        let after = pixels.size - corner - modules * scale;
        assert!(corner >= margin * scale && after >= margin * scale, "{name}: {corner} {after}");
        assert!(corner.abs_diff(after) <= 15, "{name}: {corner} {after} is not the middle");
    }
    for (i, &pixel) in pixels.rgb.iter().enumerate() {
        let (x, y) = (i % pixels.size, i / pixels.size);
        let module = |at: usize, corner: usize| at.checked_sub(corner).map_or(999, |d| d / scale) as u32;
        let expected = if matrix.is_dark(module(x, left), module(y, top)) { BLACK } else { WHITE };
        assert_eq!(pixel, expected, "{x}, {y}");
    }
}

#[test]
fn every_pixel_of_plain_images() {
    for kind in ["code", "url", "emv"] {
        let text = payload(kind, "0123456789");
        let matrix = Matrix::encode(text.as_bytes(), Ecc::Auto).unwrap();
        for margin in [4, 5, 7, 16] {
            let least = 2 * (matrix.size() + 2 * margin);
            for size in (least.max(64)..600).step_by(17).chain([512, 777, 1024, 1563, 2048]) {
                let query = format!("size={size}&margin={margin}&payload={kind}&plain");
                let image = render("stpqr/0123456789", &query);
                assert_eq!(image.content_type, "image/png");
                let pixels = Pixels::of(&image.bytes);
                assert_eq!(pixels.size, size as usize);
                assert_plain(&pixels, &matrix, margin as usize);
            }
        }
    }
}

#[test]
fn large_symbols_have_every_pixel_too() {
    for len in [200, 600, 2300] {
        let matrix = Matrix::encode(&vec![b'q'; len], Ecc::Auto).unwrap();
        for size in [2 * (matrix.size() + 8), 1000, 4096] {
            let pixels = Pixels::of(&matrix.to_png(size, 4).unwrap());
            assert_plain(&pixels, &matrix, 4);
        }
        assert_eq!(matrix.to_png(2 * (matrix.size() + 8) - 1, 4), None);
        assert_eq!(matrix.to_png(4097, 4), None);
        assert_eq!(matrix.to_png(4096, u32::MAX), None);
    }
}

#[test]
fn decoders_read_what_was_encoded() {
    let kinds = ["qr", "stpqr", "zimswitch"];
    let mut read = 0;
    for i in 0..270_u64 {
        let code = format!("{:010}", i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 10_000_000_000);
        let carried = ["url", "code", "emv"][(i / 3 % 3) as usize];
        let ecc = ["auto", "L", "M", "Q", "H"][(i / 9 % 5) as usize];
        let size = [400, 300, 333, 512][(i / 45 % 4) as usize];
        let query = format!("payload={carried}&ecc={ecc}&size={size}&colorCode={}", i % 4);
        let image = render(&format!("{}/{code}", kinds[(i % 3) as usize]), &query);
        let decoded = Pixels::of(&image.bytes).decode();
        assert_eq!(decoded.as_deref(), Some(payload(carried, &code).as_str()), "{code} {query}");
        read += 1;
    }
    println!("{read} images decoded");
}

#[test]
fn a_decoder_reads_every_version_to_25_at_every_level() {
    for version in (1..=25).filter_map(Version::new) {
        for level in Level::ALL {
            // The shortest message that needs this version: the version before it is full.
            let text = |len: usize| "Corner Shop, Cape Town. ".chars().cycle().take(len).collect::<String>();
            let needs = |len: &usize| Plan::new(text(*len).as_bytes(), Ecc::Fixed(level)).unwrap().version() >= version;
            let text = text((1..1500).find(needs).unwrap());
            let matrix = Matrix::encode(text.as_bytes(), Ecc::Fixed(level)).unwrap();
            let png = matrix.to_png(4 * (matrix.size() + 8), 4).unwrap();
            assert_eq!(Pixels::of(&png).decode(), Some(text), "{version:?} {level:?}");
        }
    }
}

#[test]
fn frames_have_their_colour_and_keep_the_symbol_black_on_white() {
    for (colour, rgb) in [ORANGE, BLACK, GREY, BLACK].into_iter().enumerate() {
        for (kind, has_sides) in [("stpqr", true), ("zimswitch", false)] {
            for size in [80, 150, 400, 641, 1024] {
                let image = render(&format!("{kind}/0123456789"), &format!("colorCode={colour}&size={size}"));
                let pixels = Pixels::of(&image.bytes);
                let last = size - 1;
                let middle = size / 2;
                for (x, y) in [(0, 0), (last, 0), (0, last), (last, last), (middle, 0), (middle, last)] {
                    assert_eq!(pixels.at(x, y), rgb);
                }
                for x in [0, last] {
                    assert_eq!(pixels.at(x, middle), if has_sides { rgb } else { WHITE });
                }
                // The frame's thickness, then nothing but black and white within it.
                let bar = (0..size).find(|&y| pixels.at(middle, y) != rgb).unwrap();
                for y in bar..size - bar {
                    for x in bar..size - bar {
                        assert!([BLACK, WHITE].contains(&pixels.at(x, y)), "{x}, {y}");
                    }
                }
                assert_digits_below(&pixels, bar);
            }
        }
    }
}

/// The digits are a band of their own below the symbol, with white around them.
fn assert_digits_below(pixels: &Pixels, bar: usize) {
    let inked = |y: &usize| (bar..pixels.size - bar).any(|x| pixels.at(x, *y) == BLACK);
    let rows: Vec<usize> = (bar..pixels.size - bar).filter(inked).collect();
    let bands: Vec<&[usize]> = rows.chunk_by(|a, b| a + 1 == *b).collect();
    assert_eq!(bands.len(), 2, "symbol and text");
    let (symbol, text) = (bands[0], bands[1]);
    let scale = symbol.len() / 25;
    assert_eq!(symbol.len() % 25, 0, "version 2");
    assert!(text[0] - symbol[symbol.len() - 1] > 4 * scale, "quiet zone");
    assert_eq!(text.len() % 7, 0, "seven rows of a glyph");
    let unit = text.len() / 7;
    // "0123456789": each digit's columns carry ink, each gap none.
    let column = |x: usize| text.iter().any(|&y| pixels.at(x, y) == BLACK);
    let left = (bar..pixels.size).find(|&x| column(x)).unwrap();
    for digit in 0..10 {
        let start = left + 6 * digit * unit;
        assert!((start..start + 5 * unit).any(column));
        assert!(digit == 9 || !(start + 5 * unit..start + 6 * unit).any(column));
    }
}

/// Draws the strokes of an SVG path of relative moves and horizontal lines.
fn strokes(path: &str) -> Vec<(i64, i64, i64)> {
    let mut out = Vec::new();
    let (mut x, mut y) = (0, 0);
    let mut rest = path;
    while let Some(command) = rest.chars().next() {
        let end = rest[1..].find(|c: char| c.is_ascii_alphabetic()).map_or(rest.len(), |i| i + 1);
        let (arguments, tail) = (&rest[1..end], &rest[end..]);
        rest = tail;
        match command {
            'M' | 'm' => {
                let (dx, dy) = arguments.split_once(' ').unwrap();
                x += dx.parse::<i64>().unwrap();
                // The half that puts the line into the middle of its row comes once, at the start.
                y += dy.strip_suffix(".5").filter(|_| command == 'M').unwrap_or(dy).parse::<i64>().unwrap();
            }
            'h' => {
                let len: i64 = arguments.parse().unwrap();
                out.push((x, y, len));
                x += len;
            }
            other => panic!("{other}"),
        }
    }
    out
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split_once(end).map(|(found, _)| found)
}

#[test]
fn svg_strokes_are_the_modules() {
    for (kind, carried) in [("qr", "code"), ("qr", "url"), ("qr", "emv"), ("stpqr", "url"), ("zimswitch", "emv")] {
        let text = payload(carried, "0123456789");
        let matrix = Matrix::encode(text.as_bytes(), Ecc::Auto).unwrap();
        let image = render(&format!("{kind}/0123456789.svg"), &format!("payload={carried}"));
        assert_eq!(image.content_type, "image/svg+xml; charset=utf-8");
        let svg = String::from_utf8(image.bytes).unwrap();
        let offset = if kind == "qr" { 4 } else { 0 };
        let path = svg.split_once("stroke=\"#000\"").unwrap().1;
        let mut dark = vec![vec![false; matrix.size() as usize]; matrix.size() as usize];
        for (x, y, len) in strokes(between(path, " d=\"", "\"").unwrap()) {
            for x in x..x + len {
                let cell = &mut dark[(y - offset) as usize][(x - offset) as usize];
                assert!(!*cell, "drawn twice");
                *cell = true;
            }
        }
        for y in 0..matrix.size() {
            for x in 0..matrix.size() {
                assert_eq!(dark[y as usize][x as usize], matrix.is_dark(x, y));
            }
        }
        let view = if kind == "qr" { matrix.size() + 8 } else { 400 };
        assert_eq!(between(&svg, "viewBox=\"", "\""), Some(format!("0 0 {view} {view}").as_str()));
        assert_eq!(between(&svg, "<title>", "</title>"), Some("0123456789"));
        assert_eq!(between(&svg, "aria-label=\"", "\""), Some("0123456789"));
        assert!(svg.contains("shape-rendering=\"crispEdges\""));
        assert!(svg.contains(&format!("<path fill=\"#fff\" d=\"M0 0h{view}v{view}H0z\"/>")));
    }
}

#[test]
fn framed_svg_and_png_share_their_geometry() {
    let svg = String::from_utf8(render("stpqr/0123456789.svg", "").bytes).unwrap();
    let pixels = Pixels::of(&render("stpqr/0123456789", "").bytes);
    for part in svg.split("stroke=\"#000\" ").skip(1) {
        let (x, y) = between(part, "translate(", ")").unwrap().split_once(' ').unwrap();
        let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
        let scale: usize = between(part, "scale(", ")").unwrap().parse().unwrap();
        for (column, row, len) in strokes(between(part, " d=\"", "\"").unwrap()) {
            let at = |column: i64| pixels.at(x + column as usize * scale, y + row as usize * scale);
            assert_eq!(at(column), BLACK);
            assert_eq!(at(column + len - 1), BLACK);
            assert_eq!(at(column + len), WHITE);
        }
    }
    assert_eq!(svg.matches("stroke=\"#000\"").count(), 2);
    assert!(svg.contains("fill=\"#f37021\""));
}

#[test]
fn a_data_uri_is_the_png() {
    let uri = String::from_utf8(render("qr/0123456789", "format=datauri").bytes).unwrap();
    let base64 = uri.strip_prefix("data:image/png;base64,").unwrap();
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for group in base64.as_bytes().chunks(4) {
        let bits = group.iter().filter(|&&c| c != b'=').fold(0_u32, |bits, &c| bits << 6 | u32::from(value(c)));
        let len = group.iter().filter(|&&c| c != b'=').count();
        let bits = bits << (6 * (4 - len));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..len]);
    }
    assert_eq!(bytes, render("qr/0123456789", "").bytes);
}

#[test]
fn images_are_small() {
    let bytes = |path, query| render(path, query).bytes.len();
    let long = Matrix::encode(b"https://app.scantopay.io/qr?qrcode=8962148867", Ecc::Auto).unwrap();
    let sizes = [
        (long.to_png(300, 4).unwrap().len(), 450),
        (bytes("qr/0123456789", ""), 550),
        (bytes("qr/0123456789", "size=1024"), 1350),
        (bytes("qr/0123456789", "size=300&payload=code"), 450),
        (bytes("qr/0123456789", "size=1024&payload=code"), 1200),
        (bytes("stpqr/0123456789", ""), 1200),
        (bytes("qr/0123456789.svg", ""), 1400),
    ];
    println!("bytes and bounds: {sizes:?}");
    for (size, most) in sizes {
        assert!(size <= most, "{sizes:?}");
    }
}
