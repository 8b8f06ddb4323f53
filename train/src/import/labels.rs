//! The class names of a foreign network, and which of its outputs each one belongs to.

use std::collections::BTreeMap;
use std::path::Path;

use boxcam::label::Labels;

use super::decoding::Columns;
use super::error::{LabelsFault, ModelImportError};

/// Names as a file has them.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelList {
    /// In the order of the outputs; `None` for an output without a name.
    Ordered(Vec<Option<String>>),
    /// By number; numbers that are not there have no name.
    Numbered(BTreeMap<usize, Option<String>>),
}

/// The background among the score outputs of an anchor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Background {
    /// As the file says, or as the number of labels says: output 0 if there is one label less than outputs.
    #[default]
    Auto,
    /// There is none.
    None,
    /// This output.
    Column(usize),
}

/// The classes that are kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Classes {
    pub(super) labels: Labels,
    /// The output of each label.
    pub(super) columns: Vec<usize>,
}

/// The 80 classes of COCO by their number in its annotations, 1 to 90.
const COCO: [(usize, &str); 80] = [
    (1, "person"),
    (2, "bicycle"),
    (3, "car"),
    (4, "motorcycle"),
    (5, "airplane"),
    (6, "bus"),
    (7, "train"),
    (8, "truck"),
    (9, "boat"),
    (10, "traffic light"),
    (11, "fire hydrant"),
    (13, "stop sign"),
    (14, "parking meter"),
    (15, "bench"),
    (16, "bird"),
    (17, "cat"),
    (18, "dog"),
    (19, "horse"),
    (20, "sheep"),
    (21, "cow"),
    (22, "elephant"),
    (23, "bear"),
    (24, "zebra"),
    (25, "giraffe"),
    (27, "backpack"),
    (28, "umbrella"),
    (31, "handbag"),
    (32, "tie"),
    (33, "suitcase"),
    (34, "frisbee"),
    (35, "skis"),
    (36, "snowboard"),
    (37, "sports ball"),
    (38, "kite"),
    (39, "baseball bat"),
    (40, "baseball glove"),
    (41, "skateboard"),
    (42, "surfboard"),
    (43, "tennis racket"),
    (44, "bottle"),
    (46, "wine glass"),
    (47, "cup"),
    (48, "fork"),
    (49, "knife"),
    (50, "spoon"),
    (51, "bowl"),
    (52, "banana"),
    (53, "apple"),
    (54, "sandwich"),
    (55, "orange"),
    (56, "broccoli"),
    (57, "carrot"),
    (58, "hot dog"),
    (59, "pizza"),
    (60, "donut"),
    (61, "cake"),
    (62, "chair"),
    (63, "couch"),
    (64, "potted plant"),
    (65, "bed"),
    (67, "dining table"),
    (70, "toilet"),
    (72, "tv"),
    (73, "laptop"),
    (74, "mouse"),
    (75, "remote"),
    (76, "keyboard"),
    (77, "cell phone"),
    (78, "microwave"),
    (79, "oven"),
    (80, "toaster"),
    (81, "sink"),
    (82, "refrigerator"),
    (84, "book"),
    (85, "clock"),
    (86, "vase"),
    (87, "scissors"),
    (88, "teddy bear"),
    (89, "hair drier"),
    (90, "toothbrush"),
];

impl LabelList {
    /// COCO's names and numbers, as TensorFlow's detectors are trained with.
    #[must_use]
    pub fn coco() -> Self {
        let names = COCO.iter();
        Self::Numbered(
            names
                .map(|&(number, name)| (number, Some(name.to_owned())))
                .collect(),
        )
    }

    /// Reads a file: one name a line, `number name` a line, or a label map (`item { id: 1 name: "person" }`).
    ///
    /// # Errors
    /// [`ModelImportError`] with the path.
    pub fn read(path: &Path) -> Result<Self, ModelImportError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => {
                Self::parse(&text).map_err(|fault| ModelImportError::Labels { file, fault })
            }
            Err(source) => Err(ModelImportError::ReadLabels { file, source }),
        }
    }

    fn parse(text: &str) -> Result<Self, LabelsFault> {
        let text = text.trim_start_matches('\u{feff}');
        if text.contains('{') {
            return label_map(text);
        }
        let lines: Vec<&str> = text.trim_end().lines().map(str::trim).collect();
        let numbered = lines.iter().map(|line| number_and_name(line));
        match numbered.collect::<Option<Vec<_>>>() {
            Some(rows) if !rows.is_empty() => numbers(rows),
            _ => Ok(Self::Ordered(lines.into_iter().map(name).collect())),
        }
    }

    /// Which outputs the names belong to.
    ///
    /// # Errors
    /// [`LabelsFault`] when the names do not fit the outputs.
    pub(super) fn assign(
        &self,
        outputs: usize,
        given_on: &Columns,
        background: Background,
    ) -> Result<Classes, LabelsFault> {
        let all = || (0..outputs).collect::<Vec<usize>>();
        // The outputs without a background; `None` if it is not known whether there is one.
        let foreground = match (background, given_on) {
            (Background::None, _) => Some(all()),
            (Background::Column(column), _) if column >= outputs => {
                return Err(LabelsFault::BackgroundColumn { column, outputs });
            }
            (Background::Column(column), _) => {
                Some(all().into_iter().filter(|other| *other != column).collect())
            }
            (Background::Auto, Columns::Known(columns)) => Some(columns.clone()),
            (Background::Auto, Columns::Unknown) => None,
        };
        let names = match self {
            Self::Ordered(names) => ordered(names, outputs, foreground.as_deref())?,
            Self::Numbered(names) => numbered(names, outputs, foreground.as_deref())?,
        };
        let (columns, names) = names.into_iter().unzip();
        Ok(Classes {
            labels: Labels::new(names)?,
            columns,
        })
    }
}

/// A name; `None` for what stands for an output without one.
fn name(text: &str) -> Option<String> {
    let is_hole =
        ["", "???", "n/a", "background", "__background__"].contains(&text.to_lowercase().as_str());
    (!is_hole).then(|| text.to_owned())
}

/// `12 person`, `12: person` or `12,person`.
fn number_and_name(line: &str) -> Option<(usize, &str)> {
    let end = line.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = line.split_at(end);
    let name = rest.trim_start_matches([' ', '\t', ':', ',']);
    (rest.len() > name.len()).then_some(())?;
    Some((number.parse().ok()?, name.trim()))
}

fn numbers(rows: Vec<(usize, &str)>) -> Result<LabelList, LabelsFault> {
    let mut names = BTreeMap::new();
    for (number, text) in rows {
        if names.insert(number, name(text)).is_some() {
            return Err(LabelsFault::NumberTwice { number });
        }
    }
    Ok(LabelList::Numbered(names))
}

/// A label map of TensorFlow's object detection API: items with `id`, and `display_name` or `name`.
fn label_map(text: &str) -> Result<LabelList, LabelsFault> {
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        words(line, text, &mut rows);
    }
    let mut items = Vec::new();
    // Number, name and the name for people of the item that is open.
    let mut item: (Option<usize>, Option<&str>, Option<&str>) = (None, None, None);
    let mut key = "";
    for (line, word) in rows {
        let fault = || LabelsFault::Line {
            line,
            text: word.to_owned(),
        };
        match word {
            "{" | ":" => {}
            "}" => {
                let (id, name, shown) = std::mem::take(&mut item);
                items.push(id.zip(shown.or(name)).ok_or_else(fault)?);
            }
            value => {
                let is_value = match key {
                    "id" => item
                        .0
                        .replace(value.parse().map_err(|_| fault())?)
                        .is_none(),
                    "name" => item.1.replace(value).is_none(),
                    "display_name" => item.2.replace(value).is_none(),
                    _ => false,
                };
                key = if is_value { "" } else { value };
            }
        }
    }
    numbers(items)
}

/// Appends the words of a line, up to a comment, with its number: brackets, colons, texts in quotes and what is between.
fn words<'a>(line: usize, text: &'a str, words: &mut Vec<(usize, &'a str)>) {
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, end) = match first {
            '#' => return,
            '{' | '}' | ':' | ',' | ';' => (&rest[..1], 1),
            '"' | '\'' => {
                let length = rest[1..].find(first).unwrap_or(rest.len() - 1);
                (&rest[1..=length], (length + 2).min(rest.len()))
            }
            _ => {
                let is_end = |c: char| c.is_whitespace() || "{}:,;#".contains(c);
                let end = rest.find(is_end).unwrap_or(rest.len());
                (&rest[..end], end)
            }
        };
        if !matches!(word, "," | ";") {
            words.push((line, word));
        }
        rest = rest[end..].trim_start();
    }
}

type Named = Vec<(usize, String)>;

fn ordered(
    names: &[Option<String>],
    outputs: usize,
    foreground: Option<&[usize]>,
) -> Result<Named, LabelsFault> {
    let first = || names.first().cloned().flatten();
    let columns = match foreground {
        // One more than classes: the first line must stand for the background.
        Some(columns) if names.len() == columns.len() + 1 && names.len() == outputs => {
            return match first() {
                None => Ok(pairs(&(0..outputs).collect::<Vec<_>>(), names)),
                Some(first) => Err(LabelsFault::NoBackground { first, outputs }),
            };
        }
        Some(columns) if names.len() == columns.len() => columns.to_vec(),
        // A file without a background, and a list that begins with one.
        Some(columns) if names.len() == columns.len() + 1 && first().is_none() => {
            return Ok(pairs(columns, &names[1..]));
        }
        None if names.len() == outputs => (0..outputs).collect(),
        None if names.len() + 1 == outputs => (1..outputs).collect(),
        _ => return Err(count(names.len(), outputs, foreground)),
    };
    Ok(pairs(&columns, names))
}

fn pairs(columns: &[usize], names: &[Option<String>]) -> Named {
    let pairs = columns.iter().zip(names);
    pairs
        .filter_map(|(&column, name)| Some((column, name.clone()?)))
        .collect()
}

fn numbered(
    names: &BTreeMap<usize, Option<String>>,
    outputs: usize,
    foreground: Option<&[usize]>,
) -> Result<Named, LabelsFault> {
    let last = names.keys().next_back().copied().unwrap_or(0);
    // Numbers from 0 are those of the classes, unless 0 is the background; numbers from 1 leave 0 to it.
    let counts_from_0 = names.get(&0).is_some_and(Option::is_some);
    let from = if counts_from_0 { 0 } else { 1 };
    let classes = last + 1 - from;
    let columns: Vec<usize> = match foreground {
        Some(columns) if columns.len() == classes => columns.to_vec(),
        None if outputs == classes => (0..outputs).collect(),
        None if outputs == classes + 1 => (1..outputs).collect(),
        // As many outputs as names: the numbers were made to follow each other.
        Some(columns) if columns.len() == named(names) => return Ok(dense(columns, names)),
        None if outputs == named(names) => {
            return Ok(dense(&(0..outputs).collect::<Vec<_>>(), names));
        }
        None if outputs == named(names) + 1 => {
            return Ok(dense(&(1..outputs).collect::<Vec<_>>(), names));
        }
        _ => return Err(count(classes, outputs, foreground)),
    };
    let column = |(number, name): (&usize, &Option<String>)| {
        Some((*columns.get(number.checked_sub(from)?)?, name.clone()?))
    };
    Ok(names.iter().filter_map(column).collect())
}

fn named(names: &BTreeMap<usize, Option<String>>) -> usize {
    names.values().flatten().count()
}

fn dense(columns: &[usize], names: &BTreeMap<usize, Option<String>>) -> Named {
    let names = names.values().flatten().cloned();
    columns.iter().copied().zip(names).collect()
}

fn count(labels: usize, outputs: usize, foreground: Option<&[usize]>) -> LabelsFault {
    let background = match foreground.map(|columns| outputs - columns.len()) {
        None => "of which one may be a background".to_owned(),
        Some(0) => "none of them a background".to_owned(),
        Some(1) => "one of them the background".to_owned(),
        Some(more) => format!("{more} of which are not classes"),
    };
    LabelsFault::Count {
        labels,
        outputs,
        background,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(
        text: &str,
        outputs: usize,
        given_on: &Columns,
        background: Background,
    ) -> Result<Vec<(usize, String)>, String> {
        let list = LabelList::parse(text).map_err(|fault| fault.to_string())?;
        let classes = list.assign(outputs, given_on, background);
        let classes = classes.map_err(|fault| fault.to_string())?;
        let names = classes.labels.iter().map(str::to_owned);
        Ok(classes.columns.into_iter().zip(names).collect())
    }

    fn pairs(pairs: &[(usize, &str)]) -> Result<Vec<(usize, String)>, String> {
        Ok(pairs
            .iter()
            .map(|&(c, name)| (c, name.to_owned()))
            .collect())
    }

    const WITHOUT_FIRST: fn() -> Columns = || Columns::Known(vec![1, 2, 3]);

    #[test]
    fn a_background_in_the_file_or_in_the_list_moves_no_label() {
        let three = "cat\ndog\ncow\n";
        let four = "???\ncat\ndog\ncow\n";
        let expected = pairs(&[(1, "cat"), (2, "dog"), (3, "cow")]);
        for text in [three, four] {
            for given_on in [WITHOUT_FIRST(), Columns::Unknown] {
                assert_eq!(assigned(text, 4, &given_on, Background::Auto), expected);
            }
            let column = Background::Column(0);
            assert_eq!(assigned(text, 4, &Columns::Unknown, column), expected);
        }
        // Without a background among three outputs.
        let expected = pairs(&[(0, "cat"), (1, "dog"), (2, "cow")]);
        let all = Columns::Known(vec![0, 1, 2]);
        for (text, given_on) in [(three, &Columns::Unknown), (three, &all), (four, &all)] {
            assert_eq!(assigned(text, 3, given_on, Background::Auto), expected);
        }
        assert_eq!(
            assigned(three, 3, &Columns::Unknown, Background::None),
            expected
        );
        let last = Background::Column(3);
        assert_eq!(assigned(three, 4, &Columns::Unknown, last), expected);
    }

    #[test]
    fn a_first_label_on_the_background_is_refused() {
        let text = "cat\ndog\ncow\npig\n";
        let error = assigned(text, 4, &WITHOUT_FIRST(), Background::Auto).expect_err("refused");
        assert!(
            error.contains("\"cat\"") && error.contains("background"),
            "{error}"
        );
        // Without knowledge of a background all four are classes.
        let all = assigned(text, 4, &Columns::Unknown, Background::Auto).expect("fits");
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn fewer_or_more_labels_than_outputs_are_refused_with_both_numbers() {
        let known = WITHOUT_FIRST();
        for (text, given_on, numbers) in [
            ("a\nb", &known, ["2 labels", "4 outputs"]),
            ("a\nb", &Columns::Unknown, ["2 labels", "4 outputs"]),
            ("a\nb\nc\nd\ne", &known, ["5 labels", "4 outputs"]),
            (
                "a\nb\nc\nd\ne",
                &Columns::Unknown,
                ["5 labels", "4 outputs"],
            ),
            ("1 a\n9 b", &known, ["9 labels", "4 outputs"]),
        ] {
            let error = assigned(text, 4, given_on, Background::Auto).expect_err("refused");
            assert!(
                numbers.iter().all(|number| error.contains(number)),
                "{error}"
            );
        }
        let error = assigned("a", 4, &known, Background::Column(4)).expect_err("refused");
        assert!(error.contains("no output 4"), "{error}");
    }

    #[test]
    fn numbers_with_holes_name_their_outputs() {
        let expected = pairs(&[(1, "cat"), (3, "dog")]);
        let map = "item { name: '/m/01' id: 1 display_name: \"cat\" }\nitem {\n  id: 3\n  name: \"dog\"\n}\n";
        for text in [
            "1 cat\n3 dog",
            "0 background\n1: cat\n3: dog",
            "0  cat\n2  dog",
            "cat\n???\ndog",
            map,
        ] {
            let found = assigned(text, 4, &WITHOUT_FIRST(), Background::Auto);
            assert_eq!(found, expected, "{text}");
            let found = assigned(text, 4, &Columns::Unknown, Background::Auto);
            assert_eq!(found, expected, "{text}");
        }
        let error = assigned("1 a\n1 b", 2, &Columns::Unknown, Background::Auto);
        assert!(error.expect_err("refused").contains("comes twice"));
        let error = assigned(
            "item { id: x name: \"a\" }",
            2,
            &Columns::Unknown,
            Background::Auto,
        );
        assert!(error.expect_err("refused").contains("line 1"));
    }

    #[test]
    fn coco_has_holes_among_its_numbers() {
        let classes = |outputs, given_on: &Columns| {
            let classes = LabelList::coco().assign(outputs, given_on, Background::Auto);
            classes.expect("fits")
        };
        let column = |classes: &Classes, name: &str| {
            let at = classes.labels.find(name).expect("known").index();
            classes.columns[at]
        };
        let with_background = classes(91, &Columns::Known((1..91).collect()));
        assert_eq!(with_background.labels.len(), 80);
        assert_eq!(column(&with_background, "person"), 1);
        assert_eq!(column(&with_background, "stop sign"), 13);
        assert_eq!(column(&with_background, "toothbrush"), 90);
        assert!(!with_background.columns.contains(&12));
        assert_eq!(with_background, classes(91, &Columns::Unknown));
        let without = classes(90, &Columns::Unknown);
        assert_eq!(column(&without, "stop sign"), 12);
        // Networks that were trained with 80 numbers without holes.
        assert_eq!(column(&classes(80, &Columns::Unknown), "toothbrush"), 79);
        assert_eq!(column(&classes(81, &Columns::Unknown), "toothbrush"), 80);
        let error = LabelList::coco().assign(24, &Columns::Unknown, Background::Auto);
        let error = error.expect_err("refused").to_string();
        assert!(
            error.contains("90 labels") && error.contains("24 outputs"),
            "{error}"
        );
    }
}
