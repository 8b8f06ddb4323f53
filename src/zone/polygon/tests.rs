//! Properties of polygons, with random ones.

use std::f64::consts::TAU;

use super::*;

fn point(x: f64, y: f64) -> NormPoint {
    NormPoint::new(x, y).expect("in the picture")
}

fn polygon(points: &[(f64, f64)]) -> Result<Polygon, PolygonError> {
    Polygon::new(points.iter().map(|&(x, y)| point(x, y)).collect())
}

const SQUARE: [(f64, f64); 4] = [(0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.2, 0.6)];

/// A polygon around the middle of the picture, whose corners are seen from there in order of their angles.
fn star(random: &mut fastrand::Rng) -> Polygon {
    let count = random.usize(3..12);
    let corner = |index: usize, random: &mut fastrand::Rng| {
        // Less than half a turn between two corners, so that the middle is inside.
        let angle = TAU * (index as f64 + 0.6 * random.f64()) / count as f64;
        let radius = 0.1 + 0.4 * random.f64();
        point(0.5 + radius * angle.cos(), 0.5 + radius * angle.sin())
    };
    let points = (0..count).map(|index| corner(index, random)).collect();
    Polygon::new(points).expect("a simple polygon")
}

fn random_point(random: &mut fastrand::Rng) -> NormPoint {
    point(random.f64(), random.f64())
}

#[test]
fn points_that_are_no_polygon_are_refused() {
    let cases: [(&[(f64, f64)], PolygonError); 8] = [
        (&[], PolygonError::TooFew { count: 0 }),
        (&SQUARE[..2], PolygonError::TooFew { count: 2 }),
        (
            &[(0.1, 0.1), (0.5, 0.5), (0.1, 0.1)],
            PolygonError::SamePoint {
                first: 1,
                second: 3,
            },
        ),
        (&[(0.1, 0.1), (0.2, 0.2), (0.9, 0.9)], PolygonError::NoArea),
        // A bow tie.
        (
            &[(0.2, 0.2), (0.6, 0.6), (0.6, 0.2), (0.2, 0.6)],
            PolygonError::Crossing {
                first: 1,
                second: 3,
            },
        ),
        // A corner that touches another side.
        (
            &[(0.2, 0.2), (0.6, 0.2), (0.4, 0.2), (0.4, 0.6)],
            PolygonError::Crossing {
                first: 1,
                second: 2,
            },
        ),
        // The last side goes back over the first.
        (
            &[(0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.4, 0.2)],
            PolygonError::Crossing {
                first: 1,
                second: 3,
            },
        ),
        // Two triangles that share a corner.
        (
            &[
                (0.5, 0.5),
                (0.2, 0.2),
                (0.2, 0.8),
                (0.5, 0.5),
                (0.8, 0.2),
                (0.8, 0.8),
            ],
            PolygonError::SamePoint {
                first: 1,
                second: 4,
            },
        ),
    ];
    for (points, expected) in cases {
        assert_eq!(polygon(points), Err(expected), "{points:?}");
    }
}

#[test]
fn a_repeated_first_point_closes_the_polygon() {
    let closed = [&SQUARE[..], &SQUARE[..1]].concat();
    assert_eq!(polygon(&closed), polygon(&SQUARE));
    assert_eq!(polygon(&closed).expect("valid").points().len(), 4);
}

#[test]
fn points_outside_of_the_picture_are_none() {
    for outside in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(NormPoint::new(outside, 0.5), None);
        assert_eq!(NormPoint::new(0.5, outside), None);
    }
    assert_eq!(point(0.25, 1.0).x(), 0.25);
    assert_eq!(point(0.25, 1.0).y(), 1.0);
}

#[test]
fn a_thing_stands_at_the_middle_of_its_lower_edge() {
    let bounding_box = NormBox::new(0.2, 0.6, 0.1, 0.7).expect("valid");
    assert_eq!(NormPoint::foot_of(&bounding_box), point(0.4, 0.7));
}

#[test]
fn left_and_upper_edges_belong_to_a_polygon() {
    let square = polygon(&SQUARE).expect("valid");
    let cases = [
        ((0.4, 0.4), true),
        ((0.2, 0.4), true),
        ((0.4, 0.2), true),
        ((0.2, 0.2), true),
        ((0.6, 0.4), false),
        ((0.4, 0.6), false),
        ((0.6, 0.6), false),
        ((0.6, 0.2), false),
        ((0.1, 0.4), false),
        ((0.7, 0.4), false),
    ];
    for ((x, y), expected) in cases {
        assert_eq!(square.contains(point(x, y)), expected, "{x}, {y}");
    }
}

#[test]
fn an_edge_of_the_picture_belongs_to_the_polygon_that_reaches_it() {
    let corner = polygon(&[(0.5, 0.5), (1.0, 0.5), (1.0, 1.0), (0.5, 1.0)]).expect("valid");
    for (x, y) in [(0.7, 1.0), (1.0, 0.7), (1.0, 1.0), (0.5, 1.0)] {
        assert!(corner.contains(point(x, y)), "{x}, {y}");
    }
    let above = polygon(&[(0.5, 0.5), (0.9, 0.5), (0.9, 0.9), (0.5, 0.9)]).expect("valid");
    assert!(!above.contains(point(0.7, 1.0)));
    assert!(!corner.contains(point(0.4, 1.0)));
}

#[test]
fn the_order_of_the_corners_does_not_matter() {
    let random = &mut fastrand::Rng::with_seed(1);
    for _ in 0..300 {
        let star = star(random);
        let mut points = star.points().to_vec();
        points.reverse();
        points.rotate_left(random.usize(0..star.points().len()));
        let other = Polygon::new(points).expect("the same outline");
        for _ in 0..30 {
            let point = random_point(random);
            assert_eq!(
                star.contains(point),
                other.contains(point),
                "{star:?} {point:?}"
            );
        }
        for corner in star.points() {
            assert_eq!(star.contains(*corner), other.contains(*corner));
        }
    }
}

#[test]
fn a_point_is_in_exactly_one_of_two_parts_of_a_polygon() {
    let random = &mut fastrand::Rng::with_seed(2);
    let mut on_edges = 0;
    for _ in 0..500 {
        // A cut of the picture from its left to its right edge, over a few corners.
        let count = random.usize(2..6);
        let step = 1.0 / (count - 1) as f64;
        let corner = |i: usize| point(i as f64 * step, 0.1 + 0.8 * random.f64());
        let cut: Vec<NormPoint> = (0..count).map(corner).collect();
        let part = |ends: [(f64, f64); 2]| {
            let ends = ends.iter().map(|&(x, y)| point(x, y));
            Polygon::new(cut.iter().copied().chain(ends).collect()).expect("simple")
        };
        let upper = part([(1.0, 0.0), (0.0, 0.0)]);
        let lower = part([(1.0, 1.0), (0.0, 1.0)]);
        let mut points: Vec<NormPoint> = (0..50).map(|_| random_point(random)).collect();
        points.extend_from_slice(&cut);
        // The middles of those sides that have one in whole units are exactly on the edge.
        points.extend(cut.windows(2).map(|ends| NormPoint {
            x: i32::midpoint(ends[0].x, ends[1].x),
            y: i32::midpoint(ends[0].y, ends[1].y),
        }));
        points.extend([point(random.f64(), 1.0), point(1.0, random.f64())]);
        for point in points {
            let is_in = [upper.contains(point), lower.contains(point)];
            assert_eq!(
                is_in.iter().filter(|is_in| **is_in).count(),
                1,
                "{cut:?} {point:?}"
            );
            on_edges += u32::from(
                cut.windows(2)
                    .any(|ends| point.side_of(ends[0], ends[1]) == 0),
            );
        }
    }
    assert!(on_edges > 1000, "{on_edges}");
}

#[test]
fn the_middle_of_a_star_is_inside_and_what_is_around_it_is_not() {
    let random = &mut fastrand::Rng::with_seed(3);
    for _ in 0..300 {
        let star = star(random);
        let count = star.points().len();
        // With three corners, more than half a turn may be between two of them.
        if count > 3 {
            assert!(star.contains(point(0.5, 0.5)), "{star:?}");
        }
        for (x, y) in [(0.0, 0.0), (0.99, 0.01), (0.01, 0.99), (0.5, 0.999_99)] {
            assert!(!star.contains(point(x, y)), "{star:?}");
        }
    }
}

#[test]
fn a_polygon_and_any_line_through_it_meet_an_even_number_of_times() {
    let random = &mut fastrand::Rng::with_seed(4);
    for _ in 0..500 {
        let star = star(random);
        let y = random.i32(0..UNITS);
        let mut changes = 0;
        let mut was_in = false;
        for x in (0..UNITS).step_by(997) {
            let is_in = star.contains(NormPoint { x, y });
            changes += u32::from(is_in != was_in);
            was_in = is_in;
        }
        assert_eq!(changes % 2, 0, "{star:?}");
    }
}
