//! True boxes as the textbook chapter draws them: a white line between black ones, with the label, and no detection
//! beside them.

use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;

use super::palette::{CHALK, INK};
use super::tag::Tag;
use super::{Layout, stroke};
use crate::frame::GroundTruth;

/// Draws true boxes on a target that holds the whole picture: white with a black outline, each with a tag of its
/// label, larger boxes first so that smaller ones stay in sight. An empty label gets no tag.
///
/// # Errors
/// Whatever the target fails with.
pub fn draw_truth<D>(target: &mut D, truth: &[GroundTruth]) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    let area = target.bounding_box();
    if area.is_zero_sized() {
        return Ok(());
    }
    let mut target = target.cropped(&area);
    let layout = Layout::new(area.size);
    let mut largest_first: Vec<&GroundTruth> = truth.iter().collect();
    largest_first.sort_by(|a, b| b.bounding_box.area().total_cmp(&a.bounding_box.area()));
    for there in &largest_first {
        let outer = layout.pixels(&there.bounding_box);
        stroke(&mut target, &outer, layout.line + 2 * layout.rim, INK)?;
        let inner = outer.offset(-(layout.rim as i32));
        stroke(&mut target, &inner, layout.line, CHALK)?;
    }
    for there in largest_first
        .into_iter()
        .filter(|there| !there.label.is_empty())
    {
        let place = layout.pixels(&there.bounding_box).top_left;
        layout.tag(&there.label).draw(
            &mut target,
            place,
            &Rectangle::new(Point::zero(), area.size),
        )?;
    }
    Ok(())
}

/// Writes a line across the foot of a target, cut off where the target ends.
///
/// # Errors
/// Whatever the target fails with.
pub fn draw_caption<D>(target: &mut D, text: &str) -> Result<(), D::Error>
where
    D: DrawTarget<Color: From<Rgb888>>,
{
    let area = target.bounding_box();
    if area.is_zero_sized() || text.is_empty() {
        return Ok(());
    }
    let mut target = target.cropped(&area);
    let foot = Point::new(0, area.size.height as i32);
    let room = Rectangle::new(Point::zero(), area.size);
    Layout::new(area.size)
        .tag(text)
        .draw(&mut target, foot, &room)
}

impl Layout {
    /// White writing on black, as small as can be read.
    fn tag(&self, text: &str) -> Tag {
        Tag {
            text: text.to_owned(),
            lettering: self.small,
            ink: CHALK,
            ground: INK,
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::geometry::NormBox;
    use crate::overlay::Canvas;

    #[test]
    fn a_true_box_is_white_between_black() {
        let mut image = RgbImage::from_pixel(200, 200, Rgb([90, 90, 90]));
        let bounding_box = NormBox::new(0.25, 0.75, 0.25, 0.75).expect("sound");
        let label = "cup".to_owned();
        let truth = [GroundTruth {
            label,
            bounding_box,
        }];
        draw_truth(&mut Canvas::new(&mut image), &truth).expect("infallible");
        let right_edge: Vec<u8> = (145..151).map(|x| image.get_pixel(x, 120)[0]).collect();
        assert_eq!(right_edge, [90, 0, 255, 255, 0, 90]);
        assert_eq!(image.get_pixel(100, 100)[0], 90, "the inside is left alone");
    }

    #[test]
    fn nothing_too_small_is_drawn_on() {
        for side in [0, 1, 3] {
            let mut image = RgbImage::new(side, side);
            let label = "pineapple".to_owned();
            let truth = [GroundTruth {
                label,
                bounding_box: NormBox::WHOLE,
            }];
            draw_truth(&mut Canvas::new(&mut image), &truth).expect("infallible");
            draw_caption(&mut Canvas::new(&mut image), "a/b.jpg").expect("infallible");
        }
    }
}
