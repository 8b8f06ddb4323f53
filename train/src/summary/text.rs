//! A summary as a plain-text table.

use super::{Layer, Summary, Totals};

/// One line for each layer, then the sums.
#[must_use]
pub fn table(summary: &Summary) -> String {
    let mut rows = vec![
        ["layer", "kind", "output", "parameters", "multiply-adds"].map(str::to_owned),
        [
            "input".to_owned(),
            "image".to_owned(),
            shape(&summary.input),
            String::new(),
            String::new(),
        ],
    ];
    rows.extend(summary.layers.iter().map(row));
    let totals = summary.totals();
    let sums = [
        "total".to_owned(),
        format!("{} layers", summary.layers.len()),
        String::new(),
        grouped(totals.parameters()),
        grouped(totals.multiply_adds),
    ];
    rows.push(sums);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 5] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        // A rule follows the header and precedes the sums.
        if number == 1 || number + 1 == rows.len() {
            let whole = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
            text.push_str(&"-".repeat(whole));
            text.push('\n');
        }
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            match column {
                0..3 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text.push_str(&sizes(summary, totals));
    text
}

fn row(layer: &Layer) -> [String; 5] {
    let parameters = layer.weights + layer.biases;
    let cell = |number: u64| match number {
        0 => "-".to_owned(),
        number => grouped(number),
    };
    let kind = match layer.activation {
        Some(activation) => format!("{}, {activation}", layer.kind),
        None => layer.kind.to_string(),
    };
    [
        layer.name.clone(),
        kind,
        shape(&layer.shape),
        cell(parameters),
        cell(layer.multiply_adds),
    ]
}

fn sizes(summary: &Summary, totals: Totals) -> String {
    let stored = if summary.is_int8 { "int8" } else { "floats" };
    format!(
        "parameters: {} ({} in weights, {} in biases); {} as floats, {} as int8; this file holds {stored}\n\
         multiply-adds: {} for one image\n",
        grouped(totals.parameters()),
        grouped(totals.weights),
        grouped(totals.biases),
        bytes(totals.float_bytes()),
        bytes(totals.int8_bytes()),
        short(totals.multiply_adds)
    )
}

/// `1 × 3 × 224 × 224`
fn shape(sides: &[usize]) -> String {
    let sides: Vec<String> = sides.iter().map(usize::to_string).collect();
    sides.join(" × ")
}

/// `1,234,567`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0.575 G`, `98.4 M`, `20.5 k`
fn short(number: u64) -> String {
    let number = number as f64;
    match number {
        n if n >= 1e8 => format!("{:.3} G", n / 1e9),
        n if n >= 1e5 => format!("{:.1} M", n / 1e6),
        n if n >= 1e3 => format!("{:.1} k", n / 1e3),
        n => format!("{n}"),
    }
}

/// `13.10 MB`, `1.5 kB`
#[must_use]
pub fn bytes(count: u64) -> String {
    match count as f64 {
        n if n >= 1e6 => format!("{:.2} MB", n / 1e6),
        n if n >= 1e3 => format!("{:.1} kB", n / 1e3),
        n => format!("{n} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_and_units() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(
            (grouped(0), grouped(999), grouped(1000)),
            ("0".into(), "999".into(), "1,000".into())
        );
        assert_eq!(short(575_123_456), "0.575 G");
        assert_eq!(
            (short(98_440_000), short(20_480), short(7)),
            ("98.4 M".into(), "20.5 k".into(), "7".into())
        );
        assert_eq!(
            (bytes(13_100_000), bytes(20), bytes(1500)),
            ("13.10 MB".into(), "20 bytes".into(), "1.5 kB".into())
        );
        assert_eq!(shape(&[1, 3, 2]), "1 × 3 × 2");
    }
}
