//! The requests of the page: what is stored, and what is refused.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{LABELS, Server, boxes, common, folder, http, scene, stored};

const OPTIONS: [&str; 4] = ["--model", "none", "--classes", "mug,cup"];

#[test]
fn a_label_is_on_disk_when_it_is_answered_and_survives_a_kill() {
    let folder = folder(&[("a.png", scene(1)), ("b.png", scene(2))]);
    let server = Server::start(folder.path(), &OPTIONS);
    assert!(!folder.path().join(LABELS).exists());
    server.label(0, &boxes(&[("mug", [10, 20, 30, 40])], Some(true)));
    server.kill();
    let expected = vec![("mug".to_owned(), [10, 20, 30, 40])];
    assert_eq!(
        stored(folder.path()),
        [("a.png".to_owned(), expected, json!(true))]
    );
    // The next one reads it, without the option for classes.
    let server = Server::start(folder.path(), &["--model", "none"]);
    let state = server.get("/state").json();
    assert_eq!(state["classes"], json!(["mug", "cup"]));
    assert_eq!(state["pictures"][0]["state"], "boxes");
    assert_eq!(state["pictures"][1]["state"], "unlabeled");
    server.label(1, &json!({ "state": "nothing" }));
    let (code, message) = server.end("-INT");
    assert_eq!(code, Some(0), "{message}");
    for part in ["2 of 2 pictures", "boxcam-train fit"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(stored(folder.path()).len(), 2);
}

#[test]
fn a_second_program_on_the_same_folder_is_refused() {
    let folder = folder(&[("a.png", scene(1))]);
    let server = Server::start(folder.path(), &OPTIONS);
    let path = common::text(folder.path());
    let (code, message) = common::fail(&["data", "label", path, "--port", "0", "--model", "none"]);
    assert_eq!(code, 4, "{message}");
    for part in [
        "another boxcam-train",
        &server.page(),
        &server.child.id().to_string(),
    ] {
        assert!(message.contains(part), "{message}");
    }
    server.kill();
    Server::start(folder.path(), &OPTIONS);
}

#[test]
fn a_change_of_older_labels_is_refused_and_the_newer_ones_are_sent() {
    let folder = folder(&[("a.png", scene(1))]);
    let server = Server::start(folder.path(), &OPTIONS);
    let old = server.get("/pictures/0").json()["revision"].clone();
    let newer = boxes(&[("mug", [10, 20, 30, 40])], None);
    server.label(0, &newer);
    let stale = json!({ "revision": old, "labels": { "state": "nothing" } });
    let response = server.post("/pictures/0", &stale);
    assert_eq!(response.status, 409);
    let answer = response.json();
    assert_eq!(answer["current"]["labels"]["boxes"][0]["class"], "mug");
    assert_eq!(server.stored().len(), 1);
    // With the revision of the answer it is accepted.
    let body =
        json!({ "revision": answer["current"]["revision"], "labels": { "state": "nothing" } });
    assert_eq!(server.post("/pictures/0", &body).status, 200);
    assert_eq!(server.stored(), [("a.png".to_owned(), vec![], json!(true))]);
}

#[test]
fn other_sites_read_and_change_nothing() {
    let folder = folder(&[("a.png", scene(1))]);
    let server = Server::start(folder.path(), &OPTIONS);
    let address = server.address;
    for path in ["/", "/state", "/pictures/0/file"] {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: evil.example:{}\r\n",
            address.port()
        );
        assert_eq!(http::send(address, &head).status, 403, "{path}");
    }
    let revision = server.get("/pictures/0").json()["revision"].clone();
    let body = json!({ "revision": revision, "labels": { "state": "nothing" } }).to_string();
    let own = format!("Host: {address}\r\n");
    for headers in [
        own.clone(),
        format!("{own}Origin: http://{address}\r\n"),
        format!("{own}X-Boxcam-Request: 1\r\nOrigin: http://evil.example\r\n"),
        format!("{own}X-Boxcam-Request: 1\r\nSec-Fetch-Site: cross-site\r\n"),
        "Host: evil.example\r\nX-Boxcam-Request: 1\r\n".to_owned(),
    ] {
        for path in ["/pictures/0", "/classes"] {
            let head = format!("POST {path} HTTP/1.1\r\n{headers}");
            let response = http::send_body(address, &head, body.as_bytes());
            assert_eq!(response.status, 403, "{headers}");
        }
    }
    assert!(!folder.path().join(LABELS).exists());
    let response = server.get("/");
    for (name, part) in [
        ("content-security-policy", "frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        assert!(response.header(name).contains(part), "{name}");
    }
}

#[test]
fn only_pictures_of_the_list_are_served_and_invalid_changes_refused() {
    let folder = folder(&[("a.png", scene(1))]);
    std::fs::write(folder.path().join("b.jpg"), "no picture").expect("written");
    let server = Server::start(folder.path(), &OPTIONS);
    for path in [
        "/pictures/2/file",
        "/pictures/2",
        "/boxcam-labels.json",
        "/a.png",
        "/pictures",
    ] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    for path in [
        "/pictures/..%2f..%2fetc%2fpasswd/file",
        "/pictures/-1/file",
        "/pictures/a.png/file",
    ] {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
    for path in ["/pictures/1", "/pictures/1/file", "/pictures/1/thumbnail"] {
        let response = server.get(path);
        assert_eq!(response.status, 422, "{path}");
        let error = response.json()["error"].as_str().expect("text").to_owned();
        assert!(error.contains("b.jpg"), "{error}");
    }
    let revision = server.get("/pictures/0").json()["revision"].clone();
    for labels in [
        boxes(&[("plate", [0, 0, 10, 10])], None),
        boxes(&[("mug", [630, 0, 100, 10])], None),
        boxes(&[("mug", [10, 10, 0, 10])], None),
        boxes(&[], None),
        json!({ "state": "unknown" }),
        json!(null),
    ] {
        let body = json!({ "revision": revision, "labels": labels });
        assert_eq!(server.post("/pictures/0", &body).status, 422, "{labels}");
    }
    let large = json!({ "name": "x".repeat(2 << 20) });
    assert_eq!(server.post("/classes", &large).status, 413);
    for (name, status) in [("  ", 422), ("MUG", 422), ("mug", 200)] {
        assert_eq!(
            server.post("/classes", &json!({ "name": name })).status,
            status,
            "{name}"
        );
    }
    assert!(!folder.path().join(LABELS).exists());
    assert_eq!(
        server.post("/classes", &json!({ "name": "plate" })).status,
        200
    );
    assert_eq!(server.stored(), []);
}

#[test]
fn convert_reads_the_labels_instead_of_the_annotations_that_were_imported() {
    let pictures: Vec<_> = (1..9)
        .map(|seed| (format!("{seed}.png"), scene(seed)))
        .collect();
    let named: Vec<_> = pictures
        .iter()
        .map(|(name, image)| (name.as_str(), image.clone()))
        .collect();
    let folder = folder(&named);
    let voc = "<annotation><size><width>640</width><height>480</height></size><object><name>mug</name><bndbox>\
               <xmin>11</xmin><ymin>21</ymin><xmax>40</xmax><ymax>60</ymax></bndbox></object></annotation>";
    for (name, _) in &pictures {
        let path = folder.path().join(name).with_extension("xml");
        std::fs::write(path, voc).expect("written");
    }
    let server = Server::start(folder.path(), &["--model", "none"]);
    let imported = server.get("/pictures/3").json()["labels"].clone();
    assert_eq!(
        imported["boxes"],
        json!([{ "class": "mug", "box": [10.0, 20.0, 30.0, 40.0] }])
    );
    for index in 0..8 {
        server.label(
            index,
            &boxes(&[("mug", [64, 48, 320, 240])], Some(index % 2 == 0)),
        );
    }
    drop(server);
    let output = tempfile::tempdir().expect("created");
    let data = output.path().join("data");
    let arguments = [
        "data",
        "convert",
        common::text(folder.path()),
        "--output",
        common::text(&data),
    ];
    let (_, message) = common::succeed_saying(&arguments);
    assert!(
        message.contains("read as coco: 8 images") && message.contains("voc"),
        "{message}"
    );
    let mut rows = BTreeMap::new();
    for split in ["train", "val"] {
        let table = std::fs::read_to_string(data.join(format!("annotations-{split}.csv")))
            .expect("written");
        for row in table.lines().skip(1) {
            let (id, rest) = row.split_once(',').expect("columns");
            rows.insert(id.to_owned(), rest.to_owned());
        }
    }
    assert_eq!(rows.len(), 8, "{rows:?}");
    for (id, row) in rows {
        let is_even = id.parse::<u32>().expect("a number") % 2 == 0;
        let expected = format!("0.1,0.6,0.1,0.6,mug,mug,{}", !is_even);
        assert_eq!(row, expected, "{id}");
    }
    let (report, _) =
        common::succeed_saying(&["data", "inspect", common::text(folder.path()), "--json"]);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["format"], "coco", "{report}");
}
