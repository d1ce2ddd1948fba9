//! SVG: one stroked path of horizontal runs on opaque white.

use crate::frame::{Frame, Layout, text_rows};
use crate::matrix::{DarkRuns, Matrix};

/// The image as SVG, `layout.size` pixels wide unless scaled.
///
/// Without a frame the view box counts modules, so that every scale is crisp; with one it counts
/// the pixels of the layout, which are the PNG's.
pub(crate) fn svg(layout: &Layout, margin: u32, matrix: &Matrix, title: &str) -> String {
    let mut out = String::with_capacity(4096);
    let view = if layout.frame.is_some() {
        layout.size
    } else {
        layout.modules + 2 * margin
    };
    let size = layout.size;
    out.push_str(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"{size}\" \
         viewBox=\"0 0 {view} {view}\" shape-rendering=\"crispEdges\" role=\"img\" \
         aria-label=\"{title}\"><title>{title}</title>\
         <path fill=\"#fff\" d=\"M0 0h{view}v{view}H0z\"/>"
    ));
    match layout.frame {
        None => cells(&mut out, matrix.rows(), (margin, margin), None),
        Some(frame) => {
            border(&mut out, &frame, size);
            let corner = (layout.left, layout.top);
            cells(
                &mut out,
                matrix.rows(),
                (0, 0),
                Some((corner, layout.scale)),
            );
            let corner = (frame.text_left, frame.text_top);
            cells(
                &mut out,
                text_rows(title),
                (0, 0),
                Some((corner, frame.unit)),
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Dark runs as strokes one unit high: a stroke's line is the middle of its row.
fn cells(
    out: &mut String,
    rows: impl Iterator<Item = DarkRuns>,
    (left, top): (u32, u32),
    placed: Option<((u32, u32), u32)>,
) {
    out.push_str("<path stroke=\"#000\" ");
    if let Some(((x, y), scale)) = placed {
        out.push_str(&format!("transform=\"translate({x} {y})scale({scale})\" "));
    }
    out.push_str("d=\"");
    let mut pen: Option<(u32, u32)> = None;
    for (y, row) in (top..).zip(rows) {
        for (start, end) in row {
            let (start, end) = (start + left, end + left);
            match pen {
                None => {
                    out.push('M');
                    number(out, start);
                    out.push(' ');
                    number(out, y);
                    out.push_str(".5");
                }
                Some((x, last)) => {
                    out.push('m');
                    if start < x {
                        out.push('-');
                    }
                    number(out, start.abs_diff(x));
                    out.push(' ');
                    number(out, y - last);
                }
            }
            out.push('h');
            number(out, end - start);
            pen = Some((end, y));
        }
    }
    out.push_str("\"/>");
}

/// The frame as four bars (two when it has no sides).
fn border(out: &mut String, frame: &Frame, size: u32) {
    let [red, green, blue] = frame.paint.rgb();
    let (bar, side, low) = (frame.bar, frame.side, size - frame.bar);
    out.push_str(&format!(
        "<path fill=\"#{red:02x}{green:02x}{blue:02x}\" d=\"M0 0h{size}v{bar}H0zM0 {low}h{size}v{bar}H0z"
    ));
    if side > 0 {
        let (inner, right) = (size - 2 * bar, size - side);
        out.push_str(&format!(
            "M0 {bar}h{side}v{inner}H0zM{right} {bar}h{side}v{inner}h-{side}z"
        ));
    }
    out.push_str("\"/>");
}

/// Decimal without the formatting machinery: this is most of what an SVG costs.
fn number(out: &mut String, value: u32) {
    if value >= 10 {
        number(out, value / 10);
    }
    out.push(char::from(b'0' + (value % 10) as u8));
}
