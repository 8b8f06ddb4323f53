//! Views: other looks at the same picture, with its box moved along.
//!
//! In goes a picture, out comes a part of it, perhaps mirrored, in other colours; a box goes through the
//! same cut and flip. A view is drawn by chance from a seeded generator and is the same for the same seed.

use boxcam::geometry::NormBox;
use fastrand::Rng;
use image::RgbImage;
use image::imageops::flip_horizontal;

use crate::recipe::{AugmentationSettings, Recipe};

use self::colour::Colour;
use self::patch::Patch;
use self::window::{Span, Window, anywhere};

mod colour;
mod patch;
mod window;

#[cfg(test)]
mod tests;

/// How often a window is drawn again when it shows too little of the box.
const TRIES: usize = 20;

/// A look at a picture: cut or set into a plain surface, then mirrored, then recoloured, then partly hidden.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    window: Window,
    mirrored: bool,
    colour: Colour,
    hidden: Option<Patch>,
}

impl View {
    /// The picture as it is.
    pub const PLAIN: Self = Self {
        window: Window::WHOLE,
        mirrored: false,
        colour: Colour {
            brightness: 1.0,
            contrast: 1.0,
            saturation: 1.0,
        },
        hidden: None,
    };

    /// The views of one picture: as it is, its mirror image, then as many by chance as are wanted.
    pub fn several(recipe: &Recipe, largest: Option<&NormBox>, random: &mut Rng) -> Vec<Self> {
        let count = recipe.cached_augmentations;
        let mirror = Self {
            mirrored: true,
            ..Self::PLAIN
        };
        let mut views = vec![Self::PLAIN, mirror];
        views.truncate(count);
        while views.len() < count {
            views.push(Self::random(&recipe.augmentation, largest, random));
        }
        views
    }

    /// Mostly a crop of 30 to 100% of the area, sometimes the picture made smaller on a plain surface (so
    /// that small things are learnt too), mirrored half of the time, each colour factor within 0.3 of 1,
    /// a quarter of the time with a patch over it. A window that keeps too little of the largest box, or makes it
    /// tiny, is drawn again; a patch that hides too much of it is left out.
    pub fn random(
        settings: &AugmentationSettings,
        largest: Option<&NormBox>,
        random: &mut Rng,
    ) -> Self {
        let colour = Colour::random(settings.color_jitter, random);
        let keeps = |window: &Window| {
            largest.is_none_or(|truth| {
                let ((left, right), (top, bottom)) = window.place(truth);
                let unit = |v: f32| v.clamp(0.0, 1.0);
                let seen = (unit(right) - unit(left)) * (unit(bottom) - unit(top));
                let whole = (right - left) * (bottom - top);
                seen >= settings.min_visible * whole
                    && seen >= settings.min_box_area.min(truth.area())
            })
        };
        let farther = random.f32() < settings.zoom_out_prob;
        let mut draw = || Window::random(settings, farther, random);
        let drawn = (0..TRIES).map(|_| draw()).find(keeps);
        let view = Self {
            window: drawn.unwrap_or(Window::WHOLE),
            mirrored: random.bool(),
            colour,
            hidden: None,
        };
        let seen = largest.and_then(|truth| view.of_box(truth));
        let patch = (random.f32() < settings.erase_prob)
            .then(|| Patch::random(settings.erase_side, random));
        let shows = |patch: &Patch| {
            let hides = |seen: &NormBox| patch.hides(seen);
            seen.as_ref().map_or(0.0, hides) <= settings.max_erased
        };
        Self {
            hidden: patch.flatten().filter(shows),
            ..view
        }
    }

    /// The picture nearly as it is: mirrored half of the time, each colour factor within 0.1 of 1, and 85 to 100% of
    /// its width and height.
    pub fn near(random: &mut Rng) -> Self {
        let colour = Colour::random(0.1, random);
        let mut span = || {
            let extent = 0.85 + 0.15 * random.f32();
            anywhere(extent, random)
        };
        let (x, y) = (span(), span());
        Self {
            window: Window {
                x,
                y,
                ..Window::WHOLE
            },
            mirrored: random.bool(),
            colour,
            hidden: None,
        }
    }

    /// What the view shows of a picture.
    #[must_use]
    pub fn of(&self, picture: &RgbImage) -> RgbImage {
        if *self == Self::PLAIN {
            return picture.clone();
        }
        let mut part = self.window.of(picture);
        if self.mirrored {
            part = flip_horizontal(&part);
        }
        self.colour.apply(&mut part);
        if let Some(patch) = self.hidden {
            patch.draw(&mut part);
        }
        part
    }

    /// Where the view shows a box, or `None` when it is cut away.
    #[must_use]
    pub fn of_box(&self, truth: &NormBox) -> Option<NormBox> {
        let ((left, right), (top, bottom)) = self.window.place(truth);
        let unit = |(low, high): Span| (low.clamp(0.0, 1.0), high.clamp(0.0, 1.0));
        let ((left, right), (top, bottom)) = (unit((left, right)), unit((top, bottom)));
        if left >= right || top >= bottom {
            return None;
        }
        let (x_min, x_max) = match self.mirrored {
            false => (left, right),
            true => (1.0 - right, 1.0 - left),
        };
        NormBox::from_regression([x_min, x_max, top, bottom])
    }
}
