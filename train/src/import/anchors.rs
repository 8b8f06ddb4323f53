//! Anchors: the boxes that an SSD's box codes are relative to.

use super::error::NetworkFault;

/// A box that box codes are relative to, as shares of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Anchor {
    /// Of the centre.
    pub(super) x: f32,
    /// Of the centre.
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) height: f32,
}

/// A feature map: its sides in cells, and its anchors a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MapSize {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) anchors: usize,
}

impl MapSize {
    pub(super) fn count(&self) -> usize {
        let cells = self.width.saturating_mul(self.height);
        cells.saturating_mul(self.anchors)
    }
}

/// Of the largest and smallest anchors but one, as shares of the picture: TensorFlow's defaults.
const SCALES: [f32; 2] = [0.2, 0.95];

/// Of the width to the height: TensorFlow's defaults.
const RATIOS: [f32; 5] = [1.0, 2.0, 0.5, 3.0, 1.0 / 3.0];

/// The anchors of TensorFlow's `ssd_anchor_generator` with its default options, which MediaPipe's
/// `SsdAnchorsCalculator` makes too: three a cell in the first feature map, six in the others.
///
/// # Errors
/// [`NetworkFault::NoAnchors`] for other numbers of anchors.
pub(super) fn generate(maps: &[MapSize]) -> Result<Vec<Anchor>, NetworkFault> {
    let levels = maps.len();
    let scale = |level: usize| match levels {
        1 => SCALES[0],
        _ if level >= levels => 1.0,
        _ => SCALES[0] + (SCALES[1] - SCALES[0]) * level as f32 / (levels - 1) as f32,
    };
    let mut anchors = Vec::with_capacity(maps.iter().map(MapSize::count).sum());
    for (level, map) in maps.iter().enumerate() {
        let mut shapes: Vec<(f32, f32)> = match level {
            0 => vec![(0.1, 1.0), (scale(0), 2.0), (scale(0), 0.5)],
            _ => RATIOS.iter().map(|&ratio| (scale(level), ratio)).collect(),
        };
        if level > 0 {
            shapes.push(((scale(level) * scale(level + 1)).sqrt(), 1.0));
        }
        if shapes.len() != map.anchors {
            let found: Vec<_> = maps.iter().map(|map| map.anchors.to_string()).collect();
            return Err(NetworkFault::NoAnchors {
                found: found.join(", "),
            });
        }
        for row in 0..map.height {
            for column in 0..map.width {
                anchors.extend(shapes.iter().map(|&(scale, ratio)| Anchor {
                    x: (column as f32 + 0.5) / map.width as f32,
                    y: (row as f32 + 0.5) / map.height as f32,
                    width: scale * ratio.sqrt(),
                    height: scale / ratio.sqrt(),
                }));
            }
        }
    }
    Ok(anchors)
}

/// Checks that there is an anchor for each output, inside the cell of its feature map.
///
/// # Errors
/// [`NetworkFault::AnchorCount`] or [`NetworkFault::AnchorPlace`], which name the size of the input.
pub(super) fn check(
    anchors: &[Anchor],
    maps: &[MapSize],
    [width, height]: [usize; 2],
) -> Result<(), NetworkFault> {
    let needed = maps.iter().map(MapSize::count).sum();
    if anchors.len() != needed {
        let maps: Vec<String> = maps.iter().map(map_name).collect();
        return Err(NetworkFault::AnchorCount {
            anchors: anchors.len(),
            width,
            height,
            maps: maps.join(", "),
            needed,
        });
    }
    let mut number = 0;
    for map in maps {
        for cell in 0..map.width * map.height {
            let (column, row) = (cell % map.width, cell / map.width);
            for _ in 0..map.anchors {
                let anchor = anchors[number];
                let distance = |at: f32, cell: usize, cells: usize| {
                    (at * cells as f32 - cell as f32 - 0.5).abs()
                };
                let along = distance(anchor.x, column, map.width);
                let down = distance(anchor.y, row, map.height);
                // Written so that NaN is refused too.
                if !(along <= 0.5 && down <= 0.5) {
                    return Err(NetworkFault::AnchorPlace {
                        anchor: number,
                        x: anchor.x,
                        y: anchor.y,
                        map: map_name(map),
                        width,
                        height,
                    });
                }
                number += 1;
            }
        }
    }
    Ok(())
}

fn map_name(map: &MapSize) -> String {
    format!("{} x {}", map.width, map.height)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(sides: &[usize]) -> Vec<MapSize> {
        let map = |(level, &side): (usize, &usize)| MapSize {
            width: side,
            height: side,
            anchors: if level == 0 { 3 } else { 6 },
        };
        sides.iter().enumerate().map(map).collect()
    }

    #[test]
    fn generated_anchors_are_those_of_tensorflow() {
        let maps = maps(&[19, 10, 5, 3, 2, 1]);
        let anchors = generate(&maps).expect("standard");
        assert_eq!(anchors.len(), 1917);
        check(&anchors, &maps, [300, 300]).expect("in their cells");
        // From the constant in ssdlite_mobilenet_v2_coco: corners of anchors 0, 1, 1083 and 1916.
        let close = |number: usize, expected: [f32; 4]| {
            let Anchor {
                x,
                y,
                width,
                height,
            } = anchors[number];
            let corners = [
                y - height / 2.0,
                x - width / 2.0,
                y + height / 2.0,
                x + width / 2.0,
            ];
            let differs = corners
                .iter()
                .zip(expected)
                .any(|(a, b)| (a - b).abs() > 1e-5);
            assert!(!differs, "{number}: {corners:?}");
        };
        close(0, [-0.023_684, -0.023_684, 0.076_316, 0.076_316]);
        close(1, [-0.044_395, -0.115_106, 0.097_026, 0.167_737]);
        close(1083, [-0.125, -0.125, 0.225, 0.225]);
        close(1916, [0.012_660, 0.012_660, 0.987_340, 0.987_340]);
    }

    #[test]
    fn other_numbers_of_anchors_are_named() {
        let mut maps = maps(&[4, 2]);
        maps[1].anchors = 4;
        let error = generate(&maps).expect_err("refused").to_string();
        assert!(error.contains("3, 4 anchors a cell"), "{error}");
    }

    #[test]
    fn anchors_of_another_input_size_are_refused() {
        let small = maps(&[19, 10, 5, 3, 2, 1]);
        let large = maps(&[20, 10, 5, 3, 2, 1]);
        let anchors = generate(&large).expect("standard");
        let error = check(&anchors, &small, [300, 300]).expect_err("refused");
        let message = error.to_string();
        assert!(
            message.contains("2034 anchors")
                && message.contains("300 x 300")
                && message.contains("1917"),
            "{message}"
        );
        // As many anchors, but of maps of other sides.
        let (tall, wide) = (
            [MapSize {
                width: 2,
                height: 3,
                anchors: 3,
            }],
            [MapSize {
                width: 3,
                height: 2,
                anchors: 3,
            }],
        );
        let anchors = generate(&tall).expect("standard");
        let error = check(&anchors, &wide, [96, 64]).expect_err("refused");
        assert!(matches!(error, NetworkFault::AnchorPlace { .. }), "{error}");
    }
}
