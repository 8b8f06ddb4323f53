//! Models by name, `boxcam models`, and labels in other languages, with the program itself and models made by hand.

use crate::common::tiny_model;
use crate::common::{CommandOutput, TestDir, quarters_image};
use prost::Message;
use serde_json::{Value, json};

/// With `mine` and `broken` among the user's models, and a picture.
fn folder() -> TestDir {
    let folder = TestDir::new();
    let model = tiny_model::with_objects(false).encode_to_vec();
    folder.write("data/boxcam/models/mine.onnx", model);
    folder.write("data/boxcam/models/broken.onnx", "no model");
    let picture = quarters_image(["red", "green", "black", "black"]);
    picture.save(folder.path("a.png")).expect("written");
    folder
}

/// Runs the program as the user whose data is in `data`.
fn run(folder: &TestDir, arguments: &[&str]) -> CommandOutput {
    let mut command = folder.command(arguments);
    CommandOutput::of(command.env("XDG_DATA_HOME", folder.path("data")))
}

fn classes(output: &CommandOutput) -> Vec<(Value, Value)> {
    let line = output.lines().remove(0);
    let detections = line["detections"].as_array().expect("a list").iter();
    let fields = |found: &Value| (found["class"].clone(), found["label"].clone());
    detections.map(fields).collect()
}

#[test]
fn a_model_is_found_by_its_name() {
    let folder = folder();
    let output = run(&folder, &["detect", "a.png", "--model", "mine"]);
    output.assert_exit_code(0);
    assert_eq!(
        output.lines()[0]["detections"].as_array().map(Vec::len),
        Some(2)
    );
    // What has a path is a file, and a name that no model has may be one.
    std::fs::copy(folder.path("tiny.onnx"), folder.path("tiny")).expect("copied");
    for file in ["./tiny", "tiny", "tiny.onnx"] {
        let output = run(
            &folder,
            &["detect", "a.png", "--threshold", "0", "--model", file],
        );
        output.assert_exit_code(0);
        assert_eq!(
            output.lines()[0]["detections"].as_array().map(Vec::len),
            Some(1)
        );
    }
    let output = run(&folder, &["detect", "a.png", "--model", "./mine"]);
    output.assert_exit_code(3);
    output.assert_stderr_contains(&["model ./mine: can't be read"]);
}

#[test]
fn a_wrong_name_is_an_error_that_lists_what_there_is() {
    let folder = folder();
    for command in [
        &["detect", "a.png"][..],
        &["run", "--source", "a.png", "--display", "none"],
        &["bench", "--picture", "a.png"],
    ] {
        let output = run(&folder, &[command, &["--model", "mime"]].concat());
        output.assert_exit_code(3);
        output.assert_stderr_contains(&[
            "model \"mime\": there is none of this name (did you mean \"mine\"?); there are broken, ",
            "mine",
            "`boxcam models`",
        ]);
        assert_eq!(output.stdout, "");
    }
}

#[test]
fn models_lists_what_there_is() {
    let folder = folder();
    let output = run(&folder, &["models", "--json"]);
    output.assert_exit_code(0);
    let list = output.lines().remove(0);
    let models = list["models"].as_array().expect("a list");
    let named = |name: &str| {
        let found = models.iter().find(|model| model["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {list}"))
    };
    let mine = named("mine");
    assert_eq!(mine["place"], "user");
    assert_eq!(mine["classes"], json!(["red", "green", "blue"]));
    assert_eq!(mine["finds_objects"], true);
    assert_eq!(mine["input"], json!([tiny_model::SIDE, tiny_model::SIDE]));
    assert!(mine["bytes"].as_u64() > Some(100) && mine["multiply_adds"].is_u64());
    assert_eq!(
        (&mine["is_default"], &mine["is_hidden"]),
        (&json!(false), &json!(false))
    );
    let broken = named("broken")["error"].as_str().expect("an error");
    assert!(
        broken.contains("broken.onnx: not a complete ONNX file"),
        "{broken}"
    );
    let text = run(&folder, &["models"]);
    text.assert_exit_code(0);
    for expected in [
        "multiply-adds",
        "mine",
        "objects",
        "not a complete ONNX file",
    ] {
        assert!(text.stdout.contains(expected), "{}", text.stdout);
    }
}

#[cfg(feature = "embedded-model")]
#[test]
fn the_built_in_snacks_are_the_default_and_a_file_of_the_user_hides_them() {
    let folder = folder();
    let models = |folder: &TestDir| {
        let list = run(folder, &["models", "--json"]).lines().remove(0);
        let models = list["models"].as_array().expect("a list").clone();
        let is_snacks = |model: &Value| model["name"] == "snacks";
        models.into_iter().filter(is_snacks).collect::<Vec<_>>()
    };
    let [built_in] = &models(&folder)[..] else {
        panic!("one model is called snacks");
    };
    assert_eq!(
        (&built_in["place"], &built_in["file"]),
        (&json!("built in"), &json!(null))
    );
    assert_eq!(built_in["is_default"], true);
    assert_eq!(built_in["classes"].as_array().map(Vec::len), Some(20));
    assert_eq!(
        (&built_in["finds_objects"], &built_in["multiply_adds"]),
        (&json!(false), &json!(544_236_088))
    );
    folder.write("data/boxcam/models/snacks.onnx", tiny_model::bytes());
    let [own, built_in] = &models(&folder)[..] else {
        panic!("two models are called snacks");
    };
    assert_eq!(
        (&own["place"], &own["is_hidden"]),
        (&json!("user"), &json!(false))
    );
    assert_eq!(
        (&built_in["is_hidden"], &built_in["is_default"]),
        (&json!(true), &json!(true))
    );
    let output = run(
        &folder,
        &["detect", "a.png", "--model", "snacks", "--classes", "red"],
    );
    output.assert_exit_code(0);
}

#[cfg(feature = "embedded-coco")]
#[test]
fn coco_is_built_in_and_knows_80_classes() {
    let folder = folder();
    let list = run(&folder, &["models", "--json"]).lines().remove(0);
    let models = list["models"].as_array().expect("a list");
    let coco = models.iter().find(|model| model["name"] == "coco");
    let coco = coco.expect("built in");
    assert_eq!(
        (&coco["place"], &coco["error"]),
        (&json!("built in"), &json!(null))
    );
    assert_eq!(
        (&coco["finds_objects"], &coco["input"]),
        (&json!(true), &json!([300, 300]))
    );
    let classes = coco["classes"].as_array().expect("a list");
    assert_eq!((classes.len(), &classes[0]), (80, &json!("person")));
    let licence = coco["licence"].as_str().expect("a text");
    assert!(licence.contains("Apache-2.0"), "{licence}");
    let detect = ["detect", "a.png", "--model", "coco", "--aliases", "de"];
    let output = run(
        &folder,
        &[&detect[..], &["--classes", "Person,Katze"]].concat(),
    );
    output.assert_exit_code(0);
}

/// Each class of COCO has its alias, in the spelling of the model.
#[cfg(feature = "embedded-coco")]
#[test]
fn the_languages_have_all_classes_of_coco() {
    use boxcam::label::aliases::Language;

    let folder = folder();
    let list = run(&folder, &["models", "--json"]).lines().remove(0);
    let models = list["models"].as_array().expect("a list");
    let coco = models.iter().find(|model| model["name"] == "coco");
    let classes = coco.expect("built in")["classes"]
        .as_array()
        .expect("a list")
        .iter();
    let classes: Vec<&str> = classes.filter_map(Value::as_str).collect();
    for language in Language::ALL {
        let aliases = language.aliases();
        for class in &classes {
            assert!(aliases.get(class).is_some(), "{language:?}: {class}");
        }
    }
}

#[test]
fn aliases_are_labels_beside_the_classes() {
    let folder = folder();
    folder.write(
        "it.toml",
        "red = \"rosso\"\ngreen = \"verde\"\nother = \"altro\"\n",
    );
    let detect = |more: &[&str]| {
        let arguments = ["detect", "a.png", "--model", "mine", "--aliases", "it.toml"];
        let output = run(&folder, &[&arguments, more].concat());
        output.assert_exit_code(0);
        assert_eq!(
            output.stderr.matches("--aliases").count(),
            0,
            "{}",
            output.stderr
        );
        classes(&output)
    };
    let (red, green) = (
        (json!("red"), json!("rosso")),
        (json!("green"), json!("verde")),
    );
    let mut found = detect(&[]);
    found.sort_by_key(|(class, _)| class.to_string());
    assert_eq!(found, [green.clone(), red.clone()]);
    for (selected, expected) in [("rosso", &red), ("red", &red), ("verde", &green)] {
        assert_eq!(
            detect(&["--classes", selected]),
            std::slice::from_ref(expected),
            "{selected}"
        );
    }
    let run = |arguments: &[&str]| run(&folder, arguments);
    let unknown = run(&["detect", "a.png", "--model", "mine", "--classes", "rosso"]);
    unknown.assert_exit_code(2);
    unknown.assert_stderr_contains(&["the model has no class \"rosso\""]);
    // Without an alias, there is no label.
    let plain = run(&["detect", "a.png", "--model", "mine"]);
    assert!(!plain.stdout.contains("label"), "{}", plain.stdout);
}

#[test]
fn pictures_show_aliases_or_the_class_if_the_font_lacks_a_character() {
    const WIDTH: u32 = 320;
    const HEIGHT: u32 = 240;
    let folder = folder();
    let small = image::open(folder.path("a.png")).expect("a picture");
    let large = small.resize_exact(WIDTH, HEIGHT, image::imageops::FilterType::Nearest);
    large.save(folder.path("large.png")).expect("written");
    folder.write("ru.toml", "red = \"красный\"\n");
    folder.write("zh.toml", "red = \"红\"\ngreen = \"绿\"\n");
    let annotated = |aliases: &[&str]| {
        let name = aliases.last().unwrap_or(&"none").replace('.', "-");
        let common = [
            "detect",
            "large.png",
            "--model",
            "mine",
            "--annotate",
            &name,
        ];
        let output = run(&folder, &[&common[..], aliases].concat());
        output.assert_exit_code(0);
        let picture = image::open(folder.path(&name).join("large.png")).expect("a picture");
        // Below is the status line, with times.
        (picture.crop_imm(0, 0, WIDTH, HEIGHT / 2).to_rgb8(), output)
    };
    let (plain, _) = annotated(&[]);
    let (russian, output) = annotated(&["--aliases", "ru.toml"]);
    assert_ne!(plain, russian);
    assert!(!output.stderr.contains("--aliases"), "{}", output.stderr);
    let (chinese, output) = annotated(&["--aliases", "zh.toml"]);
    assert_eq!(plain, chinese);
    output.assert_stderr_contains(&["for 2 of the 3 labels, as \"红\"", "as \"red\""]);
    let found = classes(&output);
    assert!(found.contains(&(json!("red"), json!("红"))), "{found:?}");
}

#[test]
fn wrong_aliases_are_named() {
    let folder = folder();
    folder.write("wrong.toml", "red = rosso\n");
    let detect = |aliases: &str| {
        run(
            &folder,
            &["detect", "a.png", "--model", "mine", "--aliases", aliases],
        )
    };
    for (aliases, expected) in [
        ("nl", &["aliases nl: can't be read", "de, fr, es, zh"][..]),
        (
            "wrong.toml",
            &["aliases wrong.toml: line 1: ", "cat = \"Katze\""],
        ),
    ] {
        let output = detect(aliases);
        output.assert_exit_code(2);
        output.assert_stderr_contains(expected);
    }
    // No class of the model is among them, which is no error.
    let output = detect("de");
    output.assert_exit_code(0);
    output.assert_stderr_contains(&["--aliases: the model has none of these classes"]);
}

#[cfg(feature = "demo")]
#[test]
fn photographs_are_a_demo_that_is_the_same_each_time() {
    let folder = folder();
    folder.write_solid_image("photographs/b.png", "blue");
    folder.write_solid_image("photographs/a.png", "red");
    let arguments = ["run", "--source", "demo:photographs", "--display", "none"];
    let frames = |count: &str| {
        let more = ["--frames", count, "--model", "tiny.onnx"];
        let output = run(&folder, &[&arguments[..], &more].concat());
        output.assert_exit_code(0);
        let fields = |line: &Value| (line["frame"].clone(), line["detection"].clone());
        output.lines().iter().map(fields).collect::<Vec<_>>()
    };
    let found = frames("152");
    assert_eq!(found.len(), 152);
    assert_eq!(
        (&found[0].1["class"], &found[149].1["class"]),
        (&json!("red"), &json!("red"))
    );
    assert_eq!(found[150].1["class"], "blue");
    assert_eq!(found, frames("152"));
    let output = run(
        &folder,
        &[
            "run",
            "--source",
            "demo:nowhere",
            "--frames",
            "1",
            "--display",
            "none",
        ],
    );
    output.assert_exit_code(4);
    output.assert_stderr_contains(&["nowhere"]);
}
