//! Bounds of outlines: polygons, run-length encoded masks, rotated boxes.

use std::fmt::{self, Formatter};

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::value;

/// The smallest box around points: `x_min, x_max, y_min, y_max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds([f64; 4]);

impl Default for Bounds {
    fn default() -> Self {
        Self([
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ])
    }
}

impl Bounds {
    pub(super) fn of(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut bounds = Self::default();
        for (x, y) in points {
            bounds.add(x, y);
        }
        bounds
    }

    /// Adds a point. One that is no number makes the bounds unknown.
    pub(super) fn add(&mut self, x: f64, y: f64) {
        let [x_min, x_max, y_min, y_max] = self.0;
        self.0 = match x.is_finite() && y.is_finite() && !x_min.is_nan() {
            true => [x_min.min(x), x_max.max(x), y_min.min(y), y_max.max(y)],
            false => [f64::NAN; 4],
        };
    }

    pub(super) fn merge(&mut self, other: Self) {
        let [x_min, x_max, y_min, y_max] = other.0;
        if x_min <= x_max || x_min.is_nan() {
            self.add(x_min, y_min);
            self.add(x_max, y_max);
        }
    }

    /// `None` without a point, or if a coordinate was no number.
    pub(super) fn corners(self) -> Option<[f64; 4]> {
        self.0
            .iter()
            .all(|corner| corner.is_finite())
            .then_some(self.0)
    }
}

/// COCO's `segmentation`, of which only the bounds are kept: the points of a whole data set would take gigabytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Segmentation(pub(super) Bounds);

impl<'de> Deserialize<'de> for Segmentation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SegmentationVisitor)
    }
}

struct SegmentationVisitor;

impl<'de> Visitor<'de> for SegmentationVisitor {
    type Value = Segmentation;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("polygons or run lengths")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Segmentation, A::Error> {
        let mut bounds = Bounds::default();
        let mut x = None;
        while let Some(item) = list.next_element::<Item>()? {
            match (item, x.take()) {
                (Item::Number(number), None) => x = Some(number),
                (Item::Number(y), Some(x)) => bounds.add(x, y),
                (Item::Polygon(polygon), _) => bounds.merge(polygon),
            }
        }
        Ok(Segmentation(bounds))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Segmentation, A::Error> {
        let (mut height, mut counts) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "size" => height = rle_height(&map.next_value()?),
                "counts" => counts = rle_counts(&map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let bounds = height.zip(counts);
        let bounds = bounds.map(|(height, counts)| mask_bounds(height, &counts));
        Ok(Segmentation(bounds.unwrap_or_default()))
    }

    fn visit_unit<E>(self) -> Result<Segmentation, E> {
        Ok(Segmentation::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Segmentation, E> {
        Ok(Segmentation::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Segmentation, E> {
        Ok(Segmentation::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Segmentation, E> {
        Ok(Segmentation::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Segmentation, E> {
        Ok(Segmentation::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Segmentation, E> {
        Ok(Segmentation::default())
    }
}

/// An element of a polygon, or of a list of polygons.
enum Item {
    /// NaN for what is no number.
    Number(f64),
    Polygon(Bounds),
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a polygon")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Item, A::Error> {
        let Segmentation(bounds) = SegmentationVisitor.visit_seq(list)?;
        Ok(Item::Polygon(bounds))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item, A::Error> {
        let Segmentation(bounds) = SegmentationVisitor.visit_map(map)?;
        Ok(Item::Polygon(bounds))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Item, E> {
        Ok(Item::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Item, E> {
        Ok(Item::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Item, E> {
        Ok(Item::Number(number as f64))
    }

    fn visit_str<E>(self, text: &str) -> Result<Item, E> {
        Ok(Item::Number(boxcam::text::number(text).unwrap_or(f64::NAN)))
    }

    fn visit_unit<E>(self) -> Result<Item, E> {
        Ok(Item::Number(f64::NAN))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Item, E> {
        Ok(Item::Number(f64::NAN))
    }
}

/// The first number of `size`, which is height and width.
fn rle_height(size: &Value) -> Option<u64> {
    let height = value::number(size.get(0)?)?;
    (height >= 1.0 && height <= f64::from(u32::MAX)).then_some(height as u64)
}

/// Lengths of runs: numbers, or the text into which COCO's tools compress them.
fn rle_counts(counts: &Value) -> Option<Vec<u64>> {
    match counts {
        Value::String(text) => decompressed(text),
        Value::Array(list) => list
            .iter()
            .map(|count| value::number(count).filter(|count| *count >= 0.0))
            .map(|count| count.map(|count| count as u64))
            .collect(),
        _ => None,
    }
}

/// COCO's compression: numbers in groups of five bits, lowest first, from the fourth on as differences to the one two
/// before (`rleFrString` in cocoapi's `maskApi.c`).
fn decompressed(text: &str) -> Option<Vec<u64>> {
    let mut counts: Vec<i64> = Vec::new();
    let mut letters = text.bytes();
    while let Some(mut letter) = letters.next() {
        let (mut number, mut shift) = (0_i64, 0);
        loop {
            let bits = i64::from(letter.checked_sub(48).filter(|bits| *bits < 64)?);
            if shift > 50 {
                return None;
            }
            number |= (bits & 0x1F) << shift;
            shift += 5;
            if bits & 0x20 == 0 {
                if bits & 0x10 != 0 {
                    number |= -1 << shift;
                }
                break;
            }
            letter = letters.next()?;
        }
        if let Some(before) = counts.len().checked_sub(2).filter(|_| counts.len() > 2) {
            number = number.checked_add(counts[before])?;
        }
        counts.push(number);
    }
    counts
        .into_iter()
        .map(|count| count.try_into().ok())
        .collect()
}

/// Runs of pixels outside and inside of the mask in turn, column by column.
fn mask_bounds(height: u64, counts: &[u64]) -> Bounds {
    let mut bounds = Bounds::default();
    let mut start = 0_u64;
    for (index, count) in counts.iter().enumerate() {
        let end = start.saturating_add(*count);
        if index % 2 == 1 && *count > 0 {
            let (first, last) = (start / height, (end - 1) / height);
            let (top, bottom) = match first == last {
                true => (start % height, (end - 1) % height + 1),
                false => (0, height),
            };
            bounds.add(first as f64, top as f64);
            bounds.add((last + 1) as f64, bottom as f64);
        }
        start = end;
    }
    bounds
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn corners(segmentation: Value) -> Option<[f64; 4]> {
        let Segmentation(bounds) = serde_json::from_value(segmentation).expect("any value");
        bounds.corners()
    }

    /// What pycocotools writes for a rectangle of ones in a mask of `height` x `width`.
    fn runs(height: u64, width: u64, [left, right, top, bottom]: [u64; 4]) -> Vec<u64> {
        let inside = |pixel: u64| {
            let (x, y) = (pixel / height, pixel % height);
            (left..right).contains(&x) && (top..bottom).contains(&y)
        };
        let mut counts = vec![0];
        for pixel in 0..height * width {
            if inside(pixel) != (counts.len() % 2 == 0) {
                counts.push(0);
            }
            *counts.last_mut().expect("one") += 1;
        }
        counts
    }

    /// `rleToString` of cocoapi.
    fn compressed(counts: &[u64]) -> String {
        let mut text = String::new();
        for (index, count) in counts.iter().enumerate() {
            let mut number = *count as i64;
            if index > 2 {
                number -= counts[index - 2] as i64;
            }
            loop {
                let bits = number & 0x1F;
                number >>= 5;
                let more = if bits & 0x10 != 0 {
                    number != -1
                } else {
                    number != 0
                };
                let letter = if more { bits | 0x20 } else { bits };
                text.push(char::from(48 + letter as u8));
                if !more {
                    break;
                }
            }
        }
        text
    }

    #[test]
    fn polygons_have_bounds() {
        let square = [20, 10, 80, 10, 80, 60, 20, 60];
        let expected = Some([20.0, 80.0, 10.0, 60.0]);
        let pairs: Vec<&[i32]> = square.chunks(2).collect();
        assert_eq!(corners(json!([square])), expected);
        assert_eq!(corners(json!(square)), expected);
        assert_eq!(corners(json!([pairs])), expected);
        assert_eq!(
            corners(json!(square.map(|number| number.to_string()))),
            expected
        );
        let parts = json!([[20, 10, 30, 10, 30, 60], [70, 20, 80, 20, 80, 40], []]);
        assert_eq!(corners(parts), expected);
        for empty in [
            json!([]),
            json!([[]]),
            json!(null),
            json!({}),
            json!("x"),
            json!(3),
        ] {
            assert_eq!(corners(empty), None);
        }
        assert_eq!(corners(json!([[20, 10, "NaN", 10, 80, 60]])), None);
        assert_eq!(corners(json!([[20, null, 80, 10]])), None);
    }

    #[test]
    fn masks_have_bounds() {
        for rectangle in [
            [20, 80, 10, 60],
            [0, 160, 0, 120],
            [5, 6, 0, 120],
            [159, 160, 119, 120],
        ] {
            let counts = runs(120, 160, rectangle);
            let expected = Some(rectangle.map(|corner| corner as f64));
            let size = json!([120, 160]);
            let plain = json!({ "size": size, "counts": counts });
            assert_eq!(corners(plain), expected, "{rectangle:?}");
            let text = json!({ "counts": compressed(&counts), "size": size });
            assert_eq!(corners(text), expected, "{rectangle:?}");
        }
        for invalid in ["\u{1}", "~~", "ooooooooooooooooooooo"] {
            let mask = json!({ "size": [120, 160], "counts": invalid });
            assert_eq!(corners(mask), None, "{invalid}");
        }
        assert_eq!(corners(json!({ "size": [0, 0], "counts": [0, 4] })), None);
    }
}
