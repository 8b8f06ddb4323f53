//! A small SVG writer, and SVG rendered to pixels.
//!
//! [`Svg`] collects rectangles, lines and text. [`to_png`] and [`overlay_svg`] render an SVG with the compiled-in font;
//! installed fonts, and files that an SVG refers to, are not used.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use image::RgbImage;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use super::DrawError;
use super::theme::{Color, hex};

/// The point of a text that its position refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextStyle {
    /// Font size in pixels.
    pub size: f32,
    pub color: Color,
    pub bold: bool,
    pub anchor: Anchor,
}

impl TextStyle {
    /// Not bold, anchored at the start.
    #[must_use]
    pub const fn new(size: f32, color: Color) -> Self {
        Self {
            size,
            color,
            bold: false,
            anchor: Anchor::Start,
        }
    }

    #[must_use]
    pub const fn bold(mut self) -> Self {
        self.bold = true;
        self
    }

    #[must_use]
    pub const fn anchored(mut self, anchor: Anchor) -> Self {
        self.anchor = anchor;
        self
    }
}

/// Left, top, width and height in pixels.
pub type Area = [f32; 4];

/// Builds the text of an SVG.
#[derive(Debug, Clone)]
pub struct Svg {
    width: u32,
    height: u32,
    body: String,
}

impl Svg {
    /// An empty SVG; `width` and `height` are in pixels.
    #[must_use]
    pub const fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            body: String::new(),
        }
    }

    /// A filled rectangle with rounded corners.
    pub fn rectangle(&mut self, area: Area, radius: f32, fill: Color) {
        let [x, y, width, height] = area;
        let fill = hex(fill);
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius}\" \
             fill=\"{fill}\"/>"
        ));
    }

    /// A polyline.
    pub fn path(&mut self, points: &[(f32, f32)], width: f32, color: Color) {
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        self.add(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"/>",
            points.join(" "),
            hex(color)
        ));
    }

    /// A line of text; `y` is its baseline.
    pub fn text(&mut self, (x, y): (f32, f32), style: TextStyle, text: &str) {
        let anchor = match style.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if style.bold { "bold" } else { "normal" };
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{}\" font-weight=\"{weight}\" \
             text-anchor=\"{anchor}\" fill=\"{}\">{}</text>",
            style.size,
            hex(style.color),
            escape(text)
        ));
    }

    /// The complete SVG.
    #[must_use]
    pub fn finish(self) -> String {
        let Self {
            width,
            height,
            body,
        } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"DejaVu Sans, sans-serif\">\n{body}</svg>\n"
        )
    }

    fn add(&mut self, part: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.body, "{part}");
    }
}

/// Escapes text for XML. Control characters, which XML cannot represent, become spaces.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The text, cut to `max` characters; an ellipsis marks a cut.
#[must_use]
pub fn truncated(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let start: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{}…", start.trim_end())
}

/// Renders an SVG, scaled by `scale`, and encodes it as PNG.
///
/// # Errors
/// [`DrawError`] if the SVG is invalid or too large for the memory.
pub fn to_png(svg: &str, scale: f32) -> Result<Vec<u8>, DrawError> {
    let pixmap = render(svg, scale)?;
    pixmap.encode_png().map_err(|error| DrawError::Render {
        width: pixmap.width(),
        height: pixmap.height(),
        message: error.to_string(),
    })
}

/// Renders an SVG over a picture with the same upper left corner; parts outside of the picture are cut off.
///
/// # Errors
/// [`DrawError`] if the SVG is invalid or too large for the memory.
pub fn overlay_svg(picture: &mut RgbImage, svg: &str) -> Result<(), DrawError> {
    let pixmap = render(svg, 1.0)?;
    let lines = pixmap.pixels().chunks(pixmap.width() as usize);
    for (y, line) in (0..).zip(lines) {
        for (x, over) in (0..).zip(line) {
            let Some(under) = picture.get_pixel_mut_checked(x, y) else {
                continue;
            };
            let color = [over.red(), over.green(), over.blue()];
            let transparency = 255 - u32::from(over.alpha());
            for (under, over) in under.0.iter_mut().zip(color) {
                // The renderer's colors are premultiplied by alpha.
                let sum = u32::from(over) + (u32::from(*under) * transparency + 127) / 255;
                *under = sum.min(255) as u8;
            }
        }
    }
    Ok(())
}

fn render(svg: &str, scale: f32) -> Result<Pixmap, DrawError> {
    let failed = |width: f32, height: f32, message: &str| DrawError::Render {
        width: width as u32,
        height: height as u32,
        message: message.to_owned(),
    };
    let options = Options {
        fontdb: fonts(),
        ..Options::default()
    };
    let tree =
        Tree::from_str(svg, &options).map_err(|error| failed(0.0, 0.0, &error.to_string()))?;
    let (width, height) = (tree.size().width() * scale, tree.size().height() * scale);
    let mut pixmap = Pixmap::new(width.ceil() as u32, height.ceil() as u32)
        .ok_or_else(|| failed(width, height, "not enough memory for so many pixels"))?;
    resvg::render(
        &tree,
        Transform::from_scale(scale, scale),
        &mut pixmap.as_mut(),
    );
    Ok(pixmap)
}

/// The font, parsed once.
fn fonts() -> Arc<Database> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    let load = || {
        let mut fonts = Database::new();
        fonts.load_font_data(dejavu::sans::regular().to_vec());
        fonts.load_font_data(dejavu::sans::bold().to_vec());
        fonts.set_sans_serif_family("DejaVu Sans");
        Arc::new(fonts)
    };
    FONTS.get_or_init(load).clone()
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn text_is_rendered_without_installed_fonts() {
        let mut svg = Svg::new(80, 20);
        svg.text(
            (2.0, 15.0),
            TextStyle::new(14.0, [255, 0, 0]),
            "Größe & <b>",
        );
        let mut picture = RgbImage::new(80, 20);
        overlay_svg(&mut picture, &svg.finish()).expect("an SVG");
        let red = picture.pixels().filter(|p| p.0[0] > 200 && p.0[1] == 0);
        assert!(red.count() > 40);
    }

    #[test]
    fn an_overlay_is_clipped_and_blended() {
        let mut svg = Svg::new(10, 10);
        svg.rectangle([1.0, 0.0, 9.0, 9.0], 0.0, [200, 100, 0]);
        let mut picture = RgbImage::from_pixel(3, 2, Rgb([9, 9, 9]));
        overlay_svg(&mut picture, &svg.finish()).expect("an SVG");
        assert_eq!(picture.get_pixel(0, 0).0, [9, 9, 9]);
        assert_eq!(picture.get_pixel(2, 1).0, [200, 100, 0]);
    }

    #[test]
    fn a_png_has_the_scaled_size() {
        let png = to_png(&Svg::new(30, 20).finish(), 2.0).expect("an SVG");
        let picture = image::load_from_memory(&png).expect("a PNG");
        assert_eq!((picture.width(), picture.height()), (60, 40));
    }

    #[test]
    fn invalid_svg_is_refused() {
        assert!(matches!(to_png("<svg", 1.0), Err(DrawError::Render { .. })));
    }

    #[test]
    fn text_is_escaped_and_truncated() {
        assert_eq!(escape("a<b> & \"c\"\n"), "a&lt;b&gt; &amp; &quot;c&quot; ");
        assert_eq!(truncated("watermelon", 10), "watermelon");
        assert_eq!(truncated("hot dogs, many", 9), "hot dogs…");
    }
}
