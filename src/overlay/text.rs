//! Text at a size that suits the image.
//!
//! The fonts of embedded-graphics have fixed sizes for small displays. On a large image their pixels are scaled up by
//! a whole number. Each has the characters of one part of ISO 8859; a text may mix them.

use embedded_graphics::mono_font::{
    MonoFont, MonoTextStyle, iso_8859_1, iso_8859_2, iso_8859_5, iso_8859_7, iso_8859_9,
    iso_8859_13, iso_8859_15,
};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};

/// Fonts of one size and style. The first one replaces characters that none has.
struct FontFamily([&'static MonoFont<'static>; 7]);

/// The font with this name of each part of ISO 8859: Western, Central European, Cyrillic, Greek, Turkish, Baltic, and
/// Western with the letters that French and Finnish lack in the first.
macro_rules! family {
    ($font:ident) => {
        FontFamily([
            &iso_8859_1::$font,
            &iso_8859_2::$font,
            &iso_8859_5::$font,
            &iso_8859_7::$font,
            &iso_8859_9::$font,
            &iso_8859_13::$font,
            &iso_8859_15::$font,
        ])
    };
}

static FONT_6X10: FontFamily = family!(FONT_6X10);
static FONT_8X13_BOLD: FontFamily = family!(FONT_8X13_BOLD);
static FONT_9X15_BOLD: FontFamily = family!(FONT_9X15_BOLD);
static FONT_10X20: FontFamily = family!(FONT_10X20);

/// Whether the fonts have all characters of a text.
#[must_use]
pub fn can_draw(text: &str) -> bool {
    text.chars().all(|c| FONT_10X20.font_of(c).is_some())
}

impl FontFamily {
    const fn size(&self) -> Size {
        self.0[0].character_size
    }

    /// The first font with a character.
    fn font_of(&self, c: char) -> Option<&'static MonoFont<'static>> {
        let fonts = self.0.into_iter();
        let mut with_character = fonts.filter(|font| has_character(font, c));
        with_character.next()
    }

    /// The longest parts of a text that one font has, each with the number of characters before it.
    fn runs<'t>(&self, text: &'t str) -> Vec<(usize, &'static MonoFont<'static>, &'t str)> {
        let mut runs: Vec<(usize, &'static MonoFont<'static>, &str)> = Vec::new();
        let mut start = 0;
        for (number, (at, c)) in text.char_indices().enumerate() {
            let end = at + c.len_utf8();
            match runs.last_mut() {
                Some((_, font, run)) if has_character(font, c) => *run = &text[start..end],
                _ => {
                    start = at;
                    let font = self.font_of(c).unwrap_or(self.0[0]);
                    runs.push((number, font, &text[start..end]));
                }
            }
        }
        runs
    }
}

fn has_character(font: &MonoFont<'_>, c: char) -> bool {
    let index = |c| font.glyph_mapping.index(c);
    c == REPLACEMENT || index(c) != index(REPLACEMENT)
}

/// What the fonts draw for a character that they lack.
const REPLACEMENT: char = '?';

/// A font, scaled by a whole number.
#[derive(Clone, Copy)]
pub(super) struct ScaledFont {
    family: &'static FontFamily,
    scale: u32,
}

impl ScaledFont {
    /// The tallest font of at most `height` pixels, or the smallest font. Prefers a slightly smaller one with a lower
    /// scale, which is finer.
    pub(super) fn of_height(height: u32) -> Self {
        let fonts = [&FONT_10X20, &FONT_9X15_BOLD, &FONT_8X13_BOLD, &FONT_6X10];
        let scaled = fonts.map(|family| Self {
            family,
            scale: height / family.size().height,
        });
        let tallest = scaled.map(Self::height).into_iter().max().unwrap_or(0);
        let is_candidate = |font: &Self| font.scale > 0 && font.height() * 20 >= tallest * 17;
        scaled
            .into_iter()
            .filter(is_candidate)
            .min_by_key(|font| font.scale)
            .unwrap_or(Self {
                family: &FONT_6X10,
                scale: 1,
            })
    }

    /// The tallest font in which a line of that many characters fits into `size`, or the smallest font.
    pub(super) fn fitting(characters: usize, size: Size) -> Self {
        let fits = |font: &Self| font.width(characters) <= size.width;
        let mut descending = (10..=size.height.min(size.width))
            .rev()
            .map(Self::of_height);
        descending.find(fits).unwrap_or_else(|| Self::of_height(0))
    }

    /// Height of a line in pixels.
    pub(super) fn height(self) -> u32 {
        self.family.size().height * self.scale
    }

    /// Width of a line in pixels.
    pub(super) fn width(self, characters: usize) -> u32 {
        u32::try_from(characters)
            .unwrap_or(u32::MAX)
            .saturating_mul(self.advance())
    }

    /// Height of a [`TextLabel`] in pixels.
    pub(super) fn label_height(self) -> u32 {
        self.height() + 2 * self.padding()
    }

    /// The number of characters that fit into a [`TextLabel`] of that width.
    pub(super) fn characters_in(self, width: u32) -> usize {
        (width.saturating_sub(2 * self.padding()) / self.advance()) as usize
    }

    /// Draws a line of text whose top left corner is at `position`.
    pub(super) fn draw<D>(
        self,
        target: &mut D,
        text: &str,
        position: Point,
        color: Rgb888,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let mut translated = target.translated(position);
        let mut upscaled = Upscaled {
            target: &mut translated,
            scale: self.scale,
        };
        let advance = self.advance() / self.scale;
        for (before, font, run) in self.family.runs(text) {
            let style = MonoTextStyle::new(font, color.into());
            let start = Point::new((before as u32 * advance) as i32, 0);
            Text::with_baseline(run, start, style, Baseline::Top).draw(&mut upscaled)?;
        }
        Ok(())
    }

    /// Distance in pixels from one character to the next.
    fn advance(self) -> u32 {
        self.family.size().width * self.scale
    }

    /// Distance in pixels between the text and the edge of a [`TextLabel`].
    fn padding(self) -> u32 {
        (self.height() / 5).max(2)
    }

    fn label_size(self, characters: usize) -> Size {
        let width = self.width(characters).saturating_add(2 * self.padding());
        Size::new(width, self.label_height())
    }
}

/// One line of text on a filled background.
pub(super) struct TextLabel {
    pub(super) text: String,
    pub(super) font: ScaledFont,
    pub(super) color: Rgb888,
    pub(super) background: Rgb888,
}

impl TextLabel {
    pub(super) fn size(&self) -> Size {
        self.font.label_size(self.text.chars().count())
    }

    /// Draws the label as close to `position` as possible within `viewport`. A label that is larger than the viewport
    /// is clipped at its right and bottom edges.
    pub(super) fn draw<D>(
        &self,
        target: &mut D,
        position: Point,
        viewport: &Rectangle,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let size = self.size();
        let last = viewport.top_left + viewport.size.saturating_sub(size);
        let top_left = position
            .component_min(last)
            .component_max(viewport.top_left);
        let mut target = target.clipped(viewport);
        Rectangle::new(top_left, size)
            .into_styled(PrimitiveStyle::with_fill(self.background.into()))
            .draw(&mut target)?;
        let padding = Point::new_equal(self.font.padding() as i32);
        self.font
            .draw(&mut target, &self.text, top_left + padding, self.color)
    }
}

/// A draw target whose pixels are squares of `scale` x `scale` pixels of another target.
struct Upscaled<'a, D> {
    target: &'a mut D,
    scale: u32,
}

impl<D: DrawTarget> Upscaled<'_, D> {
    fn upscaled(&self, area: &Rectangle) -> Rectangle {
        Rectangle::new(area.top_left * self.scale as i32, area.size * self.scale)
    }
}

impl<D: DrawTarget> Dimensions for Upscaled<'_, D> {
    fn bounding_box(&self) -> Rectangle {
        let area = self.target.bounding_box();
        Rectangle::new(area.top_left / self.scale as i32, area.size / self.scale)
    }
}

impl<D: DrawTarget> DrawTarget for Upscaled<'_, D> {
    type Color = D::Color;
    type Error = D::Error;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Self::Error>
    where
        I: IntoIterator<Item = Pixel<Self::Color>>,
    {
        for Pixel(position, color) in pixels {
            let square = self.upscaled(&Rectangle::new(position, Size::new_equal(1)));
            self.target.fill_solid(&square, color)?;
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, color: Self::Color) -> Result<(), Self::Error> {
        let area = self.upscaled(area);
        self.target.fill_solid(&area, color)
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::overlay::Canvas;

    #[test]
    fn the_font_grows_with_the_height() {
        let heights =
            [0, 9, 10, 14, 19, 21, 33, 49, 100].map(|h| ScaledFont::of_height(h).height());
        assert_eq!(heights, [10, 10, 10, 13, 15, 20, 30, 40, 100]);
    }

    #[test]
    fn all_fonts_of_a_family_have_the_same_size() {
        for family in [&FONT_6X10, &FONT_8X13_BOLD, &FONT_9X15_BOLD, &FONT_10X20] {
            for font in family.0 {
                assert_eq!(font.character_size, family.size());
                assert_eq!(font.character_spacing, 0);
            }
        }
    }

    #[test]
    fn alphabets_of_europe_can_be_drawn() {
        for text in [
            "apple 7%?",
            "Löffel",
            "bœuf",
            "muñeca",
            "łóżko",
            "лошадь",
            "σκύλος",
            "ağaç",
        ] {
            assert!(can_draw(text), "{text}");
        }
        for text in ["猫", "apple 猫", "🐈", "קשת"] {
            assert!(!can_draw(text), "{text}");
        }
    }

    #[test]
    fn a_text_of_two_alphabets_is_drawn_by_two_fonts_in_order() {
        let runs = FONT_10X20.runs("zebra кот œ猫");
        let parts: Vec<(usize, &str)> = runs.iter().map(|(at, _, run)| (*at, *run)).collect();
        assert_eq!(parts, [(0, "zebra "), (6, "кот "), (10, "œ"), (11, "猫")]);
        let drawn = |text: &str| {
            let mut image = RgbImage::new(140, 20);
            let font = ScaledFont::of_height(20);
            let mut canvas = Canvas::new(&mut image);
            font.draw(&mut canvas, text, Point::zero(), Rgb888::WHITE)
                .expect("infallible");
            image
        };
        assert_eq!(drawn("猫x"), drawn("?x"));
        assert_ne!(drawn("zebra кот"), drawn("zebra ???"));
    }

    #[test]
    fn characters_in_is_the_inverse_of_the_label_width() {
        for height in [10, 20, 45] {
            let font = ScaledFont::of_height(height);
            for characters in 0..20 {
                let width = font.label_size(characters).width;
                assert_eq!(font.characters_in(width), characters);
            }
        }
        assert_eq!(ScaledFont::of_height(20).characters_in(0), 0);
    }

    #[test]
    fn an_upscaled_pixel_is_a_square() {
        let mut image = RgbImage::new(6, 6);
        let mut canvas = Canvas::new(&mut image);
        let mut upscaled = Upscaled {
            target: &mut canvas,
            scale: 3,
        };
        assert_eq!(upscaled.bounding_box().size, Size::new(2, 2));
        Pixel(Point::new(1, 0), Rgb888::WHITE)
            .draw(&mut upscaled)
            .expect("infallible");
        for (x, y, pixel) in image.enumerate_pixels() {
            assert_eq!(pixel[0] == 255, x >= 3 && y < 3, "{x} {y}");
        }
    }
}
