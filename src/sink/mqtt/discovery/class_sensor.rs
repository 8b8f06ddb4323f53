//! The binary sensor of a class in Home Assistant: its icon, its device class and the template of its value.

use serde_json::{Value, json};

/// The icon of a class that has none of its own.
const OTHER_ICON: &str = "mdi:shape";

/// What `ON` means for Home Assistant, which shows it in words and groups sensors by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeviceClass {
    /// A person or an animal is there.
    Occupancy,
    /// A vehicle is there and moves; a parked one is no news.
    Motion,
    /// A thing is there.
    None,
}

use DeviceClass::{Motion, None as Thing, Occupancy};

/// The icons, of Material Design Icons, and the device classes of COCO's classes and of the snacks.
const CLASSES: &[(&str, &str, DeviceClass)] = &[
    ("person", "account", Occupancy),
    ("bicycle", "bicycle", Motion),
    ("car", "car", Motion),
    ("motorcycle", "motorbike", Motion),
    ("airplane", "airplane", Motion),
    ("bus", "bus", Motion),
    ("train", "train", Motion),
    ("truck", "truck", Motion),
    ("boat", "sail-boat", Motion),
    ("traffic light", "traffic-light", Thing),
    ("fire hydrant", "fire-hydrant", Thing),
    ("stop sign", "octagon", Thing),
    ("parking meter", "parking", Thing),
    ("bench", "bench", Thing),
    ("bird", "bird", Occupancy),
    ("cat", "cat", Occupancy),
    ("dog", "dog", Occupancy),
    ("horse", "horse", Occupancy),
    ("sheep", "sheep", Occupancy),
    ("cow", "cow", Occupancy),
    ("elephant", "elephant", Occupancy),
    ("bear", "paw", Occupancy),
    ("zebra", "paw", Occupancy),
    ("giraffe", "paw", Occupancy),
    ("backpack", "bag-personal", Thing),
    ("umbrella", "umbrella", Thing),
    ("handbag", "purse", Thing),
    ("tie", "tie", Thing),
    ("suitcase", "bag-suitcase", Thing),
    ("frisbee", "disc", Thing),
    ("skis", "ski", Thing),
    ("snowboard", "snowboard", Thing),
    ("sports ball", "soccer", Thing),
    ("kite", "kite", Thing),
    ("baseball bat", "baseball-bat", Thing),
    ("baseball glove", "baseball", Thing),
    ("skateboard", "skateboard", Thing),
    ("surfboard", "surfing", Thing),
    ("tennis racket", "tennis", Thing),
    ("bottle", "bottle-wine", Thing),
    ("wine glass", "glass-wine", Thing),
    ("cup", "cup", Thing),
    ("fork", "silverware-fork", Thing),
    ("knife", "knife", Thing),
    ("spoon", "silverware-spoon", Thing),
    ("bowl", "bowl", Thing),
    ("apple", "food-apple", Thing),
    ("sandwich", "food", Thing),
    ("orange", "fruit-citrus", Thing),
    ("carrot", "carrot", Thing),
    ("hot dog", "food-hot-dog", Thing),
    ("pizza", "pizza", Thing),
    ("cake", "cake-variant", Thing),
    ("chair", "seat", Thing),
    ("couch", "sofa", Thing),
    ("potted plant", "flower", Thing),
    ("bed", "bed", Thing),
    ("dining table", "table-furniture", Thing),
    ("toilet", "toilet", Thing),
    ("tv", "television", Thing),
    ("laptop", "laptop", Thing),
    ("mouse", "mouse", Thing),
    ("remote", "remote", Thing),
    ("keyboard", "keyboard", Thing),
    ("cell phone", "cellphone", Thing),
    ("microwave", "microwave", Thing),
    ("oven", "stove", Thing),
    ("toaster", "toaster", Thing),
    ("sink", "faucet", Thing),
    ("refrigerator", "fridge", Thing),
    ("book", "book", Thing),
    ("clock", "clock", Thing),
    ("vase", "flower-tulip", Thing),
    ("scissors", "content-cut", Thing),
    ("teddy bear", "teddy-bear", Thing),
    ("hair drier", "hair-dryer", Thing),
    ("toothbrush", "toothbrush", Thing),
    ("candy", "candy", Thing),
    ("cookie", "cookie", Thing),
    ("grape", "fruit-grapes", Thing),
    ("ice cream", "ice-cream", Thing),
    ("juice", "cup-water", Thing),
    ("muffin", "muffin", Thing),
    ("pineapple", "fruit-pineapple", Thing),
    ("popcorn", "popcorn", Thing),
    ("pretzel", "pretzel", Thing),
    ("watermelon", "fruit-watermelon", Thing),
];

/// The fields of the sensor of a class that only it has; `name` is shown for the class.
pub(super) fn fields(class: &str, name: &str) -> Value {
    let known = CLASSES.iter().find(|(known, ..)| *known == class);
    let (icon, device_class) = match known {
        Some((_, icon, device_class)) => (format!("mdi:{icon}"), *device_class),
        None => (OTHER_ICON.to_owned(), Thing),
    };
    let counts = match device_class {
        Motion => "moving",
        Occupancy | Thing => "counts",
    };
    // A JSON string is one of Jinja, too.
    let key = Value::from(class);
    let mut fields = json!({
        "name": capitalized(name),
        "icon": icon,
        "value_template": format!("{{{{ 'ON' if value_json.{counts}.get({key}, 0) > 0 else 'OFF' }}}}"),
    });
    match device_class {
        Occupancy => fields["device_class"] = "occupancy".into(),
        Motion => fields["device_class"] = "motion".into(),
        Thing => {}
    }
    fields
}

/// With a capital first letter, as Home Assistant names entities.
pub(super) fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::aliases::Language;

    #[test]
    fn people_animals_and_vehicles_have_an_icon_and_a_device_class() {
        let cases = [
            ("person", "mdi:account", "occupancy", "counts"),
            ("cat", "mdi:cat", "occupancy", "counts"),
            ("dog", "mdi:dog", "occupancy", "counts"),
            ("car", "mdi:car", "motion", "moving"),
            ("bicycle", "mdi:bicycle", "motion", "moving"),
        ];
        for (class, icon, device_class, counts) in cases {
            let fields = fields(class, class);
            assert_eq!(fields["icon"], icon);
            assert_eq!(fields["device_class"], device_class);
            let template = fields["value_template"].as_str().expect("a text");
            let expected =
                format!("{{{{ 'ON' if value_json.{counts}.get(\"{class}\", 0) > 0 else 'OFF' }}}}");
            assert_eq!(template, expected);
        }
    }

    #[test]
    fn a_thing_has_an_icon_only() {
        let cup = fields("cup", "tasse");
        assert_eq!(
            (&cup["icon"], &cup["name"]),
            (&"mdi:cup".into(), &"Tasse".into())
        );
        assert!(cup.get("device_class").is_none());
        let unknown = fields("a \"quoted\" name", "ärmel");
        assert_eq!(
            (&unknown["icon"], &unknown["name"]),
            (&OTHER_ICON.into(), &"Ärmel".into())
        );
        let template = unknown["value_template"].as_str().expect("a text");
        assert!(
            template.contains(r#".get("a \"quoted\" name", 0)"#),
            "{template}"
        );
    }

    #[test]
    fn each_class_of_the_table_is_one_of_a_model_that_ships() {
        let german = Language::German.aliases();
        let mut classes: Vec<&str> = CLASSES.iter().map(|(class, ..)| *class).collect();
        for class in &classes {
            assert!(german.get(class).is_some(), "{class}");
        }
        classes.sort_unstable();
        classes.dedup();
        assert_eq!(classes.len(), CLASSES.len());
    }
}
