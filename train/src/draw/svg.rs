//! A small SVG writer, and SVG to pixels.
//!
//! In go rectangles, lines and words, out comes the text of an SVG that any browser opens. [`to_png`] and [`lay_over`]
//! turn one into pixels, with the letters that this program carries in itself; fonts of the machine and files
//! that an SVG names are never looked at.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use image::RgbImage;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use super::DrawError;
use super::palette::{Colour, hex};

/// Where a word's place is within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// At its left end.
    Start,
    /// In its middle.
    Middle,
    /// At its right end.
    End,
}

/// How a line of writing looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Writing {
    /// Size of the letters in pixels.
    pub size: f32,
    /// Their colour.
    pub colour: Colour,
    /// Whether they are bold.
    pub bold: bool,
    /// Where the place is within the line.
    pub anchor: Anchor,
}

impl Writing {
    /// Plain writing that begins at its place.
    #[must_use]
    pub const fn new(size: f32, colour: Colour) -> Self {
        Self {
            size,
            colour,
            bold: false,
            anchor: Anchor::Start,
        }
    }

    /// The same in bold.
    #[must_use]
    pub const fn bold(mut self) -> Self {
        self.bold = true;
        self
    }

    /// The same with another anchor.
    #[must_use]
    pub const fn anchored(mut self, anchor: Anchor) -> Self {
        self.anchor = anchor;
        self
    }
}

/// Left, top, width, height.
pub type Area = [f32; 4];

/// An SVG in the making.
#[derive(Debug, Clone)]
pub struct Svg {
    width: u32,
    height: u32,
    body: String,
}

impl Svg {
    /// An empty one of that size in pixels.
    #[must_use]
    pub const fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            body: String::new(),
        }
    }

    /// A filled rectangle with round corners of that radius, and a rim if there is a colour for it.
    pub fn rectangle(&mut self, area: Area, radius: f32, fill: Colour, rim: Option<Colour>) {
        let [x, y, width, height] = area;
        let fill = hex(fill);
        let rim = rim.map_or(String::new(), |rim| format!(" stroke=\"{}\"", hex(rim)));
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius}\" \
             fill=\"{fill}\"{rim}/>"
        ));
    }

    /// A line through points, of that width.
    pub fn path(&mut self, points: &[(f32, f32)], width: f32, colour: Colour) {
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        self.add(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"/>",
            points.join(" "),
            hex(colour)
        ));
    }

    /// The head of an arrow that points down to a place.
    pub fn arrow_head(&mut self, (x, y): (f32, f32), colour: Colour) {
        self.add(format_args!(
            "<path d=\"M{x:.1} {y:.1}l-5 -8h10z\" fill=\"{}\"/>",
            hex(colour)
        ));
    }

    /// A line of writing whose base line is at that place.
    pub fn text(&mut self, (x, y): (f32, f32), writing: Writing, text: &str) {
        let anchor = match writing.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if writing.bold { "bold" } else { "normal" };
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{}\" font-weight=\"{weight}\" \
             text-anchor=\"{anchor}\" fill=\"{}\">{}</text>",
            writing.size,
            hex(writing.colour),
            escaped(text)
        ));
    }

    /// Another SVG's text, its upper left corner at that place.
    pub fn nested(&mut self, (x, y): (f32, f32), svg: &str) {
        self.add(format_args!(
            "<g transform=\"translate({x:.1} {y:.1})\">{svg}</g>"
        ));
    }

    /// The text of the SVG.
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
        // Writing to a String can't fail.
        let _ = writeln!(self.body, "{part}");
    }
}

/// What may stand between tags and in attributes of XML and HTML. Control characters, which XML has no way to
/// write, become spaces.
#[must_use]
pub fn escaped(text: &str) -> String {
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

/// As much of the start of a text as `most` characters hold; three dots say that something is missing.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let start: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", start.trim_end())
}

/// An SVG as the bytes of a PNG, each of its pixels as `scale` by `scale`.
///
/// # Errors
/// [`DrawError`] where it is no SVG or too large for the memory.
pub fn to_png(svg: &str, scale: f32) -> Result<Vec<u8>, DrawError> {
    let pixmap = render(svg, scale)?;
    pixmap.encode_png().map_err(|error| DrawError::Render {
        width: pixmap.width(),
        height: pixmap.height(),
        message: error.to_string(),
    })
}

/// Draws an SVG over a picture, its upper left corner on the picture's; what lies outside is cut off.
///
/// # Errors
/// [`DrawError`] where it is no SVG or too large for the memory.
pub fn lay_over(picture: &mut RgbImage, svg: &str) -> Result<(), DrawError> {
    let pixmap = render(svg, 1.0)?;
    let lines = pixmap.pixels().chunks(pixmap.width() as usize);
    for (y, line) in (0..).zip(lines) {
        for (x, over) in (0..).zip(line) {
            let Some(under) = picture.get_pixel_mut_checked(x, y) else {
                continue;
            };
            let colour = [over.red(), over.green(), over.blue()];
            let shown = 255 - u32::from(over.alpha());
            for (under, over) in under.0.iter_mut().zip(colour) {
                // Colours of the renderer are multiplied by their alpha already.
                let sum = u32::from(over) + (u32::from(*under) * shown + 127) / 255;
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
        .ok_or_else(|| failed(width, height, "there is no memory for so many pixels"))?;
    resvg::render(
        &tree,
        Transform::from_scale(scale, scale),
        &mut pixmap.as_mut(),
    );
    Ok(pixmap)
}

/// The letters, read once.
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
    fn writing_makes_pixels_without_any_font_of_the_machine() {
        let mut svg = Svg::new(80, 20);
        svg.text((2.0, 15.0), Writing::new(14.0, [255, 0, 0]), "Größe & <b>");
        let mut picture = RgbImage::new(80, 20);
        lay_over(&mut picture, &svg.finish()).expect("an SVG");
        let red = picture.pixels().filter(|p| p.0[0] > 200 && p.0[1] == 0);
        assert!(red.count() > 40);
    }

    #[test]
    fn what_is_laid_over_is_cut_at_the_picture_and_blended() {
        let mut svg = Svg::new(10, 10);
        svg.rectangle([1.0, 0.0, 9.0, 9.0], 0.0, [200, 100, 0], None);
        let mut picture = RgbImage::from_pixel(3, 2, Rgb([9, 9, 9]));
        lay_over(&mut picture, &svg.finish()).expect("an SVG");
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
    fn what_is_no_svg_is_refused() {
        assert!(matches!(to_png("<svg", 1.0), Err(DrawError::Render { .. })));
    }

    #[test]
    fn words_are_made_safe_and_short() {
        assert_eq!(escaped("a<b> & \"c\"\n"), "a&lt;b&gt; &amp; &quot;c&quot; ");
        assert_eq!(shortened("watermelon", 10), "watermelon");
        assert_eq!(shortened("hot dogs, many", 9), "hot dogs…");
    }
}
