//! Where everything in an image is, in whole pixels; and our artwork: a frame with the ten
//! digits under the symbol.

use std::iter;

use crate::matrix::{DarkRuns, Matrix};
use crate::png::{Colours, Png, Tone};

/// The fewest pixels per module that cameras read well.
const LEAST_SCALE: u32 = 2;
/// Ten digits of five columns with one column between them.
const TEXT_WIDTH: u32 = 59;
const TEXT_HEIGHT: u32 = 7;
/// Text and the white below it.
const TEXT_BAND: u32 = TEXT_HEIGHT + 2;

/// What a frame looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) shape: Shape,
    pub(crate) paint: Paint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All around.
    Ring,
    /// Above and below only.
    Bars,
}

/// `colorCode` of the public contract. The modules are black on white whatever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Orange,
    /// Black and white: a thin black line.
    Line,
    Grey,
    Black,
}

/// An image's geometry. All distances are pixels from the top left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) size: u32,
    /// Pixels per module.
    pub(crate) scale: u32,
    /// The symbol's own corner, quiet zone outside.
    pub(crate) left: u32,
    pub(crate) top: u32,
    /// Modules on each side.
    pub(crate) modules: u32,
    pub(crate) frame: Option<Frame>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) paint: Paint,
    /// Thickness left and right, and above and below.
    pub(crate) side: u32,
    pub(crate) bar: u32,
    /// Pixels per column of a glyph.
    pub(crate) unit: u32,
    pub(crate) text_left: u32,
    pub(crate) text_top: u32,
}

impl Matrix {
    /// A square black-and-white PNG of `size` pixels with at least `margin` modules of white.
    ///
    /// `None` when a module would have fewer than two pixels, or above 4096 pixels (the writer
    /// counts a run of rows in sixteen bits).
    #[must_use]
    pub fn to_png(&self, size: u32, margin: u32) -> Option<Vec<u8>> {
        if size > 4096 || margin > size {
            return None;
        }
        Some(Layout::new(self.size(), margin, size, None)?.png(self, ""))
    }
}

impl Paint {
    pub(crate) fn rgb(self) -> [u8; 3] {
        match self {
            Self::Orange => [0xF3, 0x70, 0x21],
            Self::Grey => [0x80, 0x80, 0x80],
            Self::Line | Self::Black => [0; 3],
        }
    }

    fn colours(self) -> Colours {
        match self {
            Self::Orange | Self::Grey => Colours::Palette(self.rgb()),
            Self::Line | Self::Black => Colours::BlackAndWhite,
        }
    }
}

impl Layout {
    /// The largest whole scale that fits; `None` below two pixels per module.
    pub(crate) fn new(modules: u32, margin: u32, size: u32, style: Option<Style>) -> Option<Self> {
        match style {
            None => Self::plain(modules, margin, size),
            Some(style) => Self::framed(modules, margin, size, style),
        }
    }

    /// What is left over goes to the margin.
    fn plain(modules: u32, margin: u32, size: u32) -> Option<Self> {
        let scale = size / (modules + 2 * margin);
        let offset = (size - modules * scale) / 2;
        let left = align(offset, scale, 8);
        (scale >= LEAST_SCALE).then_some(Self {
            size,
            scale,
            left,
            top: offset,
            modules,
            frame: None,
        })
    }

    fn framed(modules: u32, margin: u32, size: u32, style: Style) -> Option<Self> {
        let quiet = modules + 2 * margin;
        // The digits take about nine tenths of the width; at the smallest scales one pixel each.
        let unit = |scale: u32| (quiet * scale / (TEXT_WIDTH + 6)).max(1);
        let bar = |scale: u32| {
            if style.paint == Paint::Line {
                scale.div_ceil(3)
            } else {
                scale
            }
        };
        let height = |scale: u32| quiet * scale + 2 * bar(scale) + TEXT_BAND * unit(scale);
        let scales = (LEAST_SCALE..=size / quiet).rev();
        let scale = scales.into_iter().find(|&scale| height(scale) <= size)?;
        let (unit, bar) = (unit(scale), bar(scale));
        let left = (size - modules * scale) / 2;
        let top = bar + margin * scale + (size - height(scale)) / 2;
        let frame = Frame {
            paint: style.paint,
            side: if style.shape == Shape::Ring { bar } else { 0 },
            bar,
            unit,
            text_left: (size - TEXT_WIDTH * unit) / 2,
            text_top: top + (modules + margin) * scale,
        };
        let left = align(left, scale, 8 / style.paint.colours().bits_per_pixel());
        Some(Self {
            size,
            scale,
            left,
            top,
            modules,
            frame: Some(frame),
        })
    }

    /// The image as PNG. `digits` are drawn only within a frame.
    pub(crate) fn png(&self, matrix: &Matrix, digits: &str) -> Vec<u8> {
        let Some(frame) = self.frame else {
            let mut png = Png::new(self.size, self.size, Colours::BlackAndWhite);
            self.symbol(&mut png, matrix, 0, 0);
            return png.finish();
        };
        let mut png = Png::new(self.size, self.size, frame.paint.colours());
        let solid = [(Tone::Frame, self.size)];
        png.rows(frame.bar, solid.into_iter());
        self.symbol(&mut png, matrix, frame.bar, frame.text_top);
        let text = (frame.text_left, frame.unit);
        for row in text_rows(digits) {
            png.rows(frame.unit, self.line(frame.side, text, row));
        }
        let used = frame.text_top + TEXT_HEIGHT * frame.unit;
        png.rows(self.size - frame.bar - used, self.blank(frame.side));
        png.rows(frame.bar, solid.into_iter());
        png.finish()
    }

    /// The symbol with the white above it from `from`, and below it down to `to` (0: the end).
    fn symbol(&self, png: &mut Png, matrix: &Matrix, from: u32, to: u32) {
        let side = self.frame.map_or(0, |frame| frame.side);
        png.rows(self.top - from, self.blank(side));
        for row in matrix.rows() {
            png.rows(self.scale, self.line(side, (self.left, self.scale), row));
        }
        let below = self.top + self.modules * self.scale;
        png.rows(
            if to == 0 { self.size } else { to } - below,
            self.blank(side),
        );
    }

    fn blank(&self, side: u32) -> impl Iterator<Item = (Tone, u32)> {
        let ends = [side, self.size - side, self.size];
        [Tone::Frame, Tone::White, Tone::Frame]
            .into_iter()
            .zip(ends)
    }

    /// One row of cells between the sides of the frame; each run of pixels by where it ends.
    fn line(
        &self,
        side: u32,
        (left, scale): (u32, u32),
        dark: DarkRuns,
    ) -> impl Iterator<Item = (Tone, u32)> {
        let inner = dark.flat_map(move |(start, end)| {
            [
                (Tone::White, left + start * scale),
                (Tone::Black, left + end * scale),
            ]
        });
        let after = [(Tone::White, self.size - side), (Tone::Frame, self.size)];
        iter::once((Tone::Frame, side)).chain(inner).chain(after)
    }
}

/// The seven rows of the digits, as runs of glyph columns.
pub(crate) fn text_rows(digits: &str) -> impl Iterator<Item = DarkRuns> {
    (0..TEXT_HEIGHT as usize).map(move |row| {
        let places = (0..).step_by(6).zip(digits.bytes());
        let line = places.fold(0, |line, (column, digit)| {
            let glyph = GLYPHS.get(usize::from(digit.wrapping_sub(b'0')));
            let bits = glyph.and_then(|glyph| glyph.get(row)).copied().unwrap_or(0);
            // Glyphs are written as they look, so their first column is the highest bit.
            line | u64::from(bits.reverse_bits() >> 3) << column
        });
        DarkRuns::new([line, 0, 0])
    })
}

/// Moves an edge left, by less than a byte, to where module edges fall on the fewest different
/// places within a byte: the rows get fewer distinct bytes, and the margin only wider on one side.
fn align(left: u32, scale: u32, pixels_per_byte: u32) -> u32 {
    let step = (1 << scale.trailing_zeros().min(3)).min(pixels_per_byte);
    left / step * step
}

/// Our own digits, five columns by seven rows.
const GLYPHS: [[u8; 7]; 10] = [
    [
        0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110,
    ],
    [
        0b00100, 0b01100, 0b10100, 0b00100, 0b00100, 0b00100, 0b11111,
    ],
    [
        0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111,
    ],
    [
        0b11110, 0b00001, 0b00001, 0b01110, 0b00001, 0b00001, 0b11110,
    ],
    [
        0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010,
    ],
    [
        0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b00001, 0b11110,
    ],
    [
        0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110,
    ],
    [
        0b11111, 0b00001, 0b00010, 0b00100, 0b00100, 0b01000, 0b01000,
    ],
    [
        0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110,
    ],
    [
        0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100,
    ],
];
