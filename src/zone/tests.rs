//! Texts of zones and lines, and the sides of lines.

use super::*;

const POINTS: &str = "0.1,0.2;0.5,0.2;0.5,0.9";

fn zone(text: &str) -> Result<Zone, ZoneError> {
    text.parse()
}

fn line(text: &str) -> Result<Line, ZoneError> {
    text.parse()
}

fn point(x: f64, y: f64) -> NormPoint {
    NormPoint::new(x, y).expect("in the picture")
}

#[test]
fn a_zone_has_a_name_points_and_settings() {
    let plain = zone(&format!("table={POINTS}")).expect("valid");
    let points: Vec<(f64, f64)> = plain
        .polygon()
        .points()
        .iter()
        .map(|p| (p.x(), p.y()))
        .collect();
    assert_eq!(points, [(0.1, 0.2), (0.5, 0.2), (0.5, 0.9)]);
    assert_eq!((plain.name(), plain.settle()), ("table", SETTLE));
    assert!(plain.loiter().is_none() && plain.classes().contains("anything"));
    let text = format!(" Küche 2 = {POINTS} ; classes = cat,hot dog; settle=2s;loiter=1min;");
    let full = zone(&text).expect("valid");
    assert_eq!(full.name(), "Küche 2");
    assert_eq!(full.settle(), Duration::from_secs(2));
    assert_eq!(full.loiter(), Some(Duration::from_secs(60)));
    assert!(full.classes().contains("hot dog") && !full.classes().contains("dog"));
    let immediate = zone(&format!("a={POINTS};settle=0")).expect("valid");
    assert_eq!(immediate.settle(), Duration::ZERO);
}

#[test]
fn a_line_has_two_points_and_names_for_its_directions() {
    let plain = line("door=0.1,0.5;0.9,0.5").expect("valid");
    assert_eq!(plain.ends(), [point(0.1, 0.5), point(0.9, 0.5)]);
    let names = |line: &Line| Direction::ALL.map(|d| line.direction_name(d).to_owned());
    assert_eq!(names(&plain), ["in", "out"]);
    let text = "door=0.1,0.5;0.9,0.5;directions=to the room, away;classes=cat;margin=0.1";
    let full = line(text).expect("valid");
    assert_eq!(names(&full), ["to the room", "away"]);
    assert!(!full.classes().contains("dog"));
    assert_eq!(full.margin, 0.1);
}

#[test]
fn errors_name_the_key_and_the_cause() {
    let zones = [
        ("", "name", "expected NAME=X,Y;X,Y;..."),
        ("0.1,0.2;0.5,0.2", "name", "expected NAME=X,Y;X,Y;..."),
        (
            "=0.1,0.2;0.5,0.2;0.5,0.9",
            "name",
            "the name must have 1 to 40 letters",
        ),
        ("a/b=0.1,0.2;0.5,0.2;0.5,0.9", "name", "the name must have"),
        ("-a=0.1,0.2;0.5,0.2;0.5,0.9", "name", "the name must have"),
        ("a=0.1,0.2;0.5", "points", "point 2 is not X,Y"),
        ("a=0.1,0.2;0.5,b", "points", "point 2 is not X,Y"),
        ("a=0.1,0.2,0.3;0.5,0.1", "points", "point 1 is not X,Y"),
        (
            "a=0.1,0.2;0.5,1.2;0.4,0.4",
            "points",
            "point 2 is outside of the picture",
        ),
        (
            "a=0.1,0.2;320,240;0.4,0.4",
            "points",
            "point 2 is outside of the picture",
        ),
        (
            "a=0.1,NaN;0.5,0.2;0.4,0.4",
            "points",
            "point 1 is outside of the picture",
        ),
        ("a=", "points", "a polygon needs at least 3 points, not 0"),
        (
            "a=0.1,0.2;0.5,0.2",
            "points",
            "a polygon needs at least 3 points, not 2",
        ),
        ("a=0.1,0.1;0.5,0.5;0.9,0.9", "points", "it has no area"),
        (
            "a=0.1,0.1;0.5,0.5;0.1,0.1;0.2,0.5",
            "points",
            "points 1 and 3 are the same",
        ),
        (
            "a=0.2,0.2;0.6,0.6;0.6,0.2;0.2,0.6",
            "points",
            "side 1 (from point 1) meets side 3 (from point 3); list the points in order",
        ),
        (
            "a=0.1,0.2;0.5,0.2;0.5,0.9;settle=soon",
            "settle",
            "expected a time up to 24h",
        ),
        (
            "a=0.1,0.2;0.5,0.2;0.5,0.9;loiter=2d",
            "loiter",
            "expected a time up to 24h",
        ),
        (
            "a=0.1,0.2;0.5,0.2;0.5,0.9;classes=",
            "classes",
            "expected names of classes",
        ),
        (
            "a=0.1,0.2;0.5,0.2;0.5,0.9;color=red",
            "color",
            "unknown key, expected one of name, points, classes, settle, loiter",
        ),
        ("a=0.1,0.2;0.5,0.2;0.5,0.9;x/y=z", "", "unknown key"),
    ];
    for (text, key, expected) in zones {
        let error = zone(text).expect_err(text);
        assert_eq!(error.key(), key, "{text}");
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    let lines = [
        ("a=0.1,0.2", "points", "a line has 2 points, not 1"),
        (
            "a=0.1,0.2;0.2,0.3;0.4,0.4",
            "points",
            "a line has 2 points, not 3",
        ),
        (
            "a=0.1,0.2;0.1,0.2",
            "points",
            "both points of the line are the same",
        ),
        (
            "a=0.1,0.2;0.2,0.2;directions=in",
            "directions",
            "expected two different names",
        ),
        (
            "a=0.1,0.2;0.2,0.2;directions=in,in",
            "directions",
            "expected two different names",
        ),
        (
            "a=0.1,0.2;0.2,0.2;margin=2",
            "margin",
            "expected a share of the picture",
        ),
        (
            "a=0.1,0.2;0.2,0.2;settle=1s",
            "settle",
            "unknown key, expected one of name, points, classes, directions, margin",
        ),
    ];
    for (text, key, expected) in lines {
        let error = line(text).expect_err(text);
        assert_eq!(error.key(), key, "{text}");
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}

#[test]
fn no_error_repeats_what_may_be_a_password() {
    let texts = [
        "mqtt://anna:s3cret@home",
        "mqtt://anna:s3cret@home=0.1,0.2",
        "a=mqtt://anna:s3cret@home",
        "a=0.1,0.2;0.5,0.2;0.5,0.9;mqtt://anna:s3cret@home=1",
        "a=0.1,0.2;0.5,0.2;0.5,0.9;settle=mqtt://anna:s3cret@home",
    ];
    for text in texts {
        let error = zone(text).expect_err(text);
        assert!(
            !format!("{error} {error:?}").contains("s3cret"),
            "{error:?}"
        );
    }
}

#[test]
fn names_are_unique_among_zones_and_among_lines() {
    let zones = || vec![zone(&format!("a={POINTS}")).expect("valid")];
    let lines = || vec![line("a=0.1,0.5;0.9,0.5").expect("valid")];
    let map = ZoneMap::new(zones(), lines(), false).expect("a zone and a line");
    assert!(!map.is_empty() && ZoneMap::default().is_empty());
    let (id, first) = map.zones().next().expect("one");
    assert_eq!((map.zone(id), id.index()), (Some(first), 0));
    assert_eq!(map.zone(ZoneId(1)), None);
    let doubled = ZoneMap::new([zones(), zones()].concat(), Vec::new(), false);
    let message = doubled.expect_err("doubled").to_string();
    assert_eq!(message, "two zones are named \"a\"; give each another name");
    let doubled = ZoneMap::new(Vec::new(), [lines(), lines()].concat(), false);
    let message = doubled.expect_err("doubled").to_string();
    assert_eq!(message, "two lines are named \"a\"; give each another name");
}

#[test]
fn classes_that_the_model_does_not_have_are_named_with_their_zone() {
    let labels = Labels::new(vec!["cat".to_owned(), "dog".to_owned()]).expect("valid");
    let table = zone(&format!("table={POINTS};classes=cats")).expect("valid");
    let door = line("door=0.1,0.5;0.9,0.5;classes=dog").expect("valid");
    let map = ZoneMap::new(vec![table], vec![door.clone()], false).expect("valid");
    let message = map.check_classes(&labels).expect_err("no cats").to_string();
    assert!(
        message.starts_with("zone \"table\": the model has no class \"cats\""),
        "{message}"
    );
    let map = ZoneMap::new(Vec::new(), vec![door], false).expect("valid");
    assert_eq!(map.check_classes(&labels), Ok(()));
}

#[test]
fn a_line_from_left_to_right_is_crossed_in_downwards() {
    let door = line("door=0.1,0.5;0.9,0.5;margin=0.1").expect("valid");
    let cases = [
        (0.2, Direction::Out, Some(Direction::Out)),
        (0.4, Direction::Out, Some(Direction::Out)),
        (0.45, Direction::Out, None),
        (0.5, Direction::In, None),
        (0.55, Direction::In, None),
        (0.6, Direction::In, Some(Direction::In)),
        (1.0, Direction::In, Some(Direction::In)),
    ];
    for (y, side, clear_side) in cases {
        let point = point(0.3, y);
        assert_eq!(
            (door.side(point), door.clear_side(point)),
            (side, clear_side),
            "{y}"
        );
    }
    let back = line("door=0.9,0.5;0.1,0.5").expect("valid");
    assert_eq!(back.side(point(0.3, 0.2)), Direction::In);
    assert!(door.is_met_by(point(0.5, 0.4), point(0.5, 0.6)));
    assert!(!door.is_met_by(point(0.95, 0.4), point(0.95, 0.6)));
}
