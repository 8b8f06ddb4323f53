//! Where labels go: inside the viewport, and never over each other.

use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;

/// Places labels one after another; the most important one first.
pub(super) struct LabelPlacer {
    viewport: Rectangle,
    placed: Vec<Rectangle>,
}

impl LabelPlacer {
    pub(super) const fn new(viewport: Rectangle) -> Self {
        Self {
            viewport,
            placed: Vec::new(),
        }
    }

    /// The place of a label's top left corner: the first of `preferred` that is free, else the free one that is nearest to the
    /// first. All are moved into the viewport. `None` if the viewport is full; the first label is always placed, even if it is
    /// larger than the viewport.
    pub(super) fn place(&mut self, size: Size, preferred: &[Point]) -> Option<Point> {
        let first = self.inside(size, *preferred.first()?);
        if self.placed.is_empty() {
            return Some(self.take(size, first));
        }
        let fits =
            size.width <= self.viewport.size.width && size.height <= self.viewport.size.height;
        let mut inside = preferred.iter().map(|point| self.inside(size, *point));
        let free = inside.find(|point| self.is_free(&Rectangle::new(*point, size)));
        let found = free.filter(|_| fits);
        let found = found.or_else(|| fits.then(|| self.nearest_free(size, first)).flatten())?;
        Some(self.take(size, found))
    }

    fn take(&mut self, size: Size, top_left: Point) -> Point {
        self.placed.push(Rectangle::new(top_left, size));
        top_left
    }

    /// The place in the viewport that is nearest to `point`.
    fn inside(&self, size: Size, point: Point) -> Point {
        let last = self.viewport.top_left + self.viewport.size.saturating_sub(size);
        point
            .component_min(last)
            .component_max(self.viewport.top_left)
    }

    fn is_free(&self, label: &Rectangle) -> bool {
        let mut placed = self.placed.iter();
        placed.all(|other| other.intersection(label).is_zero_sized())
    }

    /// A nearest place can be moved in no direction, so on each axis it touches another label or is where it was wanted.
    fn nearest_free(&self, size: Size, wanted: Point) -> Option<Point> {
        let (width, height) = (size.width as i32, size.height as i32);
        let beside = self.placed.iter().flat_map(|other| {
            let end = other.top_left + other.size;
            [other.top_left - Point::new(width, height), end]
        });
        let beside: Vec<Point> = beside.collect();
        let rows = beside.iter().map(|point| point.y).chain([wanted.y]);
        let free = rows.filter_map(|y| {
            let columns = beside.iter().map(|point| point.x).chain([wanted.x]);
            let places = columns.map(|x| Rectangle::new(Point::new(x, y), size));
            let free = places.filter(|place| self.is_in_viewport(place) && self.is_free(place));
            free.min_by_key(|place| (place.top_left.x - wanted.x).abs())
        });
        let distance = |place: &Rectangle| {
            let offset = place.top_left - wanted;
            i64::from(offset.x).pow(2) + i64::from(offset.y).pow(2)
        };
        free.min_by_key(distance).map(|place| place.top_left)
    }

    fn is_in_viewport(&self, label: &Rectangle) -> bool {
        self.viewport.intersection(label) == *label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placer(width: u32, height: u32) -> LabelPlacer {
        LabelPlacer::new(Rectangle::new(Point::zero(), Size::new(width, height)))
    }

    #[test]
    fn a_free_place_is_taken_as_it_is_wanted() {
        let mut placer = placer(100, 50);
        let size = Size::new(40, 10);
        let wanted = [Point::new(5, 5), Point::new(5, 30)];
        assert_eq!(placer.place(size, &wanted), Some(wanted[0]));
        assert_eq!(placer.place(size, &wanted), Some(wanted[1]));
        // Both are taken: directly below the first is nearest.
        assert_eq!(placer.place(size, &wanted), Some(Point::new(5, 15)));
        let outside = [Point::new(90, -20)];
        assert_eq!(placer.place(size, &outside), Some(Point::new(60, 0)));
    }

    #[test]
    fn labels_never_cover_each_other_or_leave_the_viewport() {
        let random = &mut fastrand::Rng::with_seed(2);
        for _ in 0..200 {
            let viewport = Size::new(random.u32(20..300), random.u32(10..200));
            let mut placer = placer(viewport.width, viewport.height);
            let height = random.u32(5..20);
            for _ in 0..random.usize(1..30) {
                let size = Size::new(random.u32(5..80).min(viewport.width), height);
                let size = size.component_min(viewport);
                let mut any = || Point::new(random.i32(-50..350), random.i32(-50..250));
                let wanted = [any(), any()];
                let before = placer.placed.len();
                let found = placer.place(size, &wanted);
                assert_eq!(placer.placed.len(), before + usize::from(found.is_some()));
            }
            for (index, label) in placer.placed.iter().enumerate() {
                assert!(placer.is_in_viewport(label), "{label:?}");
                let mut others = placer.placed[..index].iter();
                assert!(others.all(|other| other.intersection(label).is_zero_sized()));
            }
        }
    }

    #[test]
    fn a_full_viewport_takes_no_label() {
        let mut placer = placer(30, 20);
        let (size, wanted) = (Size::new(30, 10), [Point::zero()]);
        let found: Vec<Option<Point>> = (0..3).map(|_| placer.place(size, &wanted)).collect();
        assert_eq!(found, [Some(Point::zero()), Some(Point::new(0, 10)), None]);
    }

    #[test]
    fn only_the_first_label_may_be_larger_than_the_viewport() {
        let mut placer = placer(30, 20);
        let size = Size::new(40, 10);
        assert_eq!(
            placer.place(size, &[Point::new(9, 3)]),
            Some(Point::new(0, 3))
        );
        assert_eq!(placer.place(size, &[Point::new(9, 15)]), None);
    }
}
