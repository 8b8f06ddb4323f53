//! A line of writing on a filled ground, at a size that suits the picture.
//!
//! embedded-graphics' fonts have fixed sizes, made for small displays; on a large picture their pixels are
//! doubled, tripled and so on.

use embedded_graphics::mono_font::iso_8859_1::{
    FONT_6X10, FONT_8X13_BOLD, FONT_9X15_BOLD, FONT_10X20,
};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};

use super::canvas::Scaled;

/// A font at a whole multiple of its size.
#[derive(Clone, Copy)]
pub(super) struct Lettering {
    font: &'static MonoFont<'static>,
    scale: u32,
}

impl Lettering {
    /// The largest lettering that is at most `height` pixels high, or the smallest there is. A slightly
    /// lower one is taken where its pixels are finer.
    pub(super) fn of_height(height: u32) -> Self {
        let fonts = [&FONT_10X20, &FONT_9X15_BOLD, &FONT_8X13_BOLD, &FONT_6X10];
        let at_most = fonts.map(|font| Self {
            font,
            scale: height / font.character_size.height,
        });
        let highest = at_most.map(Self::height).into_iter().max().unwrap_or(0);
        let near =
            |lettering: &Self| lettering.scale > 0 && lettering.height() * 20 >= highest * 17;
        at_most
            .into_iter()
            .filter(near)
            .min_by_key(|lettering| lettering.scale)
            .unwrap_or(Self {
                font: &FONT_6X10,
                scale: 1,
            })
    }

    /// Height of a tag in this lettering.
    pub(super) fn tag_height(self) -> u32 {
        self.height() + 2 * self.padding()
    }

    /// The largest lettering in which a line of so many characters fits into `room`, or the smallest there is.
    pub(super) fn fitting(characters: usize, room: Size) -> Self {
        let fits = |lettering: &Self| lettering.width(characters) <= room.width;
        let mut lower = (10..=room.height.min(room.width))
            .rev()
            .map(Self::of_height);
        lower.find(fits).unwrap_or_else(|| Self::of_height(0))
    }

    /// Height of a line of writing.
    pub(super) fn height(self) -> u32 {
        self.font.character_size.height * self.scale
    }

    /// Width of a line of writing.
    pub(super) fn width(self, characters: usize) -> u32 {
        u32::try_from(characters)
            .unwrap_or(u32::MAX)
            .saturating_mul(self.advance())
    }

    /// Writes a line whose upper left corner is at `place`.
    pub(super) fn write<D>(
        self,
        target: &mut D,
        text: &str,
        place: Point,
        ink: Rgb888,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let mut moved = target.translated(place);
        let mut scaled = Scaled {
            target: &mut moved,
            scale: self.scale,
        };
        let style = MonoTextStyle::new(self.font, ink.into());
        Text::with_baseline(text, Point::zero(), style, Baseline::Top).draw(&mut scaled)?;
        Ok(())
    }

    fn advance(self) -> u32 {
        (self.font.character_size.width + self.font.character_spacing) * self.scale
    }

    /// Space between the writing and the edge of its ground.
    fn padding(self) -> u32 {
        (self.height() / 5).max(2)
    }

    /// How many characters a tag of that width holds.
    pub(super) fn characters_in(self, width: u32) -> usize {
        (width.saturating_sub(2 * self.padding()) / self.advance()) as usize
    }

    /// The size of a tag with that many characters.
    fn tag_size(self, characters: usize) -> Size {
        let around = 2 * self.padding();
        let writing = self.width(characters);
        Size::new(writing.saturating_add(around), self.tag_height())
    }
}

/// One line of writing on a ground.
pub(super) struct Tag {
    pub(super) text: String,
    pub(super) lettering: Lettering,
    pub(super) ink: Rgb888,
    pub(super) ground: Rgb888,
}

impl Tag {
    pub(super) fn size(&self) -> Size {
        self.lettering.tag_size(self.text.chars().count())
    }

    /// Draws the tag as near to a place as it can be while it lies inside of `room`. A tag that is larger
    /// than the room is cut off at its right and lower edge.
    pub(super) fn draw<D>(
        &self,
        target: &mut D,
        place: Point,
        room: &Rectangle,
    ) -> Result<(), D::Error>
    where
        D: DrawTarget<Color: From<Rgb888>>,
    {
        let size = self.size();
        let slack = room.size.saturating_sub(size);
        let last = room.top_left + slack;
        let top_left = place.component_min(last).component_max(room.top_left);
        let ground = Rectangle::new(top_left, size);
        let mut target = target.clipped(room);
        ground
            .into_styled(PrimitiveStyle::with_fill(self.ground.into()))
            .draw(&mut target)?;
        let padding = Point::new_equal(self.lettering.padding() as i32);
        self.lettering
            .write(&mut target, &self.text, top_left + padding, self.ink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lettering_grows_with_the_height_asked_for() {
        let heights = [0, 9, 10, 14, 19, 21, 33, 49, 100].map(|h| Lettering::of_height(h).height());
        assert_eq!(heights, [10, 10, 10, 13, 15, 20, 30, 40, 100]);
    }

    #[test]
    fn a_tag_holds_the_characters_that_it_says() {
        for height in [10, 20, 45] {
            let lettering = Lettering::of_height(height);
            for characters in 0..20 {
                let width = lettering.tag_size(characters).width;
                assert_eq!(lettering.characters_in(width), characters);
            }
        }
        assert_eq!(Lettering::of_height(20).characters_in(0), 0);
    }
}
